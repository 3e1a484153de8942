//! `textDocument/didChange`

use greenlit_protocol::Notification;
use lsp_types::{DidChangeTextDocumentParams, MessageType};

use crate::server::from_proto;
use crate::server::session::Session;

pub(crate) fn did_change(session: &Session, params: DidChangeTextDocumentParams) {
    let id = params.text_document;
    let mut state = session.state();
    let encoding = state.features.encoding;
    let Some(path) = state.roots.path(&id.uri) else { return };
    let Some(document) = state.documents.get_mut(&path) else {
        tracing::warn!(uri = %id.uri, "a change of a document that is not open");
        return;
    };
    let Some(rope) = document.rope() else {
        document.version = id.version;
        return;
    };
    let in_order = id.version > document.version;
    let (notification, problem) = match from_proto::changes(rope, encoding, params.content_changes)
    {
        Ok((rope, changes)) => {
            document.replace(id.version, rope);
            let notification = if in_order && document.rope().is_some() {
                let document = path.clone();
                Notification::DocumentChanged { document, version: id.version, changes }
            } else {
                // The daemon tells edits apart by version: without one it needs the whole text.
                // Likewise when the text outgrew what is followed.
                document.opened(path.clone())
            };
            (notification, None)
        }
        Err(error) => {
            document.version = id.version;
            document.lose();
            (document.opened(path.clone()), Some(error))
        }
    };
    let completed = state.completed_by(&path);
    let shown = state.findings.mention(&path);
    drop(state);
    session.notify(notification);
    for fix in completed {
        session.notify(Notification::FixDecision { fix, applied: true });
    }
    if let Some(error) = problem {
        let text = format!(
            "an edit of {} makes no sense ({error}): it is not followed until it is reopened",
            path.display()
        );
        session.log(MessageType::WARNING, text);
    }
    if shown {
        session.publish([path.as_path()]);
    }
}
