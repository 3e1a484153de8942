//! `workspace/didChangeConfiguration`

use std::sync::Arc;

use greenlit_protocol::Notification;
use lsp_types::DidChangeConfigurationParams;
use serde_json::Value;

use crate::server::session::Session;
use crate::server::settings;

pub(crate) fn did_change_configuration(
    session: &Arc<Session>,
    params: DidChangeConfigurationParams,
) {
    let asks = session.state().features.configuration;
    // Editors that answer questions about settings send nothing useful here.
    if asks {
        super::pull_settings(session);
    } else {
        set_settings(session, params.settings);
    }
}

/// Takes the editor's settings over and tells the daemon, when they differ.
pub(crate) fn set_settings(session: &Session, value: Value) {
    let settings = settings::normalize(value);
    {
        let mut state = session.state();
        if state.settings == settings {
            return;
        }
        state.settings.clone_from(&settings);
    }
    session.notify(Notification::SettingsChanged { settings });
}
