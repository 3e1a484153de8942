//! The record of every attempt: what was retrieved, asked, tried, run, offered, and what became of it.
//!
//! One [`Store`] per database. Its thread is the only writer; readers have connections of their own.
//! This crate must not know sockets, editors, models or how anything that it records came about.
//!
//! Invariant: recording never waits: what does not fit the queue is dropped, counted and said.
//! Invariant: numbers of attempts grow, whatever the clock says, and are never used again.
//! Invariant: the end of the process at any moment leaves a database that opens; what was committed is in it.
//! Invariant: a file that is no database of ours is moved aside, or left alone where a newer version wrote it;
//! it is never deleted.
//! Invariant: of a private or redacted attempt nothing that quotes code is in the database.

mod database;
mod metrics;
mod read;
mod record;
mod retention;
mod reverted;
mod store;
mod texts;
mod totals;
mod write;
mod writer;

pub use database::OpenError;
pub use metrics::{Gauge, exposition};
pub use read::{Kept, ReadError};
pub use record::{Attempt, Decision, Search, SearchEnd};
pub use reverted::is_reverted;
pub use store::{Limits, Options, Store};
