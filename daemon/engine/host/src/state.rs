//! What is known of the engine. One owner: [`crate::Engine`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use greenlit_protocol::engine::LoadedModel;
use greenlit_protocol::{EngineState, ResidentModel};
use greenlit_serving::Client;
use tokio_util::sync::CancellationToken;

use crate::Wanted;
use crate::end::End;

/// After so many ends in a row that nobody asked for, the engine is not started any more.
pub const MOST_CRASHES: u32 = 3;

/// A running engine.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) client: Client,
    pub(crate) pid: Option<u32>,
    pub(crate) program: PathBuf,
    /// Ends it at once.
    pub(crate) kill: CancellationToken,
    /// Its end is wanted.
    pub(crate) ends: AtomicBool,
}

/// A model in memory.
#[derive(Debug)]
pub(crate) struct Resident {
    pub(crate) directory: PathBuf,
    pub(crate) loaded: LoadedModel,
    /// By name.
    pub(crate) adapters: Vec<String>,
    /// Who uses it now.
    pub(crate) active: usize,
    /// When it was used last.
    pub(crate) used: Instant,
}

/// What is known.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) running: Option<Arc<Running>>,
    pub(crate) starting: bool,
    /// Who waits for something to be brought into memory.
    pub(crate) waiting: usize,
    /// What is being loaded, for people.
    pub(crate) loading: Vec<String>,
    pub(crate) models: BTreeMap<String, Resident>,
    /// Ends in a row that nobody asked for.
    pub(crate) crashes: u32,
    /// The last of them.
    pub(crate) end: Option<End>,
    /// Why the last model was refused for lack of memory.
    pub(crate) refused: Option<String>,
    /// When anything was wanted last.
    pub(crate) touched: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self {
            running: None,
            starting: false,
            waiting: 0,
            loading: Vec::new(),
            models: BTreeMap::new(),
            crashes: 0,
            end: None,
            refused: None,
            touched: Instant::now(),
        }
    }
}

impl State {
    /// Takes note of an end. Whatever was in memory is gone.
    pub(crate) fn ended(&mut self, end: Option<End>) {
        self.running = None;
        self.models.clear();
        if let Some(end) = end {
            self.crashes = if end.lasting { MOST_CRASHES } else { self.crashes + 1 };
            self.end = Some(end);
        }
    }

    /// What is in memory of what is wanted: the model, and the adapter.
    pub(crate) fn has(&self, wanted: &Wanted) -> (Option<LoadedModel>, bool) {
        let there = self.models.get(&wanted.model);
        let there = there.filter(|resident| resident.directory == wanted.directory);
        let adapter = match &wanted.adapter {
            None => true,
            Some((name, _)) => there.is_some_and(|resident| resident.adapters.contains(name)),
        };
        (there.map(|resident| resident.loaded.clone()), adapter)
    }

    /// A model that nobody uses now, the one that was used longest ago; another one than `but`.
    pub(crate) fn idlest(&self, but: &str) -> Option<String> {
        let others = self.models.iter().filter(|(name, of)| *name != but && of.active == 0);
        others.min_by_key(|(_, of)| of.used).map(|(name, _)| name.clone())
    }

    /// In one word and in a sentence.
    pub(crate) fn words(&self, log: &Path) -> (EngineState, String) {
        let last = || self.end.as_ref().map_or("", |end| end.words.as_str()).to_owned();
        if self.running.is_some() {
            if let Some(name) = self.loading.first() {
                return (EngineState::Loading, format!("loading {name}"));
            }
            if let Some(why) = &self.refused {
                return (EngineState::OutOfMemory, why.clone());
            }
            let names: Vec<_> = self.models.keys().map(String::as_str).collect();
            let detail = match names.is_empty() {
                true => "running, no model in memory".to_owned(),
                false => format!("running with {}", names.join(", ")),
            };
            return (EngineState::Ready, detail);
        }
        if self.starting {
            return (EngineState::Starting, "starting".to_owned());
        }
        if self.crashes >= MOST_CRASHES {
            let detail = format!(
                "not started any more after {} ends in a row: {} ({})",
                self.crashes,
                last(),
                log.display()
            );
            return (EngineState::GivenUp, detail);
        }
        match &self.end {
            Some(end) if self.crashes > 0 && end.out_of_memory => {
                (EngineState::OutOfMemory, end.words.clone())
            }
            Some(_) if self.crashes > 0 => {
                let detail = format!("{}; started again when it is needed", last());
                (EngineState::Crashed, detail)
            }
            _ => match &self.refused {
                Some(why) => (EngineState::OutOfMemory, why.clone()),
                None => (EngineState::Stopped, "not running; started when it is needed".to_owned()),
            },
        }
    }

    /// For people.
    pub(crate) fn resident(&self) -> Vec<ResidentModel> {
        let entry = |(name, of): (&String, &Resident)| ResidentModel {
            name: name.clone(),
            precision: of.loaded.precision,
            context: of.loaded.context,
            bytes: of.loaded.bytes,
            adapters: of.adapters.clone(),
        };
        self.models.iter().map(entry).collect()
    }
}
