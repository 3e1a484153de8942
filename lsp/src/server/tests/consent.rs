use super::*;

use greenlit_protocol::{
    ErrorKind, ModelAction, ModelReport, ProgressStage, PullItem, PullPlan, RemoteError,
    SearchReport,
};

fn plan() -> PullPlan {
    let item = |name: &str, licence: &str, bytes| PullItem {
        name: name.into(),
        kind: "embedding".into(),
        from: "https://hub.example/a/b".into(),
        licence: licence.into(),
        bytes,
    };
    let items =
        vec![item("mini", "Apache-2.0", 23_400_000), item("ONNX Runtime", "MIT", 17_000_000)];
    PullPlan { items, bytes: 40_400_000, directory: "/models".into() }
}

/// A search that comes without meaning; the daemon says what could be downloaded.
async fn search(editor: &mut Editor, daemon: &mut DaemonSide) {
    let asked = editor.request("greenlit/search", json!({ "query": "gcd" })).await;
    let (request, answer) = daemon.request().await;
    assert!(matches!(request, Request::Search(_)), "{request:?}");
    let report = SearchReport {
        query: "gcd".into(),
        branch: None,
        degraded: Some("no embedding model".into()),
        dense_pending: 3,
        model: None,
        offer: Some(plan()),
        hits: Vec::new(),
    };
    answer.send(Ok(Response::Search(report))).unwrap();
    // The search does not wait for the person.
    assert_eq!(editor.response(asked).await.unwrap()[0]["densePending"], 3);
}

async fn question(editor: &mut Editor) -> Value {
    let question = editor.received("window/showMessageRequest").await;
    let text = question["params"]["message"].as_str().unwrap();
    for said in ["mini (23 MB, Apache-2.0", "ONNX Runtime (17 MB, MIT", "40 MB in all"] {
        assert!(text.contains(said), "{text}");
    }
    let titles: Vec<_> =
        question["params"]["actions"].as_array().unwrap().iter().map(|a| &a["title"]).collect();
    assert_eq!(titles, ["Download", "Not now", "Never"]);
    question
}

/// A search in a new session; the person's answer to the question after it.
async fn asked_once(capabilities: Value, answer: Value) -> (Editor, DaemonSide) {
    let (mut editor, mut daemon) = Editor::open(capabilities).await;
    search(&mut editor, &mut daemon).await;
    let asked = question(&mut editor).await;
    editor.answer(&asked, answer).await;
    (editor, daemon)
}

fn with_progress() -> Value {
    let mut capabilities = modern();
    capabilities["window"]["workDoneProgress"] = true.into();
    capabilities
}

fn action(request: &Request) -> &ModelAction {
    let Request::Model(action) = request else { panic!("{request:?}") };
    action
}

#[tokio::test]
async fn a_person_who_agrees_gets_the_model_with_progress_and_is_not_asked_again() {
    let (mut editor, mut daemon) =
        asked_once(with_progress(), json!({ "title": "Download" })).await;
    let (request, answer) = daemon.request().await;
    let ModelAction::Pull(pull) = action(&request) else { panic!("{request:?}") };
    assert!(pull.agreed && pull.name.is_none());
    let progress = |stage| {
        DaemonEvent::Event(Event::Progress { root: "/models".into(), request: Some(9), stage })
    };
    daemon.tell(progress(ProgressStage::Begin { title: "Downloading".into() })).await;
    let message = "mini: 1.0 of 23.4 MB".to_owned();
    daemon.tell(progress(ProgressStage::Report { message, percentage: Some(4) })).await;
    let create = editor.received("window/workDoneProgress/create").await;
    editor.answer(&create, Value::Null).await;
    let begin = editor.received("$/progress").await["params"]["value"].clone();
    assert_eq!((&begin["title"], &begin["cancellable"]), (&json!("Downloading"), &json!(true)));
    assert_eq!(editor.received("$/progress").await["params"]["value"]["percentage"], 4);
    daemon.tell(progress(ProgressStage::End { message: "done".into() })).await;
    assert_eq!(editor.received("$/progress").await["params"]["value"]["kind"], "end");
    let report = ModelReport {
        models: Vec::new(),
        in_use: Some("mini".into()),
        configured: false,
        degraded: None,
        declined: false,
        offline: false,
        directory: "/models".into(),
        engine: None,
    };
    answer.send(Ok(Response::Models(report))).unwrap();
    let shown = editor.received("window/showMessage").await;
    assert!(shown["params"]["message"].as_str().unwrap().ends_with("with mini."), "{shown}");
    search(&mut editor, &mut daemon).await;
    editor.finish(daemon).await;
}

#[tokio::test]
async fn a_download_that_is_cancelled_in_the_editor_is_cancelled_in_the_daemon() {
    let (mut editor, mut daemon) =
        asked_once(with_progress(), json!({ "title": "Download" })).await;
    let (_, mut answer) = daemon.request().await;
    let stage = ProgressStage::Begin { title: "Downloading".into() };
    let event = Event::Progress { root: "/models".into(), request: Some(9), stage };
    daemon.tell(DaemonEvent::Event(event)).await;
    let create = editor.received("window/workDoneProgress/create").await;
    editor.answer(&create, Value::Null).await;
    let token = editor.received("$/progress").await["params"]["token"].clone();
    editor.notify("window/workDoneProgress/cancel", json!({ "token": token })).await;
    within("the request to be dropped", answer.closed()).await;
    let (request, answer) = daemon.request().await;
    assert!(matches!(request, Request::CancelBackground { .. }), "{request:?}");
    answer.send(Ok(Response::Done)).unwrap();
    editor.finish(daemon).await;
}

#[tokio::test]
async fn never_is_remembered_by_the_daemon_and_not_asked_again() {
    let (mut editor, mut daemon) = asked_once(modern(), json!({ "title": "Never" })).await;
    let (request, answer) = daemon.request().await;
    assert_eq!(action(&request), &ModelAction::Decline);
    answer.send(Ok(Response::Done)).unwrap();
    search(&mut editor, &mut daemon).await;
    editor.finish(daemon).await;
}

#[tokio::test]
async fn who_looks_away_is_left_alone_for_the_session() {
    for answer in [json!({ "title": "Not now" }), Value::Null] {
        let (mut editor, mut daemon) = asked_once(modern(), answer).await;
        search(&mut editor, &mut daemon).await;
        editor.finish(daemon).await;
    }
}

#[tokio::test]
async fn a_download_that_fails_is_told_with_what_to_do() {
    let (mut editor, mut daemon) = asked_once(modern(), json!({ "title": "Download" })).await;
    let (_, answer) = daemon.request().await;
    let error = RemoteError::new(ErrorKind::BadRequest, "cannot download mini").hint("try again");
    answer.send(Err(RequestError::Remote(error))).unwrap();
    let shown = editor.received("window/showMessage").await;
    assert_eq!(shown["params"]["message"], "Greenlit: cannot download mini. try again");
    editor.finish(daemon).await;
}
