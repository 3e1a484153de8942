//! What one index has of the search by meaning.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use greenlit_store::Owner;
use greenlit_workspace::git_branch;
use roaring::RoaringBitmap;

use crate::dense::queue::Queue;
use crate::dense::slots::{Digest, Slots};
use crate::dense::vectors::{Bound, keys};
use crate::dense::{Core, Model};
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
    closed: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) slots: Slots,
    pub(super) queue: Queue,
    /// Unsaved buffers, the last one last.
    shown: VecDeque<RecordId>,
    pub(super) texts: HashMap<RecordId, Arc<str>>,
    /// Texts that the model has no vector for.
    pub(super) refused: HashSet<Digest>,
    pub(super) bound: Option<Bound>,
    pub(super) paused: bool,
    /// Why nothing can be added.
    pub(super) stuck: Option<String>,
    /// Whether vectors went because other indexes needed their room. They are not embedded again of
    /// themselves: else two indexes would drive each other out for ever.
    pub(super) evicted: bool,
    pub(super) notice: Option<String>,
    /// What the store was told last that is needed.
    pub(super) retained: Option<(Owner, RoaringBitmap)>,
    /// Whether what lives is all that the index needs: not while it is being opened or compared.
    pub(super) complete: bool,
    /// Slots whose vectors were checked.
    pub(super) verified: RoaringBitmap,
    /// How many of these were damaged.
    pub(super) damaged: u64,
}

impl Lane {
    pub(super) fn new(root: &Path, directory: Option<&Path>, core: Arc<Core>) -> Self {
        let directory = directory.map(Path::to_owned);
        let (state, closed) = (RwLock::default(), AtomicBool::new(false));
        Self { root: root.into(), directory, core, state, closed }
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
        let (bound, paused) = (state.bound.take(), state.paused);
        *state = State { bound, paused, ..State::default() };
        state.refresh();
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
        let mut state = self.write();
        state.stuck = None;
        if std::mem::take(&mut state.evicted) {
            state.enqueue_missing();
        }
    }

    /// All files are about to be compared.
    pub(crate) fn begin(&self) {
        let mut state = self.write();
        state.complete = false;
        state.queue.begin();
    }

    /// Everything that the index was told is in.
    pub(crate) fn settle(&self) {
        let mut state = self.write();
        let was_complete = std::mem::replace(&mut state.complete, true);
        if was_complete && state.queue.unread() == 0 {
            return;
        }
        drop(state);
        self.retry();
        self.core.wake();
    }

    /// Asks again for texts that were not to be had. They may be there again although the index saw no
    /// change.
    pub(super) fn retry(&self) {
        let mut state = self.write();
        let unread = state.queue.take_unread();
        let State { queue, slots, shown, .. } = &mut *state;
        let is_seen = |number: &RecordId| slots.live().contains(*number) || shown.contains(number);
        let missing = unread.into_iter().filter(is_seen);
        queue.push_back(missing.filter(|number| !slots.missing_of(*number).is_empty()));
    }

    /// Whether there are such texts.
    pub(super) fn has_unread(&self) -> bool {
        let state = self.read();
        !self.is_closed() && !state.paused && state.queue.unread() > 0
    }

    /// Follows the index. What is `urgent` is embedded before all that waits.
    pub(crate) fn follow(&self, snapshot: &Snapshot, urgent: bool) {
        let mut state = self.write();
        let changed = state.slots.live() ^ &snapshot.live;
        if changed.is_empty() {
            return;
        }
        let mut new = Vec::new();
        for number in changed {
            match snapshot.records.get(number).filter(|_| snapshot.live.contains(number)) {
                Some(record) => {
                    state.track(number, record);
                    state.slots.set_live(number, true);
                    new.push(number);
                }
                None => {
                    state.slots.set_live(number, false);
                    if !state.shown.contains(&number) {
                        state.untrack(number);
                    }
                }
            }
        }
        state.enqueue(&new, urgent);
        state.stuck = None;
        state.refresh();
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
            if state.slots.live().contains(*number) {
                continue;
            }
            if !state.shown.contains(number) {
                state.track(*number, record);
                state.shown.push_back(*number);
            }
            if state.wanted_of(*number).is_empty() || state.texts.contains_key(number) {
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
            if !state.slots.live().contains(oldest) {
                state.untrack(oldest);
            }
        }
        state.enqueue(&new, true);
        drop(state);
        if !new.is_empty() {
            self.core.wake();
        }
    }

    /// Uses a model from now on.
    pub(super) fn bind(&self, model: &Arc<Model>) {
        // Reads the graph from the disk.
        let (bound, notice) = Bound::new(model.clone(), self);
        let mut state = self.write();
        state.notice = notice;
        state.verified.clear();
        state.slots.rebind(&|texts| model.space.lookup(&keys(&model.space, texts)));
        state.bound = Some(bound);
        let State { queue, slots, .. } = &mut *state;
        queue.retain(|number| !slots.missing_of(*number).is_empty());
        state.refresh();
    }

    pub(super) fn unbind(&self) {
        self.write().bound = None;
    }

    /// Vectors moved or were lost. What is missing now is embedded again, unless it went because there
    /// is no room.
    pub(super) fn rebind(&self, again: bool) {
        let mut state = self.write();
        let Some(bound) = state.bound.clone() else { return };
        let (before, space) = (state.slots.missing(), &bound.model.space);
        state.slots.rebind(&|texts| space.lookup(&keys(space, texts)));
        if again {
            state.enqueue_missing();
        } else if state.slots.missing() > before {
            state.evicted = true;
            // What waits would drive out the others in turn.
            state.queue = Queue::default();
            state.texts.clear();
        }
        bound.measure_again();
        state.refresh();
    }

    /// Whether there is something to embed.
    pub(super) fn has_work(&self) -> bool {
        let state = self.read();
        !self.is_closed()
            && !state.paused
            && state.stuck.is_none()
            && state.bound.is_some()
            && !state.queue.is_empty()
    }

    /// The text of an unsaved buffer.
    pub(super) fn text(&self, number: RecordId) -> Option<Arc<str>> {
        self.read().texts.get(&number).cloned()
    }

    /// Vectors came in.
    pub(super) fn resolve(&self, vectors: &[(Digest, u32)]) {
        let mut state = self.write();
        vectors.iter().for_each(|(text, slot)| state.slots.resolve(text, *slot));
        state.refresh();
    }

    /// These records are done, unless their numbers mean other records by now.
    pub(super) fn drop_queued(&self, done: &[(RecordId, Option<Arc<Record>>)]) {
        let mut state = self.write();
        let done: HashSet<RecordId> = done
            .iter()
            .filter(|(number, record)| {
                let now = state.slots.record(*number);
                now.map(Arc::as_ptr) == record.as_ref().map(Arc::as_ptr)
            })
            .map(|(number, _)| *number)
            .collect();
        state.queue.retain(|number| !done.contains(number));
        state.texts.retain(|number, _| !done.contains(number));
    }

    /// Takes these records out of the order until [`Lane::retry`].
    pub(super) fn put_aside(&self, unread: &[RecordId]) {
        self.write().queue.put_aside(unread);
    }

    /// Live slots.
    pub(super) fn members(&self) -> RoaringBitmap {
        self.read().slots.members().clone()
    }
}

impl State {
    fn track(&mut self, number: RecordId, record: &Arc<Record>) {
        match &self.bound {
            Some(bound) => {
                let space = &bound.model.space;
                let lookup = |texts: &[Digest]| space.lookup(&keys(space, texts));
                self.slots.track(number, record, &lookup);
            }
            None => self.slots.track(number, record, &|texts| vec![None; texts.len()]),
        }
    }

    fn untrack(&mut self, number: RecordId) {
        self.slots.untrack(number);
        self.texts.remove(&number);
    }

    /// The texts of a record that are to be embedded.
    pub(super) fn wanted_of(&self, number: RecordId) -> Vec<Digest> {
        let mut wanted = self.slots.missing_of(number);
        wanted.retain(|text| !self.refused.contains(text));
        wanted
    }

    /// Behind everything that waits.
    fn enqueue_missing(&mut self) {
        let live: Vec<RecordId> = self.slots.live().iter().collect();
        let State { queue, slots, .. } = self;
        // What is newest has the largest number.
        let missing = live.into_iter().rev();
        queue.push_back(missing.filter(|number| !slots.missing_of(*number).is_empty()));
    }

    fn enqueue(&mut self, records: &[RecordId], urgent: bool) {
        let missing = |number: &&RecordId| !self.wanted_of(**number).is_empty();
        let missing: Vec<RecordId> = records.iter().filter(missing).copied().collect();
        if urgent {
            missing.into_iter().rev().for_each(|number| self.queue.push_front(number));
        } else {
            self.queue.extend(missing);
        }
    }

    /// Shows readers what lives now.
    pub(super) fn refresh(&mut self) {
        if let Some(bound) = &mut self.bound {
            bound.refresh(self.slots.members());
        }
    }
}
