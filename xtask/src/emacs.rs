//! A real Emacs for a test: the machine's, or Debian's.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::debian::Program;
use crate::run::output;

const EMACS: Program = Program {
    directory: "emacs",
    name: "emacs",
    // Eglot is for an Emacs that does not have it yet (before 29); later Debians have no such package.
    packages: &[&["emacs-nox", "elpa-eglot"], &["emacs-nox"]],
    release: None,
    launcher: include_str!("emacs.sh"),
};

/// An Emacs with eglot; `None` where there is none, and no Debian to take it from.
pub(crate) fn emacs() -> Result<Option<PathBuf>> {
    if let Some(found) = which::which("emacs").ok().filter(|path| has_eglot(path)) {
        return Ok(Some(found));
    }
    Ok(EMACS.unpacked()?.filter(|program| has_eglot(program)))
}

fn has_eglot(emacs: &Path) -> bool {
    output(Command::new(emacs).args(["-Q", "--batch", "--eval", "(require 'eglot)"])).is_some()
}
