//! What the tests need beyond the Rust toolchain, kept in the ignored folder `.tools/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{cargo, output, root, run, say};

const NEXTEST: &str = "0.9";
const DENY: &str = "0.20";
const TYPESCRIPT: &str = "5.9.3";

/// `.tools/`
pub(crate) fn dir() -> PathBuf {
    root().join(".tools")
}

/// A cargo subcommand of at least this minor version: from the machine, or installed here once.
pub(crate) fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let suits = |path: &Path| {
        let subcommand = name.trim_start_matches("cargo-");
        let text = output(Command::new(path).args([subcommand, "--version"]));
        let text = text.or_else(|| output(Command::new(path).arg("--version")));
        text.is_some_and(|text| text.contains(&format!(" {version}.")))
    };
    let own = dir().join("bin").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    if let Some(found) = which::which(name).into_iter().chain([own.clone()]).find(|p| suits(p)) {
        return Ok(found);
    }
    say(format!("installing {name} {version} into .tools/ (once; some minutes)"));
    run(cargo()
        .args(["install", name, "--locked", "--version", &format!("^{version}"), "--root"])
        .arg(dir())
        .env_remove("CARGO_TARGET_DIR"))?;
    Ok(own)
}

pub(crate) fn nextest() -> Result<PathBuf> {
    cargo_tool("cargo-nextest", NEXTEST)
}

pub(crate) fn deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", DENY)
}

/// A Python environment with pytest, Neovim and Go; `None` when the machine has no python3.
pub(crate) fn python() -> Result<Option<PathBuf>> {
    let Ok(python3) = which::which("python3") else { return Ok(None) };
    let venv = dir().join("venv");
    let python = venv.join("bin/python");
    let requirements = root().join("tests/requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).context("cannot read the requirements")?;
    let stamp = venv.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && python.is_file() {
        return Ok(Some(python));
    }
    say("installing pytest, Neovim and Go into .tools/venv (once)");
    run(Command::new(python3).args(["-m", "venv", "--clear"]).arg(&venv))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements))?;
    std::fs::write(stamp, wanted)?;
    Ok(Some(python))
}

/// The Neovim that [`python`] installed.
pub(crate) fn nvim(python: &Path) -> Result<PathBuf> {
    installed(python, "nvim")
}

/// The Go that [`python`] installed.
pub(crate) fn go(python: &Path) -> Result<PathBuf> {
    installed(python, "go")
}

fn installed(python: &Path, name: &str) -> Result<PathBuf> {
    let bin = python.parent().context("an interpreter lies in a directory")?;
    let tool = bin.join(name);
    if !tool.is_file() {
        bail!("{} is missing: delete .tools/venv and run again", tool.display());
    }
    Ok(tool)
}

/// TypeScript in `.tools/typescript`; `None` when the machine has no npm.
pub(crate) fn typescript() -> Result<Option<PathBuf>> {
    let Ok(npm) = which::which("npm") else { return Ok(None) };
    let home = dir().join("typescript");
    let package = home.join("node_modules/typescript");
    let manifest = std::fs::read_to_string(package.join("package.json")).unwrap_or_default();
    if manifest.contains(&format!("\"version\": \"{TYPESCRIPT}\"")) {
        return Ok(Some(package));
    }
    say("installing TypeScript into .tools/typescript (once)");
    std::fs::create_dir_all(&home)?;
    run(Command::new(npm)
        .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
        .arg(&home)
        .arg(format!("typescript@{TYPESCRIPT}")))?;
    Ok(Some(package))
}

/// Node.js of at least version 20; `None` when the machine has none.
pub(crate) fn node() -> Option<PathBuf> {
    let node = which::which("node").ok()?;
    let version = output(Command::new(&node).arg("--version"))?;
    let major: u32 = version.trim().trim_start_matches('v').split('.').next()?.parse().ok()?;
    (major >= 20).then_some(node)
}
