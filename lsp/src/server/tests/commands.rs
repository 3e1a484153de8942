use super::*;

use greenlit_protocol::{
    CandidateCounts, ErrorKind, EvidenceReport, EvidenceTest, FixStats, RemoteError, TestEntry,
    TestOutcome, TestReport, Tier, TriedCandidate,
};

async fn execute(editor: &mut Editor, command: &str, arguments: Value) -> Result<Value, Value> {
    let params = json!({ "command": command, "arguments": arguments });
    editor.ask("workspace/executeCommand", params).await
}

fn report(root: PathBuf) -> TestReport {
    let test = |id: &str, outcome| TestEntry {
        id: id.into(),
        outcome,
        file: None,
        line: None,
        message: None,
        duration_ms: 1,
    };
    TestReport {
        root,
        revision: 1,
        tests: vec![test("a", TestOutcome::Passed), test("b", TestOutcome::Failed)],
        runners: vec!["pytest".into()],
        layer: "namespaces".into(),
        duration_ms: 1500,
        cpu_ms: 1000,
        notices: Vec::new(),
    }
}

#[tokio::test]
async fn running_tests_returns_at_once_and_logs_its_end() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    assert_eq!(execute(&mut editor, "greenlit.runTests", json!([])).await, Ok(Value::Null));
    let (request, answer) = daemon.request().await;
    let root = editor.root();
    assert_eq!(request, Request::Test { root: root.clone(), tests: Vec::new() });
    within("a wake", daemon.wakes.recv()).await.unwrap();
    answer.send(Ok(Response::Test(report(root.clone())))).unwrap();
    let logged = editor.received("window/logMessage").await["params"]["message"].clone();
    let expected = format!("{}: 1 tests passed, 1 failed, 0 flaky in 1.5 s", root.display());
    assert_eq!(logged, expected);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn what_a_person_asked_for_and_failed_is_shown() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let target = json!([{ "root": editor.uri(""), "tests": ["t"] }]);
    execute(&mut editor, "greenlit.fix", target).await.unwrap();
    let (request, answer) = daemon.request().await;
    let expected = Request::Fix {
        root: editor.root(),
        tests: vec!["t".into()],
        visible: Vec::new(),
        tier: Tier::Auto,
        budget_secs: None,
    };
    assert_eq!(request, expected);
    let error = RemoteError::new(ErrorKind::NoRunner, "no tests here").hint("Install pytest.");
    answer.send(Err(RequestError::Remote(error))).unwrap();
    let shown = editor.received("window/showMessage").await["params"]["message"].clone();
    assert_eq!(shown, "Greenlit: no tests here. Install pytest.");
    editor.finish(daemon).await;
}

#[tokio::test]
async fn cancelling_drops_the_request_and_stops_background_work() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let root = json!([editor.root()]);
    execute(&mut editor, "greenlit.fix", root.clone()).await.unwrap();
    let (_, mut answer) = daemon.request().await;
    execute(&mut editor, "greenlit.cancel", root).await.unwrap();
    within("the fix to be cancelled", answer.closed()).await;
    let (request, _) = daemon.request().await;
    assert_eq!(request, Request::CancelBackground { root: editor.root() });
    editor.finish(daemon).await;
}

#[tokio::test]
async fn bad_arguments_are_named() {
    let (mut editor, daemon) = Editor::open(modern()).await;
    for (command, arguments, expected) in [
        ("greenlit.runTests", json!(["/elsewhere"]), "`/elsewhere` is not open"),
        ("greenlit.runTests", json!([{ "rot": "x" }]), "unknown field `rot`"),
        ("greenlit.showEvidence", json!([]), "expected the id of a fix"),
        ("greenlit.dismissFix", json!([7]), "expected the id of a fix"),
        ("greenlit.explode", json!([]), "there is no command `greenlit.explode`"),
    ] {
        let error = execute(&mut editor, command, arguments).await.unwrap_err();
        assert_eq!(error["code"], -32602);
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
    }
    editor.finish(daemon).await;
}

#[tokio::test]
async fn a_dismissed_fix_is_told() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    execute(&mut editor, "greenlit.dismissFix", json!(["fix-1"])).await.unwrap();
    let decision = Notification::FixDecision { fix: "fix-1".into(), applied: false };
    assert_eq!(daemon.notification().await, decision);
    editor.finish(daemon).await;
}

/// What is kept about a fix.
pub(super) fn evidence(fix: OfferedFix) -> EvidenceReport {
    EvidenceReport {
        id: fix.id,
        title: fix.title,
        entry: fix.entry,
        localization: "spectrum".into(),
        suspicious: vec![("gcd.py:1".into(), 0.875)],
        tests: vec![EvidenceTest {
            id: "test_gcd".into(),
            before: TestOutcome::Failed,
            after: TestOutcome::Passed,
        }],
        fallen: vec![("still fails".into(), 12)],
        killed_by: vec![("assert 2 == 3".into(), 11)],
        tried: vec![TriedCandidate {
            place: "a.py:2".into(),
            summary: "replace `+` by `*`".into(),
            reason: "still fails".into(),
            failure: Some("assert 2 == 3".into()),
        }],
        stats: FixStats {
            candidates: CandidateCounts { generated: 13, run: 13, verified: 1, ..<_>::default() },
            elapsed_ms: 2000,
            ..FixStats::default()
        },
    }
}

#[tokio::test]
async fn evidence_is_markdown() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let params = json!({ "command": "greenlit.showEvidence", "arguments": ["fix-1"] });
    let id = editor.request("workspace/executeCommand", params).await;
    let (_, answer) = daemon.request().await;
    let fix = finding(&editor.root()).fixes.remove(0);
    let mut entry = fix.entry.clone();
    entry.diff = "--- a/gcd.py\n+++ b/gcd.py\n-```\n+x\n".into();
    let evidence = EvidenceReport { entry, ..evidence(fix) };
    answer.send(Ok(Response::Evidence(evidence))).unwrap();
    let text = editor.response(id).await.unwrap();
    let text = text.as_str().unwrap();
    assert!(text.starts_with("# Fix test_gcd · verified\n\n````diff\n--- a/gcd.py"), "{text}");
    for line in [
        "- red to green: `test.py::test_gcd`",
        "- sandbox layer: namespaces",
        "- `test_gcd`: failed → passed",
        "- `gcd.py:1` 0.88",
        "- 12 × still fails",
        "- `a.py:2` `replace '+' by '*'`: still fails, `assert 2 == 3`",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    editor.finish(daemon).await;
}

#[tokio::test]
async fn status_tells_what_is_known_without_a_daemon() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let params = json!({ "command": "greenlit.status" });
    let id = editor.request("workspace/executeCommand", params).await;
    let (request, answer) = daemon.request().await;
    assert_eq!(request, Request::Status);
    answer.send(Err(RequestError::Unavailable { reason: "it was stopped".into() })).unwrap();
    let status = editor.response(id).await.unwrap();
    assert_eq!(status["daemon"], "connecting");
    assert!(status["message"].as_str().unwrap().contains("it was stopped"));
    editor.finish(daemon).await;
}

#[tokio::test]
async fn restarting_stops_the_daemon_and_wakes_the_link() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    daemon.tell(DaemonEvent::Up { build: "1".into() }).await;
    editor.received("greenlit/status").await;
    execute(&mut editor, "greenlit.restart", json!([])).await.unwrap();
    let (request, answer) = daemon.request().await;
    assert_eq!(request, Request::Stop { kill: false });
    assert!(daemon.wakes.try_recv().is_err());
    // The answer comes over a connection that still stands; only at its end there is something to wake.
    answer.send(Ok(Response::Done)).unwrap();
    editor.code_actions("a.py", 0).await;
    daemon.tell(DaemonEvent::Down { reason: "it stops".into() }).await;
    assert_eq!(editor.received("greenlit/status").await["params"]["daemon"], "down");
    within("a wake", daemon.wakes.recv()).await.unwrap();
    editor.finish(daemon).await;
}
