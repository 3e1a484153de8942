//! The process around the main loop: it is alone, says when it is ready, takes connections, logs,
//! and ends in an orderly way.
//!
//! Knows nothing of workspaces, tests or fixes: frames go in as [`Inbound`], frames go out through
//! [`Outgoing`].
//!
//! Invariant: one daemon per runtime directory, by a lock that dies with its process.
//! Invariant: nothing but a handshake with the right magic, version and user reaches the main loop.
//! Invariant: a connection can end only itself, whatever it sends and whether or not it reads.

mod accept;
mod args;
mod gate;
mod inbox;
mod log_file;
mod logging;
mod process;
mod ready;
mod scrape;
mod session;
mod signals;

#[cfg(test)]
mod tests;

pub(crate) use args::{Args, Command};
pub(crate) use gate::Gate;
pub(crate) use inbox::{Context, Inbound, Outgoing};
pub(crate) use process::run;
pub(crate) use scrape::serve as serve_metrics;
