//! A real Neovim on a broken project.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;

use greenlit_tests::{Installation, Project, binary, python_project, tool};

/// Runs one script of `tests/nvim` to its end.
fn nvim(installation: &Installation, project: &Project, script: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let nvim = tool("GREENLIT_TEST_NVIM", ".tools/venv/bin/nvim");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.insert(0, binary("greenlit").parent().unwrap().to_owned());
    let output = installation
        .command(nvim)
        .args(["--clean", "--headless", "-l"])
        .arg(here.join("nvim").join(script))
        .env("PATH", std::env::join_paths(directories).unwrap())
        .env("PLUGIN", here.join("../editors/nvim"))
        .env("PROJECT", project.root())
        .env("XDG_STATE_HOME", installation.path("nvim-state"))
        .env("XDG_DATA_HOME", installation.path("nvim-data"))
        .env("XDG_CONFIG_HOME", installation.path("nvim-config"))
        .current_dir(project.root())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let log = std::fs::read_to_string(installation.path("state/daemon.log")).unwrap_or_default();
    assert!(output.status.success(), "{stdout}\n{stderr}\n-- daemon.log\n{log}");
    stdout
}

#[test]
fn nvim_applies_a_verified_fix() {
    let project = python_project("people");
    nvim(&Installation::new(), &project, "quick_fix.lua");
    // The tests are green now, outside of everything of ours.
    let python = tool("GREENLIT_TEST_PYTHON", ".tools/venv/bin/python");
    let status = Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(project.root())
        .status()
        .unwrap();
    assert!(status.success());
}
