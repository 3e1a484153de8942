//! `textDocument/didSave`

use greenlit_protocol::Notification;
use lsp_types::DidSaveTextDocumentParams;

use crate::server::session::Session;

pub(crate) fn did_save(session: &Session, params: DidSaveTextDocumentParams) {
    let path = session.state().roots.path(&params.text_document.uri);
    if let Some(document) = path {
        session.notify(Notification::DocumentSaved { document });
    }
}
