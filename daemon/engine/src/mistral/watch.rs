//! What the library does not tell of a streaming request: how many tokens there are, when the first
//! came, and whether it panicked. A processor of logits that changes nothing sees all of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use candle_core::Tensor;
use mistralrs_core::CustomLogitsProcessor;
use tokio::sync::oneshot;

/// What is seen of a request.
#[derive(Default)]
pub(super) struct Seen {
    /// Tokens written, with the one that ends the text.
    pub(super) tokens: AtomicUsize,
    /// When the first was about to be chosen.
    pub(super) first: OnceLock<Instant>,
    /// Whether the library panicked while it worked on it.
    pub(super) panicked: AtomicBool,
}

/// Handed to the library with a request.
pub(super) struct Watch {
    seen: Arc<Seen>,
    prompt: usize,
    gone: Option<oneshot::Sender<()>>,
}

impl Watch {
    /// For a prompt of that many tokens. The receiver ends when the library has let go of the request.
    pub(super) fn new(prompt: usize) -> (Self, Arc<Seen>, oneshot::Receiver<()>) {
        let seen = Arc::new(Seen::default());
        let (gone, ended) = oneshot::channel();
        (Self { seen: Arc::clone(&seen), prompt, gone: Some(gone) }, seen, ended)
    }
}

impl CustomLogitsProcessor for Watch {
    // With a constraint it is called twice for some tokens: so they are counted by the context.
    fn apply(&self, logits: &Tensor, context: &[u32]) -> candle_core::Result<Tensor> {
        self.seen.first.get_or_init(Instant::now);
        let tokens = context.len().saturating_sub(self.prompt) + 1;
        self.seen.tokens.store(tokens, Ordering::Relaxed);
        Ok(logits.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.seen.panicked.store(std::thread::panicking(), Ordering::Relaxed);
        if let Some(gone) = self.gone.take() {
            // Nobody may be waiting.
            gone.send(()).ok();
        }
    }
}
