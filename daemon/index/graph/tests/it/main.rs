//! The parts together, on vectors that lie in clusters with near copies, as code does.
#![expect(clippy::unwrap_used, reason = "a test ends where anything goes wrong")]

mod damage;
mod graph;
mod search;
mod segment;
mod support;
