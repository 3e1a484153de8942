//! `greenlit search`, `greenlit index`, and searches from an editor.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;
use std::time::{Duration, Instant};

use greenlit_tests::{Editor, Installation, Project};
use serde_json::{Value, json};

fn project() -> Project {
    Project::named("shop")
        .file("README.md", "# Shop\n\nHow discounts are computed.\n")
        .file("shop/prices.py", "def discounted_price(price, rate):\n    return price * (1 - rate)\n")
        .file("shop/stock.py", "class Warehouse:\n    def reserve_item(self, item):\n        self.items.remove(item)\n")
}

fn search(installation: &Installation, project: &Project, more: &[&str]) -> Value {
    let root = project.root().to_str().unwrap();
    let ran = installation.greenlit([&["search", "--json", "--root", root], more].concat());
    let value = ran.json();
    assert!(value.get("error").is_none(), "{value:#}");
    assert_eq!(ran.code, Some(i32::from(value["hits"].as_array().unwrap().is_empty())));
    value
}

/// Paths of hits whose text holds the words.
fn paths(report: &Value, words: &str) -> Vec<String> {
    let hits = report["hits"].as_array().unwrap().iter();
    let hits = hits.filter(|hit| hit["text"].as_str().unwrap().contains(words));
    hits.map(|hit| hit["path"].as_str().unwrap().to_owned()).collect()
}

/// Asks until the answer is as wanted: file events take a moment.
fn until(mut ask: impl FnMut() -> Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let value = ask();
        if wanted(&value) {
            return value;
        }
        assert!(Instant::now() < deadline, "{value:#}");
    }
}

fn git(project: &Project, arguments: &[&str]) {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(project.root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_function_is_found_where_it_stands() {
    let (installation, project) = (Installation::new(), project());
    let report = search(&installation, &project, &["discounted_price"]);
    let hit = &report["hits"][0];
    assert_eq!(hit["path"], "shop/prices.py", "{report:#}");
    assert_eq!((&hit["start_line"], &hit["end_line"]), (&json!(1), &json!(2)));
    assert_eq!(hit["symbol"], "discounted_price");
    assert!(hit["score"].as_f64().unwrap() > 0.0);
    assert_eq!(report["query"], "discounted_price");
    assert_eq!(report["branch"], Value::Null);
    // There is no model: the answer is not whole, and says so.
    assert!(report["degraded"].as_str().unwrap().contains("no embedding model"), "{report:#}");
    assert!(report["dense_pending"].as_u64().unwrap() >= 3);

    let words = search(&installation, &project, &["reserve", "item", "-k", "1"]);
    // A small class is one chunk with its methods.
    assert_eq!(words["hits"][0]["symbol"], "Warehouse", "{words:#}");
    assert_eq!(words["hits"].as_array().unwrap().len(), 1);
    let filtered = search(&installation, &project, &["discounted_price", "--path", "*.md"]);
    assert!(paths(&filtered, "def ").is_empty(), "{filtered:#}");
    assert!(search(&installation, &project, &["quagmire"])["hits"].as_array().unwrap().is_empty());

    let root = project.root().to_str().unwrap();
    let status = installation.greenlit(["index", "status", "--json", "--root", root]).json();
    assert_eq!(status["latency"]["searches"], 4, "{status:#}");
}

#[test]
fn searches_are_restricted_by_language_and_kind() {
    let (installation, project) = (Installation::new(), project());
    project.write("shop/prices.c", "int discounted_price(int price) { return price; }\n");
    let found = |more: &[&str]| {
        let report = search(&installation, &project, &[&["discounted_price"], more].concat());
        paths(&report, "discounted_price")
    };
    until(|| json!(found(&["--language", "c"])), |paths| *paths == json!(["shop/prices.c"]));
    assert_eq!(found(&["--language", "python"]), ["shop/prices.py"]);
    assert_eq!(found(&["--kind", "function"]).len(), 2);
    assert!(found(&["--kind", "class"]).is_empty());

    let root = project.root().to_str().unwrap();
    for (option, name, known) in [("--language", "cobol", "cpp"), ("--kind", "methods", "method")] {
        let ran = installation.greenlit(["search", "price", "--root", root, option, name]);
        assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains(&format!("`{name}`")) && ran.stderr.contains(known),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn deleted_files_are_not_found_and_new_ones_are() {
    let (installation, project) = (Installation::new(), project());
    assert_eq!(paths(&search(&installation, &project, &["discounted_price"]), "def ").len(), 1);
    std::fs::remove_file(project.root().join("shop/prices.py")).unwrap();
    // At once, whatever the file events do.
    let report = search(&installation, &project, &["discounted_price"]);
    assert!(paths(&report, "def discounted_price").is_empty(), "{report:#}");
    project.write("shop/taxes.py", "def taxed_price(price):\n    return price * 1.2\n");
    until(
        || search(&installation, &project, &["taxed_price"]),
        |report| paths(report, "def taxed_price") == ["shop/taxes.py"],
    );
}

#[test]
fn the_branch_one_is_on_is_searched() {
    let (installation, project) = (Installation::new(), project());
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "main"]);
    git(&project, &["checkout", "-qb", "side"]);
    project.write("shop/prices.py", "def bargain_price(price):\n    return price / 2\n");
    git(&project, &["commit", "-qam", "side"]);
    let report = search(&installation, &project, &["bargain_price"]);
    assert_eq!(paths(&report, "def bargain_price"), ["shop/prices.py"]);
    assert_eq!(report["branch"], "side");

    git(&project, &["checkout", "-q", "main"]);
    let report = search(&installation, &project, &["bargain_price"]);
    assert!(paths(&report, "def bargain_price").is_empty(), "{report:#}");
    until(
        || search(&installation, &project, &["discounted_price"]),
        |report| paths(report, "def discounted_price") == ["shop/prices.py"],
    );
    assert_eq!(search(&installation, &project, &["price"])["branch"], "main");
}

#[test]
fn an_editor_finds_its_unsaved_text_and_its_symbols() {
    let (installation, project) = (Installation::new(), project());
    let mut editor = Editor::open(&installation, project.root());
    let text = project.read("shop/prices.py");
    editor.open_file("shop/prices.py", None);
    editor.change("shop/prices.py", 2, &text.replace("discounted_price", "marked_down_price"));
    let ask = |editor: &mut Editor, query: &str| {
        let found = editor.ask("greenlit/search", &json!({ "query": query, "k": 5 }));
        found[0].clone()
    };
    until(
        || ask(&mut editor, "marked_down_price"),
        |found| {
            found["hits"].as_array().unwrap().iter().any(|hit| {
                hit["text"].as_str().unwrap().contains("def marked_down_price")
                    && hit["location"]["uri"].as_str().unwrap().ends_with("shop/prices.py")
                    && hit["location"]["range"]["start"] == json!({ "line": 0, "character": 0 })
            })
        },
    );
    let old = ask(&mut editor, "discounted_price");
    let old = old["hits"].as_array().unwrap();
    assert!(old.iter().all(|hit| !hit["text"].as_str().unwrap().contains("def discounted")));
    // Another session sees the disk.
    let report = search(&installation, &project, &["discounted_price"]);
    assert_eq!(paths(&report, "def discounted_price"), ["shop/prices.py"]);

    let symbols = editor.ask("workspace/symbol", &json!({ "query": "reserve_item" }));
    assert_eq!(symbols[0]["name"], "reserve_item", "{symbols:#}");
    assert_eq!(symbols[0]["containerName"], "Warehouse");
    assert_eq!(editor.ask("workspace/symbol", &json!({ "query": "" })), Value::Null);
}

#[test]
fn the_index_is_shown_paused_resumed_and_rebuilt() {
    let (installation, project) = (Installation::new(), project());
    project.write("blob.bin", [0, 159, 146, 150]);
    let root = project.root().to_str().unwrap();
    let index = |verb: &str| {
        let ran = installation.greenlit(["index", verb, "--json", "--root", root]);
        let value = ran.json();
        assert_eq!(ran.code, Some(0), "{value:#}");
        value
    };
    // Events of the files that are new may still come: one report tells of one moment.
    let report = until(|| index("status"), |report| report["state"] == "ready");
    assert_eq!((&report["files"], &report["staleness_ms"]), (&json!(3), &json!(0)), "{report:#}");
    assert!(report["chunks"].as_u64().unwrap() >= 3);
    assert_eq!(report["dense_pending"], report["chunks"]);
    assert!(report["bytes_disk"].as_u64().unwrap() > 0);
    let shelf = &report["shelf"];
    assert_eq!((&shelf["indexes"], &shelf["quota_bytes"]), (&json!(1), &json!(2048_u64 << 20)));
    assert!(shelf["bytes"].as_u64() >= report["bytes_disk"].as_u64(), "{report:#}");
    assert_eq!(report["skipped"].as_object().unwrap().len(), 1, "{report:#}");
    assert_eq!(report["by_use"]["verified"]["passages"], 0, "{report:#}");
    for absent in ["model", "backend", "graph", "branch", "vectors"] {
        assert_eq!(report[absent], Value::Null, "{absent}");
    }

    assert_eq!(index("pause")["state"], "paused");
    project.write("shop/late.py", "def latecomer():\n    pass\n");
    let found = search(&installation, &project, &["latecomer"]);
    assert!(paths(&found, "latecomer").is_empty());
    // Until the event arrives the daemon knows of no change that it leaves out.
    until(
        || search(&installation, &project, &["latecomer"]),
        |found| found["degraded"].as_str().unwrap().contains("paused"),
    );
    index("resume");
    until(
        || search(&installation, &project, &["latecomer"]),
        |found| paths(found, "latecomer") == ["shop/late.py"],
    );
    index("rebuild");
    until(|| index("status"), |report| report["state"] == "ready" && report["files"] == 4);
    let status = installation.greenlit(["doctor", "--json", "--root", root]).json();
    let checks = status["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "index").unwrap();
    assert_eq!(check["state"], "ok", "{check:#}");
    let check = checks.iter().find(|check| check["name"] == "disk of all indexes").unwrap();
    assert!(check["detail"].as_str().unwrap().contains("2048 MiB, 1 workspaces"), "{check:#}");
}
