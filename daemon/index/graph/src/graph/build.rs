//! Building with hnsw_rs, points being nothing but slots.
//!
//! What is known of hnsw_rs 0.3.5 and kept away from here: points without a finite distance poison it,
//! the same id twice is found twice, nothing can be taken out, its dump has no checksum and its reader
//! ends the process. So it gets each slot of a set once, distances between 0 and 2, and is dropped
//! after its links were copied.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use roaring::RoaringBitmap;

use super::Graph;
use crate::kernels;
use crate::memory::release_memory;
use crate::vectors::{Vectors, clamped};

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Neighbours of a node in the upper layers, twice as many in the lowest; 2 to 128.
    pub links: usize,
    /// Candidates that are kept while the neighbours of a new node are looked for.
    pub effort: usize,
    /// Threads that insert. With one, the same input gives the same graph.
    pub threads: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { links: 16, effort: 128, threads: 1 }
    }
}

/// What a caller has to do with a build that goes on.
#[derive(Clone, Copy)]
pub struct Control<'a> {
    /// Asked before each insertion.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    /// Told from time to time how many nodes are in.
    pub progress: &'a (dyn Fn(usize) + Sync),
}

impl Default for Control<'_> {
    fn default() -> Self {
        Self { cancelled: &|| false, progress: &|_| {} }
    }
}

/// Why there is no graph. All of them leave the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// There are no members.
    #[error("no vectors to build a graph of")]
    Empty,
    /// A member is not in the store.
    #[error("slot {0} is not in the store")]
    UnknownSlot(u32),
    /// The caller's wish.
    #[error("cancelled")]
    Cancelled,
    /// More links than a graph counts.
    #[error("too many vectors for one graph")]
    TooLarge,
    /// hnsw_rs gave up; the log has its words.
    #[error("the graph builder failed")]
    Builder,
}

/// How many insertions between two words of progress.
const STEP: usize = 1024;

impl Graph {
    /// Builds the graph of `members`. Takes one or two milliseconds and, until it is done, 2 KB of
    /// memory per member.
    ///
    /// # Errors
    /// As [`BuildError`] says.
    pub fn build<V: Vectors + ?Sized>(
        vectors: &V,
        members: &RoaringBitmap,
        params: Params,
        control: Control<'_>,
    ) -> Result<Self, BuildError> {
        let Some(last) = members.max() else { return Err(BuildError::Empty) };
        if last >= vectors.len() {
            return Err(BuildError::UnknownSlot(last));
        }
        let slots: Vec<u32> = members.iter().collect();
        let links = params.links.clamp(2, 128);
        let effort = params.effort.max(2 * links);
        // Sixteen layers are all that hnsw_rs has.
        let builder = Hnsw::new(links, slots.len(), 16, effort, BySlot(vectors));
        let inserted = insert(&builder, &slots, params.threads.max(1), control);
        let graph = inserted.and_then(|()| Self::freeze(&builder, members.clone(), slots));
        drop(builder);
        release_memory();
        graph
    }
}

/// The distance between two vectors of the store, in eight bits: 0 to 2.
pub(super) struct BySlot<'a, V: ?Sized>(&'a V);

impl<V: Vectors + ?Sized> Distance<u32> for BySlot<'_, V> {
    fn eval(&self, a: &[u32], b: &[u32]) -> f32 {
        let (a, b) = (a[0], b[0]);
        let dot = kernels::dot_codes(self.0.code(a), self.0.code(b));
        1.0 - clamped(dot as f32 * (self.0.scale(a) * self.0.scale(b)))
    }
}

pub(super) type Builder<'a, V> = Hnsw<'static, u32, BySlot<'a, V>>;

fn insert<V: Vectors + ?Sized>(
    builder: &Builder<'_, V>,
    slots: &[u32],
    threads: usize,
    control: Control<'_>,
) -> Result<(), BuildError> {
    let next = AtomicUsize::new(0);
    let cancelled = AtomicBool::new(false);
    let work = |until: usize| {
        while !cancelled.load(Ordering::Relaxed) {
            if (control.cancelled)() {
                cancelled.store(true, Ordering::Relaxed);
                return;
            }
            let node = next.fetch_add(1, Ordering::Relaxed);
            if node >= until {
                return;
            }
            builder.insert((&slots[node..=node], slots[node] as usize));
            if (node + 1).is_multiple_of(STEP) {
                (control.progress)(node + 1);
            }
        }
    };
    // Two first points at once would both believe to be the first and get no links. A panic of the
    // builder ends a thread of its own and is an error here.
    for (threads, until) in [(1, 1), (threads, slots.len())] {
        next.store(if until == 1 { 0 } else { 1 }, Ordering::Relaxed);
        let ended: Vec<_> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(until))).collect();
            running.into_iter().map(|thread| thread.join()).collect()
        });
        if ended.iter().any(Result::is_err) {
            tracing::error!(members = slots.len(), "the graph builder panicked");
            return Err(BuildError::Builder);
        }
    }
    if cancelled.into_inner() { Err(BuildError::Cancelled) } else { Ok(()) }
}
