//! One editor session: its state, the way to the daemon, and the way to the editor.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use greenlit_client::{RequestError, current_session};
use greenlit_protocol::{Event, Notification, Request, Response, RootPhase};
use lsp_types::{MessageType, PublishDiagnosticsParams};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tower_lsp::Client;

use super::daemon::{Connector, Daemon, DaemonEvent};
use super::outgoing::{self, Outgoing, Status};
use super::progress::{Progresses, Work};
use super::state::State;
use super::test_results::TestResults;

/// A session. Handlers share it.
pub(crate) struct Session {
    state: Mutex<State>,
    daemon: OnceLock<Arc<dyn Daemon>>,
    link: Mutex<LinkState>,
    connector: Connector,
    client: Client,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    progresses: Mutex<Progresses>,
    jobs: Mutex<HashMap<u64, Job>>,
    /// Whether the person was asked about a model.
    pub(super) asked: AtomicBool,
    /// Whether the daemon was asked to stop only to be started again.
    restarting: AtomicBool,
    /// Ends the task that reads the daemon's events.
    events: Mutex<Option<AbortHandle>>,
}

/// How it stands between here and the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum LinkState {
    /// Not yet connected.
    #[default]
    Connecting,
    /// Connected to this build.
    Up { build: String },
    /// Lost, or stopped; why.
    Down { reason: String },
    /// Not tried any more; why.
    GaveUp { reason: String },
}

/// Something that a person asked for and that goes on.
#[derive(Debug)]
struct Job {
    root: PathBuf,
    task: AbortHandle,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("link", &self.link).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// A session that connects later, with [`Self::connect`].
    pub(crate) fn start(client: Client, connector: Connector) -> Arc<Self> {
        let outgoing = outgoing::start(client.clone());
        Arc::new(Self {
            state: Mutex::default(),
            daemon: OnceLock::new(),
            link: Mutex::default(),
            connector,
            progresses: Mutex::new(Progresses::new(client.clone(), outgoing.clone())),
            client,
            outgoing,
            jobs: Mutex::default(),
            asked: AtomicBool::default(),
            restarting: AtomicBool::default(),
            events: Mutex::default(),
        })
    }

    /// The state. Never held while anything is awaited or the daemon is called.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The editor.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How it stands with the daemon.
    pub(crate) fn link(&self) -> LinkState {
        lock(&self.link).clone()
    }

    pub(crate) fn progresses(&self) -> MutexGuard<'_, Progresses> {
        lock(&self.progresses)
    }

    /// Sends to the editor, in order.
    pub(crate) fn send(&self, message: Outgoing) {
        // The task ends only when the session does.
        let _ = self.outgoing.send(message);
    }

    pub(crate) fn log(&self, kind: MessageType, text: impl Into<String>) {
        self.send(Outgoing::Log(kind, text.into()));
    }

    /// Starts to connect to the daemon, once.
    pub(crate) fn connect(self: &Arc<Self>) {
        let (roots, settings, name) = {
            let state = self.state();
            (state.roots.canonical(), state.settings.clone(), state.client_name.clone())
        };
        let mut params = current_session(name, roots, true);
        params.settings = settings;
        let weak = Arc::downgrade(self);
        let replay = Box::new(move || replay(&weak));
        let (daemon, events) = (self.connector)(params, replay);
        if self.daemon.set(daemon).is_err() {
            return;
        }
        let task = tokio::spawn(follow(Arc::downgrade(self), events));
        *lock(&self.events) = Some(task.abort_handle());
    }

    /// Ends what goes on: the session is over.
    pub(crate) fn disconnect(&self) {
        if let Some(task) = lock(&self.events).take() {
            task.abort();
        }
        lock(&self.jobs).drain().for_each(|(_, job)| job.task.abort());
    }

    /// Tells the daemon something. Called after the state was changed, so that a replay that
    /// happens in between already holds it.
    pub(crate) fn notify(&self, notification: Notification) {
        if let Some(daemon) = self.daemon.get() {
            daemon.notify(notification);
        }
    }

    /// Asks the daemon something.
    pub(crate) async fn request(&self, request: Request) -> Result<Response, RequestError> {
        match self.daemon.get() {
            Some(daemon) => daemon.request(request).await,
            None => Err(RequestError::Unavailable { reason: "not connected yet".to_owned() }),
        }
    }

    /// A person wants something: a daemon that was stopped is started again.
    pub(crate) fn wake(&self) {
        if let Some(daemon) = self.daemon.get() {
            daemon.wake();
        }
    }

    /// Stops the daemon and starts it anew.
    pub(crate) async fn restart(&self) {
        self.restarting.store(true, Ordering::Relaxed);
        if !matches!(self.link(), LinkState::Up { .. }) {
            self.restarting.store(false, Ordering::Relaxed);
            return self.wake();
        }
        // It is woken when the connection ends: until then a wake is for nothing.
        if let Err(error) = self.request(Request::Stop { kill: false }).await {
            tracing::info!(%error, "greenlitd did not stop when asked");
            if let RequestError::Remote(_) = error {
                self.restarting.store(false, Ordering::Relaxed);
            }
        }
    }

    /// Runs what a person asked for about a root until it is done or cancelled.
    pub(crate) fn spawn_job(
        self: &Arc<Self>,
        root: PathBuf,
        job: impl Future<Output = ()> + Send + 'static,
    ) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        // The lock is held until the job is listed: it cannot remove itself before.
        let mut jobs = lock(&self.jobs);
        let session = self.clone();
        let task = tokio::spawn(async move {
            job.await;
            lock(&session.jobs).remove(&id);
        });
        jobs.insert(id, Job { root, task: task.abort_handle() });
    }

    /// Cancels everything that goes on about a root.
    pub(crate) fn cancel(self: &Arc<Self>, root: &Path) {
        lock(&self.jobs).retain(|_, job| {
            let stays = job.root != root;
            if !stays {
                // Dropping the request cancels it in the daemon.
                job.task.abort();
            }
            stays
        });
        let (session, root) = (self.clone(), root.to_owned());
        tokio::spawn(async move {
            let request = Request::CancelBackground { root };
            if let Err(error) = session.request(request).await {
                tracing::info!(%error, "background work was not cancelled");
            }
        });
    }

    /// Brings the diagnostics of files up to date in the editor.
    pub(crate) fn publish<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) {
        let publications = self.state().publications(paths);
        self.send_publications(publications);
    }

    /// Sends diagnostics, or has the editor ask for them.
    pub(crate) fn send_publications(&self, publications: Vec<PublishDiagnosticsParams>) {
        let features = self.state().features.clone();
        // An editor that says nothing of either still shows what it is sent.
        if features.pushed_diagnostics || !features.pulled_diagnostics {
            publications.into_iter().for_each(|params| self.send(Outgoing::Publish(params)));
        } else if features.refreshes_diagnostics && !publications.is_empty() {
            self.send(Outgoing::RefreshDiagnostics);
        }
    }

    fn handle(&self, event: DaemonEvent) {
        match event {
            DaemonEvent::Up { build } => self.set_link(LinkState::Up { build }),
            DaemonEvent::Down { reason } => {
                self.progresses().end_all("the daemon is gone");
                self.set_link(LinkState::Down { reason });
                if self.restarting.swap(false, Ordering::Relaxed) {
                    self.wake();
                }
            }
            DaemonEvent::GaveUp { reason, log } => {
                let text = format!("Greenlit: {reason}. Its log: {}", log.display());
                self.set_link(LinkState::GaveUp { reason });
                self.send(Outgoing::Show(MessageType::ERROR, text));
            }
            DaemonEvent::Event(event) => self.handle_event(event),
        }
    }

    fn handle_event(&self, event: Event) {
        match event {
            Event::Findings { root, revision, findings } => self.found(root, revision, findings),
            Event::Tests { root, revision, complete, tests } => {
                let state = self.state();
                if state.features.test_results {
                    let results =
                        TestResults::of_run(&state.roots, &root, revision, complete, tests);
                    drop(state);
                    results.into_iter().for_each(|results| self.send(Outgoing::Tests(results)));
                }
            }
            Event::Root { root, phase } => self.show_phase(&root, phase),
            Event::Progress { root, request, stage } => {
                let supported = self.state().features.progress;
                if supported {
                    self.progresses().step(Work::Job(root, request), stage);
                }
            }
            Event::Indexing { root, work, stage } => {
                let supported = self.state().features.progress;
                if supported {
                    self.progresses().step(Work::Index(root, work), stage);
                }
            }
            Event::Draining { reason } => {
                self.log(MessageType::INFO, format!("greenlitd stops: {reason}"));
            }
        }
    }

    fn found(&self, root: PathBuf, revision: u64, findings: Vec<greenlit_protocol::Finding>) {
        let touched: BTreeSet<PathBuf> = {
            let mut state = self.state();
            if !state.roots.canonical().contains(&root) {
                // The folder was closed while its tests ran.
                return;
            }
            state.forget_expected(&root, &findings);
            state.findings.replace(root, revision, findings)
        };
        self.publish(touched.iter().map(PathBuf::as_path));
    }

    fn show_phase(&self, root: &Path, phase: RootPhase) {
        let mut status = self.status();
        status.root = self.state().roots.uri(root);
        let name = match phase {
            RootPhase::Idle => "idle",
            RootPhase::Testing => "testing",
            RootPhase::Fixing { failing, .. } => {
                status.failing = Some(failing);
                "fixing"
            }
            RootPhase::Settled { passed, failing, fixes } => {
                status.passed = Some(passed);
                status.failing = Some(failing);
                status.fixes = Some(fixes);
                "settled"
            }
            RootPhase::Problem { error } => {
                let hint = error.hint.as_deref().map(|hint| format!(" ({hint})"));
                let text = format!("{}{}", error.message, hint.unwrap_or_default());
                self.log(MessageType::WARNING, format!("{}: {text}", root.display()));
                status.message = Some(text);
                "problem"
            }
        };
        status.phase = Some(name.to_owned());
        self.send(Outgoing::Status(status));
    }

    fn set_link(&self, link: LinkState) {
        *lock(&self.link) = link;
        self.send(Outgoing::Status(self.status()));
    }

    /// The daemon's part of the status.
    pub(crate) fn status(&self) -> Status {
        let (daemon, message) = match self.link() {
            LinkState::Connecting => ("connecting", None),
            LinkState::Up { .. } => ("up", None),
            LinkState::Down { reason } => ("down", Some(reason)),
            LinkState::GaveUp { reason } => ("gave-up", Some(reason)),
        };
        Status {
            daemon: daemon.to_owned(),
            root: None,
            phase: None,
            passed: None,
            failing: None,
            fixes: None,
            message,
        }
    }
}

fn replay(session: &Weak<Session>) -> Vec<Notification> {
    session.upgrade().map(|session| session.state().replay()).unwrap_or_default()
}

async fn follow(session: Weak<Session>, mut events: mpsc::Receiver<DaemonEvent>) {
    while let Some(event) = events.recv().await {
        let Some(session) = session.upgrade() else { return };
        session.handle(event);
    }
}
