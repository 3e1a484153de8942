//! `cargo xtask package`: what an editor installs, in `target/package`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{built, cargo, root, run, say};
use crate::vscode;

/// What a plugin manager unpacks.
const NVIM: &str = "greenlit.nvim.tar.gz";

/// The packages of the programs that are installed.
const PROGRAMS: [&str; 6] = ["-p", "greenlit", "-p", "greenlitd", "-p", "greenlit-sandbox"];

pub(crate) fn package(debug: bool) -> Result<()> {
    let into = directory()?;
    let npm = which::which("npm").context("the VS Code extension is built with npm")?;
    vscode::build(&npm)?;
    say(vscode::package(&into)?.display());
    let profile = if debug { "dev" } else { "release" };
    run(cargo().args(["build", "--profile", profile]).args(PROGRAMS))?;
    match vscode::package_with(&built(debug), &into)? {
        Some(file) => say(file.display()),
        None => say("VS Code has no name for this platform: no package with the programs"),
    }
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
