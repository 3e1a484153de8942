//! What is left to do for a lane when everything is embedded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use roaring::RoaringBitmap;

use crate::dense::lane::Lane;
use crate::dense::vectors::Bound;
use crate::dense::worker::Worker;
use crate::pace::Pace;

/// Vectors that are checked at once: what is to be embedded meanwhile waits for them.
const CHECKED: usize = 8192;

impl Worker {
    /// Does what is left when everything is embedded; says whether there was something.
    pub(super) fn tend(&mut self, lane: &Arc<Lane>) -> bool {
        lane.retain(false);
        if lane.read().is_exchanging() {
            // It waits for a person or for room; the old side will be gone.
            return false;
        }
        let Some(bound) = lane.read().serving.bound.clone() else { return false };
        if check(lane, &bound) {
            return true;
        }
        if !self.builds.load(Ordering::Relaxed)
            && let Some(builder) = self.builder.take()
        {
            // It has nothing to do any more.
            let _ = builder.join();
        }
        // Before that what lives is a part of it, or nothing, and a graph that was loaded looks dead.
        if !lane.read().is_complete() {
            return false;
        }
        if bound.needs_fold() && self.builder.is_none() && !lane.is_closed() {
            return self.fold(lane, bound);
        }
        if bound.needs_measuring() {
            bound.measure(&self.core.recent(&bound.model));
        }
        false
    }

    /// Builds a graph on a thread of its own.
    fn fold(&mut self, lane: &Arc<Lane>, bound: Bound) -> bool {
        let (lane, builds, core) = (lane.clone(), self.builds.clone(), self.core.clone());
        let given_up = bound.clone();
        builds.store(true, Ordering::Relaxed);
        let builder = thread::Builder::new().name("graph".to_owned()).spawn(move || {
            let _pace = Pace::of_this_thread();
            let folded = catch_unwind(AssertUnwindSafe(|| {
                bound.fold(&lane);
                lane.write().serving.refresh();
                let bound = lane.read().serving.bound.clone();
                if let Some(bound) = bound {
                    bound.measure(&core.recent(&bound.model));
                }
            }));
            if folded.is_err() {
                tracing::error!("building a graph ended by a defect");
                given_up.give_up_graph();
            }
            drop((given_up, lane));
            builds.store(false, Ordering::Relaxed);
            core.wake();
        });
        match builder {
            Ok(builder) => self.builder = Some(builder),
            Err(error) => {
                tracing::warn!(%error, "no thread to build a graph");
                self.builds.store(false, Ordering::Relaxed);
            }
        }
        false
    }
}

/// Checks some of the vectors that live and were not checked yet; says whether there were some.
fn check(lane: &Lane, bound: &Bound) -> bool {
    let unchecked = {
        let side = &lane.read().serving;
        side.slots.members() - &side.verified
    };
    let some: RoaringBitmap = unchecked.iter().take(CHECKED).collect();
    if some.is_empty() || lane.is_closed() {
        return false;
    }
    let go_on = || !lane.is_closed();
    let unsound = bound.model.space.snapshot().verify(&some, &go_on);
    {
        let mut state = lane.write();
        state.serving.verified |= some;
        state.damaged += unsound.len();
    }
    if !unsound.is_empty() {
        lane.rebind(true);
    }
    true
}
