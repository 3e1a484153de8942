//! What goes to the editor unasked, in order, from one task.

use lsp_types::notification::{Notification, Progress};
use lsp_types::{MessageType, ProgressParams, PublishDiagnosticsParams, Url};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tower_lsp::Client;

use super::test_results::TestResults;

/// One message to the editor.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Diagnostics of one file.
    Publish(PublishDiagnosticsParams),
    /// Asks the editor to pull diagnostics again.
    RefreshDiagnostics,
    /// A line for the editor's log.
    Log(MessageType, String),
    /// A message that the person should see.
    Show(MessageType, String),
    /// A step of something long.
    Progress(ProgressParams),
    /// For the status line.
    Status(Status),
    /// How tests ended.
    Tests(TestResults),
}

/// `greenlit/status`: what a status line shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// `connecting`, `up`, `down` or `gave-up`.
    pub(crate) daemon: String,
    /// The workspace root; absent when it is about the daemon alone.
    pub(crate) root: Option<Url>,
    /// `idle`, `testing`, `fixing`, `settled` or `problem`.
    pub(crate) phase: Option<String>,
    /// Tests that passed in the last run.
    pub(crate) passed: Option<u32>,
    /// Tests that failed.
    pub(crate) failing: Option<u32>,
    /// Fixes on offer.
    pub(crate) fixes: Option<u32>,
    /// One line more: what the problem is, why there is no daemon.
    pub(crate) message: Option<String>,
}

enum StatusNotification {}

impl Notification for StatusNotification {
    type Params = Status;
    const METHOD: &'static str = "greenlit/status";
}

enum TestResultsNotification {}

/// `greenlit/testResults`, for editors that say `experimental: { greenlitTestResults: true }`.
impl Notification for TestResultsNotification {
    type Params = TestResults;
    const METHOD: &'static str = "greenlit/testResults";
}

/// Starts the task; it ends with the last sender.
pub(crate) fn start(client: Client) -> mpsc::UnboundedSender<Outgoing> {
    let (sender, mut messages) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            match message {
                Outgoing::Publish(params) => {
                    let PublishDiagnosticsParams { uri, diagnostics, version } = params;
                    client.publish_diagnostics(uri, diagnostics, version).await;
                }
                Outgoing::RefreshDiagnostics => {
                    let client = client.clone();
                    // A request: its answer must not hold up what comes next.
                    tokio::spawn(async move { client.workspace_diagnostic_refresh().await });
                }
                Outgoing::Log(kind, text) => client.log_message(kind, text).await,
                Outgoing::Show(kind, text) => client.show_message(kind, text).await,
                Outgoing::Progress(params) => client.send_notification::<Progress>(params).await,
                Outgoing::Tests(results) => {
                    client.send_notification::<TestResultsNotification>(results).await;
                }
                Outgoing::Status(status) => {
                    client.send_notification::<StatusNotification>(status).await;
                }
            }
        }
    });
    sender
}
