#!/bin/sh
# Debian's Emacs, unpacked and not installed: it is told where its files are.
tree=$(dirname "$(readlink -f "$0")")/tree
dump=$(find "$tree/usr/libexec" "$tree/usr/lib" -name '*.pdmp' 2>/dev/null | head -n 1)
share=$(find "$tree/usr/share/emacs" -maxdepth 1 -name '[0-9]*' | head -n 1)
# Packages come first: they are newer than what Emacs has of them.
paths=$(find "$tree/usr/share/emacs/site-lisp/elpa-src" "$share/lisp" -type d -printf ':%p' 2>/dev/null)
libraries=$(find "$tree/usr/lib" -maxdepth 1 -type d -printf ':%p')
export EMACSLOADPATH="${paths#:}" EMACSDATA="$share/etc" EMACSDOC="$share/etc"
export EMACSPATH="$(dirname "$dump")" LD_LIBRARY_PATH="${libraries#:}"
exec "$tree/usr/bin/emacs-nox" --dump-file="$dump" "$@"
