//! Whether a model may be downloaded: asked once in a session, and never again after a "Never".

use std::sync::Arc;
use std::sync::atomic::Ordering;

use greenlit_protocol::{ModelAction, PullPlan, PullRequest, Request, Response};
use lsp_types::{MessageActionItem, MessageType};

use super::outgoing::Outgoing;
use super::session::Session;

const DOWNLOAD: &str = "Download";
const NOT_NOW: &str = "Not now";
const NEVER: &str = "Never";

/// Asks the person, beside the search that came without meaning. Nothing is downloaded without an answer.
pub(crate) fn offer(session: &Arc<Session>, plan: PullPlan) {
    if session.asked.swap(true, Ordering::Relaxed) {
        return;
    }
    let here = session.clone();
    // Cancelling the download's progress ends this.
    session.spawn_job(plan.directory.clone(), async move {
        let actions = [DOWNLOAD, NOT_NOW, NEVER].map(|title| MessageActionItem {
            title: title.to_owned(),
            properties: std::collections::HashMap::new(),
        });
        let text = question(&plan);
        let asked =
            here.client().show_message_request(MessageType::INFO, text, Some(actions.into()));
        let answer = match asked.await {
            Ok(answer) => answer.map(|action| action.title),
            Err(error) => {
                tracing::info!(%error, "the editor does not ask");
                None
            }
        };
        match answer.as_deref() {
            Some(DOWNLOAD) => download(&here).await,
            Some(NEVER) => {
                let request = Request::Model(ModelAction::Decline);
                if let Err(error) = here.request(request).await {
                    tracing::warn!(%error, "the answer is not remembered");
                }
            }
            // Looked away: the next session asks again.
            _ => {}
        }
    });
}

fn question(plan: &PullPlan) -> String {
    let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let items = plan.items.iter().map(|item| {
        format!("{} ({}, {}, from {})", item.name, megabytes(item.bytes), item.licence, item.from)
    });
    let items = items.collect::<Vec<_>>().join(" and ");
    format!(
        "Greenlit can search by meaning. It needs to download {items}: {} in all. \
         Your code stays on this machine.",
        megabytes(plan.bytes)
    )
}

async fn download(session: &Session) {
    let pull = PullRequest { agreed: true, ..PullRequest::default() };
    let text = match session.request(Request::Model(ModelAction::Pull(pull))).await {
        Ok(Response::Models(report)) => {
            let model = report.in_use.unwrap_or_default();
            let text = format!("Greenlit searches by meaning from now on, with {model}.");
            return session.send(Outgoing::Show(MessageType::INFO, text));
        }
        Ok(_) => "Greenlit: greenlitd gave an answer to another question".to_owned(),
        Err(error) => super::handlers::explain(&error),
    };
    session.send(Outgoing::Show(MessageType::ERROR, text));
}
