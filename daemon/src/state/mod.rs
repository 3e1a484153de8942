//! The main loop: the only owner and the only writer of the daemon's state.
//!
//! Connections, file events, finished jobs and timers arrive as [`Event`]s, one after the other.
//! Nothing here blocks: work runs in jobs and comes back as events.
//!
//! Invariant: a result is published only for the state that it was computed from; an edit or a
//! file event withdraws offered fixes at once.
//! Invariant: at most one job runs per workspace root (they share kept build products).

mod background;
mod diagnostics;
mod documents;
mod evidence;
mod index;
mod jobs;
mod learning;
mod models;
mod requests;
mod root;
mod session;
mod status;
mod tests_run;
mod trace;

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlit_evidence::{Limits, Options, Store};
use greenlit_index::{Dense, News, Shelf};
use greenlit_protocol::{Event as Told, RemoteError, Response, ServerFrame};
use greenlit_repair::Cancel;
use greenlit_workspace::config::FILE_NAME;
use greenlit_workspace::{Change, Config, Overlays, WatchError, Watcher, chain};
use tokio::sync::{mpsc, oneshot};

use crate::engine::Local;
use crate::jobs::{JobNews, JobResult, Work};
use crate::lifecycle::{Context, Inbound, serve_metrics};
use crate::models::Models;
use crate::tiers::Tiers;
use evidence::{Evidence, dismissed_before};
use index::Indexed;
use jobs::{Pending, Running};
use root::Root;
use session::Session;

/// Everything that can happen.
pub(crate) enum Event {
    /// From a connection, or the process.
    Inbound(Inbound),
    /// Files changed.
    Disk(Change),
    /// A root is being watched, or cannot be.
    Watching { root: PathBuf, result: Result<Watcher, WatchError> },
    /// A job tells something.
    News { job: u64, news: JobNews },
    /// A job ended.
    Done { job: u64, result: Box<JobResult> },
    /// Whether a job works on the inputs of this revision.
    Compared { session: u64, root: PathBuf, job: u64, revision: u64, inputs: Option<blake3::Hash> },
    /// The inputs of a revision, when a text is back that fixes were verified on.
    Recalled { session: u64, root: PathBuf, revision: u64, inputs: Option<blake3::Hash> },
    /// What was asked beside the jobs is answered.
    Answered { session: u64, request: u64, result: Box<Result<Response, RemoteError>> },
    /// An index tells how far it is.
    IndexNews { root: PathBuf, news: News },
    /// A download tells how far it is.
    ModelNews { session: u64, told: Told },
    /// What is to be done with what is recorded, and where.
    Planned { session: u64, request: u64, plan: Box<Result<(PathBuf, Work), RemoteError>> },
    /// Fixes that were dismissed before this daemon started.
    Dismissed(Vec<String>),
    /// Somebody on this machine asks what is measured.
    Scraped { answer: oneshot::Sender<String> },
}

/// The daemon's state.
pub(crate) struct State {
    context: Context,
    /// The person's own configuration file; need not exist.
    user_config: Option<PathBuf>,
    events: mpsc::UnboundedSender<Event>,
    sessions: BTreeMap<u64, Session>,
    roots: BTreeMap<PathBuf, Root>,
    indexes: BTreeMap<PathBuf, Indexed>,
    /// Where they are kept.
    shelf: Shelf,
    /// Who is asked when templates find nothing.
    tiers: Arc<Tiers>,
    /// Language models that run here.
    local: Arc<Local>,
    /// The models of this machine.
    models: Arc<Models>,
    /// Search by meaning with one of them.
    dense: Dense,
    /// Requests about models that are under way, by session and request.
    modelling: BTreeMap<(u64, u64), Cancel>,
    overlays: Overlays,
    pending: VecDeque<Pending>,
    running: BTreeMap<u64, Running>,
    next_job: u64,
    evidence: Evidence,
    /// The record of attempts.
    attempts: Store,
    /// Since when there has been nothing to live for.
    idle_since: Instant,
    /// Set when the daemon is to exit; running requests are finished first.
    draining: Option<String>,
}

/// Runs until the daemon is to exit.
pub(crate) async fn run(mut inbound: mpsc::Receiver<Inbound>, context: Context) {
    let (events, mut queue) = mpsc::unbounded_channel();
    let mut state = State::new(context, events);
    loop {
        let due = state.next_due();
        let event = tokio::select! {
            message = inbound.recv() => match message {
                Some(message) => Some(Event::Inbound(message)),
                None => Some(Event::Inbound(Inbound::Shutdown {
                    reason: "the listener ended".to_owned(),
                })),
            },
            Some(event) = queue.recv() => Some(event),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()),
                if due.is_some() => None,
        };
        // A defect in the handling of one message must not end everybody's session.
        let handled = catch_unwind(AssertUnwindSafe(|| {
            if let Some(event) = event {
                state.handle(event);
            }
            state.tick();
        }));
        if handled.is_err() {
            tracing::error!("a message was dropped because its handling panicked");
        }
        if state.is_finished() {
            return;
        }
    }
}

impl Drop for State {
    /// Indexes and the model wait for their threads, which may be in the middle of something long. The
    /// end of the process does not wait for that: what is stored is right at any point.
    fn drop(&mut self) {
        let ended = (std::mem::take(&mut self.indexes), self.dense.take());
        let attempts = self.attempts.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || attempts.close());
            runtime.spawn_blocking(move || drop(ended));
        }
    }
}

impl State {
    fn new(mut context: Context, events: mpsc::UnboundedSender<Event>) -> Self {
        let user_config = user_config();
        let own = user_config.as_deref().map(Config::load_user);
        // A configuration that makes no sense might have forbidden something: the network stays shut.
        let mut cautious = Config::default();
        cautious.network.offline = true;
        let known = match &own {
            Some(Ok(own)) => own.clone(),
            Some(Err(_)) => cautious,
            None => Config::default(),
        };
        let directory = context.paths.cache_dir.join("index");
        let shelf = Shelf { directory, quota_bytes: known.index.store_mb << 20 };
        let models = Arc::new(Models::new(&known, &context.paths));
        let dense = models.dense(&context.paths);
        let local = Arc::new(Local::new(&known, &context.paths));
        let tiers = Arc::new(Tiers::new(&known, local.clone()));
        let attempts = record(&known, &context);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (tiers, attempts, events) = (tiers.clone(), attempts.clone(), events.clone());
            let (local, is_sound) = (local.clone(), !matches!(own, Some(Err(_))));
            runtime.spawn_blocking(move || {
                if is_sound {
                    local.trim_kept();
                }
                // The receiver only goes away with the daemon.
                let _ = events.send(Event::Dismissed(dismissed_before(&attempts)));
                tiers.remember(&attempts);
            });
        }
        if let (Some(port), Ok(runtime)) =
            (known.metrics.port, tokio::runtime::Handle::try_current())
        {
            runtime.spawn(serve_metrics(port, events.clone()));
        }
        match own {
            Some(Ok(own)) if own.daemon != Config::default().daemon => {
                let secs = own.daemon.idle_exit_secs;
                context.idle_exit = (secs > 0).then(|| Duration::from_secs(secs));
            }
            Some(Err(error)) => tracing::warn!(error = chain(&error), "the configuration"),
            _ => {}
        }
        Self {
            context,
            user_config,
            events,
            sessions: BTreeMap::new(),
            roots: BTreeMap::new(),
            indexes: BTreeMap::new(),
            shelf,
            tiers,
            local,
            models,
            dense,
            modelling: BTreeMap::new(),
            overlays: Overlays::default(),
            pending: VecDeque::new(),
            running: BTreeMap::new(),
            next_job: 1,
            evidence: Evidence::default(),
            attempts,
            idle_since: Instant::now(),
            draining: None,
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Inbound(Inbound::Connected { session, params, out }) => {
                self.connected(session, params, out);
            }
            Event::Inbound(Inbound::Frame { session, frame }) => self.frame(session, frame),
            Event::Inbound(Inbound::Disconnected { session }) => self.disconnected(session),
            Event::Inbound(Inbound::Shutdown { reason }) => self.drain(reason),
            Event::Disk(change) => self.disk_changed(change),
            Event::Watching { root, result } => self.watching(&root, result),
            Event::News { job, news } => self.job_news(job, news),
            Event::Done { job, result } => self.job_done(job, *result),
            Event::Compared { session, root, job, revision, inputs } => {
                self.compared(session, root, job, revision, inputs);
            }
            Event::Recalled { session, root, revision, inputs } => {
                self.recalled(session, &root, revision, inputs);
            }
            Event::Answered { session, request, result } => {
                self.modelling.remove(&(session, request));
                self.answer(session, request, *result);
            }
            Event::ModelNews { session, told } => self.tell(session, told),
            Event::Planned { session, request, plan } => match *plan {
                Ok((root, work)) => self.enqueue(session, request, root, work),
                Err(error) => self.answer(session, request, Err(error)),
            },
            Event::Dismissed(fixes) => self.remember_dismissed(fixes),
            Event::Scraped { answer } => self.scraped(answer),
            Event::IndexNews { root, news } => self.index_news(&root, news),
        }
    }

    /// What follows from the state and the time alone.
    fn tick(&mut self) {
        self.start_due_background();
        self.start_due_diagnostics();
        self.start_jobs();
        self.tend_indexes();
        let busy = !self.sessions.is_empty() || !self.running.is_empty();
        if busy {
            self.idle_since = Instant::now();
        } else if let Some(limit) = self.context.idle_exit
            && self.idle_since.elapsed() >= limit
        {
            self.drain(format!("idle for {} s", limit.as_secs()));
        }
    }

    /// When [`Self::tick`] has something to do although no event arrived.
    fn next_due(&self) -> Option<Instant> {
        let background = self.roots.values().filter_map(Root::next_due).min();
        // Nothing of it starts any more.
        let background = background.filter(|_| self.draining.is_none());
        let busy = !self.sessions.is_empty() || !self.running.is_empty();
        let idle = (!busy).then_some(self.context.idle_exit).flatten();
        let idle = idle.map(|limit| self.idle_since + limit);
        background.into_iter().chain(idle).min()
    }

    /// Takes no new work, stops background work, and exits when running requests are answered.
    fn drain(&mut self, reason: String) {
        if self.draining.is_some() {
            return;
        }
        tracing::info!(reason, "draining");
        for session in self.sessions.values() {
            let told = Told::Draining { reason: reason.clone() };
            session.out.send(ServerFrame::Event(told));
        }
        self.context.gate.close(&reason);
        self.draining = Some(reason);
        self.cancel_all_background();
        self.modelling.values().for_each(Cancel::cancel);
        self.refuse_pending();
    }

    fn is_finished(&self) -> bool {
        self.draining.is_some() && self.running.is_empty()
    }
}

/// The record of attempts, as the person wants it.
fn record(config: &Config, context: &Context) -> Store {
    let evidence = &config.evidence;
    if !evidence.keep {
        return Store::off();
    }
    let (days, texts) = (evidence.keep_days, evidence.texts);
    let limits = Limits { days, bytes: evidence.store_mb << 20, texts };
    let path = context.paths.data_dir.join("evidence.db");
    Store::open(Options { limits, ..Options::new(path) })
}

/// The person's own configuration file: `GREENLIT_CONFIG`, else where the platform keeps such files.
fn user_config() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("GREENLIT_CONFIG") {
        return Some(path.into());
    }
    let base = etcetera::choose_base_strategy().ok()?;
    Some(etcetera::BaseStrategy::config_dir(&base).join("greenlit").join(FILE_NAME))
}

#[cfg(test)]
mod tests;
