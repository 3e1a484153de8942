//! A runner that is used by many and closed when nobody uses it.

use std::sync::Arc;

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::backend::Runner;

/// A resident model, or a model with an adapter.
pub(super) struct Resident {
    runner: Arc<dyn Runner>,
    /// Read by who uses it, written by who closes it.
    gate: Arc<RwLock<()>>,
}

/// A runner that stays open as long as this lives.
pub(crate) struct InUse {
    pub(crate) runner: Arc<dyn Runner>,
    _open: OwnedRwLockReadGuard<()>,
}

impl Resident {
    pub(super) fn new(runner: Arc<dyn Runner>) -> Self {
        Self { runner, gate: Arc::default() }
    }

    /// Must be called while it can be found by routing: then nobody closes it.
    pub(super) fn enter(&self) -> InUse {
        let open = Arc::clone(&self.gate).try_read_owned();
        InUse {
            runner: Arc::clone(&self.runner),
            _open: open.expect("what routing finds is not being closed"),
        }
    }

    /// Waits until nobody uses it, then gives its memory back. Routing must not find it any more.
    pub(super) async fn retire(self) {
        let _alone = self.gate.write_owned().await;
        let runner = self.runner;
        let closed = tokio::task::spawn_blocking(move || {
            runner.close();
            drop(runner);
            crate::memory::release();
        });
        if let Err(error) = closed.await {
            tracing::error!(%error, "closing a model panicked");
        }
    }
}
