//! Diagnostics of other tools, from the editor's menu to a verified fix, with the real binaries.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use greenlit_tests::{Editor, Installation, Project, python_project};
use serde_json::{Value, json};

const JOB: &str = "Looking for fixes of diagnostics";

/// What a server would show at the first place of `what` in `text`.
fn diagnostic(source: &str, code: &str, message: &str, text: &str, what: &str) -> Value {
    let at = text.find(what).unwrap();
    let line = text[..at].matches('\n').count();
    let column = at - text[..at].rfind('\n').map_or(0, |end| end + 1);
    json!({
        "range": {
            "start": { "line": line, "character": column },
            "end": { "line": line, "character": column + what.len() },
        },
        "source": source, "code": code, "message": message,
    })
}

fn title(action: &Value) -> &str {
    action["title"].as_str().unwrap()
}

/// Only diagnostics are worked on.
fn quiet() -> Installation {
    let installation = Installation::new();
    let settings = "[run]\non_open = false\non_save = false\n";
    std::fs::write(installation.path("greenlit.toml"), settings).unwrap();
    installation
}

const GREEN: &str = "\
import os
import json as js


def is_adult(age):
    limit = 18
    unused = limit + 1
    return age >= limit


def initials(name):
    return ''.join(part[0] for part in name.split())
";

fn linted(name: &str) -> Project {
    python_project(name).file("people.py", GREEN)
}

#[test]
fn ruff_fixes_are_offered_with_the_tests_that_ran_python() {
    let installation = quiet();
    let project = linted("people");
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("people.py", None);
    let message = "Local variable `unused` is assigned to but never used";
    let shown = diagnostic("Ruff", "F841", message, GREEN, "unused");
    assert_eq!(editor.menu("people.py", &shown), [] as [Value; 0]);
    assert_eq!(editor.job(JOB), "1 diagnostics with verified fixes");
    let actions = editor.menu("people.py", &shown);
    let title = title(&actions[0]);
    assert!(title.starts_with("Fix Local variable `unused` is assigned to but never used (F841)"));
    let checked = "checked: diagnostic gone, none new; 4 tests unchanged";
    assert!(title.contains(checked) && title.ends_with("ruff-fix"), "{title}");
    assert_eq!(actions[0]["diagnostics"], json!([shown]));
    let mended = editor.applied(&actions[0], GREEN);
    assert!(!mended.contains("unused"), "{mended}");
    assert_eq!(project.read("people.py"), GREEN, "the checkout is never written");
    // An edit makes it stale: not offered any more, and what was seen before it is forgotten.
    editor.change("people.py", 2, &GREEN.replace("18", "19"));
    assert_eq!(editor.menu("people.py", &shown), [] as [Value; 0]);
}

#[test]
fn a_ruff_fix_that_breaks_a_test_is_not_offered_python() {
    let installation = quiet();
    let project = linted("people").file(
        "test_names.py",
        "import people\n\n\ndef test_os():\n    assert people.os.sep == '/'\n",
    );
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("people.py", None);
    let shown = diagnostic("Ruff", "F401", "`os` imported but unused", GREEN, "os");
    editor.menu("people.py", &shown);
    assert_eq!(editor.job(JOB), "0 diagnostics with verified fixes");
    assert_eq!(editor.menu("people.py", &shown), [] as [Value; 0]);
    let logs = installation.greenlit(["logs"]).stdout;
    assert!(logs.contains("breaks another test"), "{logs}");
}

#[test]
fn what_ruff_cannot_mend_and_what_it_does_not_report_is_not_offered_python() {
    let installation = quiet();
    let long = format!("x = '{}'\n\n\n{GREEN}", "y".repeat(200));
    let project = linted("people").file("ruff.toml", "lint.select = ['E501']\n");
    let mut editor = Editor::open(&installation, project.root());
    // Only the editor's buffer has the long line.
    editor.open_file("people.py", Some(&long));
    let shown =
        diagnostic("Ruff", "E501", "Line too long (206 > 88)", &long, long.lines().next().unwrap());
    editor.menu("people.py", &shown);
    assert_eq!(editor.job(JOB), "0 diagnostics with verified fixes");
    let elsewhere = diagnostic("Ruff", "F401", "`os` imported but unused", &long, "os");
    editor.menu("people.py", &elsewhere);
    assert_eq!(editor.job(JOB), "0 diagnostics with verified fixes");
    let logs = installation.greenlit(["logs"]).stdout;
    assert!(logs.contains("reported=true") && logs.contains("reported=false"), "{logs}");
}

#[test]
fn without_tests_ruff_fixes_need_a_setting_and_say_so_python() {
    let project = Project::named("untested").file("people.py", GREEN);
    for (setting, offered) in [("", 0), ("[fix]\nwithout_tests = true\n", 1)] {
        let installation = quiet();
        project.write("greenlit.toml", setting);
        let mut editor = Editor::open(&installation, project.root());
        editor.open_file("people.py", None);
        let shown = diagnostic("Ruff", "F401", "`os` imported but unused", GREEN, "os");
        editor.menu("people.py", &shown);
        assert_eq!(editor.job(JOB), format!("{offered} diagnostics with verified fixes"));
        let actions = editor.menu("people.py", &shown);
        assert_eq!(actions.len(), offered, "{actions:?}");
        for action in actions {
            assert!(title(&action).contains("none new; no tests ran"), "{}", title(&action));
        }
    }
}

const MANIFEST: &str = "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
const TEST: &str = "use demo::{Price, total};\n\n#[test]\nfn adds() {\n    \
                    assert_eq!(total(&Price { gross: 2, tax: 1 }), 3);\n}\n";

fn rust(text: &str) -> Project {
    Project::named("demo")
        .file("Cargo.toml", MANIFEST)
        .file("src/lib.rs", text)
        .file("tests/adds.rs", TEST)
}

#[test]
fn a_rustc_warning_is_mended_by_its_suggestion() {
    let text = "pub struct Price {\n    pub gross: u32,\n    pub tax: u32,\n}\n\n\
                pub fn total(price: &Price) -> u32 {\n    let mut gross = price.gross;\n    gross + price.tax\n}\n";
    let (installation, project) = (quiet(), rust(text));
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("src/lib.rs", None);
    let message = "variable does not need to be mutable\n`#[warn(unused_mut)]` on by default";
    let shown = diagnostic("rustc", "unused_mut", message, text, "mut gross");
    editor.menu("src/lib.rs", &shown);
    assert_eq!(editor.job(JOB), "1 diagnostics with verified fixes");
    let actions = editor.menu("src/lib.rs", &shown);
    assert!(title(&actions[0]).contains("1 tests unchanged"), "{}", title(&actions[0]));
    assert_eq!(editor.applied(&actions[0], text), text.replace("let mut gross", "let gross"));
}

#[test]
fn a_rustc_error_is_mended_and_the_tests_that_could_not_run_are_counted_as_such() {
    let text = "pub struct Price {\n    pub gross: u32,\n    pub tax: u32,\n}\n\n\
                pub fn total(price: &Price) -> u32 {\n    price.grosst + price.tax\n}\n";
    let (installation, project) = (quiet(), rust(text));
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("src/lib.rs", None);
    let shown = diagnostic("rustc", "E0609", "no field `grosst` on type `&Price`", text, "grosst");
    editor.menu("src/lib.rs", &shown);
    let ended = editor.job(JOB);
    let logs = installation.greenlit(["logs"]).stdout;
    assert_eq!(ended, "1 diagnostics with verified fixes", "{logs}");
    let actions = editor.menu("src/lib.rs", &shown);
    let expected = "1 tests green that could not run before";
    assert!(title(&actions[0]).contains(expected), "{}", title(&actions[0]));
    assert_eq!(editor.applied(&actions[0], text), text.replace("grosst", "gross"));
}
