//! A real Neovim, a real daemon, real pytest: the scripts of `tests/nvim`.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use greenlit_serving::check::Architecture;
use greenlit_serving::tiny;
use greenlit_tests::{
    Installation, Project, WIDE_PEOPLE, binary, python_project, tool, wide_python_project,
};

/// Of the weights of a model that says nothing.
const SEED: u64 = 7;

/// What `cargo xtask test` installs.
fn newest() -> PathBuf {
    tool("GREENLIT_TEST_NVIM", ".tools/venv/bin/nvim")
}

/// The oldest that the plugin works in.
fn oldest() -> PathBuf {
    tool("GREENLIT_TEST_OLDEST_NVIM", ".tools/neovim-0.10/nvim")
}

/// Runs one script of `tests/nvim` to its end.
fn nvim(installation: &Installation, project: &Project, script: &str) -> String {
    nvim_with(installation, project, script, &[])
}

/// The same, with more in the environment.
fn nvim_with(
    installation: &Installation,
    project: &Project,
    script: &str,
    environment: &[(&str, &str)],
) -> String {
    run(&newest(), installation, project, script, environment)
}

fn run(
    nvim: &Path,
    installation: &Installation,
    project: &Project,
    script: &str,
    environment: &[(&str, &str)],
) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.insert(0, binary("greenlit").parent().unwrap().to_owned());
    // What is tested here is not how long a busy machine takes.
    std::fs::write(installation.path("greenlit.toml"), "[fix]\nbudget_secs = 600\n").unwrap();
    let output = installation
        .command(nvim)
        .args(["--clean", "--headless", "-l"])
        .arg(here.join("nvim").join(script))
        .env("PATH", std::env::join_paths(directories).unwrap())
        .env("NVIM_PROGRAM", nvim)
        .env("PLUGIN", here.join("../editors/nvim"))
        .env("PROJECT", project.root())
        .env("VERSION", env!("CARGO_PKG_VERSION"))
        .env("XDG_STATE_HOME", installation.path("nvim-state"))
        .env("XDG_DATA_HOME", installation.path("nvim-data"))
        .env("XDG_CONFIG_HOME", installation.path("nvim-config"))
        .envs(environment.iter().copied())
        .current_dir(project.root())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let log = std::fs::read_to_string(installation.path("state/daemon.log")).unwrap_or_default();
    assert!(output.status.success(), "{stdout}\n{stderr}\n-- daemon.log\n{log}");
    stdout
}

/// The tests are green, outside of everything of ours.
fn is_green(project: &Project) -> bool {
    let python = tool("GREENLIT_TEST_PYTHON", ".tools/venv/bin/python");
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]).current_dir(project.root());
    pytest.status().unwrap().success()
}

#[test]
fn nvim_applies_a_verified_fix() {
    let project = python_project("people");
    nvim(&Installation::new(), &project, "quick_fix.lua");
    assert!(is_green(&project));
}

#[test]
fn nvim_without_lsp_enable_starts_the_server_too() {
    let project = python_project("people");
    nvim(&Installation::new(), &project, "without_enable.lua");
}

/// Each script that does not need what only a later one has, against one project each.
#[test]
fn oldest_nvim_does_what_the_newest_does() {
    for script in ["quick_fix.lua", "unsaved.lua", "commands.lua", "health.lua", "two_editors.lua"]
    {
        let project = python_project("people");
        run(&oldest(), &Installation::new(), &project, script, &[]);
    }
}

#[test]
fn nvim_tests_unsaved_edits() {
    let project = python_project("people");
    let before = project.read("people.py");
    nvim(&Installation::new(), &project, "unsaved.lua");
    assert_eq!(project.read("people.py"), before);
}

#[test]
fn nvim_shares_a_daemon_with_another_whose_edits_it_does_not_see() {
    let project = python_project("people");
    nvim(&Installation::new(), &project, "two_editors.lua");
    assert!(is_green(&project));
}

#[test]
fn nvim_survives_a_killed_daemon_quietly() {
    let project = python_project("people");
    nvim(&Installation::new(), &project, "daemon_killed.lua");
    assert!(is_green(&project));
}

#[test]
fn nvim_has_commands() {
    nvim(&Installation::new(), &python_project("people"), "commands.lua");
}

#[test]
fn nvim_chooses_an_adapter() {
    let installation = Installation::new();
    let tier = "[tier.small]\nprovider = 'engine'\nmodel = 'tiny'\n";
    std::fs::write(installation.path("greenlit.toml"), tier).unwrap();
    let [model, style] = ["tiny", "style"].map(|name| installation.path(name));
    tiny::model(&model, Architecture::Qwen2, SEED).unwrap();
    tiny::adapter(&style, &tiny::adapter_config(), &tiny::always_tensors(SEED, b'a')).unwrap();
    for (what, directory) in [("model", &model), ("adapter", &style)] {
        let ran = installation.greenlit([what, "add", directory.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    }
    nvim(&installation, &python_project("people"), "adapter.lua");
}

#[test]
fn nvim_checks_its_health() {
    nvim(&Installation::new(), &python_project("people"), "health.lua");
}

#[test]
fn nvim_says_once_what_is_wrong_with_the_program() {
    let project = python_project("people");
    let others = project.outside().join("others");
    let programs = [
        ("plain", "#!/bin/sh\n", 0o644),
        ("later", "#!/bin/sh\necho greenlit 99.0.0\n", 0o755),
        ("strange", "#!/bin/sh\necho something else\n", 0o755),
    ];
    for (directory, text, mode) in programs {
        let program = others.join(directory).join("greenlit");
        std::fs::create_dir_all(program.parent().unwrap()).unwrap();
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(mode)).unwrap();
    }
    let environment = [("OTHERS", others.to_str().unwrap())];
    nvim_with(&Installation::new(), &project, "bad_program.lua", &environment);
}

#[test]
fn nvim_says_once_that_the_daemon_does_not_start() {
    let installation = Installation::new();
    let run = installation.path("run");
    std::fs::write(&run, "not a directory").unwrap();
    let environment = [("IN_THE_WAY", run.to_str().unwrap()), ("SAID", run.to_str().unwrap())];
    nvim_with(&installation, &python_project("people"), "refused.lua", &environment);
}

#[test]
fn nvim_says_once_that_the_disk_is_full() {
    let installation = Installation::new();
    let (program, full) = (installation.daemon_on_a_full_disk(), installation.path("full"));
    let environment = [
        ("GREENLIT_DAEMON", program.to_str().unwrap()),
        ("IN_THE_WAY", full.to_str().unwrap()),
        ("SAID", "make room on that disk"),
    ];
    nvim_with(&installation, &python_project("people"), "refused.lua", &environment);
}

#[test]
fn nvim_leaves_buffers_without_a_project_alone() {
    let project = python_project("people").file("notes.txt", "nothing\n");
    std::fs::write(project.outside().join("alone.py"), "x = 1\n").unwrap();
    let environment = [("OUTSIDE", project.outside().to_str().unwrap())];
    nvim_with(&Installation::new(), &project, "nowhere.lua", &environment);
}

#[test]
fn nvim_renames_a_file_while_fixes_are_shown() {
    let project = python_project("people");
    nvim(&Installation::new(), &project, "renamed.lua");
    assert!(is_green(&project));
}

#[test]
fn nvim_places_fixes_between_wide_characters_and_carriage_returns() {
    let project = wide_python_project("people");
    nvim(&Installation::new(), &project, "positions.lua");
    let expected =
        WIDE_PEOPLE.replace("𝕏", "👩‍👩‍👧 é 𝕏").replace("'🎂'", "'🎂🎂 ß'").replace("> 18", ">= 18");
    assert_eq!(project.read("people.py"), expected.replace('\n', "\r\n"));
}

#[test]
fn nvim_follows_a_long_file_through_undo_and_redo() {
    let project = python_project("people");
    let filler: String = (0..50_000).map(|n| format!("# {n}: 𝕏\n")).collect();
    let source = filler + &project.read("people.py");
    let line = source.lines().position(|line| line.contains("age > 18")).unwrap();
    project.write("people.py", &source);
    let line = line.to_string();
    nvim_with(&Installation::new(), &project, "long_file.lua", &[("LINE", &line)]);
    assert_eq!(project.read("people.py"), source.replace("age > 18", "age >= 18"));
}
