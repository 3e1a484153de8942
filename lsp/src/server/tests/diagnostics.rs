//! Diagnostics of other servers in the context of code actions.

use greenlit_protocol::{DiagnosticTool, MendedDiagnostic, SeenDiagnostic};

use super::*;

const LINT: &str = "import os\n\u{1d54f} = 1; x = 2\n";

fn diagnostic(source: &str, code: Value, columns: (u32, u32)) -> Value {
    json!({
        "range": {
            "start": { "line": 1, "character": columns.0 },
            "end": { "line": 1, "character": columns.1 },
        },
        "source": source, "code": code, "message": "x is not used\nmore",
    })
}

async fn menu(editor: &mut Editor, diagnostics: &[Value]) -> Value {
    let at = json!({ "line": 1, "character": 0 });
    let params = json!({
        "textDocument": { "uri": editor.uri("lint.py") },
        "range": { "start": at, "end": at },
        "context": { "diagnostics": diagnostics },
    });
    editor.ask("textDocument/codeAction", params).await.unwrap()
}

fn seen(tool: DiagnosticTool, code: &str) -> SeenDiagnostic {
    let start = LINT.find('x').unwrap();
    let (code, message) = (Some(code.to_owned()), "x is not used\nmore".to_owned());
    SeenDiagnostic { tool, code, message, start, end: start + 1 }
}

fn told(editor: &Editor, version: i32, diagnostics: Vec<SeenDiagnostic>) -> Notification {
    Notification::DiagnosticsSeen { document: editor.path("lint.py"), version, diagnostics }
}

/// A fix of ruff's diagnostic.
fn mended(editor: &Editor) -> Finding {
    let mut finding = finding(&editor.root());
    let seen = seen(DiagnosticTool::Ruff, "F841");
    finding.kind = FindingKind::Diagnostic;
    finding.test = None;
    finding.path = editor.path("lint.py");
    finding.content_hash = hash(LINT);
    finding.related.clear();
    let fix = &mut finding.fixes[0];
    fix.title = "Fix x is not used (F841) · checked".into();
    let at = seen.start;
    fix.entry.edits =
        vec![FileEdit { path: "lint.py".into(), start: at, end: at + 5, new_text: "".into() }];
    fix.entry.evidence.content_hashes = BTreeMap::from([("lint.py".into(), hash(LINT))]);
    fix.entry.evidence.diagnostic =
        Some(MendedDiagnostic { seen, revealed: 0, first_run: 0, not_run: Vec::new() });
    finding
}

async fn open() -> (Editor, DaemonSide) {
    let (mut editor, mut daemon) = Editor::open(modern()).await;
    std::fs::write(editor.path("lint.py"), LINT).unwrap();
    editor.did_open("lint.py", LINT).await;
    daemon.notification().await;
    (editor, daemon)
}

#[tokio::test]
async fn each_diagnostic_of_a_version_is_told_once_and_unknown_ones_never() {
    let (mut editor, mut daemon) = open().await;
    let context = [
        diagnostic("Ruff", json!("F841"), (8, 9)),
        diagnostic("typescript", json!(2322), (8, 9)),
        diagnostic("Pyright", json!("reportUnused"), (8, 9)),
        diagnostic("greenlit", json!("test.py::test_gcd"), (8, 9)),
    ];
    assert_eq!(menu(&mut editor, &context).await, json!([]));
    let both = vec![seen(DiagnosticTool::Ruff, "F841"), seen(DiagnosticTool::Tsc, "2322")];
    let (first, second) = (told(&editor, 1, both), told(&editor, 2, Vec::new()));
    assert_eq!(daemon.notification().await, first);
    // `finish` fails on anything told a second time.
    assert_eq!(menu(&mut editor, &context).await, json!([]));
    let changes = json!([{ "text": LINT }]);
    editor.did_change("lint.py", 2, changes).await;
    daemon.notification().await;
    assert_eq!(menu(&mut editor, &context[..1]).await, json!([]));
    let Notification::DiagnosticsSeen { version, diagnostics, .. } = daemon.notification().await
    else {
        panic!("expected {second:?}");
    };
    assert_eq!((version, diagnostics.len()), (2, 1));
    let status = json!({ "command": "greenlit.status", "arguments": [] });
    let id = editor.request("workspace/executeCommand", status).await;
    let (_, answer) = daemon.request().await;
    drop(answer);
    let status = editor.response(id).await.unwrap();
    assert_eq!(status["ignoredDiagnostics"], 1);
    editor.finish(daemon).await;
}

#[tokio::test]
async fn a_new_daemon_is_told_again() {
    let (mut editor, mut daemon) = open().await;
    let context = [diagnostic("Ruff", json!("F841"), (8, 9))];
    menu(&mut editor, &context).await;
    let news = daemon.notification().await;
    assert_eq!(daemon.replay().last(), Some(&news));
    // Not of a text that is gone.
    editor.did_change("lint.py", 2, json!([{ "text": "x = 1\n" }])).await;
    daemon.notification().await;
    assert!(!daemon.replay().iter().any(|n| matches!(n, Notification::DiagnosticsSeen { .. })));
    editor.finish(daemon).await;
}

#[tokio::test]
async fn a_fix_stands_at_its_diagnostic_while_the_text_holds_and_is_not_published() {
    let (mut editor, mut daemon) = open().await;
    let context =
        [diagnostic("Ruff", json!("E702"), (8, 9)), diagnostic("Ruff", json!("F841"), (8, 9))];
    menu(&mut editor, &context).await;
    daemon.notification().await;
    // A test's finding comes with it: only that one is published.
    std::fs::write(editor.path("test.py"), TEST).unwrap();
    daemon.findings(&editor.root(), 7, vec![mended(&editor), finding(&editor.root())]).await;
    assert_eq!(editor.diagnostics().await["uri"], editor.uri("test.py"));
    let actions = menu(&mut editor, &context).await;
    assert_eq!(actions[0]["title"], "Fix x is not used (F841) · checked");
    assert_eq!(actions[0]["kind"], "quickfix");
    assert_eq!(actions[0]["diagnostics"], json!([context[1]]));
    let resolved = editor.ask("codeAction/resolve", actions[0].clone()).await.unwrap();
    let edit = &resolved["edit"]["documentChanges"][0]["edits"][0];
    assert_eq!(edit["range"]["start"], json!({ "line": 1, "character": 8 }));
    editor.did_change("lint.py", 2, json!([{ "text": "x = 1\n" }])).await;
    daemon.notification().await;
    assert_eq!(menu(&mut editor, &[]).await, json!([]));
    editor.finish(daemon).await;
}
