//! Models that nobody needs leave the memory.

use std::sync::Arc;
use std::time::Instant;

use greenlit_graph::release_memory;

use crate::dense::{Core, Model};

impl Core {
    /// Lets go of models that were not needed for long; says when there may be another one to let go.
    pub(super) fn let_go(&self, now: Instant) -> Option<Instant> {
        let after = self.options.unload_after?;
        let mut models: Vec<Arc<Model>> = self.lock().model.clone().into_iter().collect();
        // While one model replaces another, the old one answers.
        models.extend(self.lanes().iter().filter_map(|lane| lane.serving()));
        let mut next = now + after;
        for model in models {
            let Some(used) = model.embedder.last_used() else { continue };
            let due = used + after;
            if due > now {
                next = next.min(due);
            } else if model.embedder.let_go(used) {
                tracing::info!(model = model.embedder.identity().name, "not needed: unloaded");
                release_memory();
            }
        }
        Some(next)
    }
}
