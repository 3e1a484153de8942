//! `window/workDoneProgress/cancel`

use std::path::Path;
use std::sync::Arc;

use lsp_types::WorkDoneProgressCancelParams;

use crate::server::session::Session;

pub(crate) fn work_done_progress_cancel(
    session: &Arc<Session>,
    params: WorkDoneProgressCancelParams,
) {
    let root = session.progresses().root_of(&params.token).map(Path::to_owned);
    if let Some(root) = root {
        session.cancel(&root);
    }
}
