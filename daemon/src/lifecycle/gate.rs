//! Whether new sessions are taken.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Open until it is closed, once, for good. Clones are one gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    reason: Arc<OnceLock<String>>,
    shut: CancellationToken,
}

impl Gate {
    /// Refuses new sessions from now on; the first reason holds.
    pub(crate) fn close(&self, reason: &str) {
        self.reason.get_or_init(|| reason.to_owned());
        self.shut.cancel();
    }

    /// Waits until it is closed.
    pub(crate) async fn wait(&self) {
        self.shut.cancelled().await;
    }

    /// Why no session is taken; `None` while they are.
    pub(crate) fn closed(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }
}
