//! The store of vectors: content-addressed, append-only, shared by all branches and repositories.
//!
//! This crate must not know files of a workspace, branches, graphs, or how a vector is made.
//!
//! Invariant: a vector that is returned is the one that was put under that key, bit by bit.
//! Invariant: killed at any point, the store opens again with nothing lost but the unfinished batch.
