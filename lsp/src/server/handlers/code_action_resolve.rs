//! `codeAction/resolve`: the edit, if what was verified is still what stands there.

use lsp_types::CodeAction;
use tower_lsp::jsonrpc::{Error, Result};

use crate::server::session::Session;
use crate::server::state::State;
use crate::server::to_proto::{self, ActionData};

pub(crate) fn code_action_resolve(session: &Session, mut action: CodeAction) -> Result<CodeAction> {
    let data = action.data.clone().unwrap_or_default();
    let data: ActionData = serde_json::from_value(data)
        .map_err(|error| Error::invalid_params(format!("not an action of greenlit: {error}")))?;
    let mut state = session.state();
    let offer = state.findings.offers().find(|o| o.root == data.root && o.fix.id == data.fix);
    let fix = offer.map(|offer| offer.fix.clone()).ok_or_else(moved_on)?;
    let State { findings, documents, features, roots, .. } = &mut *state;
    if !findings.holds(documents, &data.root, &fix.entry) {
        return Err(moved_on());
    }
    let edit = to_proto::workspace_edit(&data.root, &fix.entry, features, roots, documents);
    action.edit = Some(edit.ok_or_else(moved_on)?);
    state.expect(&data.root, &fix);
    Ok(action)
}

fn moved_on() -> Error {
    let mut error = Error::content_modified();
    error.message =
        "the code changed since this fix was verified; save to have it verified again".into();
    error
}
