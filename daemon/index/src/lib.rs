//! The per-branch index: which chunks are alive on a branch, and how they are found.
//!
//! An [`Index`] has a thread of its own that is told what changed, reads it, and publishes immutable
//! snapshots; searches read the latest one and never wait for the thread, except where they ask
//! for it. Records are kept by path and content, so that a switch of branches or an undone edit
//! finds what was cut before.
//!
//! This crate must not know LSP, sockets, tests or models that generate.
//!
//! Invariant: an answer is never silently empty: a retriever that is not whole says so.
//! Invariant: a hit names text that is in the view at the time of the answer.
//! Invariant: a search by meaning that cannot be made leaves the one by words as it is, and is told.
//! Invariant: a directory belongs to one index at a time, of all processes; nobody else writes or
//! removes anything in it.
//! Invariant: a defect or a full disk ends the work on one index, and its searches say so.

mod announce;
mod catalogue;
mod changing;
mod dense;
mod engine;
mod file;
mod index;
mod latency;
mod names;
mod pace;
mod pages;
mod record;
mod retrieve;
mod shared;
mod shelf;
mod snapshot;
mod storage;
mod writer;

/// When a graph is worth its building; part of [`DenseOptions`].
pub use greenlit_graph::Thresholds;

pub use announce::{News, Stage, Work};
pub use dense::{Dense, DenseOptions, GraphStatus, Load, Meaning};
pub use index::{Index, OpenError, Status};
pub use latency::Latency;
pub use retrieve::{Answer, Filter, Hit, Passage, Query, SearchError, UnknownName, Weights};
pub use shelf::{Shelf, Usage};
