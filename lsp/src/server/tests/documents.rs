use super::*;

use greenlit_protocol::TextChange;

#[tokio::test]
async fn edits_keep_their_order_among_slow_requests() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    editor.did_open("a.py", "").await;
    let opened = Notification::DocumentOpened {
        document: editor.path("a.py"),
        version: 1,
        text: Some(String::new()),
    };
    assert_eq!(daemon.notification().await, opened);
    let mut slow = Vec::new();
    let mut answers = Vec::new();
    let mut expected = String::new();
    for version in 2..=200 {
        if version % 4 == 0 {
            let status = json!({ "command": "greenlit.status" });
            slow.push(editor.request("workspace/executeCommand", status).await);
        }
        let text = format!("{version},");
        let at = json!({ "line": 0, "character": expected.len() });
        let change = json!([{ "range": { "start": at, "end": at }, "text": text }]);
        editor.did_change("a.py", version, change).await;
        expected.push_str(&text);
    }
    let mut text = String::new();
    for version in 2..=200 {
        let Notification::DocumentChanged { version: told, changes, .. } =
            daemon.notification().await
        else {
            panic!("not a change")
        };
        assert_eq!(told, version);
        for TextChange { start, end, text: new } in changes {
            text.replace_range(start..end, &new);
        }
    }
    assert_eq!(text, expected);
    // All of them still wait, and the server answers.
    assert_eq!(editor.code_actions("a.py", 0).await, json!([]));
    assert!(slow.len() < crate::server::CONCURRENCY);
    for _ in &slow {
        let (request, answer) = daemon.request().await;
        assert_eq!(request, Request::Status);
        answers.push(answer);
    }
    answers.clear();
    for id in slow {
        editor.response(id).await.unwrap();
    }
    editor.finish(daemon).await;
}

#[tokio::test]
async fn a_request_can_be_cancelled_while_edits_go_on() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let arguments = json!({ "command": "greenlit.showEvidence", "arguments": ["fix-1"] });
    let id = editor.request("workspace/executeCommand", arguments).await;
    let (request, mut answer) = daemon.request().await;
    assert_eq!(request, Request::Evidence { fix: "fix-1".into() });
    editor.notify("$/cancelRequest", json!({ "id": id })).await;
    within("the daemon to be told", answer.closed()).await;
    assert_eq!(editor.response(id).await.unwrap_err()["code"], -32800);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn a_new_daemon_learns_what_is_open_now() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    editor.did_open("a.py", "one").await;
    let at = json!({ "line": 0, "character": 3 });
    let change = json!([{ "range": { "start": at, "end": at }, "text": "!" }]);
    editor.did_change("a.py", 2, change).await;
    editor.did_open("b.py", "two").await;
    editor
        .notify("textDocument/didClose", json!({ "textDocument": { "uri": editor.uri("b.py") } }))
        .await;
    for _ in 0..3 {
        daemon.notification().await;
    }
    assert_eq!(
        daemon.notification().await,
        Notification::DocumentClosed { document: editor.path("b.py") }
    );
    assert_eq!(
        daemon.replay(),
        [
            Notification::SettingsChanged { settings: None },
            Notification::RootsChanged { roots: vec![editor.root()] },
            Notification::DocumentOpened {
                document: editor.path("a.py"),
                version: 2,
                text: Some("one!".into()),
            },
        ]
    );
    editor
        .notify("textDocument/didSave", json!({ "textDocument": { "uri": editor.uri("a.py") } }))
        .await;
    assert_eq!(
        daemon.notification().await,
        Notification::DocumentSaved { document: editor.path("a.py") }
    );
    editor.finish(daemon).await;
}

#[tokio::test]
async fn versions_that_do_not_grow_send_the_whole_text() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    editor.did_open("a.py", "one").await;
    daemon.notification().await;
    editor.did_change("a.py", 1, json!([{ "text": "two" }])).await;
    let document = editor.path("a.py");
    let text = Some("two".to_owned());
    assert_eq!(
        daemon.notification().await,
        Notification::DocumentOpened { document, version: 1, text }
    );
    editor.finish(daemon).await;
}

#[tokio::test]
async fn what_cannot_be_followed_is_not_guessed_at() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    let large = "x".repeat(crate::server::documents::MAX_FOLLOWED + 1);
    editor.did_open("large.py", &large).await;
    let document = editor.path("large.py");
    let opened = Notification::DocumentOpened { document, version: 1, text: None };
    assert_eq!(daemon.notification().await, opened);
    let logged = editor.received("window/logMessage").await["params"]["message"].clone();
    assert!(logged.as_str().unwrap().ends_with("unsaved edits in it are not seen"));
    editor.did_change("large.py", 2, json!([{ "text": "y" }])).await;

    editor.did_open("a.py", "abc").await;
    daemon.notification().await;
    let (start, end) = (json!({ "line": 0, "character": 2 }), json!({ "line": 0, "character": 1 }));
    let backwards = json!([{ "range": { "start": start, "end": end }, "text": "" }]);
    editor.did_change("a.py", 2, backwards).await;
    let document = editor.path("a.py");
    let lost = Notification::DocumentOpened { document, version: 2, text: None };
    assert_eq!(daemon.notification().await, lost);
    let logged = editor.received("window/logMessage").await["params"]["message"].clone();
    assert!(logged.as_str().unwrap().contains("makes no sense"));

    let item = json!({ "uri": "untitled:1", "languageId": "x", "version": 1, "text": "" });
    editor.notify("textDocument/didOpen", json!({ "textDocument": item })).await;
    editor.notify("textDocument/didOpen", json!({ "nonsense": true })).await;
    editor.finish(daemon).await;
}
