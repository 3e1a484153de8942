//! The handle: a bounded queue in front of the thread that writes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use greenlit_protocol::{EvidenceStatus, TraceFilter, TraceReport};

use crate::database::{OpenError, files};
use crate::read::{self, Kept, ReadError};
use crate::record::{Attempt, Decision, Search, SearchEnd};
use crate::writer::{self, Writer};

/// Records that may wait.
const QUEUE: usize = 4096;
/// Bytes of texts that may wait.
const QUEUE_BYTES: usize = 64 << 20;
/// How long a reader waits for what was recorded before.
const PATIENCE: Duration = Duration::from_secs(5);

/// What may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts leave after so many days.
    pub days: u64,
    /// What the database may take, in bytes; the oldest attempts that were not offered leave first.
    pub bytes: u64,
    /// Whether prompts and replies are kept.
    pub texts: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { days: 180, bytes: 512 << 20, texts: true }
    }
}

/// Where and what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The database; made when it is missing.
    pub path: PathBuf,
    /// What may be kept.
    pub limits: Limits,
    /// Pages that the file may have at most, to see what happens when the disk is full.
    #[doc(hidden)]
    pub most_pages: Option<u32>,
}

impl Options {
    /// With the usual limits.
    pub fn new(path: PathBuf) -> Self {
        Self { path, limits: Limits::default(), most_pages: None }
    }
}

/// What goes to the thread.
pub(crate) enum Message {
    Search(Box<Search>),
    SearchEnd(Box<SearchEnd>),
    Attempt(Box<Attempt>),
    Decision {
        fix: String,
        decision: Decision,
    },
    /// A file has this text now; `None` where it is gone.
    Looked {
        root: PathBuf,
        path: PathBuf,
        text: Option<Arc<str>>,
        branch: Option<String>,
    },
    Redact {
        attempt: u64,
        done: SyncSender<Result<bool, String>>,
    },
    /// A reader found it broken.
    Damaged,
    /// Says when everything before was written.
    Settle(SyncSender<()>),
    End,
}

/// What the handle and the thread share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) dropped: AtomicU64,
    waiting_bytes: AtomicUsize,
    next_search: AtomicU64,
    next_attempt: AtomicU64,
    /// Why nothing is written at the moment.
    pub(crate) problem: Mutex<Option<String>>,
    pub(crate) notices: Mutex<Vec<String>>,
    /// Absolute paths of files that applied fixes changed.
    pub(crate) watched: Mutex<BTreeSet<PathBuf>>,
}

impl Shared {
    pub(crate) fn took(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn drop_one(&self, why: &str) {
        if self.dropped.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
            tracing::warn!(why, "the record of attempts is not complete");
        }
    }

    pub(crate) fn notice(&self, text: String) {
        tracing::warn!(text, "the record of attempts");
        lock(&self.notices).push(text);
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The record of attempts. Clones are one.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
    /// Absent where nothing is recorded.
    queue: Option<SyncSender<Message>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    off: bool,
}

impl Store {
    /// One that keeps nothing because nobody wants it.
    pub fn off() -> Self {
        Self { off: true, ..Self::without(Shared::default()) }
    }

    fn without(shared: Shared) -> Self {
        Self { shared: Arc::new(shared), queue: None, thread: Arc::default(), off: false }
    }

    /// Opens the database and starts its thread. A damaged file is moved aside. Where nothing can be
    /// recorded the store says so and drops what it is given: nobody is to do without fixes for that.
    pub fn open(options: Options) -> Self {
        let shared = Shared { path: options.path.clone(), ..Shared::default() };
        let opened = match Writer::open(&options) {
            Err(OpenError::Damaged { .. }) => writer::start_over(&options, &shared),
            other => other,
        };
        let writer = match opened {
            Ok(writer) => writer,
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(why, "attempts are not recorded");
                *lock(&shared.problem) = Some(why);
                return Self::without(shared);
            }
        };
        let (searches, attempts) = writer.last_numbers();
        shared.next_search.store(searches + 1, Ordering::Relaxed);
        shared.next_attempt.store(attempts + 1, Ordering::Relaxed);
        let shared = Arc::new(shared);
        let (queue, messages) = mpsc::sync_channel(QUEUE);
        let (own, run) =
            (shared.clone(), move |shared: Arc<Shared>, messages: Receiver<Message>| {
                writer::run(writer, options, &shared, &messages);
            });
        let spawned = std::thread::Builder::new()
            .name("evidence".to_owned())
            .spawn(move || run(own, messages));
        match spawned {
            Ok(thread) => Self {
                shared,
                queue: Some(queue),
                thread: Arc::new(Mutex::new(Some(thread))),
                off: false,
            },
            Err(error) => {
                *lock(&shared.problem) = Some(format!("no thread can be started: {error}"));
                Self { shared, queue: None, thread: Arc::default(), off: false }
            }
        }
    }

    /// The number of a new search.
    pub fn next_search(&self) -> u64 {
        self.shared.next_search.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of a new attempt.
    pub fn next_attempt(&self) -> u64 {
        self.shared.next_attempt.fetch_add(1, Ordering::Relaxed)
    }

    /// Records the beginning of a search.
    pub fn begin(&self, search: Search) {
        self.send(Message::Search(Box::new(search)), 0);
    }

    /// Records the end of a search.
    pub fn end(&self, end: SearchEnd) {
        self.send(Message::SearchEnd(Box::new(end)), 0);
    }

    /// Records an attempt, or what more is known of one.
    pub fn attempt(&self, attempt: Attempt) {
        let attempt = if attempt.private { attempt.without_code() } else { attempt };
        let size = attempt.size();
        self.send(Message::Attempt(Box::new(attempt)), size);
    }

    /// Records what a person did with a fix; counts for the newest attempt at it.
    pub fn decided(&self, fix: &str, decision: Decision) {
        self.send(Message::Decision { fix: fix.to_owned(), decision }, 0);
    }

    /// Whether an applied fix changed this file: then changes of it are worth being told.
    pub fn watches(&self, path: &Path) -> bool {
        lock(&self.shared.watched).contains(path)
    }

    /// Watched files of a workspace.
    pub fn watched_below(&self, root: &Path) -> Vec<PathBuf> {
        let watched = lock(&self.shared.watched);
        watched.iter().filter(|path| path.starts_with(root)).cloned().collect()
    }

    /// A watched file has this text now, on this branch; `None` where it is gone.
    pub fn looked(
        &self,
        root: PathBuf,
        path: PathBuf,
        text: Option<Arc<str>>,
        branch: Option<String>,
    ) {
        let size = text.as_ref().map_or(0, |text| text.len());
        self.send(Message::Looked { root, path, text, branch }, size);
    }

    /// Never waits.
    fn send(&self, message: Message, bytes: usize) {
        if self.off {
            return;
        }
        let Some(queue) = &self.queue else { return self.shared.drop_one("it is not open") };
        let waiting = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > QUEUE_BYTES {
            self.shared.took(bytes);
            return self.shared.drop_one("too much is waiting to be written");
        }
        match queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.took(bytes);
                self.shared.drop_one("too much is waiting to be written");
            }
        }
    }

    /// Waits until what was recorded before is written; not for ever.
    pub fn settle(&self) -> bool {
        let Some(queue) = &self.queue else { return true };
        let (done, wait) = mpsc::sync_channel(1);
        queue.send(Message::Settle(done)).is_ok() && wait.recv_timeout(PATIENCE).is_ok()
    }

    /// Writes what waits and ends the thread. What is recorded afterwards is dropped.
    pub fn close(&self) {
        let Some(queue) = &self.queue else { return };
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && queue.send(Message::End).is_ok()
        {
            // It panics by a defect alone, which the panic hook has logged.
            let _ended = thread.join();
        }
    }

    /// Attempts in few words, newest first.
    ///
    /// # Errors
    /// When nothing is kept, or it cannot be read.
    pub fn list(
        &self,
        filter: &TraceFilter,
    ) -> Result<Vec<greenlit_protocol::TraceEntry>, ReadError> {
        self.read(|reader| reader.list(filter))
    }

    /// Everything about an attempt, by its number or by the handle of its fix.
    ///
    /// # Errors
    /// As [`Self::list`], or when there is none.
    pub fn show(&self, id: &str) -> Result<TraceReport, ReadError> {
        self.read(|reader| reader.report(reader.find(id)?))
    }

    /// Reports with greater numbers than `after`, oldest first; no more than fit an answer.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn export(&self, filter: &TraceFilter, after: u64) -> Result<Vec<TraceReport>, ReadError> {
        self.read(|reader| reader.export(filter, after))
    }

    /// An attempt with the texts that a replay needs.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub fn kept(&self, id: &str) -> Result<Kept, ReadError> {
        self.read(|reader| reader.kept(reader.find(id)?))
    }

    /// What the calls of a tier's model took within a time until now, each with how long ago that was, longest
    /// ago first.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn tokens(&self, tier: &str, within: Duration) -> Result<Vec<(Duration, u64)>, ReadError> {
        self.read(|reader| reader.tokens(tier, within))
    }

    /// Fixes that a person dismissed and did not apply afterwards, newest first.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn dismissed(&self, most: usize) -> Result<Vec<String>, ReadError> {
        self.read(|reader| reader.dismissed(most))
    }

    /// Fixes of failing tests that a person applied in a workspace and that were not taken back, with what a
    /// replay needs: those with greater numbers than `after`, oldest first, no more than memory should hold.
    /// What is private or redacted is not among them.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn accepted(&self, root: &Path, after: u64) -> Result<Vec<Kept>, ReadError> {
        self.read(|reader| reader.accepted(root, after))
    }

    /// Removes everything that quotes code from an attempt; the same prompt from others as well. Gives its
    /// number.
    ///
    /// # Errors
    /// As [`Self::show`], or when it cannot be written.
    pub fn redact(&self, id: &str) -> Result<u64, ReadError> {
        let attempt = self.read(|reader| reader.find(id))?;
        let Some(queue) = &self.queue else { return Err(self.nothing_kept()) };
        let (done, wait) = mpsc::sync_channel(1);
        let gone = || ReadError::Busy;
        queue.send(Message::Redact { attempt, done }).map_err(|_| gone())?;
        match wait.recv_timeout(PATIENCE * 6).map_err(|_| gone())? {
            Ok(true) => Ok(attempt),
            Ok(false) => Err(ReadError::Unknown { id: id.to_owned() }),
            Err(why) => Err(ReadError::NotWritten { why }),
        }
    }

    /// Sums by name and label.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn totals(&self) -> Result<Vec<(String, String, i64)>, ReadError> {
        self.read(|reader| reader.totals())
    }

    fn nothing_kept(&self) -> ReadError {
        let why = match (self.off, &*lock(&self.shared.problem)) {
            (true, _) => "the configuration wants none".to_owned(),
            (false, Some(why)) => why.clone(),
            (false, None) => "it is closed".to_owned(),
        };
        ReadError::NotKept { why }
    }

    fn read<T>(
        &self,
        question: impl FnOnce(&read::Reader) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if self.queue.is_none() {
            return Err(self.nothing_kept());
        }
        self.settle();
        let answer = read::Reader::open(&self.shared.path).and_then(|reader| question(&reader));
        if let Err(ReadError::Sqlite { source }) = &answer
            && crate::database::is_damage(source)
        {
            self.send(Message::Damaged, 0);
        }
        answer
    }

    /// How it is.
    pub fn status(&self) -> EvidenceStatus {
        let problem = lock(&self.shared.problem).clone();
        let state = match (self.off, self.queue.is_some(), &problem) {
            (true, ..) => "off",
            (false, true, None) => "kept",
            (false, _, _) => "not kept",
        };
        let size = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
        let totals = if state == "kept" { self.read(|reader| reader.sums()).ok() } else { None };
        EvidenceStatus {
            state: state.to_owned(),
            path: self.shared.path.clone(),
            bytes: files(&self.shared.path).iter().map(size).sum(),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            notices: problem
                .into_iter()
                .chain(lock(&self.shared.notices).iter().cloned())
                .collect(),
            totals: totals.unwrap_or_default(),
        }
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
