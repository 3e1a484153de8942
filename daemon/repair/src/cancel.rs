//! One switch that stops a whole job: the flag is polled, open sandboxes are killed at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use greenlit_sandbox::Canceller;

/// Cloned handles of the same switch.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    cancelled: AtomicBool,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Canceller>>,
}

/// Keeps a sandbox registered; dropping it forgets the sandbox.
pub(crate) struct Registration {
    inner: Arc<Inner>,
    key: u64,
}

impl Cancel {
    /// Stops the job. Idempotent.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::SeqCst);
        for (_, canceller) in self.open().drain() {
            canceller.cancel();
        }
    }

    /// Whether the job was stopped.
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::SeqCst)
    }

    pub(crate) fn register(&self, canceller: Canceller) -> Registration {
        let key = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.open().insert(key, canceller.clone());
        // Cancelled between the flag and the insertion: nobody else will see this sandbox.
        if self.is_cancelled() {
            canceller.cancel();
        }
        Registration { inner: self.inner.clone(), key }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Canceller>> {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.inner.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
