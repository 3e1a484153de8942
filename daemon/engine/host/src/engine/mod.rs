//! The one owner of the process and of what is in its memory.

mod memory;
mod process;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use greenlit_protocol::engine::{EngineAnswer, EngineRequest, Keep, LoadedModel, Precision};
use greenlit_protocol::{EngineReport, EngineState};
use greenlit_serving::{CallError, Client};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::Wanted;
use crate::error::EngineError;
use crate::idle;
use crate::program::Program;
use crate::state::{Running, State};

/// How the engine is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its executable is.
    pub program: Program,
    /// Where it writes what people may want to read.
    pub log: PathBuf,
    /// How weights are kept.
    pub precision: Precision,
    /// Longest prompt and answer together, in tokens.
    pub context: u32,
    /// Most memory of a model, in bytes.
    pub memory: Option<u64>,
    /// Most memory of a model's adapters together, in bytes.
    pub adapter_memory: Option<u64>,
    /// Where quantized weights of all models are kept, each model's in a directory of its own.
    pub keep: Option<Keep>,
    /// A model that nobody used for so long leaves the memory.
    pub idle_unload: Option<Duration>,
    /// So often it is asked how it is; one that takes as long to answer is ended.
    pub health: Duration,
}

/// The engine. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: Options,
    handle: Handle,
    pub(crate) state: watch::Sender<State>,
    /// Held while a process is started.
    turn: tokio::sync::Mutex<()>,
}

/// A model in memory, kept there as long as this lives.
#[derive(Debug)]
pub struct InUse {
    running: Arc<Running>,
    inner: Arc<Inner>,
    /// What the engine says of it.
    pub loaded: LoadedModel,
}

impl Engine {
    /// Starts nothing yet.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let inner = Arc::new(Inner {
            options,
            handle: Handle::current(),
            state: watch::Sender::new(State::default()),
            turn: tokio::sync::Mutex::default(),
        });
        if let Some(idle) = inner.options.idle_unload {
            inner.handle.spawn(idle::watch(Arc::downgrade(&inner), inner.state.subscribe(), idle));
        }
        Self { inner }
    }

    /// Where its futures run: for threads that block.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.inner.handle
    }

    /// How it is run.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// How it is now.
    #[must_use]
    pub fn report(&self) -> EngineReport {
        let program = self.inner.options.program.find();
        let log = &self.inner.options.log;
        let state = self.inner.state.borrow();
        let (mut word, mut detail) = state.words(log);
        let mut remedy = None;
        let running = state.running.as_deref();
        if let (Err(absent), None) = (&program, running) {
            word = EngineState::Absent;
            detail = absent.to_string();
            remedy = Some(absent.remedy().to_owned());
        } else if word == EngineState::GivenUp {
            remedy = Some("`greenlit model load` tries again".to_owned());
        }
        EngineReport {
            state: word,
            detail,
            remedy,
            program: running.map(|running| running.program.clone()).or(program.ok()),
            pid: running.and_then(|running| running.pid),
            device: running.map(|running| running.client.hello().device.clone()),
            log: log.clone(),
            crashes: state.crashes,
            models: state.resident(),
        }
    }

    /// Waits until it is as wanted.
    pub async fn until(&self, mut wanted: impl FnMut(&EngineReport) -> bool) -> EngineReport {
        let mut changes = self.inner.state.subscribe();
        loop {
            changes.mark_unchanged();
            let report = self.report();
            if wanted(&report) || changes.changed().await.is_err() {
                return report;
            }
        }
    }

    /// Brings a model, and an adapter, into memory, and keeps them there while the answer lives. What was
    /// begun goes on when nobody waits any more: half of it would be lost.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn ready(&self, wanted: &Wanted) -> Result<InUse, EngineError> {
        let (inner, wanted) = (Arc::clone(&self.inner), wanted.clone());
        let work = self.inner.handle.spawn(async move { inner.ready(&wanted).await });
        work.await.unwrap_or_else(|error| Err(EngineError::Unusable(error.to_string())))
    }

    /// Begins to bring a model into memory, because it will be wanted soon.
    pub fn warm(&self, wanted: &Wanted) {
        let (inner, wanted) = (Arc::clone(&self.inner), wanted.clone());
        self.inner.handle.spawn(async move {
            if let Err(error) = inner.ready(&wanted).await {
                tracing::warn!(model = wanted.model, %error, "a model is not loaded");
            }
        });
    }

    /// A person wants it to work again, whatever happened before.
    pub fn forgive(&self) {
        self.inner.state.send_modify(|state| {
            state.crashes = 0;
            state.refused = None;
        });
    }

    /// Whether a model is in memory.
    #[must_use]
    pub fn holds(&self, model: &str) -> bool {
        self.inner.state.borrow().models.contains_key(model)
    }

    /// Takes a model out of memory, when what it writes is written.
    ///
    /// # Errors
    /// When it is not there, or the engine ended meanwhile.
    pub async fn unload(&self, model: &str) -> Result<(), EngineError> {
        self.inner.unload(model).await
    }

    /// Takes an adapter out of memory, if it is there, and whatever it is stacked with.
    ///
    /// # Errors
    /// When the engine ended meanwhile.
    pub async fn unload_adapter(&self, model: &str, adapter: &str) -> Result<(), EngineError> {
        self.inner.unload_adapter(model, adapter).await
    }

    /// Lets it finish what it does, and end.
    pub async fn shutdown(&self) {
        self.inner.shutdown().await;
    }

    /// Ends it at once. All its memory comes back.
    pub async fn kill(&self) {
        let running = self.inner.state.borrow().running.clone();
        if let Some(running) = running {
            running.ends.store(true, Ordering::SeqCst);
            self.inner.gone(&running).await;
        }
    }

    /// What it holds itself, with its resident memory in bytes; `None` when it does not run.
    pub async fn resident_bytes(&self) -> Option<u64> {
        let running = self.inner.state.borrow().running.clone()?;
        match running.client.ask(EngineRequest::Health).await {
            Ok(EngineAnswer::Health(health)) => health.resident_bytes,
            _ => None,
        }
    }
}

impl InUse {
    /// Its connection.
    pub fn client(&self) -> &Client {
        &self.running.client
    }

    /// Which device computes.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.running.client.hello().device
    }

    /// What a call that failed means.
    pub async fn failed(&self, error: CallError) -> EngineError {
        self.inner.failed(&self.running, error).await
    }

    /// A text was written: the engine works.
    pub fn worked(&self) {
        self.inner.state.send_modify(|state| state.crashes = 0);
    }

    /// The engine says that this is not in memory after all.
    pub fn is_not_there(&self, wanted: &Wanted) {
        self.inner.state.send_modify(|state| {
            match (&wanted.adapter, state.models.get_mut(&wanted.model)) {
                (Some((adapter, _)), Some(model)) if model.adapters.contains(adapter) => {
                    model.adapters.retain(|known| known != adapter);
                }
                _ => drop(state.models.remove(&wanted.model)),
            }
        });
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let name = &self.loaded.model;
        self.inner.state.send_modify(|state| {
            let now = Instant::now();
            state.touched = now;
            if let Some(model) = state.models.get_mut(name) {
                model.active = model.active.saturating_sub(1);
                model.used = now;
            }
        });
    }
}
