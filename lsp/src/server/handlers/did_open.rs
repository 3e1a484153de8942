//! `textDocument/didOpen`

use lsp_types::{DidOpenTextDocumentParams, MessageType};

use crate::server::documents::{Document, MAX_FOLLOWED};
use crate::server::session::Session;

pub(crate) fn did_open(session: &Session, params: DidOpenTextDocumentParams) {
    let item = params.text_document;
    let (path, opened, followed) = {
        let mut state = session.state();
        let Some(path) = state.roots.path(&item.uri) else {
            tracing::debug!(uri = %item.uri, "not a file, so not followed");
            return;
        };
        let document = Document::new(item.uri, item.version, &item.text);
        let opened = document.opened(path.clone());
        let followed = document.rope().is_some();
        state.documents.insert(path.clone(), document);
        (path, opened, followed)
    };
    session.notify(opened);
    if !followed {
        let text = format!(
            "{} is larger than {} MiB: unsaved edits in it are not seen",
            path.display(),
            MAX_FOLLOWED >> 20
        );
        session.log(MessageType::INFO, text);
    }
    session.publish([path.as_path()]);
}
