use super::*;

#[tokio::test]
async fn a_finding_becomes_a_diagnostic_and_its_fix_an_action() {
    let (mut editor, daemon) = with_finding(modern()).await;
    let published = editor.diagnostics().await;
    assert_eq!(published["uri"], editor.uri("test.py"));
    assert_eq!(published["version"], 1);
    assert_eq!(
        published["diagnostics"],
        json!([{
            "range": {
                "start": { "line": 1, "character": 4 },
                "end": { "line": 1, "character": 25 },
            },
            "severity": 1,
            "code": "test.py::test_gcd",
            "source": "greenlit",
            "message": "assert 4 == 2",
            "relatedInformation": [{
                "location": {
                    "uri": editor.uri("gcd.py"),
                    "range": {
                        "start": { "line": 0, "character": 0 },
                        "end": { "line": 0, "character": 16 },
                    },
                },
                "message": "suspicious",
            }],
        }])
    );

    // At the failure and at the suspicious line, and nowhere else.
    assert_eq!(editor.code_actions("test.py", 0).await, json!([]));
    let at_cause = editor.code_actions("gcd.py", 0).await;
    assert_eq!(at_cause.as_array().unwrap().len(), 1);
    let at = json!({ "line": 1, "character": 6 });
    let params = json!({
        "textDocument": { "uri": editor.uri("test.py") },
        "range": { "start": at, "end": at },
        "context": { "diagnostics": published["diagnostics"] },
    });
    let actions = editor.ask("textDocument/codeAction", params.clone()).await.unwrap();
    let action = actions[0].clone();
    assert_eq!(action["title"], "Fix test_gcd · verified");
    assert_eq!(action["kind"], "quickfix");
    assert_eq!(action["isPreferred"], true);
    assert_eq!(action["diagnostics"], published["diagnostics"]);
    assert_eq!(action["edit"], Value::Null);
    assert_eq!(action["data"]["fix"], "fix-1");

    let resolved = editor.ask("codeAction/resolve", action).await.unwrap();
    assert_eq!(
        resolved["edit"],
        json!({ "documentChanges": [{
            "textDocument": { "uri": editor.uri("gcd.py"), "version": 1 },
            "edits": [{
                "range": {
                    "start": { "line": 0, "character": 15 },
                    "end": { "line": 0, "character": 16 },
                },
                "newText": "\u{1d54f}",
            }],
        }] })
    );

    // Only the kinds that were asked for.
    let mut refactor = params;
    refactor["context"]["only"] = json!(["refactor"]);
    assert_eq!(editor.ask("textDocument/codeAction", refactor).await.unwrap(), Value::Null);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn applying_the_fix_exactly_is_told_once() {
    let (mut editor, mut daemon) = with_finding(modern()).await;
    editor.diagnostics().await;
    let actions = editor.code_actions("test.py", 1).await;
    editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap();
    let range = |from: u32, to: u32| {
        json!({
            "start": { "line": 0, "character": from },
            "end": { "line": 0, "character": to },
        })
    };
    // Something else first: not the fix.
    editor.did_change("gcd.py", 2, json!([{ "range": range(15, 16), "text": "y" }])).await;
    editor.did_change("gcd.py", 3, json!([{ "range": range(15, 16), "text": "\u{1d54f}" }])).await;
    editor.did_change("gcd.py", 4, json!([{ "range": range(0, 0), "text": " " }])).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(daemon.notification().await);
    }
    let decision = Notification::FixDecision { fix: "fix-1".into(), applied: true };
    assert_eq!(told[2], decision);
    assert_eq!(told.iter().filter(|told| **told == decision).count(), 1);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn applying_a_fix_is_told_when_findings_with_it_came_meanwhile() {
    let (mut editor, mut daemon) = with_finding(modern()).await;
    editor.diagnostics().await;
    let actions = editor.code_actions("test.py", 1).await;
    editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap();
    // A search that goes on tells again what it has, and more.
    let more = Finding { message: "as before, and more".into(), ..finding(&editor.root()) };
    daemon.findings(&editor.root(), 7, vec![more]).await;
    editor.diagnostics().await;
    let range = json!({
        "start": { "line": 0, "character": 15 },
        "end": { "line": 0, "character": 16 },
    });
    editor.did_change("gcd.py", 2, json!([{ "range": range, "text": "\u{1d54f}" }])).await;
    daemon.notification().await;
    let decision = Notification::FixDecision { fix: "fix-1".into(), applied: true };
    assert_eq!(daemon.notification().await, decision);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn a_fix_is_withheld_as_soon_as_its_text_differs_and_back_when_it_does_not() {
    let (mut editor, mut daemon) = with_finding(modern()).await;
    editor.diagnostics().await;
    let actions = editor.code_actions("test.py", 1).await;
    assert_eq!(actions.as_array().unwrap().len(), 1);

    // The cause changes: the failure stays visible, its fix is not offered any more.
    editor.did_change("gcd.py", 2, json!([{ "text": "something else" }])).await;
    daemon.notification().await;
    assert_eq!(editor.code_actions("test.py", 1).await, json!([]));
    let error = editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap_err();
    assert_eq!(error["code"], -32801);

    editor.did_change("gcd.py", 3, json!([{ "text": CODE }])).await;
    daemon.notification().await;
    assert_eq!(editor.code_actions("test.py", 1).await.as_array().unwrap().len(), 1);
    let resolved = editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap();
    let version = &resolved["edit"]["documentChanges"][0]["textDocument"]["version"];
    assert_eq!(*version, 3);

    // The test changes: the finding goes too.
    editor.did_change("test.py", 2, json!([{ "text": "pass\n" }])).await;
    daemon.notification().await;
    assert_eq!(editor.diagnostics().await["diagnostics"], json!([]));
    assert_eq!(editor.code_actions("gcd.py", 0).await, json!([]));
    editor.did_change("test.py", 3, json!([{ "text": TEST }])).await;
    daemon.notification().await;
    assert_eq!(editor.diagnostics().await["diagnostics"].as_array().unwrap().len(), 1);

    // New findings without the fix: it cannot be resolved.
    daemon.findings(&editor.root(), 8, Vec::new()).await;
    assert_eq!(editor.diagnostics().await["diagnostics"], json!([]));
    let error = editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap_err();
    assert_eq!(error["code"], -32801);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn findings_for_another_text_are_not_shown() {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    std::fs::write(editor.path("test.py"), TEST).unwrap();
    editor.did_open("test.py", "unsaved\n").await;
    daemon.notification().await;
    daemon.findings(&editor.root(), 7, vec![finding(&editor.root())]).await;
    assert_eq!(editor.code_actions("test.py", 1).await, json!([]));
    // Closed, the file on disk holds, and the finding is for that.
    let closed = json!({ "textDocument": { "uri": editor.uri("test.py") } });
    editor.notify("textDocument/didClose", closed).await;
    daemon.notification().await;
    let published = editor.diagnostics().await;
    assert_eq!(published["diagnostics"].as_array().unwrap().len(), 1);
    assert_eq!(published["version"], Value::Null);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn closed_files_are_edited_too_and_their_hash_is_checked() {
    let (mut editor, daemon) = Editor::open(modern()).await;
    std::fs::write(editor.path("test.py"), TEST).unwrap();
    std::fs::write(editor.path("gcd.py"), CODE).unwrap();
    daemon.findings(&editor.root(), 7, vec![finding(&editor.root())]).await;
    editor.diagnostics().await;
    let actions = editor.code_actions("test.py", 1).await;
    let resolved = editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap();
    let document = &resolved["edit"]["documentChanges"][0]["textDocument"];
    assert_eq!(*document, json!({ "uri": editor.uri("gcd.py"), "version": null }));
    std::fs::write(editor.path("gcd.py"), "something longer than before\n").unwrap();
    assert_eq!(editor.code_actions("test.py", 1).await, json!([]));
    let error = editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap_err();
    assert_eq!(error["code"], -32801);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn the_three_encodings_place_the_same_edit_differently() {
    for (encoding, column) in [("utf-8", 17), ("utf-16", 15), ("utf-32", 14)] {
        let mut capabilities = modern();
        capabilities["general"]["positionEncodings"] = json!([encoding]);
        let (mut editor, daemon) = with_finding(capabilities).await;
        editor.diagnostics().await;
        let actions = editor.code_actions("gcd.py", 0).await;
        let resolved = editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap();
        let range = &resolved["edit"]["documentChanges"][0]["edits"][0]["range"];
        assert_eq!(range["start"]["character"], column, "{encoding}");
        assert_eq!(range["end"]["character"], column + 1, "{encoding}");
        editor.finish(daemon).await;
    }
}

#[tokio::test]
async fn plain_editors_get_plain_edits_at_once() {
    let capabilities = json!({ "textDocument": {
        "publishDiagnostics": {},
        "codeAction": { "codeActionLiteralSupport": { "codeActionKind": { "valueSet": [] } } },
    } });
    let (mut editor, daemon) = with_finding(capabilities).await;
    let published = editor.diagnostics().await;
    assert_eq!(published["diagnostics"][0]["relatedInformation"], Value::Null);
    let actions = editor.code_actions("test.py", 1).await;
    let edits = &actions[0]["edit"]["changes"][editor.uri("gcd.py")];
    assert_eq!(edits[0]["newText"], "\u{1d54f}");
    editor.finish(daemon).await;
}

#[tokio::test]
async fn editors_that_only_pull_are_told_to() {
    let capabilities = json!({
        "textDocument": { "diagnostic": {} },
        "workspace": { "diagnostic": { "refreshSupport": true } },
    });
    let (mut editor, daemon) = with_finding(capabilities).await;
    let refresh = editor.received("workspace/diagnostic/refresh").await;
    editor.answer(&refresh, Value::Null).await;
    let params = json!({ "textDocument": { "uri": editor.uri("test.py") } });
    let report = editor.ask("textDocument/diagnostic", params).await.unwrap();
    assert_eq!(report["kind"], "full");
    assert_eq!(report["items"][0]["code"], "test.py::test_gcd");
    editor.finish(daemon).await;
}

#[tokio::test]
#[cfg(unix)]
async fn a_linked_root_keeps_the_editors_spelling() {
    let (daemon, connector) = DaemonSide::new();
    let mut editor = Editor::start(connector);
    let real = editor.root().join("real");
    let link = editor.root().join("link");
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    std::fs::write(real.join("test.py"), TEST).unwrap();
    let uri = |path: &Path| lsp_types::Url::from_file_path(path).unwrap().to_string();
    let params = json!({ "capabilities": modern(), "rootUri": uri(&link) });
    editor.ask("initialize", params).await.unwrap();
    editor.notify("initialized", json!({})).await;
    editor.code_actions("x", 0).await;
    assert_eq!(daemon.params().unwrap().roots, std::slice::from_ref(&real));
    daemon.findings(&real, 1, vec![finding(&real)]).await;
    assert_eq!(editor.diagnostics().await["uri"], uri(&link.join("test.py")));
    editor.finish(daemon).await;
}

#[tokio::test]
async fn an_action_of_somebody_else_is_refused() {
    let (mut editor, daemon) = Editor::open(modern()).await;
    let action = json!({ "title": "x", "data": { "other": 1 } });
    let error = editor.ask("codeAction/resolve", action).await.unwrap_err();
    assert_eq!(error["code"], -32602);
    editor.finish(daemon).await;
}
