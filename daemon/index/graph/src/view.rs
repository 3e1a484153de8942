//! What lives on a branch, and the search in it.

use std::sync::{Arc, PoisonError, RwLock};

use roaring::RoaringBitmap;

use crate::graph::Graph;
use crate::planner::{Plan, Planner, Shape};
use crate::scan;
use crate::top::Near;
use crate::vectors::{Query, QueryError, Vectors};

/// The live slots of a branch at one time, or of a branch under unsaved buffers. It never changes.
///
/// What the graph does not know is the tail, which is scanned; what the graph knows and does not live
/// is passed through and not found. Both follow from the two sets, there is nothing to keep in step.
#[derive(Clone)]
pub struct View {
    vectors: Arc<dyn Vectors>,
    graph: Option<Arc<Graph>>,
    members: RoaringBitmap,
    tail: RoaringBitmap,
}

/// Why there is no view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A member, or a node of the graph, is not in the snapshot of the store.
    #[error("slot {0} is not in the store")]
    UnknownSlot(u32),
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Best first.
    pub near: Vec<Near>,
    /// How it was found in the end.
    pub plan: Plan,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("View");
        shown.field("members", &self.members.len()).field("tail", &self.tail.len());
        shown.field("graph", &self.graph.is_some()).finish_non_exhaustive()
    }
}

impl View {
    /// A view of `members`.
    ///
    /// # Errors
    /// When `vectors` lacks a member or a node of the graph.
    pub fn new(
        vectors: Arc<dyn Vectors>,
        graph: Option<Arc<Graph>>,
        members: RoaringBitmap,
    ) -> Result<Self, ViewError> {
        let known = graph.as_ref().and_then(|graph| graph.members().max());
        if let Some(last) = members.max().max(known)
            && last >= vectors.len()
        {
            return Err(ViewError::UnknownSlot(last));
        }
        let tail = match &graph {
            Some(graph) => &members - graph.members(),
            None => members.clone(),
        };
        Ok(Self { vectors, graph, members, tail })
    }

    /// The view after a change. It costs a copy of the sets, which is an eighth of a byte per chunk.
    /// What is both added and removed lives.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn changed(
        &self,
        vectors: Arc<dyn Vectors>,
        added: &RoaringBitmap,
        removed: &RoaringBitmap,
    ) -> Result<Self, ViewError> {
        Self::new(vectors, self.graph.clone(), &(&self.members - removed) | added)
    }

    /// The same members with another graph.
    ///
    /// # Errors
    /// As [`View::new`].
    pub fn with_graph(&self, graph: Option<Arc<Graph>>) -> Result<Self, ViewError> {
        Self::new(self.vectors.clone(), graph, self.members.clone())
    }

    /// The vectors that it was made of.
    pub fn vectors(&self) -> &dyn Vectors {
        &*self.vectors
    }

    /// What lives.
    pub fn members(&self) -> &RoaringBitmap {
        &self.members
    }

    /// What lives and is not in the graph.
    pub fn tail(&self) -> &RoaringBitmap {
        &self.tail
    }

    /// The graph, when there is one.
    pub fn graph(&self) -> Option<&Graph> {
        self.graph.as_deref()
    }

    /// The best `k` members, or the best of those that are in `only`.
    ///
    /// # Errors
    /// When the query is not a direction in the space of the vectors.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        only: Option<&RoaringBitmap>,
        planner: &Planner,
    ) -> Result<Answer, QueryError> {
        let query = Query::new(query, self.vectors.dims())?;
        let filtered = only.map(|only| (&self.members & only, &self.tail & only));
        let (live, tail) = match &filtered {
            Some((live, tail)) => (live, tail),
            None => (&self.members, &self.tail),
        };
        let nodes = self.graph.as_ref().map_or(0, |graph| graph.members().len());
        let shape = Shape { live: live.len(), tail: tail.len(), nodes };
        Ok(self.run(&query, k, live, tail, planner, &shape))
    }

    fn run(
        &self,
        query: &Query,
        k: usize,
        live: &RoaringBitmap,
        tail: &RoaringBitmap,
        planner: &Planner,
        shape: &Shape,
    ) -> Answer {
        let vectors = &*self.vectors;
        let plan = planner.plan(shape, k);
        match (plan, &self.graph) {
            (Plan::Graph { width, budget }, Some(graph)) => {
                // Where all nodes live, nothing has to be asked for each.
                let all = shape.live - shape.tail == shape.nodes;
                let asked = (!all).then_some(live);
                if let Some((mut found, _)) = graph.walk(vectors, query, width, asked, budget) {
                    found.extend(scan::rough(vectors, tail, query, scan::shortlist(k)));
                    found.sort_unstable_by(|a, b| b.cmp(a));
                    found.truncate(scan::shortlist(k));
                    let near = scan::rescored(vectors, query, found, k);
                    // A graph that finds too few missed some: never less than there is.
                    if near.len() as u64 == live.len().min(k as u64) {
                        return Answer { near, plan };
                    }
                }
                self.scanned(query, k, live, planner.scan(shape, k))
            }
            (Plan::Graph { .. }, None) => self.scanned(query, k, live, planner.scan(shape, k)),
            (scan, _) => self.scanned(query, k, live, scan),
        }
    }

    fn scanned(&self, query: &Query, k: usize, live: &RoaringBitmap, plan: Plan) -> Answer {
        let near = match plan {
            Plan::Signs => scan::by_signs(&*self.vectors, live, query, k),
            _ => scan::exact(&*self.vectors, live, query, k),
        };
        Answer { near, plan }
    }
}

/// The view of a branch that is handed to readers, who keep what they got while a new one is made.
#[derive(Debug)]
pub struct BranchView(RwLock<Arc<View>>);

impl BranchView {
    /// Begins with a view.
    pub fn new(view: View) -> Self {
        Self(RwLock::new(Arc::new(view)))
    }

    /// The view of now.
    pub fn load(&self) -> Arc<View> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What readers get from now on. There is one writer: the owner of the branch.
    pub fn publish(&self, view: View) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }
}
