//! The thread that embeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use greenlit_embed::EmbedError;
use greenlit_store::{AppendError, Options, Report, SpaceId, Store};
use roaring::RoaringBitmap;

use crate::dense::gather::Cut;
use crate::dense::lane::Lane;
use crate::dense::slots::Digest;
use crate::dense::vectors::keys;
use crate::dense::{Core, Load, Meaning, Model};
use crate::pace::Pace;
use crate::storage::chain;

/// Texts that are embedded before they are stored: each time the disk is waited for.
const BATCH: usize = 32;
/// Texts that are given to the model at once: whoever asks meanwhile waits for them.
const AT_ONCE: usize = 8;
/// A model that has no vector for so many texts in a row is broken.
const STRIKES: u32 = 3;
/// After so long it asks again for texts that were not to be had.
const UNREAD_FOR: Duration = Duration::from_secs(60);
/// Vectors that are checked at once: what is to be embedded meanwhile waits for them.
const CHECKED: usize = 8192;

/// What a person can do about a model.
const REMEDY: &str =
    "`greenlit logs` has the details; choose another model, or try again with `greenlit restart`";

/// The thread's state.
pub(super) struct Worker {
    core: Arc<Core>,
    pace: Option<Pace>,
    pub(super) cut: Option<Cut>,
    strikes: u32,
    /// Which lane was served last.
    turn: usize,
    /// How many lanes were open.
    open: usize,
    builder: Option<thread::JoinHandle<()>>,
    builds: Arc<AtomicBool>,
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
            turn: 0,
            open: 0,
            builder: None,
            builds: Arc::default(),
        }
    }

    /// Runs until it is stopped, or there is no model.
    pub(super) fn run(mut self, load: Load) {
        if catch_unwind(AssertUnwindSafe(|| self.work(load))).is_err() {
            let remedy =
                "`greenlit logs` has more; please report it; `greenlit restart` tries again";
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

    fn work(&mut self, load: Load) {
        self.pace = Some(Pace::of_this_thread());
        self.load(load);
        loop {
            let told = self.core.lock().told;
            let model = self.core.lock().model.clone();
            let Some(model) = model.filter(|_| !self.core.is_stopped()) else { return };
            let lanes = self.core.lanes();
            let unbound = lanes.iter().filter(|lane| lane.read().bound.is_none());
            unbound.for_each(|lane| lane.bind(&model));
            let open = lanes.iter().filter(|lane| !lane.is_closed()).count();
            if open < std::mem::replace(&mut self.open, open) {
                // What the closed one needed is the first to go.
                lanes.iter().for_each(|lane| lane.readmit());
            }
            let started = Instant::now();
            self.turn = self.turn.wrapping_add(1);
            let next = (0..lanes.len()).map(|i| &lanes[(self.turn + i) % lanes.len()]);
            if let Some(lane) = next.into_iter().find(|lane| lane.has_work()) {
                self.step(&model, lane, &lanes);
                self.rest(started);
            } else if !lanes.iter().any(|lane| self.tend(&model, lane)) {
                let unread = lanes.iter().any(|lane| lane.has_unread());
                drop((lanes, model));
                self.wait(told, unread);
            }
        }
    }

    /// Waits until something is told, or until it is time to ask again for texts that were not to be had.
    fn wait(&self, told: u64, unread: bool) {
        let mut state = self.core.lock();
        if state.told == told && !self.builds.load(Ordering::Relaxed) {
            state.idle = true;
            state.spared = None;
            self.core.moved.notify_all();
        }
        let nothing = |state: &mut super::State| state.told == told && !self.core.is_stopped();
        if !unread {
            drop(self.core.moved.wait_while(state, nothing));
            return;
        }
        let waited = self.core.moved.wait_timeout_while(state, UNREAD_FOR, nothing);
        let timed_out = waited.unwrap_or_else(PoisonError::into_inner).1.timed_out();
        if timed_out {
            self.core.lock().idle = false;
            self.core.lanes().iter().for_each(|lane| lane.retry());
        }
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

    fn load(&self, load: Load) {
        let loaded = match catch_unwind(AssertUnwindSafe(load)) {
            Ok(Ok(Some(embedder))) => embedder,
            Ok(Ok(None)) => {
                self.core.lock().meaning = Meaning::Off;
                return;
            }
            Ok(Err(error)) => {
                self.core.lock().meaning = Meaning::from(&error);
                return;
            }
            Err(_panic) => {
                let reason = "the model could not be loaded by a defect".to_owned();
                return self.core.degrade(reason, REMEDY.to_owned());
            }
        };
        let identity = loaded.identity().clone();
        let options = Options { quota_bytes: self.core.options.quota_bytes };
        let directory = &self.core.options.directory;
        let remedy = || format!("look after {}", directory.display());
        let store = match Store::open(directory, options) {
            Ok(store) => store,
            Err(error) => return self.core.degrade(chain(&error), remedy()),
        };
        let id = SpaceId {
            model: identity.model,
            backend: identity.backend.clone(),
            dims: u32::try_from(identity.dims).unwrap_or(u32::MAX),
        };
        let space = match store.space(&id) {
            Ok(space) => space,
            Err(error) => return self.core.degrade(chain(&error), REMEDY.to_owned()),
        };
        let report = store.report();
        let notice = told(report);
        let model = Model { embedder: loaded, store, space };
        let mut state = self.core.lock();
        state.notice = notice;
        state.model = Some(Arc::new(model));
        state.meaning = Meaning::Ready(identity);
    }

    /// Embeds what is next in a lane.
    fn step(&mut self, model: &Model, lane: &Arc<Lane>, lanes: &[Arc<Lane>]) {
        let mut batch = self.gather(model, lane, BATCH);
        lane.resolve(&batch.known);
        let room = room(model, lane, lanes, batch.texts.len());
        if room < batch.texts.len() {
            // What comes first may fit where more does not.
            batch = self.gather(model, lane, room);
            lane.resolve(&batch.known);
        }
        let Some(vectors) = self.embed(model, lane, &batch.texts) else { return };
        if !vectors.is_empty() {
            let Some(slots) = self.append(model, lane, &vectors) else { return };
            let texts = vectors.iter().map(|(text, _)| *text);
            lane.resolve(&texts.zip(slots).collect::<Vec<_>>());
        }
        lane.drop_queued(&batch.done);
        lane.put_aside(&batch.unread);
    }

    /// Vectors of texts; those that the model refuses are noted. `None` when the model is given up.
    fn embed(
        &mut self,
        model: &Model,
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
                        lane.write().refused.insert(one.0);
                        self.strikes += 1;
                        if self.strikes >= STRIKES {
                            self.give_up(why);
                            return None;
                        }
                    }
                }
            }
        }
        Some(vectors)
    }

    fn give_up(&self, why: String) {
        self.core.degrade(why, REMEDY.to_owned());
    }

    /// Stores vectors that there is room for; `None` when that is not possible.
    fn append(
        &self,
        model: &Model,
        lane: &Lane,
        vectors: &[(Digest, Vec<f32>)],
    ) -> Option<Vec<u32>> {
        let texts: Vec<Digest> = vectors.iter().map(|(text, _)| *text).collect();
        let keys = keys(&model.space, &texts);
        let batch: Vec<_> =
            keys.into_iter().zip(vectors.iter().map(|(_, vector)| &vector[..])).collect();
        let appended = model.space.append(&lane.owner(), &batch);
        match appended {
            Ok(slots) => Some(slots),
            Err(error @ (AppendError::Dims { .. } | AppendError::NotUnit { .. })) => {
                self.give_up(chain(&error));
                None
            }
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(why, "vectors cannot be stored");
                lane.write().stuck = Some(why);
                None
            }
        }
    }

    /// Does what is left when everything is embedded; says whether there was something.
    fn tend(&mut self, model: &Model, lane: &Arc<Lane>) -> bool {
        retain(model, lane);
        let Some(bound) = lane.read().bound.clone() else { return false };
        if check(model, lane) {
            return true;
        }
        if !self.builds.load(Ordering::Relaxed)
            && let Some(builder) = self.builder.take()
        {
            // It has nothing to do any more.
            let _ = builder.join();
        }
        if bound.needs_fold() && self.builder.is_none() && !lane.is_closed() {
            return self.fold(lane);
        }
        if bound.needs_measuring() {
            bound.measure(&self.core.recent());
        }
        false
    }

    /// Builds a graph on a thread of its own.
    fn fold(&mut self, lane: &Arc<Lane>) -> bool {
        let Some(bound) = lane.read().bound.clone() else { return false };
        let (lane, builds, core) = (lane.clone(), self.builds.clone(), self.core.clone());
        let given_up = bound.clone();
        builds.store(true, Ordering::Relaxed);
        let builder = thread::Builder::new().name("graph".to_owned()).spawn(move || {
            let _pace = Pace::of_this_thread();
            let folded = catch_unwind(AssertUnwindSafe(|| {
                bound.fold(&lane);
                lane.write().refresh();
                let bound = lane.read().bound.clone();
                if let Some(bound) = bound {
                    bound.measure(&core.recent());
                }
            }));
            if folded.is_err() {
                tracing::error!("building a graph ended by a defect");
                given_up.give_up_graph();
            }
            drop((given_up, lane));
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

/// What was wrong with the store, in words.
fn told(report: &Report) -> Option<String> {
    let aside = report.set_aside.as_ref().map(|_| "it was of another version and is set aside");
    let rebuilt = report.rebuilt.as_ref().map(|_| "its ledger was damaged and is made anew");
    let lost = Some(report.lost.len()).filter(|lost| *lost > 0);
    let lost = lost.map(|lost| format!("{lost} of its files are lost"));
    let what: Vec<String> =
        aside.into_iter().chain(rebuilt).map(str::to_owned).chain(lost).collect();
    let what = Some(what.join(", ")).filter(|what| !what.is_empty())?;
    Some(format!(
        "the store of vectors was not as it was left: {what}; what is missing is embedded again"
    ))
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

/// How many of so many new vectors there is room for, after what can be done for it. What cannot be
/// embedded for want of room is noted.
fn room(model: &Model, lane: &Lane, lanes: &[Arc<Lane>], wanted: usize) -> usize {
    let mut room = wanted;
    while room > 0 {
        let more = u32::try_from(room).unwrap_or(u32::MAX);
        let mut free = model.space.room_for(more);
        if let Err(AppendError::Quota { needed, .. }) = free {
            make_room(model, lane, lanes, needed);
            free = model.space.room_for(more);
        }
        let Err(error) = free else { return room };
        room /= 2;
        if room == 0 {
            let why = chain(&error);
            tracing::warn!(why, "no room for vectors");
            lane.write().stuck = Some(why);
        }
    }
    room
}

/// Makes room for what a lane needs.
fn make_room(model: &Model, lane: &Lane, lanes: &[Arc<Lane>], bytes: u64) {
    let owner = lane.owner();
    // What is in use must not go before what is not, nor as if nobody needed it. Last comes the lane
    // that asks.
    let (own, others): (Vec<_>, Vec<_>) =
        lanes.iter().partition(|other| std::ptr::eq(&***other, lane));
    for lane in others.into_iter().chain(own) {
        lane.write().retained = None;
        retain(model, lane);
    }
    // A lane that had to make room for others does not drive them out in turn.
    let is_evicted = lane.read().evicted;
    let owners: Vec<_> = match is_evicted {
        true => lanes.iter().map(|lane| lane.owner()).collect(),
        false => vec![owner],
    };
    let keep: Vec<_> = owners.iter().map(|owner| (model.space.id(), owner)).collect();
    let room = model.store.make_room(bytes, &keep);
    if !room.moved.is_empty() {
        lanes.iter().for_each(|lane| lane.rebind(false));
    }
    if let Err(error) = room.outcome {
        tracing::warn!(error = chain(&error), "no room is made");
    }
}

/// Checks some of the vectors that live and were not checked yet; says whether there were some.
fn check(model: &Model, lane: &Lane) -> bool {
    let unchecked = lane.members() - &lane.read().verified;
    let some: RoaringBitmap = unchecked.iter().take(CHECKED).collect();
    if some.is_empty() || lane.is_closed() {
        return false;
    }
    let go_on = || !lane.is_closed();
    let unsound = model.space.snapshot().verify(&some, &go_on);
    {
        let mut state = lane.write();
        state.verified |= some;
        state.damaged += unsound.len();
    }
    if !unsound.is_empty() {
        lane.rebind(true);
    }
    true
}

/// Tells the store what an index needs, if that has changed.
fn retain(model: &Model, lane: &Lane) {
    let (is_bound, is_complete) = {
        let state = lane.read();
        (state.bound.is_some(), state.complete)
    };
    if !is_bound {
        return;
    }
    let mut now = (lane.owner(), lane.members());
    if !is_complete {
        // What it needs besides is not known yet.
        now.1 |= model.space.references(&now.0);
    }
    if lane.read().retained.as_ref() == Some(&now) {
        return;
    }
    match model.space.retain(&now.0, &now.1) {
        Ok(()) => lane.write().retained = Some(now),
        Err(error) => {
            tracing::warn!(error = chain(&error), "the store was not told what is needed")
        }
    }
}
