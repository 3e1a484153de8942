//! The thread that embeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use greenlit_embed::EmbedError;
use greenlit_store::{AppendError, Store};
use greenlit_workspace::chain;

use crate::dense::gather::Cut;
use crate::dense::lane::Lane;
use crate::dense::room::room;
use crate::dense::slots::Digest;
use crate::dense::vectors::keys;
use crate::dense::{Core, Model};
use crate::pace::Pace;

/// Texts that are embedded before they are stored: each time the disk is waited for.
const BATCH: usize = 32;
/// Texts that are given to the model at once: whoever asks meanwhile waits for them.
const AT_ONCE: usize = 8;
/// A model that has no vector for so many texts in a row is broken.
const STRIKES: u32 = 3;
/// After so long it asks again for texts that were not to be had.
const UNREAD_FOR: Duration = Duration::from_secs(60);

/// The thread's state.
pub(super) struct Worker {
    pub(super) core: Arc<Core>,
    pace: Option<Pace>,
    pub(super) cut: Option<Cut>,
    pub(super) strikes: u32,
    pub(super) store: Option<Store>,
    /// Which lane was served last.
    turn: usize,
    /// How many lanes were open.
    open: usize,
    pub(super) builder: Option<thread::JoinHandle<()>>,
    pub(super) builds: Arc<AtomicBool>,
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
            open: 0,
            builder: None,
            builds: Arc::default(),
        }
    }

    /// Runs until it is stopped.
    pub(super) fn run(mut self) {
        if catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            let remedy =
                "`greenlit logs` has more; please report it; `greenlit restart` tries again";
            self.core.degrade("a defect in Greenlit".to_owned(), remedy.to_owned());
        }
        for lane in self.core.lanes() {
            lane.unbind();
            lane.tell_rest();
        }
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
                for lane in &lanes {
                    lane.unbind();
                    lane.tell_rest();
                }
                drop(lanes);
                self.wait(told, false);
                continue;
            };
            for lane in &lanes {
                lane.bind(&model);
                lane.exchange(false);
            }
            let open = lanes.iter().filter(|lane| !lane.is_closed()).count();
            if open < std::mem::replace(&mut self.open, open) {
                // What the closed one needed is the first to go.
                lanes.iter().for_each(|lane| lane.readmit());
            }
            lanes.iter().filter(|lane| !lane.has_work()).for_each(|lane| lane.tell_rest());
            let started = Instant::now();
            self.turn = self.turn.wrapping_add(1);
            let next = (0..lanes.len()).map(|i| &lanes[(self.turn + i) % lanes.len()]);
            if let Some(lane) = next.into_iter().find(|lane| lane.has_work()) {
                let embedded = self.step(&model, lane, &lanes);
                lane.tell(started, embedded);
                self.rest(started);
            } else if !lanes.iter().any(|lane| self.tend(lane)) {
                let unread = lanes.iter().any(|lane| lane.has_unread());
                drop((lanes, model));
                self.wait(told, unread);
            }
        }
    }

    /// Waits until something is told, or until it is time to ask again for texts that were not to be had.
    /// Models that nobody needs leave the memory meanwhile.
    fn wait(&self, told: u64, unread: bool) {
        let mut state = self.core.lock();
        if state.told == told && !self.builds.load(Ordering::Relaxed) {
            state.idle = true;
            state.spared = None;
            self.core.moved.notify_all();
        }
        drop(state);
        let retry = unread.then(|| Instant::now() + UNREAD_FOR);
        loop {
            let now = Instant::now();
            if retry.is_some_and(|retry| retry <= now) {
                self.core.lock().idle = false;
                self.core.lanes().iter().for_each(|lane| lane.retry());
                return;
            }
            let unload = self.core.let_go(now);
            let patience = retry.into_iter().chain(unload).min().map(|until| until - now);
            let nothing = |state: &mut super::State| state.told == told && !self.core.is_stopped();
            let state = self.core.lock();
            let Some(patience) = patience else {
                drop(self.core.moved.wait_while(state, nothing));
                return;
            };
            let waited = self.core.moved.wait_timeout_while(state, patience, nothing);
            if !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
                return;
            }
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

    /// Embeds what is next in a lane; gives how many texts that were.
    fn step(&mut self, model: &Arc<Model>, lane: &Arc<Lane>, lanes: &[Arc<Lane>]) -> usize {
        let mut batch = self.gather(model, lane, BATCH);
        lane.resolve(&batch.known);
        let room = room(model, lane, lanes, batch.texts.len());
        if room < batch.texts.len() {
            // What comes first may fit where more does not.
            batch = self.gather(model, lane, room);
            lane.resolve(&batch.known);
        }
        let Some(vectors) = self.embed(model, lane, &batch.texts) else { return 0 };
        if !vectors.is_empty() {
            let Some(slots) = self.append(model, lane, &vectors) else { return 0 };
            let texts = vectors.iter().map(|(text, _)| *text);
            lane.resolve(&texts.zip(slots).collect::<Vec<_>>());
        }
        lane.drop_queued(&batch.done);
        lane.put_aside(&batch.unread);
        vectors.len()
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

    /// Stores vectors that there is room for; `None` when that is not possible.
    fn append(
        &self,
        model: &Arc<Model>,
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
