//! Detection, with the person's tools and without them.

use std::fs;
use std::process::Command;

use greenlit_runner::{Ecosystem, Environment, ProblemKind, TestId, detect};

use crate::support::{Workspace, test_python};

const CARGO: &str = "[package]\nname = \"a\"\nversion = \"0.1.0\"\n";

#[test]
fn several_ecosystems_and_packages_in_one_root() {
    let workspace = Workspace::python(&[
        ("rust/Cargo.toml", CARGO),
        ("rust/src/lib.rs", ""),
        ("rust/tests/fixtures/x/Cargo.toml", CARGO),
        ("web/package.json", r#"{ "scripts": { "test": "node --test" } }"#),
        ("web/node_modules/dep/package.json", r#"{ "scripts": { "test": "node --test" } }"#),
        ("web/a.test.js", "require('node:test');\n"),
        ("legacy/package.json", r#"{ "scripts": { "test": "jest" } }"#),
        ("api/pyproject.toml", "[project]\nname = 'api'\n"),
        ("api/tests/test_api.py", "def test_a():\n    pass\n"),
        ("test_top.py", "def test_a():\n    pass\n"),
    ]);
    let detection = detect(&workspace.root, &workspace.environment);
    let found: Vec<(Ecosystem, String)> = detection
        .projects
        .iter()
        .map(|p| {
            (p.ecosystem(), p.dir().strip_prefix(&workspace.root).unwrap().display().to_string())
        })
        .collect();
    assert_eq!(
        found,
        [
            (Ecosystem::Cargo, "rust".into()),
            (Ecosystem::Pytest, String::new()),
            (Ecosystem::Pytest, "api".into()),
            (Ecosystem::Node, "web".into()),
        ]
    );
    assert_eq!(detection.problems.len(), 1, "{:?}", detection.problems);
    assert_eq!(detection.problems[0].kind, ProblemKind::Unsupported);
    assert!(detection.problems[0].message.contains("jest"));
    let owners = |id: &str| {
        let id = TestId(id.to_owned());
        let owners = detection.projects.iter().filter(|project| project.owns(&id));
        owners.map(|p| p.dir().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(owners("api/tests/test_api.py::test_a"), [workspace.path("api")]);
    assert_eq!(owners("test_top.py::test_a"), vec![workspace.root.clone()]);
    assert_eq!(owners("a::tests::t"), [workspace.path("rust")]);
    assert_eq!(owners("web/a.test.js::x"), [workspace.path("web")]);
    assert!(owners("b::tests::t").is_empty());
}

#[test]
fn nested_projects_do_not_run_each_others_tests() {
    let workspace = Workspace::python(&[
        ("api/pyproject.toml", "[project]\nname = 'api'\n"),
        ("api/test_api.py", "def test_a():\n    pass\n"),
        ("test_top.py", "def test_a():\n    pass\n"),
    ]);
    let detection = detect(&workspace.root, &workspace.environment);
    let lists: Vec<Vec<String>> = detection
        .projects
        .iter()
        .map(|project| {
            let mut sandbox = workspace.sandbox(project);
            let list = project.list(&mut sandbox, crate::support::LONG).unwrap();
            list.tests.into_iter().map(|id| id.0).collect()
        })
        .collect();
    assert_eq!(lists, [["test_top.py::test_a"], ["api/test_api.py::test_a"]]);
}

#[test]
fn missing_tools_come_with_a_remedy() {
    let workspace = Workspace::new(&[
        ("Cargo.toml", CARGO),
        ("test_a.py", "def test_a():\n    pass\n"),
        ("package.json", r#"{ "scripts": { "test": "node --test" } }"#),
    ]);
    let detection = detect(&workspace.root, &Environment::default());
    assert!(detection.projects.is_empty());
    let found: Vec<(Option<Ecosystem>, ProblemKind)> =
        detection.problems.iter().map(|problem| (problem.ecosystem, problem.kind)).collect();
    assert_eq!(
        found,
        [
            (Some(Ecosystem::Cargo), ProblemKind::ToolMissing),
            (Some(Ecosystem::Pytest), ProblemKind::ToolMissing),
            (Some(Ecosystem::Node), ProblemKind::ToolMissing),
        ]
    );
}

#[test]
fn a_virtual_environment_of_the_checkout_is_used_and_never_run_outside() {
    let mut workspace = Workspace::python(&[(
        "test_a.py",
        "import sys\n\n\ndef test_a():\n    assert sys.prefix != sys.base_prefix\n",
    )]);
    workspace.environment.vars.remove(std::ffi::OsStr::new("VIRTUAL_ENV"));
    let venv = workspace.path(".venv");
    let made = Command::new(test_python())
        .args(["-m", "venv", "--without-pip"])
        .arg(&venv)
        .status()
        .unwrap();
    assert!(made.success());
    let detection = detect(&workspace.root, &workspace.environment);
    assert!(detection.projects.is_empty());
    assert!(
        detection.problems[0].message.contains(".venv/bin/python -m pip install pytest"),
        "{:?}",
        detection.problems
    );
    // pytest comes from elsewhere, as an editable install would.
    let packages = Command::new(test_python())
        .args(["-c", "import pytest, os; print(os.path.dirname(os.path.dirname(pytest.__file__)))"])
        .output()
        .unwrap();
    let packages = String::from_utf8(packages.stdout).unwrap();
    let library = fs::read_dir(venv.join("lib")).unwrap().next().unwrap().unwrap().path();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(format!("{}/.", packages.trim()))
        .arg(library.join("site-packages"))
        .status()
        .unwrap();
    assert!(copied.success());
    let project = workspace.project();
    assert!(project.label().contains("(.venv, Python 3."), "{}", project.label());
    let run = workspace.run();
    assert_eq!(crate::support::outcomes(&run), [("test_a.py::test_a", "passed")], "{run:?}");
}
