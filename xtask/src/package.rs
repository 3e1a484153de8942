//! `cargo xtask package`: what an editor installs, in `target/package`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{root, run, say};
use crate::vscode;

/// What a plugin manager unpacks.
const NVIM: &str = "greenlit.nvim.tar.gz";

pub(crate) fn package() -> Result<()> {
    let into = directory()?;
    let npm = which::which("npm").context("the VS Code extension is built with npm")?;
    say(vscode::package(&npm, &into)?.display());
    let archive = into.join(NVIM);
    run(Command::new("tar")
        .args(["--create", "--gzip", "--sort=name", "--owner=0", "--group=0", "--file"])
        .arg(&archive)
        .args(["--directory"])
        .arg(root().join("editors"))
        .args(["--transform", "s,^nvim,greenlit.nvim,", "nvim"]))?;
    say(archive.display());
    Ok(())
}

/// `target/package`
pub(crate) fn directory() -> Result<PathBuf> {
    let into = root().join("target/package");
    std::fs::create_dir_all(&into)?;
    Ok(into)
}
