//! The thread that embeds.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::Instant;

use greenlit_embed::EmbedError;
use greenlit_store::{AppendError, Options, SpaceId, Store};
use greenlit_workspace::chain;

use crate::dense::lane::Lane;
use crate::dense::slots::Digest;
use crate::dense::vectors::keys;
use crate::dense::{Core, Load, Meaning, Model};
use crate::file::{self, Read};
use crate::pace::Pace;
use crate::record::{Record, RecordId};

/// Texts that are embedded before they are stored: each time the disk is waited for.
const BATCH: usize = 32;
/// Texts that are given to the model at once: whoever asks meanwhile waits for them.
const AT_ONCE: usize = 8;
/// A model that has no vector for so many texts in a row is broken.
const STRIKES: u32 = 3;
/// Records that one batch may be gathered from.
const LOOKED_AT: usize = 256;

/// What a person can do about a model.
const REMEDY: &str = "choose another model; `greenlit logs` has the details";

/// The thread's state.
pub(super) struct Worker {
    core: Arc<Core>,
    pace: Option<Pace>,
    /// The texts of the record that was cut last: a long file is in many batches.
    cut: Option<(Arc<Record>, HashMap<Digest, String>)>,
    strikes: u32,
    store: Option<Store>,
    /// Which lane was served last.
    turn: usize,
    builder: Option<thread::JoinHandle<()>>,
    builds: Arc<AtomicBool>,
}

/// What is done at once.
#[derive(Default)]
struct Batch {
    texts: Vec<(Digest, String)>,
    /// Texts that got a vector elsewhere.
    known: Vec<(Digest, u32)>,
    /// Records that need nothing more after this.
    done: Vec<(RecordId, Option<Arc<Record>>)>,
}

/// Calls a model. Its error is in words, and so is its panic.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T, EmbedError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| chain(&error)),
        Err(_panic) => Err("the model ended by a defect".to_owned()),
    }
}

impl Worker {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            pace: None,
            cut: None,
            strikes: 0,
            store: None,
            turn: 0,
            builder: None,
            builds: Arc::default(),
        }
    }

    /// Runs until it is stopped.
    pub(super) fn run(mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            let remedy = "`greenlit logs` has more; please report it";
            self.core.degrade("a defect in Greenlit".to_owned(), remedy.to_owned());
        }
        self.core.lanes().iter().for_each(|lane| lane.unbind());
        if let Some(builder) = self.builder.take() {
            let _ = builder.join();
        }
        // The store is closed when this returns.
        self.core.lock().model = None;
        self.core.moved.notify_all();
    }

    fn work(&mut self) {
        self.pace = Some(Pace::of_this_thread());
        loop {
            let (told, load) = {
                let mut state = self.core.lock();
                let load = state.load.take();
                state.is_loading = load.is_some();
                (state.told, load)
            };
            if let Some(load) = load {
                self.load(load);
                self.core.lock().is_loading = false;
            }
            if self.core.is_stopped() {
                return;
            }
            let model = self.core.lock().model.clone();
            let lanes = self.core.lanes();
            let Some(model) = model else {
                lanes.iter().for_each(|lane| lane.unbind());
                drop(lanes);
                self.wait(told);
                continue;
            };
            for lane in &lanes {
                lane.bind(&model);
                lane.exchange(false);
            }
            let started = Instant::now();
            self.turn = self.turn.wrapping_add(1);
            let next = (0..lanes.len()).map(|i| &lanes[(self.turn + i) % lanes.len()]);
            if let Some(lane) = next.into_iter().find(|lane| lane.has_work()) {
                self.step(&model, lane, &lanes);
                self.rest(started);
            } else if !lanes.iter().any(|lane| self.tend(lane)) {
                drop((lanes, model));
                self.wait(told);
            }
        }
    }

    /// Waits until something is told.
    fn wait(&self, told: u64) {
        let mut state = self.core.lock();
        if state.told == told && !self.builds.load(Ordering::Relaxed) {
            state.idle = true;
            state.spared = None;
            self.core.moved.notify_all();
        }
        let nothing = |state: &mut super::State| state.told == told && !self.core.is_stopped();
        drop(self.core.moved.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner));
    }

    /// Leaves the machine to others where it should be spared.
    fn rest(&mut self, started: Instant) {
        let Some(pace) = &mut self.pace else { return };
        let rest = pace.rest(started.elapsed());
        let stopped = |_: &mut super::State| !self.core.is_stopped();
        let mut state = self.core.lock();
        state.spared = pace.reason();
        if !rest.is_zero() {
            drop(self.core.moved.wait_timeout_while(state, rest, stopped));
        }
    }

    fn load(&mut self, load: Load) {
        let loaded = match catch_unwind(AssertUnwindSafe(load)) {
            Ok(Ok(Some(embedder))) => embedder,
            Ok(Ok(None)) => {
                let mut state = self.core.lock();
                (state.meaning, state.model, state.kept) = (Meaning::Off, None, None);
                return;
            }
            Ok(Err(error)) => return self.refuse(Meaning::from(&error)),
            Err(_panic) => {
                let reason = "the model could not be loaded by a defect".to_owned();
                return self.refuse(Meaning::Degraded { reason, remedy: REMEDY.to_owned() });
            }
        };
        let identity = loaded.identity().clone();
        let refused = |error: String, remedy: String| Meaning::Degraded { reason: error, remedy };
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => {
                let remedy = format!("look after {}", self.core.options.directory.display());
                return self.refuse(refused(error, remedy));
            }
        };
        let id = SpaceId {
            model: identity.model,
            backend: identity.backend.clone(),
            dims: u32::try_from(identity.dims).unwrap_or(u32::MAX),
        };
        let space = match store.space(&id) {
            Ok(space) => space,
            Err(error) => return self.refuse(refused(chain(&error), REMEDY.to_owned())),
        };
        self.strikes = 0;
        let mut state = self.core.lock();
        // The same one again keeps what was begun with it, under the name that it has now.
        state.model = Some(Arc::new(Model { embedder: loaded, store, space }));
        (state.meaning, state.kept) = (Meaning::Ready(identity), None);
    }

    /// The store, opened once.
    fn store(&mut self) -> Result<Store, String> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let options = Options { quota_bytes: self.core.options.quota_bytes };
        let store =
            Store::open(&self.core.options.directory, options).map_err(|error| chain(&error))?;
        let report = store.report();
        self.core.lock().notice = (!report.is_clean()).then(|| {
            let lost = report.lost.len();
            format!("the store of vectors was not as it was left ({lost} files lost): what is missing is embedded again")
        });
        self.store = Some(store.clone());
        Ok(store)
    }

    /// Something newer cannot be used: goes on with the model that answers, if there is one.
    fn refuse(&self, why: Meaning) {
        let before = self.core.lock().model.clone();
        self.fall_back(before, why);
    }

    /// A model has shown to be broken: goes on with the one that it was to replace, if there is one.
    fn give_up(&self, broken: &Arc<Model>, reason: String) {
        let lanes = self.core.lanes();
        let mut serving = lanes.iter().filter_map(|lane| lane.serving());
        let before = serving.find(|model| !Arc::ptr_eq(model, broken));
        self.fall_back(before, Meaning::Degraded { reason, remedy: REMEDY.to_owned() });
    }

    fn fall_back(&self, to: Option<Arc<Model>>, why: Meaning) {
        let Meaning::Degraded { reason, remedy } = why else { return };
        let Some(model) = to else { return self.core.degrade(reason, remedy) };
        tracing::warn!(reason, "the model is not exchanged");
        let identity = model.embedder.identity().clone();
        let mut state = self.core.lock();
        let name = &identity.name;
        state.kept = Some(format!("{name} goes on to answer: {reason} ({remedy})"));
        state.meaning = Meaning::Ready(identity);
        state.model = Some(model);
    }

    /// Embeds what is next in a lane.
    fn step(&mut self, model: &Arc<Model>, lane: &Arc<Lane>, lanes: &[Arc<Lane>]) {
        let batch = self.gather(model, lane);
        lane.resolve(&batch.known);
        let Some(vectors) = self.embed(model, lane, &batch.texts) else { return };
        if !vectors.is_empty() {
            let Some(slots) = self.append(model, lane, lanes, &vectors) else { return };
            let texts = vectors.iter().map(|(text, _)| *text);
            lane.resolve(&texts.zip(slots).collect::<Vec<_>>());
        }
        lane.drop_queued(&batch.done);
    }

    /// The next texts, from the files as they are now.
    fn gather(&mut self, model: &Model, lane: &Lane) -> Batch {
        let queue: Vec<RecordId> =
            lane.read().work().queue.iter().take(LOOKED_AT).copied().collect();
        let mut batch = Batch::default();
        let mut taken = HashSet::new();
        for number in queue {
            let (record, missing) = {
                let state = lane.read();
                let state = state.work();
                let mut missing = state.slots.missing_of(number);
                missing.retain(|text| !state.refused.contains(text));
                (state.slots.record(number).cloned(), missing)
            };
            let Some(record) = record.clone().filter(|_| !missing.is_empty()) else {
                batch.done.push((number, record));
                continue;
            };
            // Another index may have had the same texts.
            let slots = model.space.lookup(&keys(&model.space, &missing));
            let (known, missing): (Vec<_>, Vec<_>) =
                missing.into_iter().zip(slots).partition(|(_, slot)| slot.is_some());
            batch.known.extend(known.into_iter().filter_map(|(text, slot)| Some((text, slot?))));
            let texts = self.texts(lane, number, &record);
            let mut is_done = true;
            for (text, _) in missing {
                // A file that changed has a new record, or will have.
                let Some(found) = texts.get(&text) else { continue };
                if batch.texts.len() >= BATCH {
                    is_done = false;
                    break;
                }
                if taken.insert(text) {
                    batch.texts.push((text, found.clone()));
                }
            }
            if is_done {
                batch.done.push((number, Some(record)));
            }
            if batch.texts.len() >= BATCH {
                break;
            }
        }
        batch
    }

    /// What is embedded of a record, by digest; nothing when its text is gone.
    fn texts(
        &mut self,
        lane: &Lane,
        number: RecordId,
        record: &Arc<Record>,
    ) -> &HashMap<Digest, String> {
        if !self.cut.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, record)) {
            let text = match lane.text(number) {
                Some(text) => Some(text.to_string()),
                None => match file::read(lane.root(), &record.path) {
                    Read::Text { text, hash, .. } if hash == record.hash => Some(text),
                    _ => None,
                },
            };
            let chunked = text.and_then(|text| file::chunk(&record.path, &text, record.hash).ok());
            let texts = chunked.map(|chunked| {
                let digests = chunked.record.chunks.iter().map(|chunk| chunk.text);
                digests.zip(chunked.texts.into_iter().map(|text| text.text)).collect()
            });
            self.cut = Some((record.clone(), texts.unwrap_or_default()));
        }
        let (_, texts) = self.cut.as_ref().expect("was set above");
        texts
    }

    /// Vectors of texts; those that the model refuses are noted. `None` when the model is given up.
    fn embed(
        &mut self,
        model: &Arc<Model>,
        lane: &Lane,
        texts: &[(Digest, String)],
    ) -> Option<Vec<(Digest, Vec<f32>)>> {
        let mut vectors = Vec::with_capacity(texts.len());
        for some in texts.chunks(AT_ONCE) {
            self.core.give_way();
            if lane.is_closed() {
                return None;
            }
            let all = embed(model, some);
            if let Ok(found) = all {
                self.strikes = 0;
                vectors.extend(some.iter().map(|(text, _)| *text).zip(found));
                continue;
            }
            // Which one is it?
            for one in some {
                match embed(model, std::slice::from_ref(one)) {
                    Ok(found) => {
                        self.strikes = 0;
                        vectors.extend(found.into_iter().map(|vector| (one.0, vector)));
                    }
                    Err(why) => {
                        tracing::warn!(why, "the model has no vector for a text");
                        lane.write().work_mut().refused.insert(one.0);
                        self.strikes += 1;
                        if self.strikes >= STRIKES {
                            self.give_up(model, why);
                            return None;
                        }
                    }
                }
            }
        }
        Some(vectors)
    }

    /// Stores vectors; `None` when that is not possible.
    fn append(
        &self,
        model: &Arc<Model>,
        lane: &Lane,
        lanes: &[Arc<Lane>],
        vectors: &[(Digest, Vec<f32>)],
    ) -> Option<Vec<u32>> {
        let texts: Vec<Digest> = vectors.iter().map(|(text, _)| *text).collect();
        let keys = keys(&model.space, &texts);
        let batch: Vec<_> =
            keys.into_iter().zip(vectors.iter().map(|(_, vector)| &vector[..])).collect();
        let owner = lane.owner();
        let mut appended = model.space.append(&owner, &batch);
        for last in [false, true] {
            let Err(AppendError::Quota { needed, .. }) = appended else { break };
            if last {
                if !lane.read().is_exchanging() {
                    break;
                }
                // Two models do not fit: the old one goes first.
                lane.exchange(true);
            }
            // What is in use must not go as if nobody needed it.
            lanes.iter().for_each(|lane| lane.retain());
            let room = model.store.make_room(needed, &owner);
            if !room.moved.is_empty() {
                lanes.iter().for_each(|lane| lane.rebind(false));
            }
            match room.outcome {
                Ok(()) => appended = model.space.append(&owner, &batch),
                Err(error) => tracing::warn!(error = chain(&error), "no room for vectors"),
            }
        }
        match appended {
            Ok(slots) => Some(slots),
            Err(error @ (AppendError::Dims { .. } | AppendError::NotUnit { .. })) => {
                self.give_up(model, chain(&error));
                None
            }
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(why, "vectors cannot be stored");
                lane.write().work_mut().stuck = Some(why);
                None
            }
        }
    }

    /// Does what is left when everything is embedded; says whether there was something.
    fn tend(&mut self, lane: &Arc<Lane>) -> bool {
        lane.retain();
        if lane.read().is_exchanging() {
            // It waits for a person or for room; the old side will be gone.
            return false;
        }
        let Some(bound) = lane.read().serving.bound.clone() else { return false };
        if !std::mem::replace(&mut lane.write().serving.verified, true) {
            let stopped = || !lane.is_closed();
            let unsound = bound.model.space.snapshot().verify(&lane.members(), &stopped);
            if !unsound.is_empty() {
                let lost = unsound.len();
                lane.write().notice =
                    Some(format!("{lost} vectors were damaged and are computed again"));
                lane.rebind(true);
                return true;
            }
        }
        if self.builder.as_ref().is_some_and(thread::JoinHandle::is_finished) {
            self.builder = None;
        }
        if bound.needs_fold() && self.builder.is_none() && !lane.is_closed() {
            return self.fold(lane);
        }
        if bound.needs_measuring() {
            bound.measure(&self.core.recent(&bound.model));
        }
        false
    }

    /// Builds a graph on a thread of its own.
    fn fold(&mut self, lane: &Arc<Lane>) -> bool {
        let Some(bound) = lane.read().serving.bound.clone() else { return false };
        let (lane, builds, core) = (lane.clone(), self.builds.clone(), self.core.clone());
        builds.store(true, Ordering::Relaxed);
        let builder = thread::Builder::new().name("graph".to_owned()).spawn(move || {
            let _pace = Pace::of_this_thread();
            let folded = catch_unwind(AssertUnwindSafe(|| {
                bound.fold(&lane);
                lane.write().serving.refresh();
                let bound = lane.read().serving.bound.clone();
                if let Some(bound) = bound {
                    bound.measure(&core.recent(&bound.model));
                }
            }));
            if folded.is_err() {
                tracing::error!("building a graph ended by a defect");
            }
            drop((bound, lane));
            builds.store(false, Ordering::Relaxed);
            core.wake();
        });
        match builder {
            Ok(builder) => self.builder = Some(builder),
            Err(error) => {
                tracing::warn!(%error, "no thread to build a graph");
                self.builds.store(false, Ordering::Relaxed);
            }
        }
        false
    }
}

/// Vectors, as many as texts.
fn embed(model: &Model, texts: &[(Digest, String)]) -> Result<Vec<Vec<f32>>, String> {
    let texts: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    let vectors = guarded(|| model.embedder.embed(&texts))?;
    let is_whole = |vector: &Vec<f32>| vector.iter().all(|value| value.is_finite());
    if vectors.len() != texts.len() {
        return Err(format!("the model gives {} vectors for {} texts", vectors.len(), texts.len()));
    }
    if !vectors.iter().all(is_whole) {
        return Err("the model gives values that are not finite".to_owned());
    }
    Ok(vectors)
}
