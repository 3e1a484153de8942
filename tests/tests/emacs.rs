//! A real Emacs with eglot, set up as the README says: nothing of ours runs in it.

use std::path::{Path, PathBuf};

use greenlit_tests::{Installation, binary, python_project, tool};

#[test]
fn emacs_with_eglot_applies_a_fix_that_pytest_verified() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installation = Installation::new();
    let project = python_project("people");
    let readme = std::fs::read_to_string(here.join("../README.md")).unwrap();
    let (_, snippet) = readme.split_once("```elisp\n").unwrap();
    let snippet_file = installation.path("init.el");
    std::fs::write(&snippet_file, snippet.split_once("```").unwrap().0).unwrap();

    // What is tested here is not how long a busy machine takes.
    std::fs::write(installation.path("greenlit.toml"), "[fix]\nbudget_secs = 600\n").unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.insert(0, binary("greenlit").parent().unwrap().to_owned());
    let output = installation
        .command(tool("GREENLIT_TEST_EMACS", ".tools/emacs/emacs"))
        .args(["-Q", "--batch", "-l"])
        .arg(here.join("emacs/quick_fix.el"))
        .env("PATH", std::env::join_paths(directories).unwrap())
        .env("PROJECT", project.root())
        .env("SNIPPET", &snippet_file)
        .env("HOME", installation.path("home"))
        .current_dir(project.root())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let log = std::fs::read_to_string(installation.path("state/daemon.log")).unwrap_or_default();
    assert!(output.status.success(), "{stderr}\n-- daemon.log\n{log}");
    assert!(project.read("people.py").contains("age >= 18"));
}
