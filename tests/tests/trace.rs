//! The record of attempts, with the real binaries and real tests.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use greenlit_tests::{Editor, Endpoint, Installation, Project, Ran, python_project};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

fn root(project: &Project) -> &str {
    project.root().to_str().unwrap()
}

fn fix(installation: &Installation, project: &Project, more: &[&str]) -> Ran {
    let budget = ["fix", "--json", "--root", root(project), "--budget", "240"];
    installation.greenlit([&budget, more].concat())
}

fn trace(installation: &Installation, arguments: &[&str]) -> Value {
    let ran = installation.greenlit([&["trace", "--json"], arguments].concat());
    assert!(ran.code == Some(0) || arguments[0] == "replay", "{}{}", ran.stdout, ran.stderr);
    ran.json()
}

/// The attempts that were offered, newest first.
fn offered(installation: &Installation) -> Vec<Value> {
    let list = trace(installation, &["list", "--offered"]);
    list["attempts"].as_array().unwrap().clone()
}

/// Waits, but not for ever.
fn until(mut wanted: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !wanted() {
        assert!(Instant::now() < deadline, "it did not come true in time");
    }
}

fn totals(installation: &Installation) -> Value {
    installation.greenlit(["status", "--json"]).json()["evidence"]["totals"].clone()
}

#[test]
fn python_a_fix_has_its_lineage_and_what_became_of_it() {
    let (installation, project) = (Installation::new(), python_project("people"));
    let before = project.read("people.py");
    let ran = fix(&installation, &project, &["--apply"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report = ran.json();
    let offers = offered(&installation);
    assert_eq!(offers.len(), report["fixes"].as_array().unwrap().len(), "{offers:#?}");
    let applied: Vec<_> = offers.iter().filter(|entry| !entry["applied_ms"].is_null()).collect();
    let [applied] = applied[..] else { panic!("{offers:#?}") };
    assert_eq!(applied["root"], root(&project));
    assert_eq!((&applied["tier"], &applied["verdict"]), (&"template".into(), &"verified".into()));
    let id = applied["id"].to_string();
    let shown = trace(&installation, &["show", &id]);
    let search = &shown["search"];
    assert_eq!(search["kind"], "tests");
    assert_eq!(search["tests"], json!([report["failing"][0]["id"]]));
    assert_eq!((&search["background"], &search["ended"]), (&false.into(), &"fixed".into()));
    assert_eq!(search["inputs"].as_str().unwrap().len(), 64);
    assert!(search["localization"]["lines"].as_array().is_some_and(|lines| !lines.is_empty()));
    assert_eq!(search["stats"], report["stats"]);
    let best = &report["fixes"][0];
    assert_eq!((&shown["diff"], &shown["edits"]), (&best["diff"], &best["edits"]));
    assert_eq!(shown["evidence"]["entry"]["evidence"], best["evidence"]);
    assert!(!shown["files"].as_array().unwrap().is_empty());
    // Those that were run and fell are there too, each with its reason.
    let all = trace(&installation, &["list", "-n", "1000"]);
    let fell = all["attempts"].as_array().unwrap().iter().filter(|a| a["verdict"] == "fell");
    let run = report["stats"]["candidates"]["run"].as_u64().unwrap();
    let (fell, reasons): (Vec<_>, Vec<_>) =
        fell.map(|entry| (entry["id"].as_u64(), entry["reason"].as_str())).unzip();
    assert!(!fell.is_empty() && fell.len() as u64 <= run, "{fell:?} of {run}");
    assert!(reasons.iter().all(Option::is_some), "{reasons:?}");
    let text = installation.greenlit(["trace", "show", &id]).stdout;
    for part in ["written by", "verified", "red to green", "applied", "+    return"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let exported = installation.greenlit(["trace", "export", "--root", root(&project)]).stdout;
    let lines = exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let numbers: Vec<_> = lines.map(|line| line["entry"]["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), all["attempts"].as_array().unwrap().len());
    assert!(numbers.is_sorted());
    assert_eq!(totals(&installation)["applied"], 1);
    // Taken back by hand: the next time that somebody looks, it is seen.
    project.write("people.py", format!("# by hand\n{before}"));
    let ran = installation.greenlit(["test", "--root", root(&project)]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let entry = trace(&installation, &["show", &id])["entry"].clone();
    assert!(!entry["reverted_ms"].is_null(), "{entry:#}");
    assert_eq!(totals(&installation)["reverted"], 1);
}

#[test]
fn python_a_replay_agrees_also_from_the_record_and_differs_where_the_tests_do() {
    let (installation, project) = (Installation::new(), python_project("people"));
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let id = offered(&installation)[0]["id"].to_string();
    let replay = trace(&installation, &["replay", &id]);
    assert_eq!((&replay["agrees"], &replay["exact"]), (&true.into(), &true.into()), "{replay:#}");
    assert_eq!(replay["restored"], Value::Array(Vec::new()));
    // A candidate that fell falls again.
    let all = trace(&installation, &["list", "-n", "1000"]);
    let fell = all["attempts"].as_array().unwrap().iter().find(|a| a["verdict"] == "fell").unwrap();
    let again = trace(&installation, &["replay", &fell["id"].to_string()]);
    assert_eq!((&again["agrees"], &again["after"]), (&true.into(), &"fell".into()), "{again:#}");
    // The checkout has the fix by now: the text of then comes from the record, for the sandbox alone.
    let fixed = project.read("people.py").replace("age > 18", "age >= 18");
    project.write("people.py", &fixed);
    let replay = trace(&installation, &["replay", &id]);
    assert_eq!((&replay["agrees"], &replay["exact"]), (&true.into(), &true.into()), "{replay:#}");
    assert_eq!(replay["restored"], json!(["people.py"]));
    assert_eq!(project.read("people.py"), fixed);
    // Another test: another verdict, and no wonder.
    project.write(
        "test_more.py",
        "from people import is_adult\n\n\ndef test_strict():\n    assert not is_adult(18)\n",
    );
    let replay = trace(&installation, &["replay", &id]);
    assert_eq!((&replay["agrees"], &replay["exact"]), (&false.into(), &false.into()), "{replay:#}");
    assert!(replay["differences"][0].as_str().unwrap().contains("falls now"), "{replay:#}");
}

#[test]
fn python_an_editor_takes_a_fix_back_and_dismisses_it() {
    let (installation, project) = (Installation::new(), python_project("people"));
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("people.py", None);
    let ended = editor.job("Running tests");
    assert!(ended.contains("verified fixes"), "{ended}");
    let fixes = editor.ask("greenlit/fixes", &json!({}));
    let fix = fixes[0].clone();
    let id = fix["id"].as_str().unwrap().to_owned();
    let before = project.read("people.py");
    let fixed = editor.applied(&json!({ "title": "x", "data": fix["data"] }), &before);
    editor.change("people.py", 2, &fixed);
    let entry = |installation: &Installation| trace(installation, &["show", &id])["entry"].clone();
    // The editor's server tells the daemon when it gets to it.
    until(|| !entry(&installation)["applied_ms"].is_null());
    assert!(entry(&installation)["reverted_ms"].is_null());
    // Undone, and saved so.
    editor.change("people.py", 3, &before);
    editor.save("people.py", &before);
    editor.ask("workspace/executeCommand", &json!({ "command": "greenlit.status" }));
    until(|| !entry(&installation)["reverted_ms"].is_null());
    assert_eq!(totals(&installation)["reverted"], 1);
    // It is offered again, until nobody wants to see it.
    let offers = |editor: &mut Editor| {
        let fixes = editor.ask("greenlit/fixes", &json!({}));
        fixes.as_array().unwrap().iter().any(|fix| fix["id"] == *id)
    };
    until(|| offers(&mut editor));
    let command = json!({ "command": "greenlit.dismissFix", "arguments": [id] });
    editor.ask("workspace/executeCommand", &command);
    until(|| !offers(&mut editor));
    assert!(!entry(&installation)["dismissed_ms"].is_null());
    assert_eq!(totals(&installation)["dismissed"], 1);
    // Nor by the next daemon.
    drop(editor);
    installation.greenlit(["stop"]);
    let mut editor = Editor::open(&installation, project.root());
    editor.open_file("people.py", None);
    let ended = editor.job("Running tests");
    assert!(ended.contains("verified fix"), "{ended}");
    assert!(!offers(&mut editor));
}

/// Templates do not know what is wanted.
fn bill() -> Project {
    Project::named("bill")
        .file("pyproject.toml", "[project]\nname = \"bill\"\nversion = \"1\"\n")
        .file("bill.py", "def line(items):\n    return None\n")
        .file("test_bill.py", "from bill import line\n\n\ndef test_line():\n    assert line([('tea', 3), ('cup', 4)]) == 'tea, cup: 7'\n")
}

const RIGHT: &str = "{\"version\":1,\"path\":\"bill.py\",\"operation\":\"replace-function\",\"symbol\":\"line\"}\n\
```python\n\
def line(items):\n    names = ', '.join(name for name, _ in items)\n    return f'{names}: {sum(price for _, price in items)}'\n\
```\n";

fn with_model(installation: &Installation, endpoint: &Endpoint) {
    let text = format!(
        "[network]\noffline = true\n[tier.small]\nprovider = 'openai'\nendpoint = '{}'\nmodel = 'tiny'\nsamples = 2\nrounds = 2\n",
        endpoint.url
    );
    std::fs::write(installation.path("greenlit.toml"), text).unwrap();
}

#[test]
fn python_a_models_attempts_are_kept_with_prompt_and_reply_until_redacted() {
    let (installation, project) = (Installation::new(), bill());
    // Wrong once: whatever a busy machine makes of it, it falls.
    let turn = AtomicUsize::new(0);
    let endpoint = Endpoint::new(move |_| match turn.fetch_add(1, Ordering::SeqCst) {
        0 => RIGHT.replace("return f", "return 'x' + f"),
        _ => RIGHT.to_owned(),
    });
    with_model(&installation, &endpoint);
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let list = trace(&installation, &["list", "--tier", "small"]);
    let attempts = list["attempts"].as_array().unwrap();
    let calls = ran.json()["fixes"][0]["evidence"]["generation"]["calls"].as_u64().unwrap();
    assert!(attempts.len() as u64 >= calls, "{attempts:#?}");
    let with = |verdict: &str| {
        let found = attempts.iter().find(|entry| entry["verdict"] == verdict);
        found.unwrap_or_else(|| panic!("no {verdict} in {attempts:#?}"))["id"].to_string()
    };
    let verified = trace(&installation, &["show", &with("verified")]);
    let call = &verified["call"];
    assert_eq!((&call["model"], &call["prompt_tokens"]), (&"tiny".into(), &321.into()), "{call}");
    assert_eq!((&call["completion_tokens"], &call["estimated"]), (&45.into(), &false.into()));
    assert!(call["provider"].as_str().unwrap().starts_with("http://127.0.0.1:"), "{call}");
    assert!(call["max_tokens"].as_u64().unwrap() > 0 && call["latency_ms"].is_u64());
    let prompt = verified["prompt"].to_string();
    assert!(prompt.contains("def line(items)") && prompt.contains("test_line"), "{prompt}");
    assert_eq!(verified["reply"], RIGHT);
    assert!(!verified["entry"]["offered_ms"].is_null() && !verified["evidence"].is_null());
    let fallen = trace(&installation, &["show", &with("fell")]);
    assert!(fallen["entry"]["reason"].is_string(), "{fallen:#}");
    assert!(fallen["diff"].as_str().unwrap().contains("'x' + f"));
    let said = trace(&installation, &["replay", &with("verified")])["model"].clone();
    assert!(said.as_str().unwrap().contains("not asked again"), "{said}");
    let redacted = trace(&installation, &["redact", &with("verified")]);
    assert_eq!((&redacted["redacted"], &redacted["prompt"]), (&true.into(), &Value::Null));
    assert_eq!((&redacted["diff"], &redacted["call"]), (&Value::Null, call));
    let metrics = installation.greenlit(["status", "--metrics"]).stdout;
    assert!(
        metrics.contains("greenlit_model_tokens_total{tier=\"small\",model=\"tiny\""),
        "{metrics}"
    );
    assert!(metrics.contains("greenlit_fixes_offered_total{tier=\"small\"} 1"), "{metrics}");
    assert!(metrics.contains("greenlit_evidence_kept 1"), "{metrics}");
}

#[test]
fn python_nothing_of_a_private_path_is_in_the_record() {
    let (installation, project) = (Installation::new(), bill());
    let endpoint = Endpoint::new(|_| RIGHT.to_owned());
    with_model(&installation, &endpoint);
    project.write("greenlit.toml", "[evidence]\nprivate = ['bill.py']\n");
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let exported = installation.greenlit(["trace", "export"]).stdout;
    let mut attempts = 0;
    for line in exported.lines() {
        let report: Value = serde_json::from_str(line).unwrap();
        assert_eq!(report["private"], true, "{report:#}");
        for quoted in ["prompt", "reply", "diff", "evidence", "failure"] {
            assert!(report[quoted].is_null(), "{quoted} of {report:#}");
        }
        attempts += 1;
    }
    assert!(attempts > 0 && !exported.contains("for name"), "{exported}");
}

#[test]
fn python_a_daemon_that_is_killed_opens_the_record_again() {
    let (installation, project) = (Installation::new(), python_project("people"));
    let ran = fix(&installation, &project, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let before = trace(&installation, &["list", "-n", "1000"]);
    // In the middle of another search.
    let busy = bill();
    let mut searching = installation
        .command(greenlit_tests::binary("greenlit"))
        .args(["fix", "--root", root(&busy), "--budget", "100"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let attempts = |installation: &Installation| totals(installation)["attempts"].as_u64().unwrap();
    let known = attempts(&installation);
    while attempts(&installation) == known {
        assert!(searching.try_wait().unwrap().is_none(), "the search ended without an attempt");
    }
    kill(Pid::from_raw(installation.daemon_pid().unwrap()), Signal::SIGKILL).unwrap();
    searching.wait().unwrap();
    let after = trace(&installation, &["list", "-n", "1000"]);
    let (before, after) =
        (before["attempts"].as_array().unwrap(), after["attempts"].as_array().unwrap());
    assert!(after.len() > before.len());
    assert_eq!(&after[after.len() - before.len()..], &before[..]);
    let status = installation.greenlit(["status", "--json"]).json()["evidence"].clone();
    assert_eq!((&status["state"], &status["notices"]), (&"kept".into(), &Value::Array(Vec::new())));
}

/// The first 16 bytes, then a version that nobody has yet (at offset 60).
fn make_future(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn python_a_record_from_the_future_is_left_alone_and_fixes_work_without() {
    let (installation, project) = (Installation::new(), python_project("people"));
    assert_eq!(installation.greenlit(["trace", "list"]).code, Some(0));
    assert_eq!(installation.greenlit(["stop"]).code, Some(0));
    let path = installation.path("data").join("evidence.db");
    make_future(&path);
    let before = std::fs::read(&path).unwrap();
    let ran = fix(&installation, &project, &["--apply"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = installation.greenlit(["trace", "list", "--json"]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.json()["error"]["message"].to_string().contains("newer Greenlit"),
        "{}",
        ran.stdout
    );
    let doctor = installation.greenlit(["doctor", "--root", root(&project)]).stdout;
    assert!(doctor.contains("newer Greenlit"), "{doctor}");
    let status = installation.greenlit(["status"]).stdout;
    assert!(status.contains("record  not kept"), "{status}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn metrics_are_on_a_loopback_port_where_somebody_wants_it() {
    let installation = Installation::new();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!("[metrics]\nport = {port}\n[evidence]\nkeep = false\n");
    std::fs::write(installation.path("greenlit.toml"), text).unwrap();
    let status = installation.greenlit(["trace", "list", "--json"]);
    assert_eq!(status.code, Some(2), "{}", status.stdout);
    // The command waited for a daemon that is ready; its port may come a moment later.
    let mut stream = loop {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            Err(_) => assert!(installation.daemon_pid().is_some()),
        }
    };
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("# TYPE greenlit_build_info gauge"), "{answer}");
    assert!(answer.contains("greenlit_evidence_kept 0"), "{answer}");
    assert!(!installation.path("data").join("evidence.db").exists());
}
