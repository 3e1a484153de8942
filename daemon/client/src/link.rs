//! A connection that outlives daemons, for editors: reconnects, and tells a new daemon what is open.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use greenlit_protocol::{DocumentId, Event, Notification, ProgressStage, Request, Response};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connect::connect_unless_crashing;
use crate::{
    Accepted, Client, ConnectError, ConnectOptions, Connection, HandshakeError, PendingResponse,
    RequestError, crashes,
};

/// How long a request waits for a connection that is down.
const GRACE: Duration = Duration::from_secs(5);
/// The first pause before a new try; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often a stopped link looks whether somebody else started a daemon.
const LOOK: Duration = Duration::from_secs(1);
/// Starts that may fail in a row.
const FAILED_STARTS: u32 = 3;
/// Link events handed over ahead of their reader.
const EVENTS: usize = 64;

/// What happened to a link. [`LinkEvent::Up`] and [`LinkEvent::Down`] alternate.
#[derive(Debug)]
pub enum LinkEvent {
    /// Connected; the replay was sent.
    Up {
        /// What the daemon said.
        welcome: Accepted,
        /// Whether this is the link's first connection.
        first: bool,
    },
    /// The connection is gone; unless [`LinkEvent::GaveUp`] follows, the link reconnects. After a
    /// deliberate stop it starts no daemon, and waits until somebody else does or
    /// [`Link::wake`] is called.
    Down {
        /// Why, for people.
        reason: String,
    },
    /// The link starts no daemon any more. It still connects when somebody else starts one.
    GaveUp {
        /// Why.
        error: ConnectError,
        /// The daemon's log.
        log: PathBuf,
    },
    /// The daemon told something.
    Event(Event),
}

/// A session that survives its daemon. Clones are one link; it ends with its last clone.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
    /// Ends the task with the last clone.
    _task: Arc<DropGuard>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    phase: watch::Sender<Phase>,
    wake: tokio::sync::Notify,
}

#[derive(Debug)]
enum State {
    Down,
    /// The replay is being collected; what is sent meanwhile follows it.
    Replaying(Vec<Notification>),
    Up {
        client: Client,
        /// Versions that the replay held: older edits are in it already.
        replayed: HashMap<DocumentId, i32>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Trying to connect.
    Down {
        reason: String,
    },
    Up,
    /// Not trying to start one.
    Resting {
        reason: String,
    },
}

impl Link {
    /// Starts to connect. `replay` returns what a new daemon must know: settings, roots and open
    /// documents with their current text; it is called once per connection, outside all locks of
    /// this type, and its result is sent before anything else.
    ///
    /// A caller changes its documents first and calls [`Self::notify`] afterwards; edits that the
    /// replay holds already are then recognised by their version and not sent twice.
    pub fn start(
        options: ConnectOptions,
        replay: impl Fn() -> Vec<Notification> + Send + 'static,
    ) -> (Self, mpsc::Receiver<LinkEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let reason = "connecting".to_owned();
        let shared = Arc::new(Shared {
            state: Mutex::new(State::Down),
            phase: watch::Sender::new(Phase::Down { reason }),
            wake: tokio::sync::Notify::new(),
        });
        let ended = CancellationToken::new();
        let task = Task { options, shared: shared.clone(), events };
        let stop = ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = task.run(replay) => {}
                () = stop.cancelled() => {}
            }
        });
        (Self { shared, _task: Arc::new(ended.drop_guard()) }, receiver)
    }

    /// Sends a request in order with notifications, and waits for its answer. While the link is
    /// down it waits for a short grace (5 s); when no daemon is to be started it fails at once.
    /// Dropping the future cancels the request.
    pub async fn request(&self, request: Request) -> Result<Response, RequestError> {
        self.send(|client| client.request(request)).await?.await
    }

    /// As [`Self::request`], with progress as in [`Client::request_with_progress`].
    pub async fn request_with_progress(
        &self,
        request: Request,
        on_progress: impl FnMut(ProgressStage) + Send + 'static,
    ) -> Result<Response, RequestError> {
        self.send(|client| client.request_with_progress(request, on_progress)).await?.await
    }

    /// Sends a notification in order. Never blocks. While the link is down it is dropped: the
    /// replay of the next connection holds its effect.
    pub fn notify(&self, notification: Notification) {
        let mut state = self.shared.state();
        match &mut *state {
            State::Down => {}
            State::Replaying(later) => later.push(notification),
            State::Up { client, replayed } => {
                if !known(replayed, &notification) {
                    send(client, notification);
                }
            }
        }
    }

    /// Whether there is a connection now.
    pub fn is_up(&self) -> bool {
        *self.shared.phase.borrow() == Phase::Up
    }

    /// Tries again at once, and starts a daemon if needed, even after a deliberate stop or after
    /// the link gave up: for what a person asks for explicitly.
    pub fn wake(&self) {
        // A wake that nobody needs now must not be kept for a later, deliberate stop.
        if !self.is_up() {
            self.shared.wake.notify_one();
        }
    }

    async fn send(
        &self,
        send: impl FnOnce(&Client) -> PendingResponse,
    ) -> Result<PendingResponse, RequestError> {
        let mut phase = self.shared.phase.subscribe();
        let up = async {
            loop {
                // The state decides: the phase may be read a moment too early.
                if let State::Up { .. } = &*self.shared.state() {
                    return Ok(());
                }
                if let Phase::Resting { reason } = &*phase.borrow_and_update() {
                    return Err(RequestError::Unavailable { reason: reason.clone() });
                }
                if phase.changed().await.is_err() {
                    return Ok(());
                }
            }
        };
        let waited = tokio::time::timeout(GRACE, up).await;
        if let Ok(result) = waited {
            result?;
            if let State::Up { client, .. } = &*self.shared.state() {
                return Ok(send(client));
            }
        }
        let reason = match &*self.shared.phase.borrow() {
            Phase::Down { reason } | Phase::Resting { reason } => reason.clone(),
            Phase::Up => "the connection was just lost".to_owned(),
        };
        Err(RequestError::Unavailable { reason })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the replay held this already. Forgets a document when it is closed: its versions may
/// start anew.
fn known(replayed: &mut HashMap<DocumentId, i32>, notification: &Notification) -> bool {
    match notification {
        Notification::DocumentOpened { document, version, .. }
        | Notification::DocumentChanged { document, version, .. } => {
            replayed.get(document).is_some_and(|known| version <= known)
        }
        Notification::DocumentClosed { document } => {
            replayed.remove(document);
            false
        }
        _ => false,
    }
}

fn send(client: &Client, notification: Notification) {
    // A closed connection is replaced, with a replay. What cannot be encoded is a path that is not
    // UTF-8, which no editor can send.
    if let Err(error) = client.notify(notification)
        && !client.is_closed()
    {
        tracing::warn!(%error, "a notification was not sent");
    }
}

struct Task {
    options: ConnectOptions,
    shared: Arc<Shared>,
    events: mpsc::Sender<LinkEvent>,
}

/// Why a connection ended.
enum End {
    /// The daemon said that it drains, or exited cleanly: nobody wants it now.
    Deliberate(String),
    Lost(String),
}

impl Task {
    async fn run(self, replay: impl Fn() -> Vec<Notification> + Send) {
        let mut first = true;
        let mut resting = None;
        while let Some(connection) = self.connect(resting.take()).await {
            let Connection { client, events, welcome } = connection;
            *self.shared.state() = State::Replaying(Vec::new());
            let notifications = replay();
            self.open(&client, notifications);
            if self.events.send(LinkEvent::Up { welcome, first }).await.is_err() {
                return;
            }
            first = false;
            let end = self.forward(&client, events).await;
            *self.shared.state() = State::Down;
            let reason = match end {
                End::Deliberate(reason) => {
                    resting = Some(reason.clone());
                    self.set_phase(Phase::Resting { reason: reason.clone() });
                    reason
                }
                End::Lost(reason) => {
                    self.set_phase(Phase::Down { reason: reason.clone() });
                    reason
                }
            };
            if self.events.send(LinkEvent::Down { reason }).await.is_err() {
                return;
            }
        }
    }

    fn set_phase(&self, phase: Phase) {
        self.shared.phase.send_replace(phase);
    }

    /// Sends the replay and what was sent while it was collected.
    fn open(&self, client: &Client, replay: Vec<Notification>) {
        let mut state = self.shared.state();
        let later = match std::mem::replace(&mut *state, State::Down) {
            State::Replaying(later) => later,
            State::Down | State::Up { .. } => Vec::new(),
        };
        let mut replayed = HashMap::new();
        for notification in replay {
            if let Notification::DocumentOpened { document, version, .. } = &notification {
                replayed.insert(document.clone(), *version);
            }
            send(client, notification);
        }
        for notification in later {
            if !known(&mut replayed, &notification) {
                send(client, notification);
            }
        }
        *state = State::Up { client: client.clone(), replayed };
        drop(state);
        self.set_phase(Phase::Up);
    }

    /// Hands events over until the connection ends.
    async fn forward(&self, client: &Client, mut events: mpsc::Receiver<Event>) -> End {
        let mut draining = None;
        while let Some(event) = events.recv().await {
            if let Event::Draining { reason } = &event {
                draining = Some(reason.clone());
            }
            if self.events.send(LinkEvent::Event(event)).await.is_err() {
                break;
            }
        }
        let reason = client.closed().await;
        match draining {
            Some(reason) => End::Deliberate(reason),
            None => End::Lost(reason),
        }
    }

    /// The next connection; `None` when nobody listens to this link any more. `resting` is why no
    /// daemon is to be started.
    async fn connect(&self, mut resting: Option<String>) -> Option<Connection> {
        let mut pause = PAUSE;
        let mut failed_starts = 0;
        // After a wake one start is tried whatever the crash record says.
        let mut crash_limit = Some(crashes::LIMIT);
        loop {
            if self.events.is_closed() {
                return None;
            }
            let mut options = self.options.clone();
            options.spawn &= resting.is_none();
            let error = match connect_unless_crashing(&options, crash_limit).await {
                Ok(connection) => return Some(connection),
                Err(error) => error,
            };
            if resting.is_none() {
                tracing::info!(error = %error.full_message(), "cannot connect to greenlitd");
                failed_starts += 1;
                if failed_starts >= FAILED_STARTS || is_final(&error) {
                    let reason = error.full_message();
                    self.set_phase(Phase::Resting { reason: reason.clone() });
                    resting = Some(reason);
                    let log = self.options.resolve_paths().map(|paths| paths.log);
                    let log = log.unwrap_or_default();
                    self.events.send(LinkEvent::GaveUp { error, log }).await.ok()?;
                } else {
                    self.set_phase(Phase::Down { reason: error.full_message() });
                }
            }
            let sleep = if resting.is_some() { LOOK } else { jitter(pause) };
            tokio::select! {
                () = tokio::time::sleep(sleep) => pause = (pause * 2).min(PAUSE_MAX),
                () = self.shared.wake.notified() => {
                    (resting, crash_limit, failed_starts, pause) = (None, None, 0, PAUSE);
                    self.set_phase(Phase::Down { reason: "connecting".to_owned() });
                }
            }
        }
    }
}

/// Whether trying again cannot help.
fn is_final(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::Crashing { .. }
            | ConnectError::Paths(_)
            | ConnectError::ProgramNotFound { .. }
            | ConnectError::Handshake(HandshakeError::Incompatible(_))
    )
}

/// Between half and all of the pause, so that many editors do not come at once.
fn jitter(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};

    let random = RandomState::new().hash_one(0_u8);
    let half = pause / 2;
    half + half.mul_f64((random % 1024) as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(document: &str, version: i32) -> Notification {
        Notification::DocumentChanged { document: document.into(), version, changes: Vec::new() }
    }

    #[test]
    fn edits_in_the_replay_are_not_sent_twice() {
        let mut replayed = HashMap::from([("/a".into(), 5)]);
        assert!(known(&mut replayed, &changed("/a", 5)));
        assert!(!known(&mut replayed, &changed("/a", 6)));
        assert!(!known(&mut replayed, &changed("/b", 1)));
        let closed = Notification::DocumentClosed { document: "/a".into() };
        assert!(!known(&mut replayed, &closed));
        let opened = Notification::DocumentOpened { document: "/a".into(), version: 1, text: None };
        assert!(!known(&mut replayed, &opened));
    }

    #[test]
    fn jitter_stays_between_half_and_all() {
        for _ in 0..100 {
            let pause = jitter(Duration::from_millis(100));
            assert!((50..=100).contains(&pause.as_millis()), "{pause:?}");
        }
    }
}
