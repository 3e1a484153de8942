//! `greenlit fix` and `greenlit test` with the real binaries on small projects.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use greenlit_tests::{
    Editor, Installation, Project, Ran, node_project, python_project, rust_project,
};
use serde_json::{Value, json};

fn fix(installation: &Installation, project: &Project, more: &[&str]) -> Ran {
    let root = project.root().to_str().unwrap();
    installation.greenlit([&["fix", "--json", "--root", root], more].concat())
}

/// Everything that the contract says of one report.
fn assert_contract(project: &Project, report: &Value) {
    assert_eq!(report["root"], project.root().to_str().unwrap());
    assert!(report["revision"].is_u64());
    for failing in report["failing"].as_array().unwrap() {
        assert!(failing["id"].is_string() && failing["message"].is_string(), "{failing}");
    }
    for (index, fix) in report["fixes"].as_array().unwrap().iter().enumerate() {
        assert_eq!(fix["rank"], index + 1);
        let evidence = &fix["evidence"];
        assert_eq!(evidence["red_to_green"], fix["tests"]);
        assert_eq!(evidence["newly_failing"], 0);
        assert_eq!(evidence["runs"], 2);
        assert_eq!(evidence["layer"], "namespaces");
        // There is no model, if there is an index at all.
        assert!(evidence["retrieved"]["degraded"].is_string(), "{evidence}");
        assert!(evidence["duration_ms"].is_u64());
        assert_eq!(fix["source"]["tier"], "template");
        assert!(fix["source"]["rule"].is_string());
        for edit in fix["edits"].as_array().unwrap() {
            let path = edit["path"].as_str().unwrap();
            let text = project.read(path);
            let range = edit["start"].as_u64().unwrap()..edit["end"].as_u64().unwrap();
            assert!(text.get(range.start as usize..range.end as usize).is_some());
            let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
            assert_eq!(evidence["content_hashes"][path], hash.as_str());
        }
        assert!(git_applies(project.root(), fix["diff"].as_str().unwrap()));
    }
    let stats = &report["stats"];
    for count in ["generated", "rejected_static", "built", "run", "verified"] {
        assert!(stats["candidates"][count].is_u64(), "{count}");
    }
    for time in ["localized_ms", "elapsed_ms", "cpu_ms"] {
        assert!(stats[time].is_u64(), "{time}");
    }
}

fn git_applies(root: &Path, diff: &str) -> bool {
    use std::io::Write as _;
    let mut git = Command::new("git")
        .args(["apply", "--check", "-"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    git.stdin.take().unwrap().write_all(diff.as_bytes()).unwrap();
    git.wait().unwrap().success()
}

fn assert_mends(project: &Project, changed: &str, failing: &str) {
    let installation = Installation::new();
    let before = project.read(changed);
    let ran = fix(&installation, project, &[]);
    let report = ran.json();
    assert_eq!(ran.code, Some(0), "{report:#}\n{}", ran.stderr);
    assert_contract(project, &report);
    let ids: Vec<_> =
        report["failing"].as_array().unwrap().iter().map(|test| &test["id"]).collect();
    assert_eq!(ids, [failing]);
    assert_eq!(project.read(changed), before, "the checkout is never written");

    let ran = fix(&installation, project, &["--apply"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_ne!(project.read(changed), before);
    let root = project.root().to_str().unwrap();
    let ran = installation.greenlit(["test", "--json", "--root", root]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

#[test]
fn python_is_mended() {
    let project = python_project("people");
    assert_mends(&project, "people.py", "test_people.py::test_adult_on_the_birthday");
}

#[test]
fn rust_is_mended() {
    let project = rust_project("demo");
    assert_mends(&project, "src/lib.rs", "demo::prices::ten_pieces_are_cheaper");
}

#[test]
fn node_is_mended() {
    let project = node_project("shop");
    assert_mends(&project, "clamp.js", "clamp.test.js::above");
}

#[test]
fn python_paths_with_spaces_and_other_alphabets_work() {
    let project = python_project("my prøject, (2): α");
    assert_mends(&project, "people.py", "test_people.py::test_adult_on_the_birthday");
}

#[test]
fn python_crlf_and_tabs_survive_a_fix() {
    let project = Project::named("crlf")
        .file("people.py", "def is_adult(age):\r\n\treturn age > 18\r\n")
        .file(
            "test_people.py",
            "from people import is_adult\r\n\r\ndef test_adult():\r\n\tassert is_adult(18)\r\n\tassert not is_adult(17)\r\n",
        );
    assert_mends(&project, "people.py", "test_people.py::test_adult");
    let patched = project.read("people.py");
    assert_eq!(patched.matches("\r\n").count(), patched.matches('\n').count());
    assert!(patched.contains("\r\n\treturn"));
}

#[test]
fn python_hidden_tests_stay_hidden() {
    let project = python_project("people").file(
        "test_hidden.py",
        "import pathlib\n\ndef test_hidden():\n    pathlib.Path('/proc/self/ran').touch()\n    assert False\n",
    );
    let installation = Installation::new();
    let visible = ["test_people.py::test_adult_on_the_birthday", "test_people.py::test_child"];
    let ran = fix(
        &installation,
        &project,
        &["--visible-tests", visible[0], "--visible-tests", visible[1]],
    );
    let report = ran.json();
    assert_eq!(ran.code, Some(0), "{report:#}");
    assert_contract(&project, &report);
    assert_eq!(report["failing"].as_array().unwrap().len(), 1);
    assert_eq!(report["fixes"][0]["evidence"]["unchanged"], 1);
}

#[test]
fn python_nothing_failing_is_a_success_without_fixes() {
    let project = Project::named("green").file("test_ok.py", "def test_ok():\n    assert True\n");
    let ran = fix(&Installation::new(), &project, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!(report["failing"], Value::Array(Vec::new()));
    assert_eq!(report["fixes"], Value::Array(Vec::new()));
}

#[test]
fn python_beyond_templates_exits_with_one() {
    let project = Project::named("hard")
        .file("greet.py", "def greet(name):\n    return None\n")
        .file(
            "test_greet.py",
            "from greet import greet\n\ndef test_greet():\n    assert greet('Ada') == 'Good morning, Ada! Coffee?'\n",
        );
    let ran = fix(&Installation::new(), &project, &["--budget", "10"]);
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.json()["fixes"], Value::Array(Vec::new()));
}

/// A project whose fault is mended by a condition of a file that nothing imports, and that shares
/// fewer names with the faulty file than seven others do.
fn with_a_far_donor() -> Project {
    let mut project = Project::named("shop")
        .file("pytest.ini", "[pytest]\n")
        .file(
            "orders.py",
            "def ship(parcel, depot):\n    return 'kept'\n\n\ndef bill(basket, prices, discount, customer, country):\n    return basket, prices, discount, customer, country\n",
        )
        .file(
            "warehouse/parcels.py",
            "def refuse(parcel, depot):\n    if parcel.weight * 7 > depot.limit * 3 + depot.spare:\n        return 'refused'\n    return depot\n",
        )
        .file(
            "test_orders.py",
            "from types import SimpleNamespace as S\nfrom orders import ship\n\ndef case(weight, limit, spare):\n    return ship(S(weight=weight), S(limit=limit, spare=spare))\n\ndef test_light():\n    assert [case(1, 2, 1), case(3, 7, 0), case(2, 1, 11)] == ['kept'] * 3\n\ndef test_heavy():\n    assert [case(1, 2, 0), case(2, 1, 10), case(4, 9, 0), case(1, 2, 1)] == ['refused'] * 3 + ['kept']\n",
        );
    for number in 0..7 {
        let text = format!(
            "def use_{number}(basket, prices, discount, customer, country):\n    return [basket, prices, discount, customer, country]\n"
        );
        project = project.file(&format!("part_{number}.py"), text);
    }
    project
}

#[test]
fn python_a_condition_of_a_far_file_is_borrowed_when_the_index_finds_it() {
    let (installation, project) = (Installation::new(), with_a_far_donor());
    let ran = fix(&installation, &project, &["--budget", "30"]);
    assert_eq!(ran.json()["fixes"], serde_json::json!([]), "{}", ran.stdout);

    let root = project.root().to_str().unwrap();
    let found = installation.greenlit(["search", "--json", "--root", root, "refuse"]).json();
    assert_eq!(found["hits"][0]["path"], "warehouse/parcels.py", "{found:#}");
    let ran = fix(&installation, &project, &[]);
    let report = ran.json();
    assert_eq!(ran.code, Some(0), "{report:#}\n{}", ran.stderr);
    assert_contract(&project, &report);
    let best = &report["fixes"][0];
    assert!(best["diff"].as_str().unwrap().contains("parcel.weight * 7"), "{best:#}");
    assert_eq!(best["source"]["rule"], "borrowed-guard");
    let passages = best["evidence"]["retrieved"]["passages"].as_array().unwrap();
    let donor = passages.iter().find(|passage| passage["path"] == "warehouse/parcels.py");
    let donor = donor.unwrap_or_else(|| panic!("the evidence names it: {best:#}"));
    assert_eq!((&donor["start_line"], &donor["end_line"]), (&1.into(), &4.into()));
    assert!(donor["score"].as_f64().unwrap() > 0.0);
    let is_used = |passage: &&Value| passage["used"] == true;
    let used: Vec<_> = passages.iter().filter(is_used).map(|passage| &passage["path"]).collect();
    let changed = &best["edits"][0]["path"];
    assert!(
        used.iter().all(|path| *path == changed) && !used.contains(&&donor["path"]),
        "{used:?}"
    );

    let ran = fix(&installation, &project, &["--apply"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let index = installation.greenlit(["index", "status", "--json", "--root", root]).json();
    let (verified, accepted) = (&index["by_use"]["verified"], &index["by_use"]["accepted"]);
    assert_eq!(accepted["fixes"], 1, "{index:#}");
    assert_eq!(accepted["passages"], passages.len(), "{index:#}");
    assert_eq!(accepted["used"], used.len(), "{index:#}");
    assert!(verified["fixes"].as_u64() >= Some(1), "{index:#}");
}

#[test]
fn python_an_undo_brings_the_fixes_back_without_a_save() {
    let (installation, project) = (Installation::new(), python_project("people"));
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("people.py", None);
    editor.job("Running tests");
    let until = |editor: &mut Editor, wanted: bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let fixes = editor.ask("greenlit/fixes", &json!({}));
            if fixes.as_array().is_some_and(|fixes| !fixes.is_empty()) == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{fixes:#}");
        }
    };
    until(&mut editor, true);
    let before = project.read("people.py");
    editor.change("people.py", 2, &format!("{before}\nMORE = 1\n"));
    // The daemon has taken them back before it answers.
    editor.ask("workspace/executeCommand", &json!({ "command": "greenlit.status" }));
    until(&mut editor, false);
    editor.change("people.py", 3, &before);
    editor.ask("workspace/executeCommand", &json!({ "command": "greenlit.status" }));
    until(&mut editor, true);
}

#[test]
fn python_what_an_edit_ended_is_done_after_all_when_the_edit_is_taken_back() {
    let (installation, project) = (Installation::new(), python_project("people"));
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("people.py", None);
    editor.job_begins("Running tests");
    let before = project.read("people.py");
    editor.change("people.py", 2, &format!("{before}\nMORE = 1\n"));
    editor.change("people.py", 3, &before);
    editor.until_diagnosed("test_people.py", true);
    // So it is when the edit goes with the document.
    editor.change("people.py", 4, &before.replace("> 18", ">= 18"));
    editor.save("people.py", &before.replace("> 18", ">= 18"));
    editor.until_diagnosed("test_people.py", false);
    editor.change("people.py", 5, &before);
    editor.save("people.py", &before);
    editor.job_begins("Running tests");
    editor.change("people.py", 6, "MORE = 1\n");
    editor.close("people.py");
    editor.until_diagnosed("test_people.py", true);
}

#[test]
fn python_what_an_edit_ended_is_done_after_all_where_no_save_runs_tests() {
    let installation = Installation::new();
    let project = python_project("people").file("greenlit.toml", "[run]\non_save = false\n");
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("people.py", None);
    editor.job_begins("Running tests");
    let before = project.read("people.py");
    editor.change("people.py", 2, "MORE = 1\n");
    editor.change("people.py", 3, &before);
    editor.until_diagnosed("test_people.py", true);
}

#[test]
fn python_tests_run_in_a_file_that_was_renamed_before_the_editor_tells() {
    let (installation, project) = (Installation::new(), python_project("people"));
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("test_people.py", None);
    editor.until_diagnosed("test_people.py", true);
    let [old, new] = ["test_people.py", "test_folk.py"].map(|name| project.root().join(name));
    std::fs::rename(old, new).unwrap();
    editor.job_begins("Running tests");
    editor.close("test_people.py");
    editor.open_file("test_folk.py", None);
    editor.until_diagnosed("test_folk.py", true);
    editor.until_diagnosed("test_people.py", false);
}

#[test]
fn rust_what_a_save_broke_is_suspected_first_and_mended() {
    let (installation, project) = (Installation::new(), rust_project("prices"));
    let broken = project.read("src/lib.rs");
    let sound = broken.replace("count > 10", "count >= 10");
    assert_ne!(sound, broken);
    project.write("src/lib.rs", &sound);
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("src/lib.rs", None);
    let ended = editor.job("Running tests");
    assert_eq!(ended, "0 failing, 0 verified fixes");
    editor.change("src/lib.rs", 2, &broken);
    editor.save("src/lib.rs", &broken);
    let ended = editor.job("Running tests");
    assert!(ended.ends_with("verified fixes") && !ended.contains(" 0 verified"), "{ended}");
    let fixes = editor.ask("greenlit/fixes", &json!({}));
    let evidence = editor.ask("greenlit/evidence", &json!({ "fix": fixes[0]["id"] }));
    let localization = evidence["report"]["localization"].as_str().unwrap();
    assert!(localization.contains("changed since the tests passed"), "{evidence:#}");
    let fixed = editor.applied(&json!({ "title": "x", "data": fixes[0]["data"] }), &broken);
    assert_eq!(fixed, sound);
}

#[test]
fn python_a_failure_goes_with_the_text_that_failed_also_while_fixes_are_looked_for() {
    let installation = Installation::new();
    let sound = "def line(items):\n    names = ', '.join(name for name, _ in items)\n    return f'{names}: {sum(price for _, price in items)}'\n";
    // Nothing mends it: the search goes on until somebody ends it.
    let broken = "def line(items):\n    return None\n";
    let project = Project::named("bill").file("pyproject.toml", "").file("bill.py", sound).file(
        "test_bill.py",
        "from bill import line\n\n\ndef test_line():\n    assert line([('tea', 3), ('cup', 4)]) == 'tea, cup: 7'\n",
    );
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("bill.py", None);
    assert_eq!(editor.job("Running tests"), "0 failing, 0 verified fixes");
    editor.change("bill.py", 2, broken);
    editor.save("bill.py", broken);
    editor.until_diagnosed("test_bill.py", true);
    editor.change("bill.py", 3, sound);
    editor.save("bill.py", sound);
    editor.until_diagnosed("test_bill.py", false);
}
