//! A model that is let go while nobody needs it, and loaded again when somebody does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::availability::{Availability, Unavailable};
use crate::embedder::{EmbedError, Embedder, Identity};

/// Loads the same model again. Called on a thread of its own.
pub type Reload = Box<dyn Fn() -> Result<Arc<dyn Embedder>, Unavailable> + Send + Sync>;

/// An embedder that need not be in memory.
///
/// Texts wait until it is back, questions only for a while: who asks has other ways to search.
pub struct OnDemand {
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    patience: Duration,
    reload: Reload,
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    loaded: Option<Arc<dyn Embedder>>,
    is_loading: bool,
    /// Who waits for it: it stays until they have it.
    waiting: usize,
    /// Why it could not be loaded the last time.
    failed: Option<String>,
    used: Instant,
}

impl OnDemand {
    /// Begins with a model that is loaded. A question waits for it at most `patience` when it is not.
    pub fn new(loaded: Arc<dyn Embedder>, patience: Duration, reload: Reload) -> Self {
        let identity = loaded.identity().clone();
        let used = Instant::now();
        let state =
            State { loaded: Some(loaded), is_loading: false, waiting: 0, failed: None, used };
        let (state, moved) = (Mutex::new(state), Condvar::new());
        Self { shared: Arc::new(Shared { identity, patience, reload, state, moved }) }
    }

    /// The model, loaded if need be; `None` waits as long as that takes.
    fn loaded(&self, patience: Option<Duration>) -> Result<Arc<dyn Embedder>, EmbedError> {
        let shared = &self.shared;
        let mut state = shared.lock();
        if state.loaded.is_none() && !state.is_loading {
            let to_load = shared.clone();
            let thread = thread::Builder::new().name("model".to_owned());
            let spawned = thread.spawn(move || to_load.load());
            spawned.map_err(|error| EmbedError::NotReloaded { reason: error.to_string() })?;
            state.is_loading = true;
        }
        state.waiting += 1;
        let is_loading = |state: &mut State| state.is_loading;
        let mut state = match patience {
            None => {
                shared.moved.wait_while(state, is_loading).unwrap_or_else(PoisonError::into_inner)
            }
            Some(patience) => {
                let waited = shared.moved.wait_timeout_while(state, patience, is_loading);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.waiting -= 1;
        state.used = Instant::now();
        match &state.loaded {
            Some(loaded) => Ok(loaded.clone()),
            None if state.is_loading => Err(EmbedError::Reloading),
            None => {
                let reason = state.failed.clone().unwrap_or_default();
                Err(EmbedError::NotReloaded { reason })
            }
        }
    }

    fn with<T>(
        &self,
        patience: Option<Duration>,
        work: impl FnOnce(&dyn Embedder) -> Result<T, EmbedError>,
    ) -> Result<T, EmbedError> {
        let loaded = self.loaded(patience)?;
        let result = work(&*loaded);
        drop(loaded);
        self.shared.lock().used = Instant::now();
        result
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) {
        let loaded = match catch_unwind(AssertUnwindSafe(|| (self.reload)())) {
            Ok(Ok(loaded)) if *loaded.identity() == self.identity => Ok(loaded),
            // Its vectors would not be comparable.
            Ok(Ok(_)) => Err("its files or ONNX Runtime changed (`greenlit restart`)".to_owned()),
            Ok(Err(error)) => match Availability::from(&error) {
                Availability::Ready(_) => Err(error.to_string()),
                Availability::Degraded { reason, remedy } => Err(format!("{reason} ({remedy})")),
            },
            Err(_panic) => Err("a defect in Greenlit".to_owned()),
        };
        let mut state = self.lock();
        (state.loaded, state.failed) = match loaded {
            Ok(loaded) => (Some(loaded), None),
            Err(reason) => (None, Some(reason)),
        };
        state.is_loading = false;
        drop(state);
        self.moved.notify_all();
    }
}

impl Embedder for OnDemand {
    fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.with(None, |loaded| loaded.embed(texts))
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        self.with(Some(self.shared.patience), |loaded| loaded.embed_query(text))
    }

    fn count_tokens(&self, text: &str) -> usize {
        // Nobody counts on a text that cannot be read.
        self.with(None, |loaded| Ok(loaded.count_tokens(text))).unwrap_or(usize::MAX)
    }

    fn last_used(&self) -> Option<Instant> {
        let state = self.shared.lock();
        state.loaded.is_some().then_some(state.used)
    }

    fn let_go(&self, unused_since: Instant) -> bool {
        let mut state = self.shared.lock();
        // Clones are only made under this lock.
        let is_idle = |loaded: &Arc<dyn Embedder>| Arc::strong_count(loaded) == 1;
        let is_needed = state.waiting > 0 || state.used > unused_since;
        if is_needed || !state.loaded.as_ref().is_some_and(is_idle) {
            return false;
        }
        let gone = state.loaded.take();
        drop(state);
        drop(gone);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::test_util::HashEmbedder;

    const LONG: Duration = Duration::from_secs(60);

    type Loaded = Result<Arc<dyn Embedder>, Unavailable>;

    fn hash(dims: usize) -> Arc<dyn Embedder> {
        Arc::new(HashEmbedder::new(dims))
    }

    #[test]
    fn what_nobody_needs_is_let_go_and_comes_back() {
        let (loads, loaded) = mpsc::channel();
        let loads = Mutex::new(loads);
        let reload: Reload = Box::new(move || {
            loads.lock().unwrap().send(()).unwrap();
            Ok(hash(8))
        });
        let model = OnDemand::new(hash(8), LONG, reload);
        let before = model.embed(&["parse url"]).unwrap();
        let used = model.last_used().unwrap();
        let earlier = used.checked_sub(Duration::from_secs(1)).unwrap();
        assert!(!model.let_go(earlier), "it was needed since");
        let in_use = model.loaded(None).unwrap();
        let far = Instant::now() + LONG;
        assert!(!model.let_go(far), "somebody embeds with it");
        drop(in_use);
        assert!(model.let_go(far));
        assert!(!model.let_go(far), "it is gone already");
        assert_eq!(model.last_used(), None);
        assert_eq!(model.identity().dims, 8);

        assert_eq!(model.embed(&["parse url"]).unwrap(), before);
        assert_eq!(model.embed_query("parse url").unwrap(), before[0]);
        assert_eq!(loaded.try_iter().count(), 1);
        assert!(model.last_used() > Some(used));
    }

    #[test]
    fn whoever_waits_for_it_has_it_before_it_can_go() {
        let model = OnDemand::new(hash(8), LONG, Box::new(|| Ok(hash(8))));
        for _round in 0..200 {
            thread::scope(|scope| {
                let asking = scope.spawn(|| model.embed_query("url").map(drop));
                while !asking.is_finished() {
                    model.let_go(Instant::now() + LONG);
                }
                asking.join().unwrap().unwrap();
            });
        }
    }

    #[test]
    fn a_question_does_not_wait_for_ever_and_the_next_one_has_it() {
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let reload: Reload = Box::new(move || {
            gate.lock().unwrap().recv().unwrap();
            Ok(hash(8))
        });
        let model = OnDemand::new(hash(8), Duration::ZERO, reload);
        assert!(model.let_go(Instant::now() + LONG));
        for _ in 0..2 {
            assert!(matches!(model.embed_query("url"), Err(EmbedError::Reloading)));
        }
        open.send(()).unwrap();
        // Texts wait.
        assert_eq!(model.embed(&["url"]).unwrap()[0], model.embed_query("url").unwrap());
    }

    #[test]
    fn what_cannot_be_loaded_again_is_an_error_and_tried_again() {
        let next: Arc<Mutex<Vec<Loaded>>> = Arc::default();
        let of_reload = next.clone();
        let reload: Reload = Box::new(move || of_reload.lock().unwrap().pop().unwrap());
        let model = OnDemand::new(hash(8), LONG, reload);
        assert!(model.let_go(Instant::now() + LONG));
        let fails = |load: Loaded, why: &str| {
            next.lock().unwrap().push(load);
            let error = model.embed(&["url"]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        };
        fails(Err(EmbedError::Panicked("no room".to_owned()).into()), "no room");
        fails(Ok(hash(16)), "its files or ONNX Runtime changed");
        // `pop` on nothing panics.
        let error = model.embed_query("url").unwrap_err().to_string();
        assert!(error.contains("a defect in Greenlit"), "{error}");
    }
}
