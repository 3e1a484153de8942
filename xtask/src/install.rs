//! `cargo xtask install`: the binaries, and the plugins of editors.

use std::path::{Path, PathBuf};
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
        install_nvim(&data()?, which::which("nvim").ok().as_deref())?;
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

/// Neovim's directory for data.
fn data() -> Result<PathBuf> {
    Ok(match std::env::var_os("XDG_DATA_HOME") {
        Some(dir) => PathBuf::from(dir),
        None => {
            PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".local/share")
        }
    })
}

/// Copies the plugin into Neovim's package directory, where it is found without any setting.
fn install_nvim(data: &Path, nvim: Option<&Path>) -> Result<()> {
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
    // A plugin manager would do it; without the tags `:help greenlit` finds nothing.
    if let Some(nvim) = nvim {
        let helptags = ["--clean", "--headless", "-c", "helptags doc", "-c", "quitall"];
        let _failed = run(Command::new(nvim).args(helptags).current_dir(&target)).is_err();
    }
    if !target.join("doc/tags").is_file() {
        say("for `:help greenlit` run `:helptags ALL` once");
    }
    say("add `vim.lsp.enable('greenlit')` to your init.lua, then `:checkhealth greenlit`");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nvim_finds_the_installed_plugin_without_any_setting() {
        let home = tempfile::tempdir().unwrap();
        let stale = home.path().join("nvim/site/pack/greenlit/start/greenlit/lua/greenlit/old.lua");
        std::fs::create_dir_all(stale.parent().unwrap()).unwrap();
        std::fs::write(&stale, "").unwrap();
        let nvim = std::env::var_os("GREENLIT_TEST_NVIM")
            .map_or_else(|| crate::tools::dir().join("venv/bin/nvim"), PathBuf::from);
        install_nvim(home.path(), Some(&nvim)).unwrap();
        assert!(!stale.exists());

        let mut command = Command::new(nvim);
        for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
            command.env(name, home.path().join("none"));
        }
        let command = command.env("XDG_DATA_HOME", home.path()).arg("--headless");
        let found = "lua print(vim.fn.exists(':Greenlit'), vim.lsp.config.greenlit.cmd ~= nil)";
        let output = command.args(["-c", found, "-c", "help greenlit", "-c", "quitall!"]).output();
        assert_eq!(String::from_utf8_lossy(&output.unwrap().stderr), "2 true");
    }

    #[cfg(unix)]
    #[test]
    fn a_linked_plugin_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("nvim/site/pack/greenlit/start");
        std::fs::create_dir_all(&place).unwrap();
        std::os::unix::fs::symlink(home.path(), place.join("greenlit")).unwrap();
        let error = install_nvim(home.path(), None).unwrap_err();
        assert!(error.to_string().ends_with("is a link: remove it first"), "{error}");
    }
}
