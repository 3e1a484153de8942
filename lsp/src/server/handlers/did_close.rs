//! `textDocument/didClose`

use greenlit_protocol::Notification;
use lsp_types::DidCloseTextDocumentParams;

use crate::server::session::Session;

pub(crate) fn did_close(session: &Session, params: DidCloseTextDocumentParams) {
    let path = {
        let mut state = session.state();
        let Some(path) = state.roots.path(&params.text_document.uri) else { return };
        if state.documents.remove(&path).is_none() {
            return;
        }
        state.seen.closed(&path);
        path
    };
    session.notify(Notification::DocumentClosed { document: path.clone() });
    session.publish([path.as_path()]);
}
