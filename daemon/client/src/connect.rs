//! Connect; else lock, check again, start, wait until ready, verify, unlock.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use greenlit_protocol::{Hello, SessionParams};
use tokio::time::Instant;

use crate::handshake::shake;
use crate::spawn::{find_daemon, spawn};
use crate::{
    ConnectError, Connection, HandshakeError, LockFile, Paths, ReadyMessage, crashes, transport,
};

/// How long to wait for a daemon that drains, or for another client that starts one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a draining daemon is looked at.
const RETRY: Duration = Duration::from_millis(10);
/// How long a daemon may live without listening.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Handshakes that may break: a daemon that exits still has connections in its backlog.
const BREAKS: u32 = 200;
/// Daemons started by one call before it gives up: one may die right after it was ready.
const STARTS: u32 = 2;

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Who connects.
    pub session: SessionParams,
    /// The daemon's program; `None` searches as [`find_daemon`] says.
    pub daemon: Option<PathBuf>,
    /// Start a daemon when none runs.
    pub spawn: bool,
    /// Where it lives; `None` means [`Paths::for_user`].
    pub paths: Option<Paths>,
}

impl ConnectOptions {
    /// Connects as this session to the user's daemon, and starts it when none runs.
    pub fn new(session: SessionParams) -> Self {
        Self { session, daemon: None, spawn: true, paths: None }
    }

    /// Only connects.
    #[must_use]
    pub fn without_spawn(mut self) -> Self {
        self.spawn = false;
        self
    }

    pub(crate) fn resolve_paths(&self) -> Result<Paths, ConnectError> {
        match &self.paths {
            Some(paths) => Ok(paths.clone()),
            None => Ok(Paths::for_user()?),
        }
    }
}

/// Connects to the daemon. With [`ConnectOptions::spawn`] a missing one is started, a draining one
/// is waited for (up to 30 s) and replaced, and an older one without a common version is asked to
/// drain. A newer one is never replaced.
///
/// This is what a person asks for, so it also starts a daemon that crashed before; a [`crate::Link`]
/// does not after three times.
pub async fn connect(options: &ConnectOptions) -> Result<Connection, ConnectError> {
    connect_unless_crashing(options, None).await
}

/// As [`connect`]; fails with [`ConnectError::Crashing`] when the daemon is to be started and
/// crashed `crash_limit` times recently.
pub(crate) async fn connect_unless_crashing(
    options: &ConnectOptions,
    crash_limit: Option<usize>,
) -> Result<Connection, ConnectError> {
    let paths = options.resolve_paths()?;
    let mut hello = Hello::new(options.session.clone());
    hello.replace = options.spawn;
    match attempt(&paths, &hello).await {
        Err(error) if options.spawn && room_for_a_start(&error) => {}
        result => return result,
    }
    paths.create()?;
    let deadline = Instant::now() + PATIENCE;
    let _start_lock =
        LockFile::take(&paths.start_lock, deadline + PATIENCE).await.map_err(ConnectError::Lock)?;
    let (mut starts, mut breaks, mut held_since) = (0, 0, None);
    loop {
        let error = match attempt(&paths, &hello).await {
            Err(error) if room_for_a_start(&error) => error,
            result => return result,
        };
        if Instant::now() >= deadline {
            return Err(error);
        }
        if !matches!(error, ConnectError::NotRunning) {
            breaks += u32::from(matches!(error, ConnectError::Handshake(HandshakeError::Io(_))));
            if breaks > BREAKS {
                return Err(error);
            }
            tokio::time::sleep(RETRY).await;
            continue;
        }
        // A daemon on its way in or out: the socket of a dying one goes before its lock.
        if LockFile::is_held(&paths.daemon_lock) {
            let since = *held_since.get_or_insert_with(Instant::now);
            if since.elapsed() > LOCK_PATIENCE {
                let pid = paths.read_info().map(|info| info.pid);
                return Err(ConnectError::Unreachable { pid, socket: paths.socket });
            }
            tokio::time::sleep(RETRY).await;
            continue;
        }
        held_since = None;
        let count = crashes::record(&paths);
        if crash_limit.is_some_and(|limit| count >= limit) {
            return Err(ConnectError::Crashing { count, log: paths.log });
        }
        if starts == STARTS {
            let message = "it ended as soon as it was ready".to_owned();
            return Err(ConnectError::StartUp { message, log: paths.log });
        }
        let program = find_daemon(options.daemon.as_deref())?;
        match spawn(&program, &paths).await? {
            ReadyMessage::Ready { .. } => starts += 1,
            // A race with a daemon that somebody started without the lock: connect to that one.
            _ => tokio::time::sleep(RETRY).await,
        }
    }
}

/// One try, without starting anything.
async fn attempt(paths: &Paths, hello: &Hello) -> Result<Connection, ConnectError> {
    if !paths.exists() {
        return Err(ConnectError::NotRunning);
    }
    paths.verify()?;
    let stream = match transport::dial(paths).await {
        Ok(stream) => stream,
        Err(error) => {
            return Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ConnectError::NotRunning
                }
                _ => ConnectError::Dial { socket: paths.socket.clone(), source: error },
            });
        }
    };
    let (framed, welcome) = shake(stream, hello).await?;
    Ok(Connection::start(framed, welcome))
}

/// Whether there is, or soon will be, room for a new daemon.
fn room_for_a_start(error: &ConnectError) -> bool {
    match error {
        ConnectError::NotRunning
        | ConnectError::Handshake(HandshakeError::Refused { .. } | HandshakeError::Io(_)) => true,
        ConnectError::Handshake(HandshakeError::Incompatible(mismatch)) => mismatch.draining,
        // The backlog is full: it runs, and is busy accepting.
        ConnectError::Dial { source, .. } => source.kind() == io::ErrorKind::WouldBlock,
        _ => false,
    }
}
