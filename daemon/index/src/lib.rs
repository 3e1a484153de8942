//! The per-branch index: which chunks are alive on a branch, and how they are found.
//!
//! This crate must not know LSP, sockets, tests or models that generate.
//!
//! Invariant: an answer is never silently empty: a retriever that is not whole says so.
//! Invariant: a hit names text that is in the view at the time of the answer.
