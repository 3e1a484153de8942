use super::*;

#[tokio::test]
async fn initialize_answers_before_anything_is_connected() {
    let (daemon, connector) = DaemonSide::new();
    let mut editor = Editor::start(connector);
    let result = editor.initialize(modern()).await;
    let capabilities = &result["capabilities"];
    assert_eq!(capabilities["positionEncoding"], "utf-16");
    assert_eq!(
        capabilities["textDocumentSync"],
        json!({ "openClose": true, "change": 2, "save": { "includeText": false } })
    );
    assert_eq!(capabilities["codeActionProvider"]["resolveProvider"], true);
    assert_eq!(capabilities["diagnosticProvider"], Value::Null);
    assert_eq!(result["serverInfo"]["name"], "greenlit");
    assert!(daemon.params().is_none());

    editor.notify("initialized", json!({})).await;
    // A request behind it: once it is answered, `initialized` was handled.
    editor.code_actions("a.py", 0).await;
    let params = daemon.params().unwrap();
    assert_eq!(params.roots, [editor.root()]);
    assert_eq!(params.client, "test 1");
    assert!(params.background);
    assert_eq!(params.env.get(std::ffi::OsStr::new("PATH")), std::env::var_os("PATH").as_ref());
    editor.finish(daemon).await;
}

#[tokio::test]
async fn exit_ends_the_server_though_the_input_stays_open_and_requests_wait() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let arguments = json!({ "command": "greenlit.showEvidence", "arguments": ["fix"] });
    let waiting = editor.request("workspace/executeCommand", arguments).await;
    let (_, mut answer) = daemon.request().await;
    editor.ask("shutdown", Value::Null).await.unwrap();
    editor.notify("exit", Value::Null).await;
    assert_eq!(within("the end", &mut editor.served).await.unwrap(), 0);
    within("the request to be cancelled", answer.closed()).await;
    assert_eq!(editor.response(waiting).await.unwrap_err()["code"], -32800);
}

#[tokio::test]
async fn a_shutdown_answer_is_flushed_even_when_exit_follows_at_once() {
    let (mut editor, _daemon) = Editor::open(modern()).await;
    let id = editor.request("shutdown", Value::Null).await;
    editor.notify("exit", Value::Null).await;
    assert_eq!(within("the end", &mut editor.served).await.unwrap(), 0);
    assert_eq!(editor.response(id).await, Ok(Value::Null));
}

#[tokio::test]
async fn params_that_are_null_are_as_good_as_none() {
    let (mut editor, _daemon) = Editor::open(modern()).await;
    // As eglot says goodbye.
    editor.write_text(r#"{"jsonrpc":"2.0","id":900,"method":"shutdown","params":null}"#).await;
    assert_eq!(editor.response(900).await, Ok(Value::Null));
    editor.write_text(r#"{"jsonrpc":"2.0","method":"exit","params":null}"#).await;
    assert_eq!(within("the end", &mut editor.served).await.unwrap(), 0);
}

#[tokio::test]
async fn exit_without_shutdown_is_an_error() {
    let (mut editor, _daemon) = Editor::open(modern()).await;
    editor.notify("exit", Value::Null).await;
    assert_eq!(within("the end", &mut editor.served).await.unwrap(), 1);
}

#[tokio::test]
async fn the_end_of_the_input_ends_the_server_though_a_request_waits() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let arguments = json!({ "command": "greenlit.showEvidence", "arguments": ["fix"] });
    editor.request("workspace/executeCommand", arguments).await;
    let (_, mut answer) = daemon.request().await;
    editor.input = None;
    assert_eq!(within("the end", &mut editor.served).await.unwrap(), 1);
    within("the request to be cancelled", answer.closed()).await;
}

#[tokio::test]
async fn a_lost_daemon_changes_the_status_and_only_giving_up_is_shown() {
    let (mut editor, daemon) = Editor::open(modern()).await;
    daemon.tell(DaemonEvent::Up { build: "1".into() }).await;
    assert_eq!(editor.received("greenlit/status").await["params"]["daemon"], "up");
    daemon.tell(DaemonEvent::Down { reason: "killed".into() }).await;
    let status = editor.received("greenlit/status").await["params"].clone();
    assert_eq!((&status["daemon"], &status["message"]), (&json!("down"), &json!("killed")));
    let log = PathBuf::from("/state/greenlitd.log");
    daemon.tell(DaemonEvent::GaveUp { reason: "it crashed".into(), log }).await;
    assert_eq!(editor.received("greenlit/status").await["params"]["daemon"], "gave-up");
    let shown = editor.received("window/showMessage").await["params"].clone();
    assert_eq!(shown["type"], 1);
    assert_eq!(shown["message"], "Greenlit: it crashed. Its log: /state/greenlitd.log");
    editor.finish(daemon).await;
}

#[tokio::test]
async fn phases_and_progress_reach_the_editor_and_cancelling_reaches_the_daemon() {
    use greenlit_protocol::{ProgressStage, RootPhase};

    let mut capabilities = modern();
    capabilities["window"] = json!({ "workDoneProgress": true });
    let (mut editor, mut daemon) = Editor::open(capabilities).await;
    let root = editor.root();
    let phase = RootPhase::Settled { passed: 3, failing: 1, fixes: 2 };
    daemon.tell(DaemonEvent::Event(Event::Root { root: root.clone(), phase })).await;
    let status = editor.received("greenlit/status").await["params"].clone();
    assert_eq!(status["root"], editor.uri(""));
    assert_eq!((&status["phase"], &status["failing"]), (&json!("settled"), &json!(1)));

    let progress =
        |stage| DaemonEvent::Event(Event::Progress { root: root.clone(), request: None, stage });
    daemon.tell(progress(ProgressStage::Begin { title: "Running tests".into() })).await;
    let message = "12 of 80".to_owned();
    daemon.tell(progress(ProgressStage::Report { message, percentage: Some(15) })).await;
    let create = editor.received("window/workDoneProgress/create").await;
    editor.answer(&create, Value::Null).await;
    let begin = editor.received("$/progress").await["params"].clone();
    assert_eq!(begin["token"], create["params"]["token"]);
    assert_eq!(begin["value"]["kind"], "begin");
    assert_eq!(begin["value"]["title"], "Running tests");
    let report = editor.received("$/progress").await["params"]["value"].clone();
    assert_eq!((&report["kind"], &report["percentage"]), (&json!("report"), &json!(15)));

    editor.notify("window/workDoneProgress/cancel", json!({ "token": begin["token"] })).await;
    let (request, answer) = daemon.request().await;
    assert_eq!(request, Request::CancelBackground { root: root.clone() });
    answer.send(Ok(Response::Done)).unwrap();
    daemon.tell(progress(ProgressStage::End { message: "cancelled".into() })).await;
    let end = editor.received("$/progress").await["params"]["value"].clone();
    assert_eq!((&end["kind"], &end["message"]), (&json!("end"), &json!("cancelled")));
    editor.finish(daemon).await;
}

#[tokio::test]
async fn both_parts_of_indexing_have_their_own_progress_that_nobody_cancels() {
    use greenlit_protocol::{Indexing, ProgressStage};

    let mut capabilities = modern();
    capabilities["window"] = json!({ "workDoneProgress": true });
    let (mut editor, daemon) = Editor::open(capabilities).await;
    let root = editor.root();
    let mut tokens = Vec::new();
    for (work, title) in [(Indexing::Files, "Indexing"), (Indexing::Vectors, "Embedding")] {
        let stage = ProgressStage::Begin { title: title.to_owned() };
        daemon.tell(DaemonEvent::Event(Event::Indexing { root: root.clone(), work, stage })).await;
        let create = editor.received("window/workDoneProgress/create").await;
        editor.answer(&create, Value::Null).await;
        let begin = editor.received("$/progress").await["params"].clone();
        assert_eq!(begin["value"]["title"], title);
        assert_eq!(begin["value"]["cancellable"], false);
        tokens.push(begin["token"].clone());
    }
    let stage = ProgressStage::End { message: "up to date".into() };
    let work = Indexing::Files;
    daemon.tell(DaemonEvent::Event(Event::Indexing { root: root.clone(), work, stage })).await;
    let end = editor.received("$/progress").await["params"].clone();
    assert_eq!((&end["token"], &end["value"]["kind"]), (&tokens[0], &json!("end")));
    let (message, percentage) = ("32 of 64 chunks".to_owned(), Some(50));
    let stage = ProgressStage::Report { message, percentage };
    let work = Indexing::Vectors;
    daemon.tell(DaemonEvent::Event(Event::Indexing { root, work, stage })).await;
    let report = editor.received("$/progress").await["params"].clone();
    assert_eq!((&report["token"], &report["value"]["percentage"]), (&tokens[1], &json!(50)));
    editor.finish(daemon).await;
}

#[tokio::test]
async fn an_editor_that_refuses_a_token_gets_no_progress() {
    use greenlit_protocol::ProgressStage;

    let mut capabilities = modern();
    capabilities["window"] = json!({ "workDoneProgress": true });
    let (mut editor, daemon) = Editor::open(capabilities).await;
    let stage = ProgressStage::Begin { title: "Running tests".into() };
    let root = editor.root();
    daemon.tell(DaemonEvent::Event(Event::Progress { root, request: None, stage })).await;
    let create = editor.received("window/workDoneProgress/create").await;
    let error = json!({ "code": -32603, "message": "no" });
    editor.write(json!({ "id": create["id"], "error": error })).await;
    editor.finish(daemon).await;
}

#[tokio::test]
async fn settings_are_pulled_and_told_when_they_differ() {
    let mut capabilities = modern();
    capabilities["workspace"]["configuration"] = true.into();
    let (mut editor, mut daemon) = Editor::open(capabilities).await;
    for settings in [json!({ "fix": { "jobs": 2 } }), json!({ "fix": { "jobs": 2 } })] {
        let pull = editor.received("workspace/configuration").await;
        assert_eq!(pull["params"]["items"][0]["section"], "greenlit");
        editor.answer(&pull, json!([settings])).await;
        editor.notify("workspace/didChangeConfiguration", json!({ "settings": null })).await;
    }
    let settings = Some(r#"{"fix":{"jobs":2}}"#.to_owned());
    assert_eq!(daemon.notification().await, Notification::SettingsChanged { settings });
    let pull = editor.received("workspace/configuration").await;
    editor.answer(&pull, json!([null])).await;
    editor.finish(daemon).await;
}

#[tokio::test]
async fn settings_that_are_sent_are_told() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let settings = json!({ "settings": { "greenlit": { "run": { "on_save": false } } } });
    editor.notify("workspace/didChangeConfiguration", settings).await;
    let settings = Some(r#"{"run":{"on_save":false}}"#.to_owned());
    assert_eq!(daemon.notification().await, Notification::SettingsChanged { settings });
    editor.finish(daemon).await;
}

#[tokio::test]
async fn closing_a_folder_clears_what_was_found_in_it() {
    let (mut editor, mut daemon) = with_finding(modern()).await;
    editor.diagnostics().await;
    let folder = json!({ "uri": editor.uri(""), "name": "root" });
    let event = json!({ "event": { "added": [], "removed": [folder] } });
    editor.notify("workspace/didChangeWorkspaceFolders", event).await;
    assert_eq!(daemon.notification().await, Notification::RootsChanged { roots: vec![] });
    let cleared = editor.diagnostics().await;
    assert_eq!(cleared["uri"], editor.uri("test.py"));
    assert_eq!(cleared["diagnostics"], json!([]));
    // Late results of a closed folder change nothing.
    daemon.findings(&editor.root(), 8, vec![finding(&editor.root())]).await;
    editor.finish(daemon).await;
}
