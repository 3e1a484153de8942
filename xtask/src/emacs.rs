//! A real Emacs for a test: the machine's, or Debian's, unpacked into `.tools/` without being installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{output, run, say};
use crate::tools;

/// Emacs, and eglot for an Emacs that does not have it yet (before 29); later Debians have no such package.
const PACKAGES: [&[&str]; 2] = [&["emacs-nox", "elpa-eglot"], &["emacs-nox"]];

/// An Emacs with eglot; `None` where there is none, and no Debian to take it from.
pub(crate) fn emacs() -> Result<Option<PathBuf>> {
    if let Some(found) = which::which("emacs").ok().filter(|path| has_eglot(path)) {
        return Ok(Some(found));
    }
    let home = tools::dir().join("emacs");
    let program = home.join("emacs");
    if program.is_file() {
        return Ok(Some(program));
    }
    if which::which("apt-get").is_err() || which::which("dpkg-deb").is_err() {
        return Ok(None);
    }
    say("unpacking Debian's Emacs into .tools/emacs (once, 160 MB)");
    let part = tools::dir().join("emacs.part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    if !PACKAGES.iter().any(|packages| download(&part, packages)) {
        return Ok(None);
    }
    unpack(&part)?;
    fs::rename(&part, &home)?;
    Ok(has_eglot(&program).then_some(program))
}

fn has_eglot(emacs: &Path) -> bool {
    output(Command::new(emacs).args(["-Q", "--batch", "--eval", "(require 'eglot)"])).is_some()
}

/// Downloads packages and what they need beyond what is installed; without rights, and without a trace in
/// the system. Package lists that the machine lacks are fetched for this alone.
fn download(part: &Path, packages: &[&str]) -> bool {
    let lists = part.join("lists");
    let known = |options: &[String]| fetch(part, packages, options);
    if known(&[]) {
        return true;
    }
    let own = [format!("-oDir::State::lists={}", lists.display())];
    let made = fs::create_dir_all(lists.join("partial")).is_ok();
    made && run(apt(part).args(&own).arg("update")).is_ok() && known(&own)
}

fn fetch(part: &Path, packages: &[&str], options: &[String]) -> bool {
    let partial = part.join("archives/partial");
    let mut command = apt(part);
    command.args(options);
    command.args(["--yes", "--no-install-recommends", "--download-only", "install"]);
    fs::create_dir_all(partial).is_ok() && run(command.args(packages)).is_ok()
}

fn apt(part: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["--quiet=2", "-oDebug::NoLocking=1"]);
    command.arg(format!("-oDir::Cache::archives={}", part.join("archives").display()));
    // As root it would go on as a user who may not write here.
    command.arg("-oAPT::Sandbox::User=");
    command
}

fn unpack(part: &Path) -> Result<()> {
    let archives = part.join("archives");
    let tree = part.join("tree");
    for entry in fs::read_dir(&archives).context("cannot read what apt-get downloaded")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("--extract").arg(path).arg(&tree))?;
        }
    }
    fs::remove_dir_all(archives)?;
    let program = part.join("emacs");
    fs::write(&program, include_str!("emacs.sh"))?;
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    Ok(())
}
