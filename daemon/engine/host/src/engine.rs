//! The one owner of the process and of what is in its memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenlit_protocol::EngineReport;
use greenlit_protocol::engine::{
    EngineAnswer, EngineFailure, EngineFailureKind as Kind, EngineRequest, LoadModel, LoadedModel,
    Precision,
};
use greenlit_serving::{CallError, Client, ConnectError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::Wanted;
use crate::end::{End, Seen, memory_kills};
use crate::error::EngineError;
use crate::idle;
use crate::launch::{Launched, last_line, launch};
use crate::program::Program;
use crate::state::{MOST_CRASHES, Resident, Running, State};

/// So long an engine may take until it says who it is.
const GREETING: Duration = Duration::from_secs(30);
/// So long it may take to end when it was asked to.
const FAREWELL: Duration = Duration::from_secs(20);

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
            word = greenlit_protocol::EngineState::Absent;
            detail = absent.to_string();
            remedy = Some(absent.remedy().to_owned());
        } else if word == greenlit_protocol::EngineState::GivenUp {
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

    /// Takes an adapter out of memory, if it is there.
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

impl Inner {
    async fn ready(self: Arc<Self>, wanted: &Wanted) -> Result<InUse, EngineError> {
        loop {
            let running = self.running().await?;
            let (loaded, adapter) = self.state.borrow().has(wanted);
            let Some(loaded) = loaded else {
                let name = wanted.model.clone();
                match self.during(name, self.load(&running, wanted)).await {
                    // It was just told to end, because nobody had used it: another one is started.
                    Err(EngineError::Failed(failure)) if failure.kind == Kind::Draining => {}
                    done => done?,
                }
                continue;
            };
            if let (false, Some((name, directory))) = (adapter, &wanted.adapter) {
                let work = self.load_adapter(&running, &wanted.model, name, directory);
                self.during(name.clone(), work).await?;
                continue;
            }
            let taken = self.state.send_if_modified(|state| {
                let same = state.running.as_ref().is_some_and(|now| Arc::ptr_eq(now, &running));
                state.touched = Instant::now();
                let model = state.models.get_mut(&wanted.model).filter(|_| same);
                model.map(|model| model.active += 1).is_some()
            });
            if taken {
                return Ok(InUse { running, inner: Arc::clone(&self), loaded });
            }
        }
    }

    /// The process, started if there is none.
    async fn running(self: &Arc<Self>) -> Result<Arc<Running>, EngineError> {
        let _turn = self.turn.lock().await;
        let now = self.state.borrow().running.clone();
        if let Some(running) = now {
            if !running.client.is_gone() && !running.ends.load(Ordering::SeqCst) {
                return Ok(running);
            }
            self.gone(&running).await;
        }
        if let Some(error) = self.given_up() {
            return Err(error);
        }
        let program = self.options.program.find()?;
        self.state.send_modify(|state| state.starting = true);
        let started = self.start(program).await;
        self.state.send_modify(|state| state.starting = false);
        started
    }

    fn given_up(&self) -> Option<EngineError> {
        let state = self.state.borrow();
        let last = state.end.as_ref().map(|end| end.words.clone()).unwrap_or_default();
        (state.crashes >= MOST_CRASHES).then(|| EngineError::GivenUp {
            crashes: state.crashes,
            last,
            log: self.options.log.clone(),
        })
    }

    async fn start(self: &Arc<Self>, program: PathBuf) -> Result<Arc<Running>, EngineError> {
        let kills = memory_kills();
        let Launched { mut child, stdin, stdout, log_from } = launch(&program, &self.options.log)?;
        let greeted = tokio::time::timeout(GREETING, Client::connect(stdout, stdin)).await;
        let client = match greeted {
            Ok(Ok(client)) => client,
            failed => {
                // One that closed its pipe is about to end by itself, and its code says why.
                if !matches!(failed, Ok(Err(ConnectError::Silent)))
                    || tokio::time::timeout(FAREWELL, child.wait()).await.is_err()
                {
                    let _already_gone = child.start_kill();
                }
                let mut end = self.end(child.wait().await, log_from, kills);
                match failed {
                    Ok(Err(error @ ConnectError::Version { .. })) => {
                        end.words = error.to_string();
                        end.lasting = true;
                    }
                    Err(_) => {
                        end.words = format!(
                            "the engine did not say who it is within {} s",
                            GREETING.as_secs()
                        );
                    }
                    _ => {}
                }
                let (why, lasting) = (end.words.clone(), end.lasting);
                self.state.send_modify(|state| state.ended(Some(end)));
                tracing::error!(why, "the engine does not start");
                return Err(match lasting {
                    true => EngineError::Unusable(why),
                    false => EngineError::Ended { why, log: self.options.log.clone() },
                });
            }
        };
        let running = Arc::new(Running {
            pid: child.id(),
            client,
            program,
            kill: CancellationToken::new(),
            ends: AtomicBool::new(false),
        });
        let hello = running.client.hello();
        tracing::info!(
            pid = running.pid,
            backend = hello.backend,
            device = hello.device,
            "the engine runs"
        );
        self.state.send_modify(|state| state.running = Some(Arc::clone(&running)));
        let (inner, watched) = (Arc::clone(self), Arc::clone(&running));
        self.handle.spawn(async move {
            let patience = inner.options.health;
            let mut silent = false;
            tokio::select! {
                // How it went is asked below.
                _ = child.wait() => {}
                () = watched.kill.cancelled() => {}
                () = silence(&watched, patience) => silent = true,
            }
            let _already_gone = child.start_kill();
            let status = child.wait().await;
            let wanted = watched.ends.load(Ordering::SeqCst);
            let mut end = (!wanted).then(|| inner.end(status, log_from, kills));
            if let Some(end) = end.as_mut().filter(|_| silent) {
                end.words = format!("the engine did not answer for {patience:?} and was ended");
            }
            match &end {
                Some(end) => tracing::error!(why = end.words, "the engine ended"),
                None => tracing::info!("the engine ended, as it was asked to"),
            }
            inner.state.send_modify(|state| state.ended(end));
        });
        Ok(running)
    }

    fn end(
        &self,
        status: std::io::Result<std::process::ExitStatus>,
        log_from: u64,
        kills: Option<u64>,
    ) -> End {
        let last_line = last_line(&self.options.log, log_from);
        match status {
            Ok(status) => End::of(&Seen {
                status,
                last_line: last_line.as_deref(),
                system_was_short: kills.zip(memory_kills()).is_some_and(|(then, now)| now > then),
            }),
            Err(error) => End {
                words: format!("how the engine ended is not known: {error}"),
                out_of_memory: false,
                lasting: false,
            },
        }
    }

    async fn load(&self, running: &Arc<Running>, wanted: &Wanted) -> Result<(), EngineError> {
        let Wanted { model, directory, .. } = wanted;
        let elsewhere = self.state.borrow().models.contains_key(model);
        if elsewhere {
            self.unload(model).await?;
        }
        let request = LoadModel {
            model: model.clone(),
            directory: directory.clone(),
            precision: self.options.precision,
            context: Some(self.options.context),
            memory: self.options.memory,
            adapter_memory: self.options.adapter_memory,
        };
        loop {
            let asked = running.client.ask(EngineRequest::Load(request.clone())).await;
            let error = match asked {
                Ok(EngineAnswer::Loaded(loaded)) => {
                    self.state.send_modify(|state| {
                        state.refused = None;
                        let resident = Resident {
                            directory: directory.clone(),
                            loaded,
                            adapters: Vec::new(),
                            active: 0,
                            used: Instant::now(),
                        };
                        // Somebody else may have waited for the same.
                        state.models.entry(model.clone()).or_insert(resident);
                    });
                    return Ok(());
                }
                Ok(_) => return Err(confused()),
                Err(error) => error,
            };
            let no_room =
                matches!(&error, CallError::Failed(failure) if failure.kind == Kind::DoesNotFit);
            // Where the person set a limit, nobody else's room would help.
            let helps = no_room && self.options.memory.is_none();
            let idle = self.state.borrow().idlest(model).filter(|_| helps);
            if let Some(other) = idle {
                tracing::info!(other, model, "a model that nobody uses makes room");
                self.unload(&other).await?;
                continue;
            }
            let error = self.failed(running, error).await;
            if no_room {
                self.state.send_modify(|state| state.refused = Some(error.to_string()));
            }
            return Err(error);
        }
    }

    async fn load_adapter(
        &self,
        running: &Arc<Running>,
        model: &str,
        adapter: &str,
        directory: &Path,
    ) -> Result<(), EngineError> {
        let request = EngineRequest::LoadAdapter {
            model: model.to_owned(),
            adapter: adapter.to_owned(),
            directory: directory.to_owned(),
        };
        match running.client.ask(request).await {
            Ok(EngineAnswer::AdapterLoaded(loaded)) => {
                self.state.send_modify(|state| {
                    if let Some(resident) = state.models.get_mut(model) {
                        resident.adapters.retain(|known| {
                            !loaded.evicted.contains(known) && *known != loaded.adapter
                        });
                        resident.adapters.push(loaded.adapter);
                    }
                });
                Ok(())
            }
            Ok(_) => Err(confused()),
            Err(CallError::Failed(failure)) if failure.kind == Kind::NotLoaded => {
                // The model left the memory meanwhile: it is loaded again.
                self.state.send_modify(|state| drop(state.models.remove(model)));
                Ok(())
            }
            Err(error) => Err(self.failed(running, error).await),
        }
    }

    pub(crate) async fn unload(&self, model: &str) -> Result<(), EngineError> {
        let running = self.state.borrow().running.clone();
        let mut known = false;
        self.state.send_modify(|state| known = state.models.remove(model).is_some());
        let (Some(running), true) = (running, known) else {
            let message = format!("{model} is not in memory");
            return Err(EngineFailure { kind: Kind::NotLoaded, message }.into());
        };
        let request = EngineRequest::Unload { model: model.to_owned() };
        match running.client.ask(request).await {
            Ok(_) => Ok(()),
            Err(CallError::Failed(failure)) if failure.kind == Kind::NotLoaded => Ok(()),
            Err(error) => Err(self.failed(&running, error).await),
        }
    }

    async fn unload_adapter(&self, model: &str, adapter: &str) -> Result<(), EngineError> {
        let running = self.state.borrow().running.clone();
        let mut known = false;
        self.state.send_modify(|state| {
            if let Some(model) = state.models.get_mut(model) {
                known = model.adapters.iter().any(|of| of == adapter);
                model.adapters.retain(|of| of != adapter);
            }
        });
        let (Some(running), true) = (running, known) else { return Ok(()) };
        let request =
            EngineRequest::UnloadAdapter { model: model.to_owned(), adapter: adapter.to_owned() };
        match running.client.ask(request).await {
            Ok(_) => Ok(()),
            Err(CallError::Failed(failure)) if failure.kind == Kind::NotLoaded => Ok(()),
            Err(error) => Err(self.failed(&running, error).await),
        }
    }

    pub(crate) async fn shutdown(&self) {
        let running = self.state.borrow().running.clone();
        let Some(running) = running else { return };
        running.ends.store(true, Ordering::SeqCst);
        let asked = running.client.ask(EngineRequest::Shutdown);
        if tokio::time::timeout(FAREWELL, asked).await.is_ok()
            && self.is_over(&running, FAREWELL).await
        {
            return;
        }
        tracing::warn!("the engine does not end as it was asked to");
        self.gone(&running).await;
    }

    /// Ends a process that still runs, and waits until that is known.
    async fn gone(&self, running: &Arc<Running>) {
        running.kill.cancel();
        self.is_over(running, Duration::MAX).await;
    }

    /// Whether the end of a process becomes known in time.
    async fn is_over(&self, running: &Arc<Running>, within: Duration) -> bool {
        let mut changes = self.state.subscribe();
        let over = changes
            .wait_for(|state| !state.running.as_ref().is_some_and(|now| Arc::ptr_eq(now, running)));
        tokio::time::timeout(within, over).await.is_ok()
    }

    /// What a call that failed means: where the engine is gone, how it ended.
    async fn failed(&self, running: &Arc<Running>, error: CallError) -> EngineError {
        match error {
            CallError::Failed(failure) => failure.into(),
            CallError::Gone => {
                self.gone(running).await;
                let wanted = running.ends.load(Ordering::SeqCst);
                let state = self.state.borrow();
                let why = match &state.end {
                    Some(end) if !wanted => end.words.clone(),
                    _ => "the engine was ended while it worked on this".to_owned(),
                };
                EngineError::Ended { why, log: self.options.log.clone() }
            }
        }
    }

    /// Work that is shown as loading while it lasts.
    async fn during<T>(&self, name: String, work: impl Future<Output = T>) -> T {
        self.state.send_modify(|state| {
            state.loading.push(name.clone());
            state.touched = Instant::now();
        });
        let done = work.await;
        self.state.send_modify(|state| {
            if let Some(at) = state.loading.iter().position(|known| *known == name) {
                state.loading.remove(at);
            }
            state.touched = Instant::now();
        });
        done
    }
}

/// Returns when the process does not say any more how it is.
async fn silence(running: &Running, patience: Duration) {
    loop {
        tokio::time::sleep(patience).await;
        let health = running.client.ask(EngineRequest::Health);
        // An answer of any kind is one; and where the pipe is closed, the process is about to end.
        if tokio::time::timeout(patience, health).await.is_err() {
            return;
        }
    }
}

fn confused() -> EngineError {
    let message = "the engine answers something else than it was asked".to_owned();
    EngineFailure { kind: Kind::Backend, message }.into()
}
