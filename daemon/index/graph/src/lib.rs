//! Nearest neighbours among the live members of a branch: exact scan, graph, and the choice between.
//!
//! This crate must not know text, files of a workspace, or where vectors are kept.
//!
//! Invariant: the graph is an accelerator: without it every answer is the same or better, only slower.
//! Invariant: a graph file is never parsed before its digest was found right.
