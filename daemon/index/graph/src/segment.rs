//! When the graph that branches share is built, and built anew.

use std::sync::{Arc, PoisonError, RwLock};

use roaring::RoaringBitmap;

use crate::graph::Graph;
use crate::graph::build::{BuildError, Control, Params};
use crate::vectors::Vectors;

/// Sizes at which a graph is worth its building.
///
/// Twenty thousand vectors are scanned in the time that a search takes in the graph of a hundred
/// thousand. Building takes less than a tenth of embedding the same chunks: a graph that is built anew
/// each time a quarter has come in addition takes less than half of the time that embedding takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Below this many live vectors scanning is as fast.
    pub smallest: u64,
    /// Above this many the builder, at 2 KB per vector, takes too much memory: signs are scanned.
    pub largest: u64,
    /// A tail of up to so many is never folded in.
    pub tail: u64,
    /// Nor one of up to this part of the graph: 4 is a quarter.
    pub tail_part: u64,
    /// The graph is built anew when this part of it is dead: 2 is a half.
    pub dead_part: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self { smallest: 20_000, largest: 500_000, tail: 8_192, tail_part: 4, dead_part: 2 }
    }
}

/// Why a graph should be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// There is none, or what came since is too much to be scanned each time.
    Tail(u64),
    /// Too many of its nodes are on no branch any more.
    Dead(u64),
    /// There are too few or too many vectors for one: it should go.
    Drop,
}

/// The graph over the live vectors of all branches of a repository.
///
/// It is handed out as it is and never changed: a search holds the one that it began with.
#[derive(Debug, Default)]
pub struct Segment {
    thresholds: Thresholds,
    graph: RwLock<Option<Arc<Graph>>>,
}

impl Segment {
    /// With a graph that was loaded, or none.
    pub fn new(thresholds: Thresholds, graph: Option<Graph>) -> Self {
        Self { thresholds, graph: RwLock::new(graph.map(Arc::new)) }
    }

    /// The graph of now.
    pub fn graph(&self) -> Option<Arc<Graph>> {
        self.graph.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether [`Segment::fold`] is worth its time, given what lives on any branch.
    pub fn needs_fold(&self, live: &RoaringBitmap) -> Option<Fold> {
        let limits = &self.thresholds;
        let fits = (limits.smallest..=limits.largest).contains(&live.len());
        let Some(graph) = self.graph() else {
            return fits.then_some(Fold::Tail(live.len()));
        };
        if !fits {
            // Around the limit a graph stays.
            let far = live.len() < limits.smallest / 2 || live.len() > limits.largest;
            return far.then_some(Fold::Drop);
        }
        let nodes = graph.members().len();
        let kept = live.intersection_len(graph.members());
        let (tail, dead) = (live.len() - kept, nodes - kept);
        if tail > limits.tail.max(nodes / limits.tail_part.max(1)) {
            Some(Fold::Tail(tail))
        } else {
            (dead > nodes / limits.dead_part.max(1)).then_some(Fold::Dead(dead))
        }
    }

    /// Does what [`Segment::needs_fold`] asks for, and publishes the graph; `None` when it was
    /// dropped. Until it returns, searches go on with the old one.
    ///
    /// # Errors
    /// As [`Graph::build`]; the old graph stays.
    pub fn fold<V: Vectors + ?Sized>(
        &self,
        vectors: &V,
        live: &RoaringBitmap,
        params: Params,
        control: Control<'_>,
    ) -> Result<Option<Arc<Graph>>, BuildError> {
        let limits = &self.thresholds;
        let fits = (limits.smallest..=limits.largest).contains(&live.len());
        let graph = match fits {
            true => Some(Arc::new(Graph::build(vectors, live, params, control)?)),
            false => None,
        };
        self.graph.write().unwrap_or_else(PoisonError::into_inner).clone_from(&graph);
        Ok(graph)
    }
}
