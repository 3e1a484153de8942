//! What one index has of the search by meaning.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use greenlit_store::{Owner, SpaceId};
use greenlit_workspace::{chain, git_branch};

use crate::announce::{Announcer, Tell, Work};
use crate::dense::side::Side;
use crate::dense::slots::Digest;
use crate::dense::vectors::Bound;
use crate::dense::{Core, Meaning, Model};
use crate::record::{Record, RecordId};
use crate::snapshot::Snapshot;

/// Unsaved buffers whose vectors are kept beside those of the files.
const SHOWN: usize = 256;

/// The lane. The index's thread tells it what lives, the worker gives it vectors, and whoever
/// searches reads it.
#[derive(Debug)]
pub(crate) struct Lane {
    root: Arc<Path>,
    /// Where the graph is kept.
    pub(super) directory: Option<PathBuf>,
    core: Arc<Core>,
    state: RwLock<State>,
    announcer: Mutex<Announcer>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// With the model that answers.
    pub(super) serving: Side,
    /// With the model that takes its place when all is embedded.
    pub(super) coming: Option<Side>,
    /// Unsaved buffers, the last one last.
    shown: VecDeque<RecordId>,
    pub(super) texts: HashMap<RecordId, Arc<str>>,
    pub(super) paused: bool,
    pub(super) notice: Option<String>,
    /// Whether what lives is all that the index needs: not while it is being opened or compared.
    complete: bool,
    /// How many vectors were found damaged.
    pub(super) damaged: u64,
}

impl Lane {
    pub(super) fn new(root: &Path, directory: Option<&Path>, core: Arc<Core>, tell: Tell) -> Self {
        let directory = directory.map(Path::to_owned);
        let announcer = Mutex::new(Announcer::new(Work::Vectors, tell));
        let (state, closed) = (RwLock::default(), AtomicBool::new(false));
        Self { root: root.into(), directory, core, state, announcer, closed }
    }

    /// So many texts more were embedded, in work that began at the latest then.
    pub(super) fn tell(&self, since: Instant, texts: usize) {
        // What waits for room or for its text is not being embedded.
        let left = if self.has_work() { self.pending() } else { 0 };
        let mut announcer = self.announcer();
        announcer.begin(since);
        announcer.done(texts as u64);
        announcer.show(left);
    }

    /// Nothing can be embedded now.
    pub(super) fn tell_rest(&self) {
        let how = {
            let state = self.read();
            let side = state.work();
            match (&side.stuck, self.core.meaning()) {
                _ if state.paused => "paused".to_owned(),
                (_, Meaning::Degraded { reason, .. }) => reason,
                (Some(why), _) => why.clone(),
                (None, _) if side.slots.missing() > 0 => "as far as possible".to_owned(),
                (None, _) if state.complete => "up to date".to_owned(),
                (None, _) => "as far as the index is".to_owned(),
            }
        };
        self.announcer().end(&how);
    }

    fn announcer(&self) -> MutexGuard<'_, Announcer> {
        self.announcer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Nobody needs it any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.core.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.core.is_stopped()
    }

    /// The branch of now, as the store knows it.
    pub(super) fn owner(&self) -> Owner {
        let branch = git_branch(&self.root).map(|head| head.name().to_owned());
        let repository = self.root.display().to_string();
        Owner { repository, branch: branch.unwrap_or_default() }
    }

    /// The index begins anew, with other numbers.
    pub(crate) fn reset(&self) {
        let mut state = self.write();
        let before = std::mem::take(&mut *state);
        let (serving, coming) = (before.serving.emptied(), before.coming.map(Side::emptied));
        *state = State { serving, coming, paused: before.paused, ..State::default() };
    }

    /// Stops embedding, or takes it up again, with what was evicted.
    pub(crate) fn pause(&self, paused: bool) {
        self.write().paused = paused;
        if !paused {
            self.readmit();
        }
        self.core.wake();
    }

    /// There may be room again for what was evicted.
    pub(super) fn readmit(&self) {
        self.write().sides().for_each(Side::readmit);
    }

    /// All files are about to be compared.
    pub(crate) fn begin(&self) {
        let mut state = self.write();
        state.complete = false;
        state.sides().for_each(|side| side.queue.begin());
    }

    /// Everything that the index was told is in.
    pub(crate) fn settle(&self) {
        let mut state = self.write();
        let was_complete = std::mem::replace(&mut state.complete, true);
        if was_complete && state.sides().all(|side| side.queue.unread() == 0) {
            return;
        }
        drop(state);
        self.retry();
        self.core.wake();
    }

    /// Asks again for texts that were not to be had. They may be there again although the index saw no
    /// change.
    pub(super) fn retry(&self) {
        self.write().sides().for_each(Side::retry);
    }

    /// Whether there are such texts.
    pub(super) fn has_unread(&self) -> bool {
        let state = self.read();
        !self.is_closed() && !state.paused && state.work().queue.unread() > 0
    }

    /// Follows the index. What is `urgent` is embedded before all that waits.
    pub(crate) fn follow(&self, snapshot: &Snapshot, urgent: bool) {
        let mut state = self.write();
        let changed = state.serving.slots.live() ^ &snapshot.live;
        if changed.is_empty() {
            return;
        }
        let State { serving, coming, shown, texts, .. } = &mut *state;
        for side in std::iter::once(serving).chain(coming) {
            side.follow(snapshot, &changed, |number| shown.contains(&number), urgent);
        }
        texts.retain(|number, _| shown.contains(number));
        drop(state);
        self.core.wake();
    }

    /// Takes in the records of unsaved buffers.
    pub(crate) fn show(
        &self,
        snapshot: &Snapshot,
        shown: &[RecordId],
        text: &dyn Fn(&str) -> Option<Arc<str>>,
    ) {
        let mut state = self.write();
        let mut new = Vec::new();
        for number in shown {
            let Some(record) = snapshot.records.get(*number) else { continue };
            if state.serving.slots.live().contains(*number) {
                continue;
            }
            if !state.shown.contains(number) {
                state.sides().for_each(|side| side.track(*number, record));
                state.shown.push_back(*number);
            }
            if !state.wants(*number) || state.texts.contains_key(number) {
                continue;
            }
            if let Some(text) = text(&record.path) {
                state.texts.insert(*number, text);
            }
            new.push(*number);
        }
        while state.shown.len() > SHOWN {
            let Some(oldest) = state.shown.pop_front() else { break };
            state.texts.remove(&oldest);
            if !state.serving.slots.live().contains(oldest) {
                state.sides().for_each(|side| side.slots.untrack(oldest));
            }
        }
        state.sides().for_each(|side| side.enqueue(&new, true));
        drop(state);
        if !new.is_empty() {
            self.core.wake();
        }
    }

    /// These records come before what else waits, the last one first.
    pub(crate) fn prefer(&self, records: &[RecordId]) {
        if !records.is_empty() {
            self.write().sides().for_each(|side| side.queue.prefer(records));
        }
    }

    /// Uses a model: at once where there was none, else when all is embedded with it. The worker alone
    /// calls this.
    pub(super) fn bind(&self, model: &Arc<Model>) {
        let (is_serving, is_coming) = {
            let state = self.read();
            let is_coming = state.coming.as_ref().map(|side| side.serves(model));
            (state.serving.serves(model), is_coming)
        };
        if is_serving {
            if is_coming.is_some() {
                self.write().coming = None;
            }
            return;
        }
        if is_coming == Some(true) {
            return;
        }
        // Reads the graph from the disk.
        let (bound, notice) = Bound::new(model.clone(), self);
        let mut state = self.write();
        state.notice = notice;
        // What the person works on, then what is newest.
        let first = state.shown.iter().rev().copied().collect();
        let side = Side::of(&mut state.serving, first, bound);
        if state.serving.bound.is_some() {
            state.coming = Some(side);
            drop(state);
            self.announcer().end("another model takes its place");
        } else {
            state.serving = side;
        }
    }

    /// Lets the model that comes answer, if it has everything, or whatever it has. While the index is
    /// being opened or compared nobody knows what everything is.
    pub(super) fn exchange(&self, whatever: bool) {
        let is_due = {
            let state = self.read();
            let is_due = |side: &Side| whatever || state.complete && side.is_done();
            state.coming.as_ref().is_some_and(is_due)
        };
        if !is_due {
            return;
        }
        let mut state = self.write();
        let Some(coming) = state.coming.take() else { return };
        let before = std::mem::replace(&mut state.serving, coming);
        let same = state.serving.has_space_of(&before);
        state.drop_texts();
        drop(state);
        if !same {
            before.forget(&self.owner().repository);
        }
    }

    /// The model that answers.
    pub(super) fn serving(&self) -> Option<Arc<Model>> {
        self.read().serving.bound.as_ref().map(|bound| bound.model.clone())
    }

    pub(super) fn unbind(&self) {
        if self.read().serving.bound.is_none() {
            return;
        }
        let mut state = self.write();
        state.coming = None;
        // What had a vector has none now.
        let slots = state.serving.slots.looked_up(&|texts| vec![None; texts.len()]);
        state.serving = Side { slots, ..Side::default() };
    }

    /// Vectors moved or were lost; see [`Side::rebind`].
    pub(super) fn rebind(&self, again: bool) {
        let mut state = self.write();
        // The last one is the side that is embedded for.
        let is_evicted = state.sides().map(|side| side.rebind(again)).last();
        if is_evicted == Some(true) {
            // Whoever shows a buffer again wants it embedded again.
            state.texts.clear();
        }
    }

    /// Whether there is something to embed.
    pub(super) fn has_work(&self) -> bool {
        let state = self.read();
        let side = state.work();
        !self.is_closed()
            && !state.paused
            && side.stuck.is_none()
            && side.bound.is_some()
            && !side.queue.is_empty()
    }

    /// The text of an unsaved buffer.
    pub(super) fn text(&self, number: RecordId) -> Option<Arc<str>> {
        self.read().texts.get(&number).cloned()
    }

    /// Vectors came in.
    pub(super) fn resolve(&self, vectors: &[(Digest, u32)]) {
        let mut state = self.write();
        let side = state.work_mut();
        vectors.iter().for_each(|(text, slot)| side.slots.resolve(text, *slot));
        side.refresh();
    }

    /// These records are done.
    pub(super) fn drop_queued(&self, done: &[(RecordId, Option<Arc<Record>>)]) {
        let mut state = self.write();
        state.work_mut().drop_queued(done);
        state.drop_texts();
    }

    /// Takes these records out of the order until [`Lane::retry`].
    pub(super) fn put_aside(&self, unread: &[RecordId]) {
        self.write().work_mut().queue.put_aside(unread);
    }

    /// Tells the store what the index needs, where that has changed, or `anew`: it is used now.
    pub(super) fn retain(&self, anew: bool) {
        let owner = self.owner();
        let needs: Vec<_> = {
            let state = self.read();
            let sides = std::iter::once(&state.serving).chain(&state.coming);
            let bound = sides.filter_map(|side| {
                let model = side.bound.as_ref()?.model.clone();
                let before = side.retained.clone().filter(|_| !anew);
                Some((model, state.complete, side.slots.members().clone(), before))
            });
            bound.collect()
        };
        for (model, is_complete, mut members, before) in needs {
            if !is_complete {
                // What it needs besides is not known yet.
                members |= model.space.references(&owner);
            }
            let now = Some((owner.clone(), members));
            if now == before {
                continue;
            }
            let Some((owner, members)) = &now else { continue };
            match model.space.retain(owner, members) {
                Ok(()) => {
                    let mut state = self.write();
                    let side = state.sides().find(|side| side.serves(&model));
                    side.into_iter().for_each(|side| side.retained = now.clone());
                }
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the store was not told what is needed");
                }
            }
        }
    }

    /// As whom it needs vectors, and in which spaces.
    pub(super) fn needs(&self) -> Vec<(SpaceId, Owner)> {
        let owner = self.owner();
        let state = self.read();
        let bound = [Some(&state.serving), state.coming.as_ref()].into_iter().flatten();
        let bound = bound.filter_map(|side| side.bound.as_ref());
        bound.map(|bound| (bound.model.space.id().clone(), owner.clone())).collect()
    }
}

impl State {
    fn sides(&mut self) -> impl Iterator<Item = &mut Side> {
        std::iter::once(&mut self.serving).chain(&mut self.coming)
    }

    /// The side that is embedded for.
    pub(super) fn work(&self) -> &Side {
        self.coming.as_ref().unwrap_or(&self.serving)
    }

    pub(super) fn work_mut(&mut self) -> &mut Side {
        self.coming.as_mut().unwrap_or(&mut self.serving)
    }

    /// Whether all is known that lives.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the model is being exchanged.
    pub(super) fn is_exchanging(&self) -> bool {
        self.coming.is_some()
    }

    /// Whether a record has texts that are to be embedded.
    fn wants(&self, number: RecordId) -> bool {
        let mut sides = std::iter::once(&self.serving).chain(&self.coming);
        sides.any(|side| !side.wanted_of(number).is_empty())
    }

    /// Forgets the texts of buffers that have their vectors.
    fn drop_texts(&mut self) {
        let mut texts = std::mem::take(&mut self.texts);
        texts.retain(|number, _| self.wants(*number));
        self.texts = texts;
    }
}
