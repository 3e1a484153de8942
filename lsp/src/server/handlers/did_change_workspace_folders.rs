//! `workspace/didChangeWorkspaceFolders`

use std::path::PathBuf;

use greenlit_protocol::Notification;
use lsp_types::DidChangeWorkspaceFoldersParams;

use crate::server::session::Session;

pub(crate) fn did_change_workspace_folders(
    session: &Session,
    params: DidChangeWorkspaceFoldersParams,
) {
    let (roots, publications) = {
        let mut state = session.state();
        let mut after = state.roots.clone();
        params.event.removed.iter().for_each(|folder| after.remove(&folder.uri));
        params.event.added.iter().for_each(|folder| after.add(&folder.uri));
        let roots = after.canonical();
        let gone = state.findings.keep_roots(&roots);
        // Cleared under the names that they were published with, so before the roots go.
        let publications = state.publications(gone.iter().map(PathBuf::as_path));
        state.roots = after;
        (roots, publications)
    };
    session.notify(Notification::RootsChanged { roots });
    session.send_publications(publications);
}
