//! How the thin server and the command line reach the daemon: find it or start it, agree on a
//! version, send requests, and stay connected across its death.
//!
//! The daemon's life is one of buck2's lessons: connect; else take the start lock, check again,
//! spawn, wait until it says that it is ready (or why not), verify the version, unlock.
//!
//! This crate must not know editors, tests or fixes, nor how the daemon answers.
//!
//! Invariant: two clients that start at once start one daemon.
//! Invariant: a socket, directory or peer that does not belong to this user is never used.
//! Invariant: nothing here blocks on a peer that does not read; queues are bounded in bytes, and a
//! connection over its bound ends with a reason.

mod client;
mod connect;
mod crashes;
mod error;
mod events;
mod handshake;
mod link;
mod lock;
mod outbox;
mod paths;
mod session;
mod spawn;
mod transport;

pub use client::{Client, Connection, PendingResponse};
pub use connect::{ConnectOptions, connect};
pub use error::{ConnectError, RequestError};
pub use handshake::{Accepted, HandshakeError, Mismatch};
pub use link::{Link, LinkEvent};
pub use lock::{LockError, LockFile};
pub use outbox::{Outbox, OutboxClosed, Outgoing, outbox};
pub use paths::{DaemonInfo, Paths, PathsError};
pub use session::current_session;
pub use spawn::{DAEMON_ENV, ReadyMessage, find_daemon};
pub use transport::{Listener, PeerError, Stream, accept, bind, dial};
