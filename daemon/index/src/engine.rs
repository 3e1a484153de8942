//! The thread of an index: takes what changed, stores it, publishes the next snapshot.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

use crate::dense::Lane;
use crate::index::News;
use crate::pace::Pace;
use crate::shared::Shared;
use crate::storage::{Storage, StorageError, chain, clear};
use crate::writer::{Change, Overlaid, Writer, relative};

/// One batch reads and cuts at most so long, or so many bytes: whoever asks meanwhile waits for it.
const BATCH: Duration = Duration::from_millis(250);
const BATCH_BYTES: usize = 8 << 20;
/// Work that ends sooner shows no progress.
const SHOWN_AFTER: Duration = Duration::from_millis(700);

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// These absolute paths may have changed.
    Paths(u64, Vec<PathBuf>),
    /// Anything may have changed.
    Everything(u64),
    /// What a session has not saved: path, text, blake3.
    Overlay(Vec<(Arc<str>, Arc<str>, [u8; 32])>, Sender<Overlaid>),
    /// A person pauses or resumes.
    Pause(bool),
    /// Start over.
    Rebuild(u64),
    /// Make everything durable and end.
    Stop,
}

/// The thread's state.
pub(crate) struct Engine {
    root: Arc<Path>,
    directory: Option<PathBuf>,
    shared: Arc<Shared>,
    lane: Option<Arc<Lane>>,
    news: Box<dyn FnMut(News) + Send>,
    pace: Pace,
    writer: Option<Writer>,
    todo: VecDeque<Arc<str>>,
    queued: HashSet<Arc<str>>,
    scan: bool,
    rebuild: bool,
    paused: bool,
    /// The last change that was taken up.
    taken: u64,
    /// Whether everything was in once.
    settled: bool,
    work: Option<Work>,
}

/// Work that goes on, for a display of progress.
struct Work {
    since: Instant,
    shown: bool,
    done: u64,
}

impl Engine {
    pub(crate) fn new(
        root: Arc<Path>,
        directory: Option<PathBuf>,
        shared: Arc<Shared>,
        lane: Option<Arc<Lane>>,
        news: Box<dyn FnMut(News) + Send>,
    ) -> Self {
        Self {
            root,
            directory,
            shared,
            lane,
            news,
            pace: Pace::of_this_thread(),
            writer: None,
            todo: VecDeque::new(),
            queued: HashSet::new(),
            scan: true,
            rebuild: false,
            paused: false,
            taken: 0,
            settled: false,
            work: None,
        }
    }

    /// Runs until it is told to stop or nobody is left to tell anything.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let mut rest = Duration::ZERO;
            // A defect ends the work on the index, not the daemon.
            let step = catch_unwind(AssertUnwindSafe(|| self.step()));
            match step {
                Ok(Ok(worked)) => rest = worked.map_or(rest, |worked| self.pace.rest(worked)),
                Ok(Err(error)) => self.fail(&chain(&error)),
                Err(_panic) => self.fail("a defect in Greenlit; `greenlit logs` has more"),
            }
            let received = if !self.has_work() {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else if rest.is_zero() {
                inbox.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                })
            } else {
                inbox.recv_timeout(rest)
            };
            let mut next = match received {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            };
            while let Some(message) = next {
                if matches!(message, Message::Stop) {
                    self.stop();
                    return;
                }
                let taken = catch_unwind(AssertUnwindSafe(|| self.take(message)));
                if taken.is_err() {
                    self.fail("a defect in Greenlit; `greenlit logs` has more");
                }
                next = inbox.try_recv().ok();
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.shared.progress().failed.is_some()
    }

    fn is_open(&self) -> bool {
        self.writer.is_some() && !self.rebuild
    }

    fn follows(&self) -> bool {
        self.scan || !self.todo.is_empty()
    }

    fn has_work(&self) -> bool {
        !self.has_failed() && (!self.is_open() || self.follows() && !self.paused)
    }

    /// Whether everything that was told is in.
    fn is_done(&self) -> bool {
        self.is_open() && !self.follows() && !self.has_failed()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Paths(number, paths) => {
                self.taken = number;
                let mut paths: Vec<_> =
                    paths.iter().filter_map(|path| relative(&self.root, path)).collect();
                // Before it is open the first scan is still to come.
                if let Some(writer) = &mut self.writer {
                    paths.retain(|path| writer.admits(path));
                }
                // What a person is about comes before a first scan.
                self.add(paths, true);
            }
            Message::Everything(number) => {
                self.taken = number;
                self.scan = true;
            }
            Message::Rebuild(number) => {
                self.taken = number;
                self.rebuild = true;
            }
            Message::Pause(paused) => self.pause(paused),
            Message::Overlay(buffers, reply) => {
                let Some(writer) = &mut self.writer else { return };
                match writer.overlay(&buffers) {
                    Ok(overlaid) => {
                        let snapshot = writer.snapshot();
                        if let Some(lane) = &self.lane {
                            let text = |path: &str| {
                                let mut all = buffers.iter();
                                all.find(|(of, ..)| &**of == path).map(|(_, text, _)| text.clone())
                            };
                            lane.show(&snapshot, &overlaid.shown, &text);
                        }
                        self.shared.publish(snapshot);
                        // Whoever asked may have given up.
                        let _ = reply.send(overlaid);
                    }
                    Err(error) => self.fail(&chain(&error)),
                }
            }
            Message::Stop => {}
        }
        if self.is_done() {
            self.settle();
        }
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        self.shared.update(|progress| progress.paused = paused);
        if let Some(lane) = &self.lane {
            lane.pause(paused);
        }
        if let Some(writer) = &self.writer
            && let Err(error) = writer.storage().set_paused(paused)
        {
            tracing::warn!(error = chain(&error), "the pause will not survive a restart");
        }
        if paused {
            self.show_end("paused");
        }
    }

    fn add(&mut self, paths: Vec<Arc<str>>, first: bool) {
        let new: Vec<_> =
            paths.into_iter().filter(|path| self.queued.insert(path.clone())).collect();
        if first {
            new.into_iter().rev().for_each(|path| self.todo.push_front(path));
        } else {
            self.todo.extend(new);
        }
    }

    /// Does one piece of work; gives how long it took, `None` when there was none.
    fn step(&mut self) -> Result<Option<Duration>, StorageError> {
        if !self.has_work() {
            return Ok(None);
        }
        let start = Instant::now();
        if !self.is_open() {
            self.open()?;
            return Ok(Some(start.elapsed()));
        }
        self.work.get_or_insert(Work { since: start, shown: false, done: 0 });
        if self.scan {
            self.scan()?;
        } else {
            self.batch(start)?;
        }
        self.show();
        if self.is_done() {
            self.settle();
        }
        Ok(Some(start.elapsed()))
    }

    fn open(&mut self) -> Result<(), StorageError> {
        if std::mem::take(&mut self.rebuild) {
            // Closes the files before they are removed.
            self.writer = None;
            self.todo.clear();
            self.queued.clear();
            if let Some(lane) = &self.lane {
                lane.reset();
            }
            if let Some(directory) = &self.directory {
                clear(directory)?;
            }
        }
        let storage = match &self.directory {
            Some(directory) => Storage::open(directory)?,
            None => Storage::in_memory()?,
        };
        let (notice, paused) = (storage.notice.clone(), storage.loaded.paused || self.paused);
        self.writer = Some(Writer::open(self.root.clone(), storage));
        self.publish();
        self.scan = true;
        self.paused = paused;
        if let Some(lane) = &self.lane {
            lane.pause(paused);
        }
        self.shared.update(|progress| {
            progress.notice = notice;
            progress.paused = paused;
        });
        Ok(())
    }

    /// Finds out what differs from what is stored.
    fn scan(&mut self) -> Result<(), StorageError> {
        self.scan = false;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        match writer.scan() {
            Ok((paths, gone)) => {
                writer.store(gone)?;
                self.publish();
                self.add(paths, false);
                let left = self.todo.len() as u64;
                self.shared.update(|progress| progress.left = Some(left));
            }
            Err(error) => self.fail(&chain(&error)),
        }
        Ok(())
    }

    /// Looks at some of the paths, and publishes what came of it.
    fn batch(&mut self, start: Instant) -> Result<(), StorageError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut change = Change::default();
        let mut more = Vec::new();
        let mut done = 0;
        while let Some(path) = self.todo.pop_front() {
            self.queued.remove(&path);
            more.extend(writer.read(&path, &mut change));
            done += 1;
            if start.elapsed() > BATCH || change.bytes > BATCH_BYTES {
                break;
            }
        }
        let changed = !change.is_empty();
        writer.store(change)?;
        if changed {
            self.publish();
        }
        self.add(more, true);
        if let Some(work) = &mut self.work {
            work.done += done;
        }
        let left = self.todo.len() as u64;
        let spared = self.pace.reason();
        self.shared.update(|progress| {
            progress.left = Some(left);
            progress.spared = spared;
        });
        Ok(())
    }

    /// Shows readers what the writer has.
    fn publish(&self) {
        let Some(writer) = &self.writer else { return };
        let snapshot = writer.snapshot();
        if let Some(lane) = &self.lane {
            // What comes after the first comparison is newer than what that found.
            lane.follow(&snapshot, self.settled);
        }
        self.shared.publish(snapshot);
    }

    /// Everything that was told is in.
    fn settle(&mut self) {
        let taken = self.taken;
        self.settled = true;
        let bytes = self.writer.as_ref().map_or(0, |writer| writer.storage().bytes());
        self.shared.update(|progress| {
            progress.settled = taken;
            progress.left = Some(0);
            progress.bytes_disk = bytes;
            progress.behind_since =
                if progress.is_settled() { None } else { progress.behind_since };
        });
        self.show_end("up to date");
    }

    fn fail(&mut self, why: &str) {
        tracing::error!(root = %self.root.display(), why, "the index failed");
        self.shared.update(|progress| progress.failed = Some(why.to_owned()));
        self.show_end(why);
    }

    fn stop(&mut self) {
        self.show_end("stopped");
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.flush()
        {
            tracing::warn!(error = chain(&error), "the end of the index was not stored");
        }
    }

    fn show(&mut self) {
        let Some(work) = &mut self.work else { return };
        if work.since.elapsed() < SHOWN_AFTER {
            return;
        }
        if !work.shown {
            work.shown = true;
            (self.news)(News::Begin);
        }
        let left = self.todo.len() as u64;
        (self.news)(News::Progress { done: work.done, total: work.done + left });
    }

    fn show_end(&mut self, how: &str) {
        if self.work.take().is_some_and(|work| work.shown) {
            (self.news)(News::End { how: how.to_owned() });
        }
    }
}
