use super::*;

use greenlit_protocol::{
    ErrorKind, Notice, RemoteError, TestEntry, TestOutcome, TestPlace, TestReport, TestsReport,
};

fn entries() -> Vec<TestEntry> {
    let entry = |id: &str, outcome| TestEntry {
        id: id.into(),
        outcome,
        file: None,
        line: None,
        message: None,
        duration_ms: 3,
    };
    let failed = TestEntry {
        file: Some("test.py".into()),
        line: Some(2),
        message: Some("assert 4 == 2".into()),
        ..entry("test.py::test_gcd", TestOutcome::Failed)
    };
    vec![failed, entry("test.py::test_one", TestOutcome::Passed)]
}

fn report(root: PathBuf) -> TestReport {
    TestReport {
        root,
        revision: 4,
        tests: entries(),
        runners: Vec::new(),
        layer: "namespaces".into(),
        duration_ms: 10,
        cpu_ms: 5,
        notices: Vec::new(),
    }
}

fn shows_tests() -> Value {
    let mut capabilities = modern();
    capabilities["experimental"] = json!({ "greenlitTestResults": true });
    capabilities
}

fn results(editor: &Editor, complete: bool) -> Value {
    let failure = json!({ "uri": editor.uri("test.py"), "line": 1 });
    json!({
        "root": editor.uri(""), "revision": 4, "complete": complete,
        "tests": [
            { "id": "test.py::test_gcd", "outcome": "failed", "durationMs": 3,
              "message": "assert 4 == 2", "failure": failure },
            { "id": "test.py::test_one", "outcome": "passed", "durationMs": 3 },
        ],
    })
}

#[tokio::test]
async fn results_of_background_runs_are_told_to_editors_that_show_them() {
    for shows in [true, false] {
        let (mut editor, daemon) = Editor::open(if shows { shows_tests() } else { modern() }).await;
        let root = editor.root();
        let event = |root| Event::Tests { root, revision: 4, complete: true, tests: entries() };
        daemon.tell(DaemonEvent::Event(event("/closed/since".into()))).await;
        daemon.tell(DaemonEvent::Event(event(root))).await;
        daemon.tell(DaemonEvent::Up { build: "1".into() }).await;
        editor.received("greenlit/status").await;
        if shows {
            let told = editor.received("greenlit/testResults").await["params"].clone();
            assert_eq!(told, results(&editor, true));
        }
        editor.finish(daemon).await;
    }
}

#[tokio::test]
async fn a_run_answers_with_its_results() {
    let (mut editor, mut daemon) = Editor::open(shows_tests()).await;
    for (tests, notices, complete) in [
        (vec![], vec![], true),
        (vec![], vec![Notice { kind: "not-run".into(), message: "no build".into() }], false),
        (vec!["test.py::test_gcd".to_owned()], vec![], false),
    ] {
        let params = json!({ "root": editor.uri(""), "tests": tests });
        let id = editor.request("greenlit/runTests", params).await;
        let (request, answer) = daemon.request().await;
        within("a wake", daemon.wakes.recv()).await.unwrap();
        assert_eq!(request, Request::Test { root: editor.root(), tests });
        let report = TestReport { notices, ..report(editor.root()) };
        answer.send(Ok(Response::Test(report))).unwrap();
        assert_eq!(editor.response(id).await, Ok(results(&editor, complete)));
    }
    editor.finish(daemon).await;
}

#[tokio::test]
async fn cancelling_a_run_stops_it_and_its_failure_is_told() {
    let (mut editor, mut daemon) = Editor::open(shows_tests()).await;
    let params = json!({ "root": editor.uri("") });
    let id = editor.request("greenlit/runTests", params.clone()).await;
    let (_, mut answer) = daemon.request().await;
    editor.notify("$/cancelRequest", json!({ "id": id })).await;
    within("the run to be cancelled", answer.closed()).await;
    assert_eq!(editor.response(id).await.unwrap_err()["code"], -32800);

    let id = editor.request("greenlit/runTests", params).await;
    let (_, answer) = daemon.request().await;
    let error = RemoteError::new(ErrorKind::NoRunner, "no tests here");
    answer.send(Err(RequestError::Remote(error))).unwrap();
    assert_eq!(editor.response(id).await.unwrap_err()["message"], "Greenlit: no tests here");

    let error = editor.ask("greenlit/runTests", json!({ "root": "/elsewhere" })).await;
    assert_eq!(error.unwrap_err()["message"], "`/elsewhere` is not open");
    editor.finish(daemon).await;
}

#[tokio::test]
async fn known_tests_come_with_their_places() {
    let (mut editor, mut daemon) = Editor::open(shows_tests()).await;
    let id = editor.request("greenlit/tests", json!({})).await;
    let (request, answer) = daemon.request().await;
    assert_eq!(request, Request::Tests { root: editor.root() });
    let place = TestPlace { path: "test.py".into(), line: Some(1) };
    let places = BTreeMap::from([("test.py::test_gcd".to_owned(), place)]);
    let report = TestsReport { root: editor.root(), revision: 4, tests: entries(), places };
    answer.send(Ok(Response::Tests(report))).unwrap();
    let mut expected = results(&editor, true);
    expected["tests"][0]["place"] = json!({ "uri": editor.uri("test.py"), "line": 0 });
    assert_eq!(editor.response(id).await, Ok(json!([expected])));
    editor.finish(daemon).await;
}

#[tokio::test]
async fn fixes_are_listed_while_they_hold() {
    let (mut editor, mut daemon) = with_finding(modern()).await;
    editor.diagnostics().await;
    let of = json!({ "tests": ["test.py::test_gcd"] });
    let listed = editor.ask("greenlit/fixes", of.clone()).await.unwrap();
    assert_eq!(listed[0]["title"], "Fix test_gcd · verified");
    assert_eq!(listed[0]["root"], editor.uri(""));
    let action = json!({ "title": "", "data": listed[0]["data"] });
    let resolved = editor.ask("codeAction/resolve", action).await.unwrap();
    assert_eq!(resolved["edit"]["documentChanges"][0]["edits"][0]["newText"], "\u{1d54f}");
    let other = editor.ask("greenlit/fixes", json!({ "tests": ["other"] })).await;
    assert_eq!(other, Ok(json!([])));
    editor.did_change("gcd.py", 2, json!([{ "text": "now = 1" }])).await;
    daemon.notification().await;
    assert_eq!(editor.ask("greenlit/fixes", of).await, Ok(json!([])));
    editor.finish(daemon).await;
}

#[tokio::test]
async fn evidence_says_whether_the_fix_still_holds() {
    let (mut editor, mut daemon) = with_finding(modern()).await;
    editor.diagnostics().await;
    for holds in [true, false] {
        let id = editor.request("greenlit/evidence", json!({ "fix": "fix-1" })).await;
        let (request, answer) = daemon.request().await;
        assert_eq!(request, Request::Evidence { fix: "fix-1".into() });
        let fix = finding(&editor.root()).fixes.remove(0);
        answer.send(Ok(Response::Evidence(commands::evidence(fix)))).unwrap();
        let evidence = editor.response(id).await.unwrap();
        assert_eq!(evidence["holds"], holds);
        assert_eq!(evidence["root"], editor.uri(""));
        assert_eq!(evidence["report"]["entry"]["evidence"]["layer"], "namespaces");
        assert_eq!(evidence["report"]["tests"][0]["after"], "passed");
        if holds {
            editor.did_change("gcd.py", 2, json!([{ "text": "now = 1" }])).await;
            daemon.notification().await;
        }
    }
    editor.finish(daemon).await;
}
