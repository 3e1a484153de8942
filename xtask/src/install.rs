//! `cargo xtask install`: the binaries, and the plugins of editors.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::demo::copy;
use crate::engine;
use crate::package;
use crate::run::{cargo, root, run, say};
use crate::vscode;

pub(crate) fn install(with_engine: bool, nvim: bool, vscode: bool) -> Result<()> {
    for package in ["lsp", "daemon", "daemon/sandbox"] {
        run(cargo().args(["install", "--locked", "--path", package]))?;
    }
    say("installed greenlit, greenlitd and greenlit-sandbox");
    if with_engine {
        engine::engine(false)?;
    }
    if nvim {
        install_nvim()?;
    }
    if vscode {
        install_vscode()?;
    }
    Ok(())
}

/// Names under which VS Code's own command line is known, the usual one first.
const CODE: [&str; 5] = ["code", "codium", "code-insiders", "code-oss", "code-server"];

/// Builds the extension and hands it to the first VS Code in `PATH`.
fn install_vscode() -> Result<()> {
    let npm = which::which("npm").context("the VS Code extension is built with npm")?;
    vscode::build(&npm)?;
    let file = vscode::package(&package::directory()?)?;
    let Some(code) = CODE.iter().find_map(|name| which::which(name).ok()) else {
        bail!(
            "none of {} is in PATH: choose \"Install from VSIX…\" in VS Code, then {}",
            CODE.join(", "),
            file.display()
        );
    };
    run(Command::new(code).args(["--install-extension"]).arg(&file).arg("--force"))
}

/// Copies the plugin into Neovim's package directory, where it is found without any setting.
fn install_nvim() -> Result<()> {
    let data = match std::env::var_os("XDG_DATA_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".local/share")
        }
    };
    let target = data.join("nvim/site/pack/greenlit/start/greenlit");
    let source = root().join("editors/nvim");
    if target.is_symlink() {
        bail!("{} is a link: remove it first", target.display());
    }
    // Files of another version must not stay.
    if target.exists() {
        std::fs::remove_dir_all(&target)
            .with_context(|| format!("cannot remove {}", target.display()))?;
    }
    copy(&source, &target)?;
    say(format!("installed the plugin into {}", target.display()));
    say("add `vim.lsp.enable('greenlit')` to your init.lua, then `:checkhealth greenlit`");
    Ok(())
}
