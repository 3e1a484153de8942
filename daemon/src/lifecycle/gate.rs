//! Whether new sessions are taken.

use std::sync::{Arc, OnceLock};

/// Open until it is closed, once, for good. Clones are one gate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    reason: Arc<OnceLock<String>>,
}

impl Gate {
    /// Refuses new sessions from now on; the first reason holds.
    pub(crate) fn close(&self, reason: &str) {
        self.reason.get_or_init(|| reason.to_owned());
    }

    /// Why no session is taken; `None` while they are.
    pub(crate) fn closed(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }
}
