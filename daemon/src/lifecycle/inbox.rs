//! What the main loop sees of the process around it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenlit_client::{Outbox, Paths};
use greenlit_protocol::{ClientFrame, ErrorKind, RemoteError, ServerFrame, SessionParams, frame};

use crate::lifecycle::Gate;

/// What happened outside, in order. A session's frames come between its `Connected` and its
/// `Disconnected`, and each of those comes exactly once.
#[derive(Debug)]
pub(crate) enum Inbound {
    /// A session is open.
    Connected {
        /// Unique in this process.
        session: u64,
        /// Who it is.
        params: SessionParams,
        /// The way back. The connection ends when the last clone is dropped.
        out: Outgoing,
    },
    /// A session says something.
    Frame {
        /// Which session.
        session: u64,
        /// What.
        frame: ClientFrame,
    },
    /// A session is gone; its requests have nobody to answer to.
    Disconnected {
        /// Which session.
        session: u64,
    },
    /// The process shall end: finish running requests, then return. A second one, or a long wait,
    /// ends the process without the main loop.
    Shutdown {
        /// Why, for people.
        reason: String,
    },
}

/// What the main loop gets once.
#[derive(Debug)]
pub(crate) struct Context {
    /// The user's directories.
    pub(crate) paths: Paths,
    /// When the process started.
    pub(crate) started: Instant,
    /// Where it listens.
    pub(crate) socket: PathBuf,
    /// Its log.
    pub(crate) log: PathBuf,
    /// Exit after so long without a session and without a job; `None` means never.
    pub(crate) idle_exit: Option<Duration>,
    /// Closes the door for new sessions while draining.
    pub(crate) gate: Gate,
}

/// The way to one session.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    session: u64,
    outbox: Outbox,
}

impl Outgoing {
    pub(crate) fn new(session: u64, outbox: Outbox) -> Self {
        Self { session, outbox }
    }

    /// Queues a frame; never blocks. A session that does not read is disconnected once its queue is
    /// full; after that, and after the session's end, frames are dropped.
    pub(crate) fn send(&self, frame: ServerFrame) {
        let bytes = match frame::encode(&frame) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(session = self.session, %error, "cannot encode an answer");
                // The client waits for exactly one answer: it gets an error instead.
                let ServerFrame::Response { id, .. } = frame else { return };
                let message = format!("the answer cannot be sent: {error}");
                let result = Err(RemoteError::new(ErrorKind::Internal, message));
                match frame::encode(&ServerFrame::Response { id, result }) {
                    Ok(bytes) => bytes,
                    Err(_) => return,
                }
            }
        };
        if self.outbox.send(bytes).is_err() {
            tracing::debug!(session = self.session, "a frame for a closed session is dropped");
        }
    }
}
