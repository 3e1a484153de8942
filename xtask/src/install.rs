//! `cargo xtask install`: the binaries, and the Neovim plugin.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::demo::copy;
use crate::run::{cargo, root, run, say};

pub(crate) fn install(nvim: bool) -> Result<()> {
    for package in ["lsp", "daemon", "daemon/sandbox"] {
        run(cargo().args(["install", "--locked", "--path", package]))?;
    }
    say("installed greenlit, greenlitd and greenlit-sandbox");
    if nvim {
        install_nvim()?;
    }
    Ok(())
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
    copy(&source, &target)?;
    say(format!("installed the plugin into {}", target.display()));
    say("add `vim.lsp.enable('greenlit')` to your init.lua, then `:checkhealth greenlit`");
    Ok(())
}
