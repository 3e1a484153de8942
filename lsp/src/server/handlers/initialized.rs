//! `initialized`: only now, with the editor served, is the daemon looked for.

use std::sync::Arc;
use std::time::Duration;

use lsp_types::{ConfigurationItem, Registration};

use crate::server::session::Session;
use crate::server::settings::SECTION;

/// How long the editor may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

pub(crate) fn initialized(session: &Arc<Session>) {
    session.connect();
    let features = session.state().features.clone();
    if features.configuration {
        pull_settings(session);
    }
    if features.registers_configuration {
        let client = session.client().clone();
        tokio::spawn(async move {
            let registration = Registration {
                id: "greenlit/settings".to_owned(),
                method: "workspace/didChangeConfiguration".to_owned(),
                register_options: Some(serde_json::json!({ "section": SECTION })),
            };
            let registered = client.register_capability(vec![registration]);
            match tokio::time::timeout(ANSWER, registered).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::info!(%error, "changed settings will not be told"),
                Err(_) => tracing::info!("the editor does not answer a registration"),
            }
        });
    }
}

/// Asks the editor for its settings, in the background.
pub(crate) fn pull_settings(session: &Arc<Session>) {
    let session = session.clone();
    tokio::spawn(async move {
        let item = ConfigurationItem { scope_uri: None, section: Some(SECTION.to_owned()) };
        let asked = session.client().configuration(vec![item]);
        match tokio::time::timeout(ANSWER, asked).await {
            // No section: what came with `initialize` stays.
            Ok(Ok(values)) => {
                if let Some(value) = values.into_iter().next().filter(|value| value.is_object()) {
                    super::set_settings(&session, value);
                }
            }
            Ok(Err(error)) => tracing::info!(%error, "the editor gives no settings"),
            Err(_) => tracing::info!("the editor does not answer what its settings are"),
        }
    });
}
