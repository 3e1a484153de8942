//! An index as its users hold it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use greenlit_lexical::Lexical;
use greenlit_workspace::{Change, Changed, View};

use crate::announce::{News, Tell};
use crate::dense::{Dense, GraphStatus, Lane, NO_MODEL};
use crate::engine::{Engine, Message};
use crate::latency::Latency;
use crate::retrieve::reasons;
use crate::shared::Shared;
use crate::snapshot::{Scope, Snapshot};
use crate::writer::relative;

/// The index of one workspace root. Cheap to clone; its thread ends with the last clone.
#[derive(Debug, Clone)]
pub struct Index {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: Arc<Path>,
    shared: Arc<Shared>,
    lane: Option<Arc<Lane>>,
    messages: Sender<Message>,
    /// Let go after the lane.
    _dense: Option<Dense>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No thread for it.
    #[error("the index cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// Nothing to keep words in.
    #[error("the index cannot be made")]
    Words(#[source] greenlit_lexical::OpenError),
}

/// How an index is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Files whose contents are in.
    pub files: u64,
    /// Chunks of these.
    pub chunks: u64,
    /// Chunks that have no vector.
    pub dense_pending: u64,
    /// The embedding model that is used, for people.
    pub model: Option<String>,
    /// What computes with it.
    pub backend: Option<String>,
    /// How vectors are searched; `None` without a model.
    pub graph: Option<GraphStatus>,
    /// Texts that were cut into chunks since it was opened; contents seen before are not.
    pub cut: u64,
    /// Files that are left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Files still to be looked at; `None` while nobody knows.
    pub left: Option<u64>,
    /// A person paused it.
    pub paused: bool,
    /// Why it does not follow, if it does not.
    pub failed: Option<String>,
    /// Why searches do not find everything.
    pub degraded: Option<String>,
    /// What a person should know of how it is kept or how fast it works.
    pub notices: Vec<String>,
    /// Bytes on disk.
    pub bytes_disk: u64,
    /// Bytes in memory, estimated; what the lexical library holds is not in it.
    pub bytes_memory: u64,
    /// How old the oldest change is that is not in yet.
    pub staleness: Duration,
    /// How long searches take.
    pub latency: Latency,
}

impl Index {
    /// Opens the index of a canonical root, kept in a directory of its own (in memory without one),
    /// and starts to bring it up to date. Search by meaning is that of `dense`. `news` is called on threads
    /// of the index, which it should not hold up.
    pub fn open(
        root: &Path,
        directory: Option<&Path>,
        dense: Option<&Dense>,
        news: impl Fn(News) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let root: Arc<Path> = root.into();
        // Until the stored one is open there is nothing to find.
        let words = Arc::new(Lexical::in_memory().map_err(OpenError::Words)?);
        let shared = Arc::new(Shared::new(Snapshot::empty(words)));
        let (messages, inbox) = mpsc::channel();
        let tell: Tell = Arc::new(news);
        let lane = dense.map(|dense| dense.join(&root, directory, tell.clone())).transpose();
        let lane = lane.map_err(OpenError::Thread)?;
        let (to_root, to_shared, to_lane) = (root.clone(), shared.clone(), lane.clone());
        let directory = directory.map(Path::to_owned);
        // What stands there from the start: the first scan.
        let first = Message::Everything(shared.announce());
        let _taken_by_the_thread = messages.send(first);
        let thread = thread::Builder::new()
            .name("index".to_owned())
            .spawn(move || {
                Engine::new(to_root, directory, to_shared, to_lane, tell).run(&inbox);
            })
            .map_err(OpenError::Thread)?;
        let thread = Mutex::new(Some(thread));
        let _dense = dense.cloned();
        Ok(Self { inner: Arc::new(Inner { root, shared, lane, messages, _dense, thread }) })
    }

    /// The workspace root.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Follows a change of files.
    pub fn changed(&self, change: &Change) {
        match &change.paths {
            // A switch of branches comes with more events than one can be sure of.
            Changed::Paths(paths) if !change.git_head => self.paths_changed(paths.iter().cloned()),
            Changed::Paths(_) | Changed::Everything => self.rescan(),
        }
    }

    /// Looks at these absolute paths again, before anything else.
    pub fn paths_changed(&self, paths: impl IntoIterator<Item = PathBuf>) {
        let number = self.inner.shared.announce();
        self.send(Message::Paths(number, paths.into_iter().collect()));
    }

    /// These absolute paths come first where there is much to do, in the words and in the vectors:
    /// files that are open in an editor, for example.
    pub fn prefer(&self, paths: impl IntoIterator<Item = PathBuf>) {
        self.send(Message::Prefer(paths.into_iter().collect()));
    }

    /// Compares every file with what is known, by metadata.
    pub fn rescan(&self) {
        let number = self.inner.shared.announce();
        self.send(Message::Everything(number));
    }

    /// Throws away what is stored and starts over.
    pub fn rebuild(&self) {
        let number = self.inner.shared.announce();
        // Whoever waits from now on waits for the new one.
        self.inner.shared.update(|progress| progress.failed = None);
        self.send(Message::Rebuild(number));
    }

    /// Stops following changes and embedding, or takes it up again. Remembered across restarts.
    pub fn pause(&self, paused: bool) {
        // The index's thread tells it too, when it comes to that: it may be busy for long.
        if let Some(lane) = self.lane() {
            lane.pause(paused);
        }
        self.inner.shared.update(|progress| progress.paused = paused);
        self.send(Message::Pause(paused));
    }

    /// Waits until everything told so far is in, at most so long; says whether it is.
    pub fn settle(&self, patience: Duration) -> bool {
        self.inner.shared.settle(patience).is_settled()
    }

    /// How it is.
    pub fn status(&self) -> Status {
        let shared = &self.inner.shared;
        let (progress, totals) = (shared.progress(), shared.snapshot().totals.clone());
        let spared = progress.spared.filter(|_| progress.left != Some(0)).map(str::to_owned);
        let lane = self.lane();
        let of_vectors = lane.map(Lane::notices).unwrap_or_default();
        let dense_pending = lane.map_or(totals.chunks, Lane::pending);
        let degraded =
            lane.map_or_else(|| Some(NO_MODEL.to_owned()), |lane| lane.degraded(lane.unseen()));
        let reasons: Vec<String> =
            degraded.into_iter().chain(reasons(&progress, totals.chunks == 0)).collect();
        let (model, backend, graph) = match lane.and_then(Lane::described) {
            Some((model, backend, graph)) => (Some(model), Some(backend), Some(graph)),
            None => (None, None, None),
        };
        Status {
            dense_pending,
            model,
            backend,
            graph,
            degraded: (!reasons.is_empty()).then(|| reasons.join("; ")),
            files: totals.files,
            chunks: totals.chunks,
            cut: totals.cut,
            skipped: totals.skipped.iter().map(|(why, n)| (why.to_string(), *n)).collect(),
            left: progress.left,
            paused: progress.paused,
            failed: progress.failed,
            notices: progress.notice.into_iter().chain(of_vectors).chain(spared).collect(),
            bytes_disk: progress.bytes_disk,
            bytes_memory: totals.bytes,
            staleness: progress.behind_since.map_or(Duration::ZERO, |since| since.elapsed()),
            latency: shared.latencies().percentiles(),
        }
    }

    pub(crate) fn lane(&self) -> Option<&Lane> {
        self.inner.lane.as_deref()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The snapshot of now and the records in it that a view holds. `None` for the scope's second
    /// part means that the view's unsaved buffers could not be taken in, and are not searched.
    pub(crate) fn scope(&self, view: &View, patience: Duration) -> (Arc<Snapshot>, Scope, bool) {
        let buffers: Vec<_> = view
            .overlays()
            .filter_map(|(path, overlay)| {
                let path = relative(&self.inner.root, path)?;
                Some((path, overlay.text.clone(), *overlay.hash.as_bytes()))
            })
            .collect();
        let overlaid = if buffers.is_empty() {
            Some(crate::writer::Overlaid::default())
        } else {
            let (reply, answer) = mpsc::channel();
            self.send(Message::Overlay(buffers, reply));
            answer.recv_timeout(patience).ok()
        };
        let snapshot = self.inner.shared.snapshot();
        let whole = overlaid.is_some();
        let overlaid = overlaid.unwrap_or_default();
        let scope = Scope::new(&snapshot, &overlaid.hidden, &overlaid.shown);
        (snapshot, scope, whole)
    }

    fn send(&self, message: Message) {
        // The thread only ends with the index.
        let _ = self.inner.messages.send(message);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(lane) = &self.lane {
            lane.close();
        }
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            // Its own news may hold the last clone: a thread cannot wait for itself.
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
