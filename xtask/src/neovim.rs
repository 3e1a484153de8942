//! A real Neovim 0.10 for tests, the oldest that the plugin works in: Debian 13's.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::debian::Program;
use crate::run::output;

const NEOVIM: Program = Program {
    directory: "neovim-0.10",
    name: "nvim",
    packages: &[&["neovim"]],
    release: Some("trixie"),
    launcher: include_str!("neovim.sh"),
};

/// Neovim 0.10; `None` where Debian's is not to be had.
pub(crate) fn oldest() -> Result<Option<PathBuf>> {
    let is_old = |program: &PathBuf| {
        output(Command::new(program).arg("--version")).is_some_and(|text| text.contains("v0.10."))
    };
    Ok(NEOVIM.unpacked()?.filter(is_old))
}
