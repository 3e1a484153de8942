//! Why there is no connection, or no answer.

use std::io;
use std::path::PathBuf;

use greenlit_protocol::RemoteError;
use greenlit_protocol::frame::FrameError;

use crate::{HandshakeError, LockError, PathsError};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The per-user directories are not safe to use.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// No daemon runs, and none was to be started.
    #[error("greenlitd is not running")]
    NotRunning,
    /// The socket is there and cannot be used.
    #[error("cannot connect to {}", socket.display())]
    Dial {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No session was opened.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A daemon lives and does not listen: somebody removed its socket.
    #[error(
        "greenlitd (process {}) runs and does not listen on {}",
        pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()),
        socket.display()
    )]
    Unreachable {
        /// Its process id, where it is known.
        pid: Option<u32>,
        /// Where it should listen.
        socket: PathBuf,
    },
    /// The start lock cannot be taken.
    #[error("another client has been starting greenlitd for too long")]
    Lock(#[source] LockError),
    /// There is no `greenlitd`.
    #[error("greenlitd was not found")]
    ProgramNotFound {
        /// Where it was looked for.
        looked: Vec<PathBuf>,
    },
    /// `greenlitd` cannot be executed.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// What was executed.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon started and said why it cannot go on.
    #[error("greenlitd could not start: {message}")]
    StartUp {
        /// Its own words.
        message: String,
        /// Its log, which may have more.
        log: PathBuf,
    },
    /// The daemon crashed several times in a row, and is not started again.
    #[error("greenlitd crashed {count} times in a row and is not started again; its log is {}", log.display())]
    Crashing {
        /// How many times.
        count: usize,
        /// Its log.
        log: PathBuf,
    },
}

impl ConnectError {
    /// What the person can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Paths(error) => error.hint(),
            Self::NotRunning => Some("any command that needs it starts it".to_owned()),
            Self::Handshake(HandshakeError::Incompatible(mismatch)) => {
                Some(if !mismatch.client_is_newer {
                    "update greenlit (the daemon is newer and other sessions use it)".to_owned()
                } else if mismatch.draining {
                    "the older daemon finishes its work first: try again soon, or run: greenlit stop"
                        .to_owned()
                } else {
                    format!("end the older daemon: process {}", mismatch.pid)
                })
            }
            Self::Handshake(HandshakeError::Refused { .. }) => Some("try again soon".to_owned()),
            Self::Unreachable { .. } => Some("run: greenlit restart".to_owned()),
            Self::ProgramNotFound { .. } => {
                Some(format!("install greenlitd next to greenlit, or set {}", crate::DAEMON_ENV))
            }
            Self::StartUp { log, .. } | Self::Crashing { log, .. } => {
                Some(format!("see {}", log.display()))
            }
            Self::Dial { .. } | Self::Handshake(_) | Self::Lock(_) | Self::Spawn { .. } => None,
        }
    }

    /// The message and all its causes, in one line.
    pub fn full_message(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.ends_with(&cause) {
                text.push_str(": ");
                text.push_str(&cause);
            }
            source = error.source();
        }
        text
    }
}

/// Why there is no answer to a request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The daemon answered with an error.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The connection ended before the answer.
    #[error("the connection to greenlitd ended: {reason}")]
    Disconnected {
        /// Why.
        reason: String,
    },
    /// There was no connection for longer than a request waits.
    #[error("greenlitd is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The request cannot be sent.
    #[error("the request cannot be sent")]
    Frame(#[from] FrameError),
}
