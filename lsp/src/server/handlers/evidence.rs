//! `greenlit/evidence`: everything kept about a fix, for editors that show it in their own way.

use std::sync::Arc;

use greenlit_protocol::{EvidenceReport, Request, Response};
use lsp_types::Url;
use serde::{Deserialize, Serialize};
use tower_lsp::jsonrpc::Result;

use super::execute_command::unexpected;
use crate::server::session::Session;
use crate::server::state::State;

/// What `greenlit/evidence` takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvidenceParams {
    /// The fix, by its id in the `data` of a code action or in `greenlit/fixes`.
    fix: String,
}

/// What `greenlit/evidence` gives.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Evidence {
    /// The root that the paths of the report are relative to, while the fix is known here.
    root: Option<Url>,
    /// Whether the files still have the contents that it was verified on.
    holds: bool,
    /// The report, its fields as in the objects of `--json`.
    report: EvidenceReport,
}

pub(crate) async fn evidence(session: &Arc<Session>, params: EvidenceParams) -> Result<Evidence> {
    let report = match session.request(Request::Evidence { fix: params.fix }).await {
        Ok(Response::Evidence(report)) => report,
        other => return Err(unexpected(other)),
    };
    let mut state = session.state();
    let offer = state.findings.offers().find(|offer| offer.fix.id == report.id);
    let root = offer.map(|offer| offer.root.to_owned());
    let State { findings, documents, roots, .. } = &mut *state;
    let holds = root.as_ref().is_some_and(|root| findings.holds(documents, root, &report.entry));
    Ok(Evidence { root: root.and_then(|root| roots.uri(&root)), holds, report })
}
