//! Search by meaning: one model, one store of vectors and one worker for all indexes of a daemon.
//!
//! A [`Lane`] is what an index has of it: which of its chunks have vectors. The worker loads the model,
//! opens the store, embeds what is missing, what was changed last first, and tends the graphs. Another
//! model can take its place: each lane then has two sides until the new one has all vectors.

mod gather;
mod lane;
mod load;
mod queue;
mod room;
mod search;
mod side;
mod slots;
mod tend;
mod unload;
mod vectors;
mod worker;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use greenlit_embed::{Availability, Embedder, Identity, Unavailable};
use greenlit_graph::Thresholds;
use greenlit_store::{Space, SpaceId, Store};

use crate::announce::Tell;
pub(crate) use lane::Lane;
pub(crate) use search::{Found, NO_MODEL};
pub use vectors::GraphStatus;
use worker::Worker;

/// Questions whose vectors are remembered: for who asks again, and to measure with.
const RECENT: usize = 64;

/// How vectors are kept.
#[derive(Debug, Clone)]
pub struct DenseOptions {
    /// The store's directory, one per user.
    pub directory: PathBuf,
    /// What the store may take on disk, in bytes.
    pub quota_bytes: u64,
    /// When a graph is worth its building.
    pub thresholds: Thresholds,
    /// After so long without use a model that can be loaded again leaves the memory; `None` for never.
    pub unload_after: Option<Duration>,
}

/// Whether there is search by meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// There is no model.
    Off,
    /// The model is being loaded, or will be when the first index is opened.
    Loading,
    /// With this model.
    Ready(Identity),
    /// Something is broken; search goes on by words.
    Degraded {
        /// What.
        reason: String,
        /// What to do about it.
        remedy: String,
    },
}

/// Makes the embedder; `None` when there is no model. Called on the worker's thread.
pub type Load = Box<dyn FnOnce() -> Result<Option<Arc<dyn Embedder>>, Unavailable> + Send>;

/// Search by meaning for all indexes of a process. Cheap to clone; each [`Index`](crate::Index) holds
/// one, and the worker ends with the last.
#[derive(Debug, Clone)]
pub struct Dense {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What the worker, the indexes and those who search share.
pub(crate) struct Core {
    pub(crate) options: DenseOptions,
    state: Mutex<State>,
    moved: Condvar,
    stop: AtomicBool,
    questions: Mutex<Questions>,
    quiet: Condvar,
}

struct State {
    meaning: Meaning,
    /// The model that answers, or is to.
    model: Option<Arc<Model>>,
    /// What is loaded next.
    load: Option<Load>,
    /// Whether the worker is loading.
    is_loading: bool,
    /// Why the last model was not taken although there is one.
    kept: Option<String>,
    lanes: Vec<Weak<Lane>>,
    /// What a person should know of the store.
    notice: Option<String>,
    /// Why the machine is spared, if it is.
    spared: Option<&'static str>,
    /// Whether the worker has nothing to do.
    idle: bool,
    /// Grows when there may be something to do.
    told: u64,
}

#[derive(Debug, Default)]
struct Questions {
    /// That are being embedded.
    open: usize,
    recent: VecDeque<Asked>,
}

/// A question with its vector in a space.
#[derive(Debug)]
struct Asked {
    space: SpaceId,
    text: String,
    vector: Vec<f32>,
}

/// A model with the place of its vectors.
pub(crate) struct Model {
    pub(crate) embedder: Arc<dyn Embedder>,
    pub(crate) store: Store,
    pub(crate) space: Space,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("identity", self.embedder.identity()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("options", &self.options).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("core", &self.core).finish_non_exhaustive()
    }
}

impl Dense {
    /// Nothing is loaded or opened before the first index asks for it.
    pub fn new(options: DenseOptions, load: Load) -> Self {
        Self::with(options, Meaning::Loading, Some(load))
    }

    /// There is no model until [`Dense::reload`] brings one.
    pub fn without_model(options: DenseOptions) -> Self {
        Self::with(options, Meaning::Off, None)
    }

    fn with(options: DenseOptions, meaning: Meaning, load: Option<Load>) -> Self {
        let state = State {
            meaning,
            model: None,
            load,
            is_loading: false,
            kept: None,
            lanes: Vec::new(),
            notice: None,
            spared: None,
            idle: false,
            told: 0,
        };
        let core = Core {
            options,
            state: Mutex::new(state),
            moved: Condvar::new(),
            stop: AtomicBool::new(false),
            questions: Mutex::default(),
            quiet: Condvar::new(),
        };
        Self { handle: Arc::new(Handle { core: Arc::new(core), thread: Mutex::new(None) }) }
    }

    /// Takes it out; what stays has no model and no index.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let options = self.handle.core.options.clone();
        std::mem::replace(self, Self::without_model(options))
    }

    /// Loads another model, or none, and uses it from then on. Each index is answered with the old one
    /// until all its chunks are embedded with the new one; if the new one cannot be loaded, for good.
    pub fn reload(&self, load: Load) {
        let core = &self.handle.core;
        let mut state = core.lock();
        state.load = Some(load);
        if state.model.is_none() {
            state.meaning = Meaning::Loading;
        }
        drop(state);
        core.wake();
    }

    /// Whether there is search by meaning.
    pub fn meaning(&self) -> Meaning {
        self.handle.core.lock().meaning.clone()
    }

    /// Bytes that the vectors of all indexes take on disk, of how many they may; `None` without a model,
    /// or where the disk does not tell.
    pub fn usage(&self) -> Option<(u64, u64)> {
        let core = &self.handle.core;
        let store = core.lock().model.as_ref()?.store.clone();
        Some((store.used_bytes().ok()?, core.options.quota_bytes))
    }

    /// Waits until there is nothing to load, embed or build, at most so long; says whether there is
    /// nothing. Work that is paused or impossible is none.
    pub fn settle(&self, patience: Duration) -> bool {
        let core = &self.handle.core;
        let busy = |state: &mut State| {
            !state.idle && matches!(state.meaning, Meaning::Loading | Meaning::Ready(_))
        };
        let waited = core.moved.wait_timeout_while(core.lock(), patience, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The lane of an index, whose graph is kept in its directory. What is embedded for it is told.
    pub(crate) fn join(
        &self,
        root: &Path,
        directory: Option<&Path>,
        tell: Tell,
    ) -> std::io::Result<Arc<Lane>> {
        let core = &self.handle.core;
        let lane = Arc::new(Lane::new(root, directory, core.clone(), tell));
        core.lock().lanes.push(Arc::downgrade(&lane));
        core.wake();
        let mut thread = self.handle.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let worker = Worker::new(core.clone());
            let builder = thread::Builder::new().name("meaning".to_owned());
            *thread = Some(builder.spawn(move || worker.run())?);
        }
        Ok(lane)
    }
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn meaning(&self) -> Meaning {
        self.lock().meaning.clone()
    }

    /// What a person should know of the store and the speed.
    pub(crate) fn notices(&self) -> Vec<String> {
        let state = self.lock();
        let spared = state.spared.map(|why| format!("embedding is {why}"));
        state.notice.clone().into_iter().chain(state.kept.clone()).chain(spared).collect()
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// There may be something to do.
    pub(crate) fn wake(&self) {
        let mut state = self.lock();
        state.told += 1;
        state.idle = false;
        drop(state);
        self.moved.notify_all();
    }

    fn degrade(&self, reason: String, remedy: String) {
        tracing::warn!(reason, "no search by meaning");
        let mut state = self.lock();
        state.meaning = Meaning::Degraded { reason, remedy };
        state.model = None;
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        let mut state = self.lock();
        state.lanes.retain(|lane| lane.strong_count() > 0);
        state.lanes.iter().filter_map(Weak::upgrade).collect()
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The vector of a question; an error in words.
    pub(crate) fn embed_query(&self, model: &Model, text: &str) -> Result<Vec<f32>, String> {
        let mut questions = self.questions();
        let space = model.space.id();
        let known = |asked: &&Asked| asked.text == text && asked.space == *space;
        if let Some(asked) = questions.recent.iter().find(known) {
            return Ok(asked.vector.clone());
        }
        questions.open += 1;
        drop(questions);
        let vector = worker::guarded(|| model.embedder.embed_query(text));
        let mut questions = self.questions();
        questions.open -= 1;
        if let Ok(vector) = &vector {
            let (space, text, vector) = (space.clone(), text.to_owned(), vector.clone());
            questions.recent.push_back(Asked { space, text, vector });
            if questions.recent.len() > RECENT {
                questions.recent.pop_front();
            }
        }
        drop(questions);
        self.quiet.notify_all();
        vector
    }

    /// Waits while questions are being embedded: who asks comes first.
    fn give_way(&self) {
        let open = |questions: &mut Questions| questions.open > 0 && !self.is_stopped();
        let patience = Duration::from_secs(5);
        drop(self.quiet.wait_timeout_while(self.questions(), patience, open));
    }

    fn recent(&self, model: &Model) -> Vec<Vec<f32>> {
        let (questions, space) = (self.questions(), model.space.id());
        let of_model = questions.recent.iter().filter(|asked| asked.space == *space);
        of_model.map(|asked| asked.vector.clone()).collect()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.stop.store(true, Ordering::Relaxed);
        self.core.wake();
        self.core.quiet.notify_all();
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let is_loading = self.core.lock().is_loading;
        if let Some(thread) = thread
            // What is loaded may take its time, and nothing is open that has to be closed.
            && !is_loading
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl From<&Unavailable> for Meaning {
    fn from(error: &Unavailable) -> Self {
        match Availability::from(error) {
            Availability::Ready(identity) => Self::Ready(identity),
            Availability::Degraded { reason, remedy } => Self::Degraded { reason, remedy },
        }
    }
}

#[cfg(test)]
mod tests;
