#!/bin/sh
# Debian's Neovim, unpacked and not installed: it is told where its files and its own C library are.
tree=$(dirname "$(readlink -f "$0")")/tree
libraries=$(find "$tree/usr/lib" -maxdepth 1 -type d -printf ':%p')
loader=$(find "$tree/usr/lib" -name 'ld-linux-*.so.*' | head -n 1)
export VIMRUNTIME="$tree/usr/share/nvim/runtime"
exec "$loader" --library-path "${libraries#:}" "$tree/usr/bin/nvim" "$@"
