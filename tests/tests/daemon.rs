//! One daemon, several clients, and what happens when things change or die under it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use greenlit_client::{ConnectOptions, Connection, Paths, connect};
use greenlit_protocol::{
    Event, Notification, Request, Response, RootPhase, SessionParams, TestOutcome, TestReport,
};
use greenlit_tests::{Installation, Project, binary, python_project};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A broken project whose tests take long enough for something to happen meanwhile.
fn slow_project() -> Project {
    python_project("slow").file(
        "test_slow.py",
        "import time\n\ndef test_slow():\n    until = time.monotonic() + 2\n    while time.monotonic() < until:\n        pass\n",
    )
}

fn start_fix(installation: &Installation, project: &Project) -> Child {
    let mut command: Command = installation.command(binary("greenlit"));
    command.args(["fix", "--json", "--root"]).arg(project.root());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the daemon says that candidates are being tried.
fn wait_for_search(installation: &Installation) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ran = installation.greenlit(["status", "--json"]);
        if ran.stdout.contains("looking for fixes") {
            return;
        }
        assert!(Instant::now() < deadline, "no search began: {}", ran.stdout);
    }
}

fn result(child: Child) -> (Option<i32>, Value) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value = serde_json::from_str(&text);
    let stderr = String::from_utf8_lossy(&output.stderr);
    (output.status.code(), value.unwrap_or_else(|_| panic!("{text}\n{stderr}")))
}

#[test]
fn python_an_edit_during_verification_drops_the_result() {
    let installation = Installation::new();
    let project = slow_project();
    let fix = start_fix(&installation, &project);
    wait_for_search(&installation);
    project.write("test_extra.py", "def test_extra():\n    assert True\n");
    let (code, value) = result(fix);
    assert_eq!(value["error"]["kind"], "inputs-changed", "{value:#}");
    assert_eq!(code, Some(2));
}

#[test]
fn python_a_file_deleted_during_verification_drops_the_result() {
    let installation = Installation::new();
    let project = slow_project();
    let fix = start_fix(&installation, &project);
    wait_for_search(&installation);
    std::fs::remove_file(project.root().join("people.py")).unwrap();
    let (code, value) = result(fix);
    assert_eq!(value["error"]["kind"], "inputs-changed", "{value:#}");
    assert_eq!(code, Some(2));
}

#[test]
fn python_a_killed_daemon_is_an_error_now_and_replaced_next_time() {
    let installation = Installation::new();
    let project = slow_project();
    let fix = start_fix(&installation, &project);
    wait_for_search(&installation);
    let pid = installation.daemon_pid().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let (code, value) = result(fix);
    assert!(value["error"]["message"].is_string(), "{value:#}");
    assert_eq!(code, Some(2));
    let before = project.read("people.py");

    let root = project.root().to_str().unwrap();
    let ran = installation.greenlit(["fix", "--json", "--root", root]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert_ne!(installation.daemon_pid().unwrap(), pid);
    assert_eq!(project.read("people.py"), before);
}

async fn session(installation: &Installation, project: &Project) -> Connection {
    let command = installation.command("true");
    let own = command.get_envs().filter_map(|(name, value)| Some((name.into(), value?.into())));
    let mut env: std::collections::BTreeMap<_, _> = std::env::vars_os().collect();
    env.extend(own);
    let mut options = ConnectOptions::new(SessionParams {
        client: "test".into(),
        roots: vec![project.root().to_owned()],
        cwd: project.root().to_owned(),
        env,
        settings: Some("{\"run\": {\"on_open\": false, \"debounce_ms\": 0}}".into()),
        background: true,
    });
    options.daemon = Some(binary("greenlitd"));
    let at = |name| installation.path(name);
    options.paths = Some(Paths::new(at("run"), at("state"), at("cache"), at("data")));
    connect(&options).await.unwrap()
}

async fn tests(connection: &Connection, project: &Project) -> TestReport {
    let request = Request::Test { root: project.root().to_owned(), tests: Vec::new() };
    match connection.client.request(request).await.unwrap() {
        Response::Test(report) => report,
        other => panic!("{other:?}"),
    }
}

fn failed(report: &TestReport) -> Vec<&str> {
    let failed = report.tests.iter().filter(|test| test.outcome == TestOutcome::Failed);
    failed.map(|test| test.id.as_str()).collect()
}

#[tokio::test]
async fn python_two_editors_on_one_file_see_their_own_buffers() {
    let installation = Installation::new();
    // Starts the daemon with the installation's own environment.
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let project = python_project("people");
    let document = project.root().join("people.py");
    let on_disk = session(&installation, &project).await;
    let unsaved = session(&installation, &project).await;
    let opened = |text: String| Notification::DocumentOpened {
        document: document.clone(),
        version: 1,
        text: Some(text),
    };
    let text = project.read("people.py");
    on_disk.client.notify(opened(text.clone())).unwrap();
    unsaved.client.notify(opened(text.replace("age > 18", "age >= 18"))).unwrap();

    let red = "test_people.py::test_adult_on_the_birthday";
    assert_eq!(failed(&tests(&on_disk, &project).await), [red]);
    assert_eq!(failed(&tests(&unsaved, &project).await), [""; 0]);
    // Closing the unsaved buffer: the disk holds again.
    unsaved.client.notify(Notification::DocumentClosed { document: document.clone() }).unwrap();
    assert_eq!(failed(&tests(&unsaved, &project).await), [red]);
    assert_eq!(project.read("people.py"), text);
}

#[tokio::test]
async fn python_an_unsaved_edit_withdraws_offered_fixes() {
    let installation = Installation::new();
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let project = python_project("people");
    let mut editor = session(&installation, &project).await;
    let document = project.root().join("people.py");
    let text = project.read("people.py");
    let notify = |notification| editor.client.notify(notification).unwrap();
    notify(Notification::DocumentOpened {
        document: document.clone(),
        version: 1,
        text: Some(text.clone()),
    });
    notify(Notification::DocumentSaved { document: document.clone() });
    let offered = next_findings(&mut editor, |fixes| fixes > 0).await;
    assert!(offered > 0);
    let change = greenlit_protocol::TextChange { start: 0, end: 0, text: "# note\n".into() };
    let changed = Notification::DocumentChanged {
        document: document.clone(),
        version: 2,
        changes: vec![change],
    };
    editor.client.notify(changed).unwrap();
    let left = next_findings(&mut editor, |fixes| fixes == 0).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn python_running_tests_by_hand_does_not_stop_the_next_save_from_finding_fixes() {
    let installation = Installation::new();
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let project = python_project("people");
    let mut editor = session(&installation, &project).await;
    let document = project.root().join("people.py");
    let text = Some(project.read("people.py"));
    let opened = Notification::DocumentOpened { document: document.clone(), version: 1, text };
    editor.client.notify(opened).unwrap();
    assert_eq!(failed(&tests(&editor, &project).await).len(), 1);
    editor.client.notify(Notification::DocumentSaved { document }).unwrap();
    assert!(next_findings(&mut editor, |fixes| fixes > 0).await > 0);
}

#[tokio::test]
async fn python_a_written_file_that_is_as_it_was_does_not_start_the_tests_again() {
    let installation = Installation::new();
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let waiting = "import os, time\n\ndef test_waiting():\n    while not os.path.exists('go'):\n        time.sleep(0.01)\n";
    let project = python_project("people")
        .file("test_waiting.py", waiting)
        .file(".git/HEAD", "ref: refs/heads/main\n")
        .file(".gitignore", "go\n");
    let mut editor = session(&installation, &project).await;
    let document = project.root().join("people.py");
    let opened =
        Notification::DocumentOpened { document: document.clone(), version: 1, text: None };
    editor.client.notify(opened).unwrap();
    editor.client.notify(Notification::DocumentSaved { document }).unwrap();
    next_event(&mut editor, |event| matches!(event, Event::Progress { .. })).await;
    let before = revision(&editor).await;
    project.write("people.py", project.read("people.py"));
    while revision(&editor).await == before {
        tokio::task::yield_now().await;
    }
    project.write("go", "");
    let ended = |event: &Event| {
        matches!(event, Event::Root { phase: RootPhase::Idle | RootPhase::Settled { .. }, .. })
    };
    let Event::Root { phase, .. } = next_event(&mut editor, ended).await else { unreachable!() };
    assert!(matches!(phase, RootPhase::Settled { failing: 1, fixes: 1.., .. }), "{phase:?}");
}

#[tokio::test]
async fn python_what_was_changed_since_the_tests_passed_is_suspected_first() {
    let installation = Installation::new();
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let sound = "def double(x):\n    return x + x\n\n\ndef quadruple(x):\n    y = double(x)\n    return double(y)\n";
    let project = Project::named("twice")
        .file("pyproject.toml", "[project]\nname = \"twice\"\nversion = \"1\"\n")
        .file("twice.py", sound)
        .file(
            "test_twice.py",
            "from twice import quadruple\n\n\ndef test_quadruple():\n    assert quadruple(3) == 12\n",
        );
    let mut editor = session(&installation, &project).await;
    let document = project.root().join("twice.py");
    let notify = |notification| editor.client.notify(notification).unwrap();
    notify(Notification::DocumentOpened { document: document.clone(), version: 1, text: None });
    notify(Notification::DocumentSaved { document: document.clone() });
    let settled =
        |event: &Event| matches!(event, Event::Root { phase: RootPhase::Settled { .. }, .. });
    next_event(&mut editor, settled).await;

    // One test alone cannot tell its lines apart.
    project.write("twice.py", sound.replace("x + x", "x - x"));
    editor.client.notify(Notification::DocumentSaved { document }).unwrap();
    let fixed = |event: &Event| matches!(event, Event::Findings { findings, .. } if findings.iter().any(|f| !f.fixes.is_empty()));
    let Event::Findings { findings, .. } = next_event(&mut editor, fixed).await else {
        unreachable!("only findings are waited for")
    };
    let fix = findings[0].fixes[0].id.clone();
    let Response::Evidence(report) =
        editor.client.request(Request::Evidence { fix }).await.unwrap()
    else {
        panic!("no evidence")
    };
    assert!(report.localization.contains("changed since the tests passed"), "{report:#?}");
    next_event(&mut editor, settled).await;
}

#[tokio::test]
async fn python_what_a_change_broke_is_told_from_what_failed_before() {
    let installation = Installation::new();
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let sound = "def double(x):\n    return x + x\n\n\ndef quadruple(x):\n    y = double(x)\n    return double(y)\n\n\ndef shout(text):\n    return text\n";
    let project = Project::named("twice")
        .file("pyproject.toml", "[project]\nname = \"twice\"\nversion = \"1\"\n")
        .file("twice.py", sound)
        .file(
            "test_twice.py",
            "from twice import quadruple, shout\n\n\ndef test_quadruple():\n    assert quadruple(3) == 12\n\n\ndef test_shout():\n    assert shout('no template writes this') == 'qzx'\n",
        );
    let mut editor = session(&installation, &project).await;
    let document = project.root().join("twice.py");
    let notify = |notification| editor.client.notify(notification).unwrap();
    notify(Notification::SettingsChanged {
        settings: Some(r#"{"fix": {"budget_secs": 5}}"#.to_owned()),
    });
    notify(Notification::DocumentOpened { document: document.clone(), version: 1, text: None });
    notify(Notification::DocumentSaved { document: document.clone() });
    let settled = |red: u32| move |event: &Event| matches!(event, Event::Root { phase: RootPhase::Settled { failing, .. }, .. } if *failing == red);
    next_event(&mut editor, settled(1)).await;

    project.write("twice.py", sound.replace("x + x", "x - x"));
    editor.client.notify(Notification::DocumentSaved { document }).unwrap();
    let fixed = |event: &Event| matches!(event, Event::Findings { findings, .. } if findings.iter().any(|f| !f.fixes.is_empty()));
    let Event::Findings { findings, .. } = next_event(&mut editor, fixed).await else {
        unreachable!("only findings are waited for")
    };
    let fix = findings.iter().flat_map(|finding| &finding.fixes).next().unwrap();
    let asked = Request::Evidence { fix: fix.id.clone() };
    let Response::Evidence(report) = editor.client.request(asked).await.unwrap() else {
        panic!("no evidence")
    };
    assert!(report.localization.contains("changed since the tests passed"), "{report:#?}");
    next_event(&mut editor, settled(2)).await;
}

#[tokio::test]
async fn cargo_what_failed_before_a_change_is_still_mended_where_other_targets_hold_it() {
    let installation = Installation::new();
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let text = "pub fn larger(a: i32, b: i32) -> i32 {\n    if a > b { a } else { b }\n}\n\npub fn first(all: &[i32]) -> i32 {\n    all[1]\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn the_larger() {\n        assert_eq!(super::larger(1, 2), 2);\n        assert_eq!(super::larger(2, 1), 2);\n    }\n}\n";
    let project = Project::named("pick")
        .file(
            "Cargo.toml",
            "[package]\nname = \"pick\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
        )
        .file("src/lib.rs", text)
        .file(
            "tests/it.rs",
            "#[test]\nfn the_first() {\n    assert_eq!(pick::first(&[7, 8]), 7);\n}\n",
        );
    let mut editor = session(&installation, &project).await;
    let document = project.root().join("src/lib.rs");
    let notify = |notification| editor.client.notify(notification).unwrap();
    notify(Notification::DocumentOpened { document: document.clone(), version: 1, text: None });
    notify(Notification::DocumentSaved { document: document.clone() });
    assert_eq!(fixes_when_settled(&mut editor).await, [true]);

    project.write("src/lib.rs", text.replace("a > b", "a < b"));
    editor.client.notify(Notification::DocumentSaved { document }).unwrap();
    assert_eq!(fixes_when_settled(&mut editor).await, [true, true]);
}

/// Whether each failing test that is shown has a fix, once the daemon is at rest.
async fn fixes_when_settled(editor: &mut Connection) -> Vec<bool> {
    let mut shown = Vec::new();
    loop {
        match next_event(editor, |_| true).await {
            Event::Findings { findings, .. } => {
                shown = findings.iter().map(|finding| !finding.fixes.is_empty()).collect();
            }
            Event::Root { phase: RootPhase::Settled { .. }, .. } => return shown,
            Event::Root { phase: RootPhase::Problem { error }, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
}

async fn revision(editor: &Connection) -> u64 {
    match editor.client.request(Request::Status).await.unwrap() {
        Response::Status(report) => report.roots[0].revision,
        other => panic!("{other:?}"),
    }
}

async fn next_event(editor: &mut Connection, wanted: impl Fn(&Event) -> bool) -> Event {
    let wait = async {
        loop {
            let event = editor.events.recv().await.expect("the daemon lives");
            if wanted(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(90), wait).await.expect("an event in time")
}

#[tokio::test]
async fn python_tests_run_by_hand_on_an_unsaved_edit_while_fixes_are_looked_for() {
    let installation = Installation::new();
    assert_eq!(installation.greenlit(["restart"]).code, Some(0));
    let project = python_project("people");
    let mut editor = session(&installation, &project).await;
    let document = project.root().join("people.py");
    let text = project.read("people.py");
    let opened = Notification::DocumentOpened {
        document: document.clone(),
        version: 1,
        text: Some(text.clone()),
    };
    editor.client.notify(opened).unwrap();
    for version in 2..8 {
        editor.client.notify(Notification::DocumentSaved { document: document.clone() }).unwrap();
        // The search goes on for alternatives.
        next_findings(&mut editor, |fixes| fixes > 0).await;
        let at = text.find("> 18").unwrap() + 1;
        let change = |text: &str, length, version| Notification::DocumentChanged {
            document: document.clone(),
            version,
            changes: vec![greenlit_protocol::TextChange {
                start: at,
                end: at + length,
                text: text.into(),
            }],
        };
        editor.client.notify(change("=", 0, version * 2)).unwrap();
        let report = tokio::time::timeout(Duration::from_secs(60), tests(&editor, &project)).await;
        assert_eq!(failed(&report.expect("an answer in time")), [""; 0]);
        editor.client.notify(change("", 1, version * 2 + 1)).unwrap();
    }
}

/// Waits for findings with a wanted number of fixes.
async fn next_findings(editor: &mut Connection, wanted: impl Fn(usize) -> bool) -> usize {
    let fixes = |event: &Event| match event {
        Event::Findings { findings, .. } if !findings.is_empty() => {
            Some(findings.iter().map(|finding| finding.fixes.len()).sum())
        }
        _ => None,
    };
    let event = next_event(editor, |event| fixes(event).is_some_and(&wanted)).await;
    fixes(&event).expect("it was looked for")
}
