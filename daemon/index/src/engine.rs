//! The thread of an index: takes what changed, stores it, publishes the next snapshot.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

use greenlit_lexical::Lexical;
use greenlit_workspace::chain;

use crate::announce::{Announcer, Tell, Work};
use crate::dense::Lane;
use crate::pace::Pace;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::storage::{Storage, StorageError};
use crate::writer::{Buffer, Change, Overlaid, Writer, relative};

/// One batch reads and cuts at most so long, or so many bytes: whoever asks meanwhile waits for it.
const BATCH: Duration = Duration::from_millis(250);
const BATCH_BYTES: usize = 8 << 20;

/// After so long an index that could not be read or written is opened again.
const AGAIN: Duration = Duration::from_secs(60);

/// So many paths are remembered that come first.
const PREFERRED: usize = 256;

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// These absolute paths may have changed.
    Paths(u64, Vec<PathBuf>),
    /// Anything may have changed.
    Everything(u64),
    /// What a session has not saved.
    Overlay(Vec<Buffer>, Sender<Overlaid>),
    /// These absolute paths come first where much is to be done.
    Prefer(Vec<PathBuf>),
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
    pace: Pace,
    writer: Option<Writer>,
    todo: VecDeque<Arc<str>>,
    queued: HashSet<Arc<str>>,
    /// What of it was named, not found by a comparison: it is newer.
    named: HashSet<Arc<str>>,
    scan: bool,
    rebuild: bool,
    /// What comes before the rest of the first comparison, the latest last.
    preferred: Vec<Arc<str>>,
    /// What a person said since the start.
    paused: Option<bool>,
    /// When it is opened again after a failure.
    again: Option<Instant>,
    /// The last change that was taken up.
    taken: u64,
    /// The last change after which everything was in; 0 before the first.
    settled: u64,
    announcer: Announcer,
}

impl Engine {
    pub(crate) fn new(
        root: Arc<Path>,
        directory: Option<PathBuf>,
        shared: Arc<Shared>,
        lane: Option<Arc<Lane>>,
        tell: Tell,
    ) -> Self {
        Self {
            root,
            directory,
            shared,
            lane,
            pace: Pace::of_this_thread(),
            writer: None,
            todo: VecDeque::new(),
            queued: HashSet::new(),
            named: HashSet::new(),
            scan: true,
            rebuild: false,
            preferred: Vec::new(),
            paused: None,
            again: None,
            taken: 0,
            settled: 0,
            announcer: Announcer::new(Work::Files, tell),
        }
    }

    /// Runs until it is told to stop or nobody is left to tell anything.
    pub(crate) fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            if self.again.is_some_and(|again| again <= Instant::now()) {
                self.retry();
            }
            let mut rest = Duration::ZERO;
            // A defect ends the work on the index, not the daemon.
            let step = catch_unwind(AssertUnwindSafe(|| self.step()));
            match step {
                Ok(Ok(worked)) => rest = worked.map_or(rest, |worked| self.pace.rest(worked)),
                Ok(Err(error)) => self.fail_for_now(&error),
                Err(_panic) => self.fail("a defect in Greenlit; `greenlit logs` has more"),
            }
            let received = if !self.has_work() {
                match self.again.map(|again| again.saturating_duration_since(Instant::now())) {
                    Some(patience) => inbox.recv_timeout(patience),
                    None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                }
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
        // A rebuild mends a failure.
        self.rebuild
            || !self.has_failed() && (!self.is_open() || self.follows() && !self.is_paused())
    }

    fn is_paused(&self) -> bool {
        self.paused == Some(true)
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
                self.named.extend(paths.iter().cloned());
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
            Message::Prefer(paths) => self.prefer(&paths),
            Message::Pause(paused) => self.pause(paused),
            Message::Overlay(buffers, reply) => self.overlay(&buffers, &reply),
            Message::Stop => {}
        }
        if self.is_done() && self.settled < self.taken {
            self.settle();
        }
    }

    /// Takes in the unsaved buffers of a session. Until the index is open there is no answer.
    fn overlay(&mut self, buffers: &[Buffer], reply: &Sender<Overlaid>) {
        let Some(writer) = self.writer.as_mut().filter(|_| !self.rebuild) else { return };
        let (overlaid, is_new) = match writer.overlay(buffers) {
            Ok(overlaid) => overlaid,
            Err(error) => return self.fail_for_now(&error),
        };
        if is_new {
            self.shared.publish(writer.snapshot());
        }
        if let Some(lane) = &self.lane {
            let text = |path: &str| {
                let found = buffers.iter().find(|(of, ..)| &**of == path);
                found.map(|(_, text, _)| text.clone())
            };
            lane.show(&self.shared.snapshot(), &overlaid.shown, &text);
        }
        // Whoever asked may have given up.
        let _ = reply.send(overlaid);
    }

    /// Puts what waits of these paths first, the last one before the others, now and in every first
    /// comparison.
    fn prefer(&mut self, paths: &[PathBuf]) {
        let paths: Vec<_> = paths.iter().filter_map(|path| relative(&self.root, path)).collect();
        self.put_first(&paths);
        self.prefer_vectors(&paths);
        self.preferred.retain(|known| !paths.contains(known));
        self.preferred.extend(paths);
        let beyond = self.preferred.len().saturating_sub(PREFERRED);
        self.preferred.drain(..beyond);
    }

    fn put_first(&mut self, paths: &[Arc<str>]) {
        let mut waiting: HashSet<_> =
            paths.iter().filter(|path| self.queued.contains(*path)).collect();
        if waiting.is_empty() {
            return;
        }
        self.todo.retain(|path| !waiting.contains(path));
        let first = paths.iter().filter(|path| waiting.remove(path));
        first.for_each(|path| self.todo.push_front(path.clone()));
    }

    fn prefer_vectors(&self, paths: &[Arc<str>]) {
        let (Some(lane), Some(writer)) = (&self.lane, &self.writer) else { return };
        let records: Vec<_> = paths.iter().filter_map(|path| writer.record_of(path)).collect();
        lane.prefer(&records);
    }

    fn pause(&mut self, paused: bool) {
        self.paused = Some(paused);
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
            self.announcer.end("paused");
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
        self.announcer.begin(start);
        if self.scan {
            self.scan()?;
        } else {
            self.batch(start)?;
        }
        self.announcer.show(self.todo.len() as u64);
        if self.is_done() {
            self.settle();
        }
        Ok(Some(start.elapsed()))
    }

    fn open(&mut self) -> Result<(), StorageError> {
        let anew = std::mem::take(&mut self.rebuild);
        if anew {
            // What failed may have done so after the rebuild was asked for.
            self.shared.update(|progress| progress.failed = None);
            self.close()?;
        }
        let storage = match &self.directory {
            Some(directory) if anew => Storage::anew(directory)?,
            Some(directory) => Storage::open(directory)?,
            None => Storage::in_memory()?,
        };
        let (notice, before) = (storage.notice.clone(), storage.loaded.paused);
        let paused = self.paused.unwrap_or(before);
        if paused != before {
            storage.set_paused(paused)?;
        }
        self.writer = Some(Writer::open(self.root.clone(), storage));
        self.scan = true;
        self.paused = Some(paused);
        if let Some(lane) = &self.lane {
            lane.pause(paused);
        }
        self.publish(false);
        self.shared.update(|progress| {
            progress.notice = notice;
            progress.paused = paused;
        });
        Ok(())
    }

    /// Closes the files: they are removed or opened anew next.
    fn close(&mut self) -> Result<(), StorageError> {
        self.again = None;
        self.writer = None;
        self.todo.clear();
        self.queued.clear();
        self.named.clear();
        self.settled = 0;
        if let Some(lane) = &self.lane {
            lane.reset();
        }
        // What is published has them open as well.
        self.shared.publish(Snapshot::empty(Arc::new(Lexical::in_memory()?)));
        self.shared.update(|progress| progress.left = None);
        Ok(())
    }

    /// Finds out what differs from what is stored.
    fn scan(&mut self) -> Result<(), StorageError> {
        self.scan = false;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if let Some(lane) = &self.lane {
            lane.begin();
        }
        match writer.scan() {
            Ok((paths, gone)) => {
                writer.store(gone)?;
                self.publish(false);
                self.add(paths, false);
                let preferred = self.preferred.clone();
                self.put_first(&preferred);
                let left = self.todo.len() as u64;
                self.shared.update(|progress| progress.left = Some(left));
            }
            Err(error) => self.fail_for_now(&error),
        }
        Ok(())
    }

    /// Looks at some of the paths, and publishes what came of it.
    fn batch(&mut self, start: Instant) -> Result<(), StorageError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let mut change = Change::default();
        let mut more = Vec::new();
        let mut done = 0;
        let is_named = self.todo.front().is_some_and(|path| self.named.contains(path));
        while let Some(path) = self.todo.pop_front_if(|path| self.named.contains(path) == is_named)
        {
            self.queued.remove(&path);
            self.named.remove(&path);
            more.extend(writer.read(&path, &mut change));
            done += 1;
            if start.elapsed() > BATCH || change.bytes > BATCH_BYTES {
                break;
            }
        }
        let changed = !change.is_empty();
        writer.store(change)?;
        if changed {
            self.publish(is_named);
        }
        if is_named {
            self.named.extend(more.iter().cloned());
        }
        self.add(more, true);
        self.announcer.done(done);
        let left = self.todo.len() as u64;
        let spared = self.pace.reason();
        self.shared.update(|progress| {
            progress.left = Some(left);
            progress.spared = spared;
        });
        Ok(())
    }

    /// Shows readers what the writer has. What was named is embedded first.
    fn publish(&self, is_named: bool) {
        let Some(writer) = &self.writer else { return };
        let snapshot = writer.snapshot();
        if let Some(lane) = &self.lane {
            lane.follow(&snapshot, is_named);
        }
        if self.settled == 0 {
            self.prefer_vectors(&self.preferred);
        }
        self.shared.publish(snapshot);
    }

    /// Everything that was told is in.
    fn settle(&mut self) {
        let taken = self.taken;
        self.settled = taken;
        if let Some(lane) = &self.lane {
            lane.settle();
        }
        let bytes = self.writer.as_ref().map_or(0, |writer| writer.storage().bytes());
        self.shared.update(|progress| {
            progress.settled = taken;
            progress.left = Some(0);
            progress.bytes_disk = bytes;
            progress.behind_since =
                if progress.is_settled() { None } else { progress.behind_since };
        });
        self.announcer.end("up to date");
    }

    /// The disk may be full, or another daemon have the index: that passes.
    fn fail_for_now(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.fail(&chain(error));
        self.again = Some(Instant::now() + AGAIN);
    }

    /// Opens it as after a restart.
    fn retry(&mut self) {
        self.shared.update(|progress| progress.failed = None);
        if let Err(error) = self.close() {
            self.fail_for_now(&error);
        }
    }

    fn fail(&mut self, why: &str) {
        tracing::error!(root = %self.root.display(), why, "the index failed");
        self.again = None;
        self.shared.update(|progress| progress.failed = Some(why.to_owned()));
        self.announcer.end(why);
    }

    fn stop(&mut self) {
        self.announcer.end("stopped");
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.flush()
        {
            tracing::warn!(error = chain(&error), "the end of the index was not stored");
        }
    }
}

#[cfg(test)]
mod tests;
