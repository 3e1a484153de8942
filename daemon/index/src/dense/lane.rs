//! What one index has of the search by meaning.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use greenlit_store::Owner;
use greenlit_workspace::git_branch;
use roaring::RoaringBitmap;

use crate::dense::slots::{Digest, Slots};
use crate::dense::vectors::{Bound, GraphStatus, keys};
use crate::dense::{Core, Meaning, Model};
use crate::record::{Record, RecordId, parts};
use crate::snapshot::{Scope, Snapshot};

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
    /// Records with texts that are to be embedded, in this order.
    pub(super) queue: VecDeque<RecordId>,
    /// Unsaved buffers, the last one last.
    shown: VecDeque<RecordId>,
    texts: HashMap<RecordId, Arc<str>>,
    /// Texts that the model has no vector for.
    pub(super) refused: HashSet<Digest>,
    pub(super) bound: Option<Bound>,
    paused: bool,
    /// Why nothing can be added.
    pub(super) stuck: Option<String>,
    pub(super) notice: Option<String>,
    /// What the store was told last that is needed.
    pub(super) retained: Option<(Owner, RoaringBitmap)>,
    /// Whether the vectors were checked.
    pub(super) verified: bool,
}

/// Whether a chunk of a record, by its ordinal, may be found.
pub(crate) type Admits<'a> = &'a dyn Fn(&Record, usize) -> bool;

/// What a search by meaning found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Chunks, best first.
    pub(crate) documents: Vec<u64>,
    /// Chunks in view that have no vector.
    pub(crate) pending: u64,
    /// Why it does not find everything.
    pub(crate) degraded: Option<String>,
}

/// What is said while there is no way to search by meaning.
pub(crate) const NO_MODEL: &str = "no embedding model: found by words and names, not by meaning";

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

    pub(crate) fn pause(&self, paused: bool) {
        self.write().paused = paused;
        self.core.wake();
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
            if state.slots.live().contains(*number) || state.shown.contains(number) {
                continue;
            }
            state.track(*number, record);
            if let Some(text) = text(&record.path) {
                state.texts.insert(*number, text);
            }
            state.shown.push_back(*number);
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

    /// These records come before what else waits, the last one first.
    pub(crate) fn prefer(&self, records: &[RecordId]) {
        if records.is_empty() {
            return;
        }
        let mut state = self.write();
        let wanted: HashSet<RecordId> = records.iter().copied().collect();
        let mut waiting: HashSet<RecordId> = HashSet::new();
        state.queue.retain(|number| {
            let is_wanted = wanted.contains(number);
            if is_wanted {
                waiting.insert(*number);
            }
            !is_wanted
        });
        let first = records.iter().filter(|number| waiting.remove(number));
        first.for_each(|number| state.queue.push_front(*number));
    }

    /// The best chunks in a scope that `admits` holds for (all without it). Embeds the question on
    /// the calling thread.
    pub(crate) fn search(
        &self,
        text: &str,
        scope: &Scope,
        admits: Option<Admits<'_>>,
        k: usize,
    ) -> Found {
        let mut found = self.standing(scope);
        let bound = self.read().bound.clone();
        let Some(bound) = bound.filter(|_| k > 0 && !text.trim().is_empty()) else { return found };
        let query = match self.core.embed_query(&bound.model, text) {
            Ok(query) => query,
            Err(why) => {
                found.degraded = Some(format!("not found by meaning: {why}"));
                return found;
            }
        };
        let (difference, only) = {
            let state = self.read();
            let difference = state.slots.difference(&scope.hidden, &scope.shown);
            let only = admits.map(|admits| {
                let admits = |number, record: &Record, ordinal| {
                    scope.holds(number) && admits(record, ordinal)
                };
                state.slots.only(&admits)
            });
            (difference, only)
        };
        let near = match bound.search(&query, k, &difference, only.as_ref()) {
            Ok(near) => near,
            Err(why) => {
                found.degraded = Some(format!("not found by meaning: {why}"));
                return found;
            }
        };
        let state = self.read();
        for near in near {
            let documents = state.slots.documents(near.slot);
            let seen = documents.filter(|document| {
                let (number, ordinal) = parts(*document);
                let record = state.slots.record(number);
                scope.holds(number)
                    && record
                        .is_some_and(|record| admits.is_none_or(|admits| admits(record, ordinal)))
            });
            found.documents.extend(seen.take(k - found.documents.len()));
            if found.documents.len() >= k {
                break;
            }
        }
        found
    }

    /// What is missing in a scope, and why.
    fn standing(&self, scope: &Scope) -> Found {
        let pending = {
            let state = self.read();
            state.slots.difference(&scope.hidden, &scope.shown).missing
        };
        let degraded = self.degraded(pending);
        Found { documents: Vec::new(), pending, degraded }
    }

    /// Live chunks without a vector.
    pub(crate) fn pending(&self) -> u64 {
        self.read().slots.missing()
    }

    /// Why searches by meaning do not find everything, of which so many chunks are missing.
    pub(crate) fn degraded(&self, pending: u64) -> Option<String> {
        match self.core.meaning() {
            Meaning::Off => return Some(NO_MODEL.to_owned()),
            Meaning::Loading => {
                let loading = "the embedding model is being loaded";
                return Some(format!("{loading}: found by words and names, not by meaning"));
            }
            Meaning::Degraded { reason, remedy } => {
                let only = "found by words and names, not by meaning";
                return Some(format!("{only}: {reason} ({remedy})"));
            }
            Meaning::Ready(_) => {}
        }
        let state = self.read();
        if pending == 0 {
            return None;
        }
        let mut reason = format!("{pending} chunks are not found by meaning yet");
        if let Some(why) = &state.stuck {
            reason.push_str(": ");
            reason.push_str(why);
        } else if !state.refused.is_empty() {
            let refused = state.refused.len();
            reason.push_str(&format!(": the model has no vector for {refused} texts"));
        }
        Some(reason)
    }

    /// What a person should know: the store, the graph.
    pub(crate) fn notices(&self) -> Vec<String> {
        let own = self.read().notice.clone();
        self.core.notices().into_iter().chain(own).collect()
    }

    /// Name and backend of the model, and how its vectors are searched.
    pub(crate) fn described(&self) -> Option<(String, String, GraphStatus)> {
        let state = self.read();
        let bound = state.bound.as_ref()?;
        let identity = bound.model.embedder.identity();
        Some((identity.name.clone(), identity.backend.clone(), bound.graph()))
    }

    /// Uses a model from now on.
    pub(super) fn bind(&self, model: &Arc<Model>) {
        let mut state = self.write();
        let (bound, notice) = Bound::new(model.clone(), self);
        state.notice = notice;
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
    /// is no room: else two indexes would drive each other out for ever.
    pub(super) fn rebind(&self, again: bool) {
        let mut state = self.write();
        let Some(bound) = state.bound.clone() else { return };
        let (before, space) = (state.slots.missing(), &bound.model.space);
        state.slots.rebind(&|texts| space.lookup(&keys(space, texts)));
        if again {
            let live: Vec<RecordId> = state.slots.live().iter().collect();
            let State { queue, slots, .. } = &mut *state;
            let lost = live.into_iter().filter(|number| !slots.missing_of(*number).is_empty());
            let known: HashSet<RecordId> = queue.iter().copied().collect();
            queue.extend(lost.filter(|number| !known.contains(number)));
        } else if state.slots.missing() > before {
            state.stuck = Some("other indexes needed the room of their vectors".to_owned());
        }
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

    fn enqueue(&mut self, records: &[RecordId], urgent: bool) {
        let missing = |number: &&RecordId| !self.slots.missing_of(**number).is_empty();
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
