//! The vectors of one lane and how they are searched.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use greenlit_graph::{
    BuildError, Control, Costs, Graph, LoadError, Near, Params, Planner, Segment, Stamp, View,
};
use greenlit_store::{Key, Snapshot, Space};
use greenlit_syntax::chunk::CHUNKER_VERSION;
use greenlit_workspace::chain;
use roaring::RoaringBitmap;

use crate::dense::Model;
use crate::dense::lane::Lane;
use crate::dense::slots::{Difference, Digest};

/// Fewer vectors are scanned in no time: nothing is measured.
const MEASURED_FROM: u64 = 2000;

/// The keys of texts.
pub(crate) fn keys(space: &Space, texts: &[Digest]) -> Vec<Key> {
    space.id().keys(CHUNKER_VERSION, texts)
}

/// How the vectors of an index are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraphStatus {
    /// Whether there is a graph.
    pub built: bool,
    /// Vectors that are in it.
    pub members: u64,
    /// Live vectors beside it, which are scanned.
    pub tail: u64,
}

/// A lane with a model. Cheap to clone; a clone is searched as it is, whatever happens meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(super) model: Arc<Model>,
    /// What the view was made of.
    vectors: Arc<Snapshot>,
    view: Arc<View>,
    segment: Arc<Segment>,
    planner: Arc<RwLock<Planner>>,
    /// How many vectors there were when the planner was told what they cost.
    measured: Arc<AtomicU64>,
    /// Whether the last graph could not be built.
    failed: Arc<AtomicBool>,
}

impl Bound {
    /// Begins with the graph that is stored, if it can be used; says if it is damaged.
    pub(super) fn new(model: Arc<Model>, lane: &Lane) -> (Self, Option<String>) {
        let vectors = model.space.snapshot();
        let mut notice = None;
        let graph = lane.directory.as_deref().and_then(|directory| {
            let loaded = Graph::load(&file(directory), &stamp(&vectors), vectors.len());
            match loaded {
                Ok(graph) => Some(graph),
                Err(LoadError::Damaged) => {
                    notice = Some("the graph of vectors was damaged and is built anew".to_owned());
                    None
                }
                Err(LoadError::Stale | LoadError::Read(_)) => None,
            }
        });
        let thresholds = lane.core().options.thresholds;
        let segment = Arc::new(Segment::new(thresholds, graph));
        let view = View::new(vectors.clone(), None, RoaringBitmap::new())
            .expect("no member and no node is no unknown slot");
        let bound = Self {
            model,
            vectors,
            view: Arc::new(view),
            segment,
            planner: Arc::default(),
            measured: Arc::default(),
            failed: Arc::default(),
        };
        (bound, notice)
    }

    /// Shows what lives now.
    pub(super) fn refresh(&mut self, members: &RoaringBitmap) {
        let vectors = self.model.space.snapshot();
        match View::new(vectors.clone(), self.segment.graph(), members.clone()) {
            Ok(view) => (self.vectors, self.view) = (vectors, Arc::new(view)),
            // Slots come from the store, so this cannot be; the old view is right for what it knows.
            Err(error) => tracing::error!(error = chain(&error), "a slot is not in the store"),
        }
    }

    /// Whether a slot means the same vector in both.
    pub(super) fn has_slots_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model, &other.model)
            && self.vectors.generation() == other.vectors.generation()
    }

    /// The best slots; an error in words.
    pub(super) fn search(
        &self,
        query: &[f32],
        k: usize,
        difference: &Difference,
        only: Option<&RoaringBitmap>,
    ) -> Result<Vec<Near>, String> {
        let planner = *self.planner.read().unwrap_or_else(PoisonError::into_inner);
        let of_session;
        let view = if difference.added.is_empty() && difference.removed.is_empty() {
            &*self.view
        } else {
            let members = (self.view.members() - &difference.removed) | &difference.added;
            // What was added may be newer than the view.
            let is_known = members.max().is_none_or(|last| last < self.vectors.len());
            let vectors = if is_known { self.vectors.clone() } else { self.model.space.snapshot() };
            let made = View::new(vectors, self.segment.graph(), members);
            of_session = made.map_err(|error| chain(&error))?;
            &of_session
        };
        let answer = view.search(query, k, only, &planner).map_err(|error| chain(&error))?;
        Ok(answer.near)
    }

    /// Whether a graph should be built, built anew, or dropped.
    pub(super) fn needs_fold(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
            && self.segment.needs_fold(self.view.members()).is_some()
    }

    /// Does so, on the calling thread, and stores what came of it.
    pub(super) fn fold(&self, lane: &Lane) {
        // Those of this model, whatever the lane is bound to meanwhile.
        let members = self.view.members().clone();
        let vectors = self.model.space.snapshot();
        let cancelled = || lane.is_closed();
        let control = Control { cancelled: &cancelled, progress: &|_| {} };
        let folded = self.segment.fold(&*vectors, &members, Params::default(), control);
        let stored = lane.directory.as_deref().map(file);
        match (folded, stored) {
            (Ok(Some(graph)), Some(path)) => {
                if let Err(error) = graph.save(&path, &stamp(&vectors)) {
                    let error = chain(&error);
                    tracing::warn!(error, "the graph is not kept, and built again next time");
                }
            }
            (Ok(None), Some(path)) => {
                // What is not removed is about other vectors, or as good as none.
                let _ = std::fs::remove_file(path);
            }
            (Ok(_), None) | (Err(BuildError::Cancelled), _) => {}
            (Err(error), _) => {
                tracing::warn!(error = chain(&error), "no graph: vectors are scanned");
                self.give_up_graph();
            }
        }
    }

    /// No graph is built any more: it cannot be.
    pub(super) fn give_up_graph(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Vectors moved: what was measured was something else.
    pub(super) fn measure_again(&self) {
        self.measured.store(0, Ordering::Relaxed);
    }

    /// Whether the planner goes by costs of another size.
    pub(super) fn needs_measuring(&self) -> bool {
        let (now, then) = (self.view.members().len(), self.measured.load(Ordering::Relaxed));
        now >= MEASURED_FROM && (now > then * 2 || now < then / 2)
    }

    /// Measures what searching costs.
    pub(super) fn measure(&self, recent: &[Vec<f32>]) {
        self.measured.store(self.view.members().len(), Ordering::Relaxed);
        if let Some(costs) = Costs::measured(&self.view, recent) {
            let planner = Planner::new(costs);
            *self.planner.write().unwrap_or_else(PoisonError::into_inner) = planner;
        }
    }

    /// What is searched how.
    pub(super) fn graph(&self) -> GraphStatus {
        let members = self.view.graph().map(|graph| graph.members().len());
        GraphStatus {
            built: members.is_some(),
            members: members.unwrap_or_default(),
            tail: self.view.tail().len(),
        }
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("graph")
}

fn stamp(vectors: &Snapshot) -> Stamp {
    Stamp { space: vectors.space().digest(), generation: vectors.generation() }
}
