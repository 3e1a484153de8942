//! `greenlit/fixes`: the fixes on offer, for editors that list them beside tests.

use greenlit_protocol::OfferedFix;
use lsp_types::Url;
use serde::{Deserialize, Serialize};
use tower_lsp::jsonrpc::{Error, Result};

use crate::server::session::Session;
use crate::server::state::State;
use crate::server::to_proto::ActionData;

/// What `greenlit/fixes` takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FixesParams {
    /// URI or path; without one all roots are meant.
    #[serde(default)]
    root: Option<String>,
    /// Fixes of one of these tests; none means all.
    #[serde(default)]
    tests: Vec<String>,
}

/// A fix on offer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ListedFix {
    id: String,
    root: Option<Url>,
    title: String,
    summary: String,
    tests: Vec<String>,
    rank: u32,
    /// For `codeAction/resolve`.
    data: ActionData,
}

/// Fixes that hold for the texts of now, each once, the best first.
pub(crate) fn fixes(session: &Session, params: FixesParams) -> Result<Vec<ListedFix>> {
    let mut state = session.state();
    let State { findings, documents, roots, .. } = &mut *state;
    let root = match &params.root {
        Some(name) => {
            let root = roots.find(name);
            Some(root.ok_or_else(|| Error::invalid_params(format!("`{name}` is not open")))?)
        }
        None => None,
    };
    let mends = |fix: &OfferedFix| {
        params.tests.is_empty() || fix.entry.tests.iter().any(|test| params.tests.contains(test))
    };
    let mut listed: Vec<(ActionData, OfferedFix)> = Vec::new();
    for offer in findings.offers() {
        let wanted = root.as_deref().is_none_or(|root| offer.root == root) && mends(offer.fix);
        if wanted && !listed.iter().any(|(data, _)| data.fix == offer.fix.id) {
            let data = ActionData {
                fix: offer.fix.id.clone(),
                root: offer.root.to_owned(),
                revision: offer.revision,
            };
            listed.push((data, offer.fix.clone()));
        }
    }
    listed.retain(|(data, fix)| findings.holds(documents, &data.root, &fix.entry));
    listed.sort_by_key(|(_, fix)| fix.entry.rank);
    let listed = listed.into_iter().map(|(data, fix)| ListedFix {
        id: fix.id,
        root: roots.uri(&data.root),
        title: fix.title,
        summary: fix.summary,
        tests: fix.entry.tests,
        rank: fix.entry.rank,
        data,
    });
    Ok(listed.collect())
}
