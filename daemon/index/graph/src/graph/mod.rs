//! The graph: who is near whom, without a single vector.
//!
//! hnsw_rs builds it ([`build`]); what is kept are the bare links, as numbers in a few arrays, and
//! searched here. A point takes 80 bytes instead of two kilobytes, a file ([`file`]) is read in
//! milliseconds, and a search reads the codes of the shared store, obeys a set of slots, and gives up
//! after a given number of steps; hnsw_rs can do none of that.

pub(crate) mod build;
pub(crate) mod file;
mod freeze;
mod links;

use std::collections::BinaryHeap;

use roaring::RoaringBitmap;

use crate::scan;
use crate::top::{Near, Scored, Top};
use crate::vectors::{Query, Vectors};
use links::{Layer, Links};

/// A navigable graph over a set of slots. It never changes: what comes later is searched beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// The slots; node `i` is the `i`-th of them.
    members: RoaringBitmap,
    slots: Vec<u32>,
    /// Links between all nodes.
    base: Links,
    /// Links between fewer and fewer nodes, for the way to the right region.
    upper: Vec<Layer>,
    /// A node of the topmost layer.
    entry: u32,
}

/// What a search came upon.
#[derive(Debug, Clone, PartialEq)]
pub struct Walk {
    /// Best first.
    pub near: Vec<Near>,
    /// How many nodes were looked at.
    pub visited: usize,
}

impl Graph {
    /// The slots that it knows.
    pub fn members(&self) -> &RoaringBitmap {
        &self.members
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        let upper: usize = self.upper.iter().map(Layer::bytes).sum();
        size_of_val(self.slots.as_slice())
            + self.base.bytes()
            + upper
            + self.members.serialized_size()
    }

    /// The best `k` among `live`, or among all members without it. `width` is how many candidates are
    /// kept on the way: more find more and take longer. `None` when more than `budget` nodes would
    /// have to be looked at: what lives may lie far from the query.
    ///
    /// All members must be slots of `vectors`. A node that lies apart can be missed, so that fewer
    /// than `k` may come.
    pub fn search<V: Vectors + ?Sized>(
        &self,
        vectors: &V,
        query: &Query,
        k: usize,
        width: usize,
        live: Option<&RoaringBitmap>,
        budget: usize,
    ) -> Option<Walk> {
        let (mut found, visited) = self.walk(vectors, query, width.max(k), live, budget)?;
        found.truncate(scan::shortlist(k));
        Some(Walk { near: scan::rescored(vectors, query, found, k), visited })
    }

    /// The `width` best by eight bits, best first, and the number of nodes looked at.
    pub(crate) fn walk<V: Vectors + ?Sized>(
        &self,
        vectors: &V,
        query: &Query,
        width: usize,
        live: Option<&RoaringBitmap>,
        budget: usize,
    ) -> Option<(Vec<Scored>, usize)> {
        let slot = |node: u32| self.slots[node as usize];
        let score = |node: u32| query.rough(vectors, slot(node));
        let wanted = |node: u32| live.is_none_or(|live| live.contains(slot(node)));
        let mut visited = 1;
        let start = self.descend(&score, &mut visited);

        let mut seen = Seen::new(self.slots.len());
        let mut best = Top::new(width);
        // All nodes can be reached from the entry, but not from every node that the descent leads to.
        let entry = Scored { score: score(self.entry), id: self.entry };
        let mut open = BinaryHeap::new();
        for first in [start, entry] {
            if seen.first_time(first.id) {
                open.push(first);
                if wanted(first.id) {
                    best.push(first);
                }
            }
        }
        while let Some(node) = open.pop() {
            if best.floor().is_some_and(|floor| node.score < floor.score) {
                break;
            }
            for &next in self.base.of(node.id as usize) {
                if !seen.first_time(next) {
                    continue;
                }
                visited += 1;
                let next = Scored { score: score(next), id: next };
                if best.floor().is_some_and(|floor| next.score < floor.score) {
                    continue;
                }
                open.push(next);
                if wanted(next.id) {
                    best.push(next);
                }
            }
            if visited > budget {
                return None;
            }
        }
        let found = best.into_sorted().into_iter();
        Some((found.map(|node| Scored { id: slot(node.id), ..node }).collect(), visited))
    }

    /// From the entry through the upper layers, always to the best neighbour.
    fn descend(&self, score: &impl Fn(u32) -> f32, visited: &mut usize) -> Scored {
        let mut here = Scored { score: score(self.entry), id: self.entry };
        for layer in self.upper.iter().rev() {
            loop {
                let neighbours = layer.of(here.id);
                *visited += neighbours.len();
                let scored = neighbours.iter().map(|&id| Scored { score: score(id), id });
                match scored.max() {
                    Some(better) if better > here => here = better,
                    _ => break,
                }
            }
        }
        here
    }
}

/// One bit per node.
struct Seen(Vec<u64>);

impl Seen {
    fn new(nodes: usize) -> Self {
        Self(vec![0; nodes.div_ceil(64)])
    }

    fn first_time(&mut self, node: u32) -> bool {
        let (word, bit) = (node as usize / 64, 1 << (node % 64));
        let first = self.0[word] & bit == 0;
        self.0[word] |= bit;
        first
    }

    fn has(&self, node: u32) -> bool {
        self.0[node as usize / 64] & (1 << (node % 64)) != 0
    }
}
