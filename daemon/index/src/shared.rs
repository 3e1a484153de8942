//! What the thread of an index and its readers share.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::latency::Latencies;
use crate::snapshot::Snapshot;

/// Between the thread and the readers.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Held only to copy or replace the pointer.
    published: RwLock<Arc<Snapshot>>,
    progress: Mutex<Progress>,
    moved: Condvar,
    latencies: Mutex<Latencies>,
}

/// How far the thread is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Messages about changes that were sent.
    pub(crate) sent: u64,
    /// Of these, the first so many are in the published snapshot.
    pub(crate) settled: u64,
    /// When the oldest change that is not yet in was told.
    pub(crate) behind_since: Option<Instant>,
    /// Files that are still to be looked at; `None` while nobody knows.
    pub(crate) left: Option<u64>,
    pub(crate) paused: bool,
    /// Why the machine is spared, if it is.
    pub(crate) spared: Option<&'static str>,
    /// Why the index does not follow any more.
    pub(crate) failed: Option<String>,
    /// What a person should know of how it is kept.
    pub(crate) notice: Option<String>,
    pub(crate) bytes_disk: u64,
}

impl Progress {
    pub(crate) fn is_settled(&self) -> bool {
        self.settled >= self.sent
    }
}

impl Shared {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self {
            published: RwLock::new(Arc::new(snapshot)),
            progress: Mutex::default(),
            moved: Condvar::new(),
            latencies: Mutex::default(),
        }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let snapshot = Arc::new(snapshot);
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> Progress {
        self.lock().clone()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock());
        self.moved.notify_all();
    }

    /// Notes that a change is told; gives its number.
    pub(crate) fn announce(&self) -> u64 {
        let mut progress = self.lock();
        progress.sent += 1;
        progress.behind_since.get_or_insert_with(Instant::now);
        progress.sent
    }

    /// Waits until everything that was told up to now is in, or cannot come in, at most so long.
    pub(crate) fn settle(&self, patience: Duration) -> Progress {
        let progress = self.lock();
        let wanted = progress.sent;
        let waits = |progress: &mut Progress| {
            progress.settled < wanted && progress.failed.is_none() && !progress.paused
        };
        let waited = self.moved.wait_timeout_while(progress, patience, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub(crate) fn latencies(&self) -> MutexGuard<'_, Latencies> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
