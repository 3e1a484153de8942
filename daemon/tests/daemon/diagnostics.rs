//! Diagnostics that an editor tells of, seen from the editor's side of the real daemon.

use std::path::{Path, PathBuf};

use greenlit_client::{Connection, connect};
use greenlit_protocol::{
    DiagnosticTool, Event, Finding, FindingKind, Notification, ProgressStage, SeenDiagnostic,
    TextChange,
};

use crate::support::{User, within};

const TEXT: &str = "import os\n";

/// The virtual environment that has ruff.
fn venv() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/python");
    let python = std::env::var_os("GREENLIT_TEST_PYTHON").map_or(tools, PathBuf::from);
    let venv = python.parent().and_then(Path::parent).unwrap().to_owned();
    assert!(venv.join("bin/ruff").is_file(), "no ruff: run `cargo xtask test` once");
    venv
}

async fn editor(user: &User, root: &Path) -> Connection {
    let mut options = user.options();
    let session = &mut options.session;
    session.background = true;
    session.roots = vec![root.to_owned()];
    session.env = std::env::vars_os().collect();
    session.env.insert("VIRTUAL_ENV".into(), venv().into());
    // Only what is about diagnostics happens.
    let settings = r#"{"run":{"on_open":false,"on_save":false},"fix":{"without_tests":true}}"#;
    session.settings = Some(settings.to_owned());
    connect(&options).await.unwrap()
}

fn seen(document: &Path, version: i32) -> Notification {
    let diagnostic = SeenDiagnostic {
        tool: DiagnosticTool::Ruff,
        code: Some("F401".to_owned()),
        message: "`os` imported but unused".to_owned(),
        start: 7,
        end: 9,
    };
    let document = document.to_owned();
    Notification::DiagnosticsSeen { document, version, diagnostics: vec![diagnostic] }
}

/// The next findings of the root.
async fn findings(editor: &mut Connection) -> Vec<Finding> {
    loop {
        let event = within("findings", editor.events.recv()).await.unwrap();
        if let Event::Findings { findings, .. } = event {
            return findings;
        }
    }
}

/// Waits for the end of a job.
async fn ended(editor: &mut Connection) {
    loop {
        let event = within("the end of a job", editor.events.recv()).await.unwrap();
        if matches!(event, Event::Progress { stage: ProgressStage::End { .. }, .. }) {
            return;
        }
    }
}

#[tokio::test]
async fn ruff_fixes_go_with_a_change_and_come_back_when_it_changed_nothing() {
    let (user, dir) = (User::new(), tempfile::tempdir().unwrap());
    let root = dir.path().canonicalize().unwrap().join("checkout");
    std::fs::create_dir(&root).unwrap();
    let document = root.join("a.py");
    std::fs::write(&document, TEXT).unwrap();
    let mut editor = editor(&user, &root).await;
    let text = Some(TEXT.to_owned());
    let opened = Notification::DocumentOpened { document: document.clone(), version: 2, text };
    editor.client.notify(opened).unwrap();
    editor.client.notify(seen(&document, 1)).unwrap();
    editor.client.notify(seen(&document, 2)).unwrap();

    ended(&mut editor).await;
    let found = findings(&mut editor).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].kind, found[0].line), (FindingKind::Diagnostic, 1));
    let fixes = found[0].fixes.clone();
    assert_eq!(fixes.len(), 1, "{fixes:?}");
    assert_eq!(fixes[0].entry.evidence.diagnostic.as_ref().unwrap().seen.start, 7);
    assert_eq!(fixes[0].entry.evidence.scope, "none");

    // Another file comes and goes: nothing that the verdict depends on is different afterwards.
    let other = root.join("b.py");
    std::fs::write(&other, "x = 1\n").unwrap();
    while !findings(&mut editor).await.is_empty() {}
    std::fs::remove_file(&other).unwrap();
    let mut back = findings(&mut editor).await;
    while back.is_empty() {
        back = findings(&mut editor).await;
    }
    assert_eq!(back[0].fixes[0].id, fixes[0].id);

    // Edited: gone, until it is seen in the new text.
    let changes = vec![TextChange { start: 0, end: 0, text: "\n".to_owned() }];
    let changed = Notification::DocumentChanged { document: document.clone(), version: 3, changes };
    editor.client.notify(changed).unwrap();
    while !findings(&mut editor).await.is_empty() {}
}
