//! Nearest neighbours among the live members of a branch: exact scan, graph, and the choice between.
//!
//! This crate must not know text, files of a workspace, or where vectors are kept.
//!
//! Vectors have unit length and live in a shared store; here they are numbers of slots, and
//! [`Vectors`] is how they are read. A set of slots is a `RoaringBitmap`. A deleted chunk is a slot
//! that is in no set: nothing is ever taken out of a graph.
//!
//! Invariant: the graph is an accelerator: without it every answer is the same or better, only slower.
//! Invariant: a graph file is never parsed before its digest was found right.
//! Invariant: a slot that is not asked for is never returned, and none is returned twice.
//! Invariant: a search among `n` slots for `k` returns `min(n, k)`.
//! Invariant: similarities lie in -1..=1; a query that is not finite is an error.

mod costs;
mod graph;
pub mod kernels;
mod memory;
mod planner;
pub mod scan;
mod segment;
mod top;
mod vectors;
mod view;

pub use costs::Costs;
pub use graph::build::{BuildError, Control, Params};
pub use graph::file::{LoadError, SaveError, Stamp};
pub use graph::{Graph, Walk};
pub use memory::release_memory;
pub use planner::{Plan, Planner, Shape};
pub use scan::exact;
pub use segment::{Fold, Segment, Thresholds};
pub use top::Near;
pub use vectors::{InMemory, Query, QueryError, Vectors, quantize, signs};
pub use view::{Answer, BranchView, View, ViewError};
