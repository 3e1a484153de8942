//! The loop with scripted models, and the client of endpoints with a server on this machine.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod course;
mod project;
mod remote;
mod repair;
mod script;
mod server;
