//! Checkers with the real tools.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use greenlit_runner::{
    Applicability, CheckDiagnostic, CheckRun, CheckState, CheckTool, Checker, Severity, detect,
};
use greenlit_sandbox::{CacheMode, Helper, Isolation, Limits, Sandbox, SandboxSpec};

use crate::support::{LONG, Workspace};

fn checker(workspace: &Workspace, tool: CheckTool, file: &str) -> Checker {
    let projects = detect(&workspace.root, &workspace.environment).projects;
    let file = workspace.path(file);
    Checker::detect(tool, &workspace.root, &file, &workspace.environment, &projects).unwrap()
}

fn run(workspace: &Workspace, tool: CheckTool, file: &str, edits: &[(&str, &str)]) -> CheckRun {
    let checker = checker(workspace, tool, file);
    let needs = checker.needs(&workspace.store(), CacheMode::Keep);
    let spec = SandboxSpec {
        root: workspace.root.clone(),
        files: workspace.writes(edits),
        caches: needs.caches,
        readable: needs.readable,
        isolation: Isolation::Auto,
        limits: Limits::default(),
    };
    let mut sandbox = Sandbox::open(&spec, &Helper::locate().unwrap()).unwrap();
    checker.run(&mut sandbox, &[workspace.path(file)], LONG).unwrap()
}

fn only(run: &CheckRun) -> &CheckDiagnostic {
    assert_eq!(run.state, CheckState::Completed);
    assert_eq!(run.diagnostics.len(), 1, "{:#?}", run.diagnostics);
    &run.diagnostics[0]
}

/// The text with the first suggestion applied.
fn suggested(diagnostic: &CheckDiagnostic, text: &str) -> String {
    let mut text = text.to_owned();
    for edit in diagnostic.suggestions[0].edits.iter().rev() {
        text.replace_range(edit.start..edit.end, &edit.new_text);
    }
    text
}

const RUFF: &str = "\u{feff}def f():\r\n    '𝕏é'; left = 3\r\n    return 4\r\n";

#[test]
fn ruff_reports_bytes_and_its_own_fix() {
    let workspace = Workspace::python(&[("a.py", RUFF)]);
    let run = run(&workspace, CheckTool::Ruff, "a.py", &[]);
    let found = only(&run);
    assert_eq!((found.code.as_str(), found.lines), ("F841", (2, 2)));
    assert_eq!(&RUFF[found.start..found.end], "left");
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.suggestions[0].applicability, Applicability::Unsure);
    assert!(!suggested(found, RUFF).contains("left"));
}

#[test]
fn ruff_takes_the_projects_configuration_and_leaves_files_alone() {
    let files = [
        ("ruff.toml", "fix = true\nunsafe-fixes = true\n[lint]\nselect = ['F401']\n"),
        ("a.py", "import os\n\n\ndef f():\n    x = 1\n"),
    ];
    let workspace = Workspace::python(&files);
    assert_eq!(only(&run(&workspace, CheckTool::Ruff, "a.py", &[])).code, "F401");
    // What the sandbox holds counts, not what is on disk.
    let run = run(&workspace, CheckTool::Ruff, "a.py", &[("a.py", "x = 1\n")]);
    assert_eq!((run.state, run.diagnostics.len()), (CheckState::Completed, 0));
}

#[test]
fn ruff_with_a_broken_configuration_is_no_result() {
    let workspace = Workspace::python(&[("ruff.toml", "nonsense = ["), ("a.py", "import os\n")]);
    let run = run(&workspace, CheckTool::Ruff, "a.py", &[]);
    assert!(matches!(&run.state, CheckState::Failed { message } if message.contains("ruff.toml")));
    assert!(run.diagnostics.is_empty());
}

#[test]
fn ruff_that_is_not_installed_is_named() {
    let mut workspace = Workspace::new(&[("a.py", "import os\n")]);
    workspace.environment.vars.insert("PATH".into(), "/nowhere".into());
    let file = workspace.path("a.py");
    let found =
        Checker::detect(CheckTool::Ruff, &workspace.root, &file, &workspace.environment, &[]);
    assert!(found.unwrap_err().contains("ruff was not found"));
}

#[test]
fn ruff_of_a_checkout_cannot_lead_outside() {
    let workspace = Workspace::new(&[("a.py", "import os\n"), (".venv/bin/python", "")]);
    symlink("/etc/hostname", workspace.path(".venv/bin/ruff")).unwrap();
    let (file, environment) = (workspace.path("a.py"), &workspace.environment);
    if let Ok(checker) = Checker::detect(CheckTool::Ruff, &workspace.root, &file, environment, &[])
    {
        let needs = checker.needs(&workspace.store(), CacheMode::Discard);
        assert!(!needs.readable.contains(&"/etc/hostname".into()), "{needs:?}");
    }
}

const MANIFEST: &str = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
const RUST: &str = "//! é\r\npub fn f() -> u32 {\r\n    let mut x = 3;\r\n    x\r\n}\r\n";

#[test]
fn rustc_warnings_have_bytes_and_a_sure_suggestion() {
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", RUST)]);
    let run = run(&workspace, CheckTool::Rustc, "src/lib.rs", &[]);
    let found = only(&run);
    assert_eq!((found.code.as_str(), found.lines), ("unused_mut", (3, 3)));
    assert_eq!(&RUST[found.start..found.end], "mut x");
    assert_eq!(found.suggestions[0].applicability, Applicability::Sure);
    assert_eq!(suggested(found, RUST), RUST.replace("mut ", ""));
    assert!(!workspace.path("target").exists(), "the checkout is not written");
}

#[test]
fn rustc_checks_again_what_an_overlay_changed_and_took_back() {
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", RUST)]);
    let check = |edits: &[(&str, &str)]| run(&workspace, CheckTool::Rustc, "src/lib.rs", edits);
    let mended = RUST.replace("mut ", "");
    assert_eq!(check(&[("src/lib.rs", &mended)]).diagnostics, []);
    assert_eq!(only(&check(&[])).code, "unused_mut");
}

#[test]
fn rustc_errors_come_with_what_they_suggest_and_several_choices_stay_apart() {
    let text = "pub struct P { pub name: u32 }\npub fn f(p: &P) -> u32 {\n    p.nam\n}\n\
                pub fn g() -> Ordering {\n    todo!()\n}\n";
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", text)]);
    let run = run(&workspace, CheckTool::Rustc, "src/lib.rs", &[]);
    let codes: Vec<_> = run.diagnostics.iter().map(|found| found.code.as_str()).collect();
    assert_eq!((&run.state, codes.as_slice()), (&CheckState::Completed, &["E0609", "E0425"][..]));
    let [field, name] = run.diagnostics.as_slice() else { unreachable!() };
    assert_eq!((field.severity, field.lines), (Severity::Error, (3, 3)));
    assert!(suggested(field, text).contains("p.name"));
    // Two types have that name.
    let choices = name.suggestions.iter().filter(|choice| choice.message.contains("import"));
    assert_eq!(choices.filter(|choice| choice.edits.len() == 1).count(), 2, "{name:#?}");
}

#[test]
fn rustc_in_a_package_that_cannot_be_resolved_is_no_result() {
    let manifest = format!("{MANIFEST}[dependencies]\nno-such-crate-anywhere = \"1\"\n");
    let workspace = Workspace::new(&[("Cargo.toml", &manifest), ("src/lib.rs", "")]);
    let run = run(&workspace, CheckTool::Rustc, "src/lib.rs", &[]);
    assert!(matches!(&run.state, CheckState::Failed { .. }), "{:?}", run.state);
}

#[test]
fn clippy_lints_are_seen_only_by_clippy() {
    let text = "pub fn f(x: u32) -> u32 {\n    return x;\n}\n";
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", text)]);
    assert_eq!(run(&workspace, CheckTool::Rustc, "src/lib.rs", &[]).diagnostics, []);
    let run = run(&workspace, CheckTool::Clippy, "src/lib.rs", &[]);
    assert_eq!(only(&run).code, "clippy::needless_return");
    assert!(suggested(only(&run), text).contains("    x\n"));
}

/// The TypeScript that `cargo xtask test` installs.
fn typescript() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(".tools");
    let named = std::env::var_os("GREENLIT_TEST_TYPESCRIPT").map(PathBuf::from);
    let found = named.unwrap_or_else(|| tools.join("typescript/node_modules/typescript"));
    assert!(found.join("bin/tsc").is_file(), "{}: run `cargo xtask test` once", found.display());
    found.canonicalize().unwrap()
}

#[test]
fn tsc_of_the_project_reports_bytes() {
    let text = "// \u{1d54f}é\nconst o = { name: 1, 'é𝕏': 'x' }; o.nam = 2;\n";
    let files = [
        (
            "tsconfig.json",
            "{\"compilerOptions\":{\"checkJs\":true,\"allowJs\":true,\"strict\":true,\"composite\":true,\"incremental\":true},\"include\":[\"*.js\"]}",
        ),
        ("x.js", text),
    ];
    let workspace = Workspace::new(&files);
    let bin = workspace.path("node_modules/.bin");
    std::fs::create_dir_all(&bin).unwrap();
    for directory in ["bin", "lib"] {
        let to = workspace.path("node_modules/typescript").join(directory);
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(typescript().join(directory)).unwrap().flatten() {
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
    }
    symlink("../typescript/bin/tsc", bin.join("tsc")).unwrap();
    let result = run(&workspace, CheckTool::Tsc, "x.js", &[]);
    let found = only(&result);
    assert_eq!((found.code.as_str(), found.lines), ("TS2551", (2, 2)));
    assert!(text[found.start..].starts_with("nam = 2"), "{found:?}");
    assert_eq!(found.severity, Severity::Error);
    let mended = text.replace("o.nam ", "o.name ");
    let result = run(&workspace, CheckTool::Tsc, "x.js", &[("x.js", &mended)]);
    assert_eq!((result.state, result.diagnostics.len()), (CheckState::Completed, 0));
}
