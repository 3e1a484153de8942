//! What one index has of the search by meaning.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use greenlit_store::Owner;
use greenlit_workspace::git_branch;
use roaring::RoaringBitmap;

use crate::dense::side::Side;
use crate::dense::slots::Digest;
use crate::dense::vectors::GraphStatus;
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
    /// With the model that answers.
    pub(super) serving: Side,
    /// With the model that takes its place when all is embedded.
    coming: Option<Side>,
    /// Unsaved buffers, the last one last.
    shown: VecDeque<RecordId>,
    texts: HashMap<RecordId, Arc<str>>,
    paused: bool,
    pub(super) notice: Option<String>,
}

/// Whether a chunk of a record, by its ordinal, may be found.
pub(crate) type Admits<'a> = &'a dyn Fn(&Record, usize) -> bool;

/// What a search by meaning found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Chunks, best first.
    pub(crate) documents: Vec<u64>,
    /// Chunks in view that have no vector of the model that is to answer.
    pub(crate) pending: u64,
    /// The model that answered.
    pub(crate) model: Option<String>,
    /// Why it does not find everything.
    pub(crate) degraded: Option<String>,
}

/// What is said while there is no way to search by meaning.
pub(crate) const NO_MODEL: &str =
    "no embedding model: found by words and names, not by meaning (`greenlit model pull` gets one)";

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
        let before = std::mem::take(&mut *state);
        let (serving, coming) = (before.serving.emptied(), before.coming.map(Side::emptied));
        *state = State { serving, coming, paused: before.paused, ..State::default() };
    }

    pub(crate) fn pause(&self, paused: bool) {
        self.write().paused = paused;
        self.core.wake();
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
            if state.serving.slots.live().contains(*number) || state.shown.contains(number) {
                continue;
            }
            state.sides().for_each(|side| side.track(*number, record));
            if let Some(text) = text(&record.path) {
                state.texts.insert(*number, text);
            }
            state.shown.push_back(*number);
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
        if records.is_empty() {
            return;
        }
        let mut state = self.write();
        let State { serving, coming, .. } = &mut *state;
        std::iter::once(serving).chain(coming).for_each(|side| side.prefer(records));
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
        let bound = self.read().serving.bound.clone();
        let Some(bound) = bound.filter(|_| k > 0 && !text.trim().is_empty()) else { return found };
        let query = match self.core.embed_query(&bound.model, text) {
            Ok(query) => query,
            Err(why) => {
                found.degraded = Some(format!("not found by meaning: {why}"));
                return found;
            }
        };
        let (difference, only) = {
            let state = &self.read().serving;
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
        found.model = Some(bound.model.embedder.identity().name.clone());
        let state = self.read();
        if !state.serving.serves(&bound.model) {
            // The model was exchanged at this moment: its slots are not these.
            drop(state);
            return self.search(text, scope, admits, k);
        }
        let slots = &state.serving.slots;
        for near in near {
            let documents = slots.documents(near.slot);
            let seen = documents.filter(|document| {
                let (number, ordinal) = parts(*document);
                let record = slots.record(number);
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
        let state = self.read();
        let missing = |side: &Side| side.slots.difference(&scope.hidden, &scope.shown).missing;
        let (pending, unseen) = (missing(state.work()), missing(&state.serving));
        drop(state);
        Found { pending, degraded: self.degraded(unseen), ..Found::default() }
    }

    /// Live chunks without a vector of the model that is to answer.
    pub(crate) fn pending(&self) -> u64 {
        self.read().work().slots.missing()
    }

    /// Live chunks without a vector of the model that answers.
    pub(crate) fn unseen(&self) -> u64 {
        self.read().serving.slots.missing()
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
        let state = &state.serving;
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

    /// What a person should know: the store, the graph, an exchange of the model.
    pub(crate) fn notices(&self) -> Vec<String> {
        let (own, coming) = {
            let state = self.read();
            let coming = state.coming.as_ref().and_then(|coming| {
                let [new, old] = [coming, &state.serving]
                    .map(|side| Some(side.bound.as_ref()?.model.embedder.identity().name.clone()));
                let left = coming.slots.missing();
                let stuck = coming.stuck.as_ref().map(|why| format!(" ({why})"));
                let stuck = stuck.unwrap_or_default();
                Some(format!(
                    "{left} chunks to embed with {}, {} answers until then{stuck}",
                    new?, old?
                ))
            });
            (state.notice.clone(), coming)
        };
        self.core.notices().into_iter().chain(own).chain(coming).collect()
    }

    /// Name and backend of the model, and how its vectors are searched.
    pub(crate) fn described(&self) -> Option<(String, String, GraphStatus)> {
        let state = self.read();
        let bound = state.serving.bound.as_ref()?;
        let identity = bound.model.embedder.identity();
        Some((identity.name.clone(), identity.backend.clone(), bound.graph()))
    }

    /// Uses a model: at once where there was none, else when all is embedded with it.
    pub(super) fn bind(&self, model: &Arc<Model>) {
        let mut state = self.write();
        if state.serving.serves(model) {
            state.coming = None;
            return;
        }
        if state.coming.as_ref().is_some_and(|side| side.serves(model)) {
            return;
        }
        let first = state.shown.iter().rev().copied();
        let (side, notice) = Side::of(&state.serving.slots, first, model, self);
        state.notice = notice;
        if state.serving.bound.is_some() {
            state.coming = Some(side);
        } else {
            state.serving = side;
        }
    }

    /// Lets the model that comes answer, if it has everything, or whatever it has.
    pub(super) fn exchange(&self, whatever: bool) {
        let mut state = self.write();
        let Some(coming) = state.coming.take_if(|side| whatever || side.queue.is_empty()) else {
            return;
        };
        let before = std::mem::replace(&mut state.serving, coming);
        let same = state.serving.has_space_of(&before);
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
        self.write().sides().for_each(|side| side.rebind(again));
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
        self.write().work_mut().drop_queued(done);
    }

    /// Tells the store what is needed.
    pub(super) fn retain(&self) {
        let owner = self.owner();
        self.write().sides().for_each(|side| side.retain(owner.clone()));
    }

    /// Live slots of the model that answers.
    pub(super) fn members(&self) -> RoaringBitmap {
        self.read().serving.slots.members().clone()
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

    /// Whether the model is being exchanged.
    pub(super) fn is_exchanging(&self) -> bool {
        self.coming.is_some()
    }
}
