//! Which way of searching answers soonest and well enough.

use std::time::Instant;

use roaring::RoaringBitmap;

use crate::graph::Graph;
use crate::scan;
use crate::vectors::{Query, Vectors};
use crate::view::View;

/// A way that finds less of the best ten, on the vectors at hand, is not taken. It lies above what is
/// promised (0.97), because it is measured on few queries.
pub(crate) const FLOOR: f64 = 0.98;

/// The number of neighbours that costs and recall are measured for.
const MEASURED_K: usize = 10;

/// Queries of a measurement.
const QUERIES: usize = 16;

/// A way of searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// All members in eight bits.
    Scan,
    /// All members by their signs, the best of them in eight bits.
    Signs,
    /// The graph, its tail in eight bits.
    Graph {
        /// Candidates that are kept on the way.
        width: usize,
        /// Nodes that may be looked at before it is given up for a scan.
        budget: usize,
    },
}

/// What is searched, in numbers of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// That may be found.
    pub live: u64,
    /// Of these, not in the graph.
    pub tail: u64,
    /// In the graph, dead ones included; 0 without a graph.
    pub nodes: u64,
}

/// What searching costs on this machine with these vectors. Times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// A vector in eight bits, one after the other.
    pub code: f64,
    /// A vector's signs, one after the other.
    pub sign: f64,
    /// A vector in eight bits, here and there.
    pub look: f64,
    /// A node of the graph.
    pub visit: f64,
    /// Candidates to keep in the graph for the recall below.
    pub width: usize,
    /// Nodes that an unfiltered search of that width looks at.
    pub visits: f64,
    /// Part of the best ten that the graph finds at that width.
    pub graph_recall: f64,
    /// Part of the best ten that signs find.
    pub sign_recall: f64,
}

impl Default for Costs {
    /// What was measured at a hundred thousand chunks of code; good until [`Costs::measured`] says
    /// what holds here.
    fn default() -> Self {
        Self {
            code: 25.0,
            sign: 7.0,
            look: 60.0,
            visit: 250.0,
            width: 96,
            visits: 2000.0,
            graph_recall: 0.98,
            sign_recall: 0.99,
        }
    }
}

/// Chooses by costs, and by nothing else.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Planner {
    costs: Costs,
}

impl Planner {
    /// With costs that were measured, or made up by a test.
    pub fn new(costs: Costs) -> Self {
        Self { costs }
    }

    /// What it chooses by.
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// The cheapest way to the best `k` that finds enough.
    pub fn plan(&self, shape: &Shape, k: usize) -> Plan {
        let scan = self.scan(shape, k);
        let costs = &self.costs;
        let graphed = shape.live.saturating_sub(shape.tail);
        if graphed == 0 || costs.graph_recall < FLOOR {
            return scan;
        }
        // As many candidates for each neighbour as were measured for ten, and as many more steps as
        // there are nodes that may not be found.
        let more = k.div_ceil(MEASURED_K).max(1);
        let visits = costs.visits * more as f64 * shape.nodes as f64 / graphed as f64;
        let whole = visits * costs.visit + shape.tail as f64 * costs.code;
        let without = self.cost(scan, shape, k);
        if whole >= without {
            return scan;
        }
        // Where the living lie far from the query it can take any number of steps. Given up after as
        // long as a scan takes, the search as a whole takes twice as long as a scan at worst.
        let budget = (2.0 * visits).max(without / costs.visit.max(1.0));
        Plan::Graph { width: costs.width.saturating_mul(more), budget: budget as usize }
    }

    /// The cheapest way without the graph.
    pub fn scan(&self, shape: &Shape, k: usize) -> Plan {
        let cheaper = self.cost(Plan::Signs, shape, k) < self.cost(Plan::Scan, shape, k);
        if cheaper && self.costs.sign_recall >= FLOOR { Plan::Signs } else { Plan::Scan }
    }

    /// Nanoseconds that a scan takes.
    fn cost(&self, scan: Plan, shape: &Shape, k: usize) -> f64 {
        let live = shape.live as f64;
        match scan {
            Plan::Signs => {
                let looks = scan::sign_shortlist(shape.live, k) as f64;
                live * self.costs.sign + looks.min(live) * self.costs.look
            }
            _ => live * self.costs.code,
        }
    }
}

impl Costs {
    /// Measures some searches for members of `view`, themselves left out. Takes about as long as
    /// twenty scans of the view and twenty searches of the graph for each width that is tried: at a
    /// hundred thousand vectors 0.2 s, for the background. `None` where there are too few members.
    pub fn measured(view: &View) -> Option<Self> {
        let vectors = view.vectors();
        let population = match view.graph() {
            Some(graph) => view.members() & graph.members(),
            None => view.members().clone(),
        };
        let samples = samples(vectors, &population)?;
        let mut costs = Self { graph_recall: 0.0, ..Self::default() };
        let (truth, time) = timed(&samples, |sample| {
            scan::exact(vectors, &population, &sample.query, MEASURED_K + 1)
                .into_iter()
                .map(|near| near.slot)
                .collect()
        });
        costs.code = time / population.len() as f64;
        costs.look = look(vectors, &population, &samples[0].query);
        let (found, time) = timed(&samples, |sample| {
            scan::by_signs(vectors, &population, &sample.query, MEASURED_K + 1)
                .into_iter()
                .map(|near| near.slot)
                .collect()
        });
        let looks = scan::sign_shortlist(population.len(), MEASURED_K) as f64 * costs.look;
        costs.sign = ((time - looks) / population.len() as f64).max(1.0);
        costs.sign_recall = recall(vectors, &samples, &truth, &found);
        if let Some(graph) = view.graph() {
            costs.of_graph(graph, vectors, &population, &samples, &truth);
        }
        Some(costs)
    }

    /// The least width that finds enough; without one `graph_recall` stays below the floor.
    fn of_graph(
        &mut self,
        graph: &Graph,
        vectors: &dyn Vectors,
        population: &RoaringBitmap,
        samples: &[Sample],
        truth: &[Vec<u32>],
    ) {
        let all = population.len() == graph.members().len();
        let live = (!all).then_some(population);
        for width in [32, 48, 64, 96, 128, 192, 256, 384, 512] {
            let mut visits = 0;
            let (found, time) = timed(samples, |sample| {
                let k = MEASURED_K + 1;
                let walk = graph.search(vectors, &sample.query, k, width, live, usize::MAX);
                let walk = walk.expect("nothing exceeds a budget without end");
                visits += walk.visited;
                walk.near.into_iter().map(|near| near.slot).collect()
            });
            let per_search = visits as f64 / samples.len() as f64;
            self.width = width;
            self.visit = time / per_search;
            // The plan multiplies by the share of nodes that do not live.
            self.visits = per_search * population.len() as f64 / graph.members().len() as f64;
            self.graph_recall = recall(vectors, samples, truth, &found);
            if self.graph_recall >= FLOOR {
                return;
            }
        }
    }
}

/// A member as a query.
struct Sample {
    slot: u32,
    query: Query,
}

/// Members at even distances; `None` where there are too few to tell anything.
fn samples(vectors: &dyn Vectors, population: &RoaringBitmap) -> Option<Vec<Sample>> {
    let step = u32::try_from(population.len() / QUERIES as u64).ok()?;
    if step < MEASURED_K as u32 {
        return None;
    }
    let slots = (0..QUERIES as u32).filter_map(|i| population.select(i * step));
    let sample = |slot| {
        let query = Query::new(vectors.full(slot), vectors.dims()).ok()?;
        Some(Sample { slot, query })
    };
    slots.map(sample).collect()
}

/// What is found for each sample, and the middle of the times in nanoseconds.
fn timed(
    samples: &[Sample],
    mut search: impl FnMut(&Sample) -> Vec<u32>,
) -> (Vec<Vec<u32>>, f64) {
    let mut times = Vec::new();
    let found = samples.iter().map(|sample| {
        let started = Instant::now();
        let found = search(sample);
        times.push(started.elapsed().as_nanos() as f64);
        found
    });
    let found = found.collect();
    times.sort_unstable_by(f64::total_cmp);
    (found, times[times.len() / 2].max(1.0))
}

/// Nanoseconds for a vector whose neighbours in memory are not looked at.
fn look(vectors: &dyn Vectors, population: &RoaringBitmap, query: &Query) -> f64 {
    let count = u32::try_from(population.len()).unwrap_or(u32::MAX);
    // Steps of a large odd number come by everywhere, in no order that memory foresees.
    let slots = (0..1000_u32).filter_map(|i| population.select(i.wrapping_mul(2_654_435_761) % count));
    let slots: Vec<_> = slots.collect();
    let started = Instant::now();
    let sum: f32 = slots.iter().map(|slot| query.rough(vectors, *slot)).sum();
    std::hint::black_box(sum);
    started.elapsed().as_nanos() as f64 / slots.len().max(1) as f64
}

/// The part of what is as near as the tenth that was found, each sample itself left out. Of vectors
/// that are equally near any counts: code has many copies.
fn recall(vectors: &dyn Vectors, samples: &[Sample], truth: &[Vec<u32>], found: &[Vec<u32>]) -> f64 {
    let (mut hits, mut wanted) = (0, 0);
    for ((sample, truth), found) in samples.iter().zip(truth).zip(found) {
        let others = |slots: &[u32]| -> Vec<f32> {
            let others = slots.iter().filter(|slot| **slot != sample.slot).take(MEASURED_K);
            others.map(|slot| sample.query.similarity(vectors, *slot)).collect()
        };
        let truth = others(truth);
        let Some(last) = truth.last() else { continue };
        wanted += truth.len();
        hits += others(found).iter().filter(|near| **near >= last - 1e-6).count();
    }
    hits as f64 / wanted.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs {
        code: 25.0,
        sign: 5.0,
        look: 50.0,
        visit: 250.0,
        width: 64,
        visits: 1000.0,
        graph_recall: 0.99,
        sign_recall: 0.99,
    };

    fn plan(live: u64, tail: u64, nodes: u64) -> Plan {
        Planner::new(COSTS).plan(&Shape { live, tail, nodes }, 10)
    }

    #[test]
    fn few_are_scanned_many_read_by_signs_and_dense_ones_walked() {
        assert_eq!(plan(2_000, 0, 2_000), Plan::Scan);
        assert_eq!(plan(100_000, 0, 100_000), Plan::Graph { width: 64, budget: 2200 });
        assert_eq!(plan(100_000, 100_000, 0), Plan::Signs);
        // One in a hundred lives: a hundred times the steps.
        assert_eq!(plan(1_000, 0, 100_000), Plan::Scan);
        // The tail costs its scan either way.
        assert_eq!(plan(100_000, 60_000, 100_000), Plan::Signs);
        assert!(matches!(plan(100_000, 5_000, 100_000), Plan::Graph { .. }));
    }

    #[test]
    fn what_finds_too_little_is_not_taken() {
        let shape = Shape { live: 100_000, tail: 0, nodes: 100_000 };
        let graph = Planner::new(Costs { graph_recall: 0.97, ..COSTS });
        assert_eq!(graph.plan(&shape, 10), Plan::Signs);
        let both = Planner::new(Costs { graph_recall: 0.97, sign_recall: 0.97, ..COSTS });
        assert_eq!(both.plan(&shape, 10), Plan::Scan);
    }

    #[test]
    fn more_neighbours_take_more_candidates() {
        let shape = Shape { live: 500_000, tail: 0, nodes: 500_000 };
        let width = |k| match Planner::new(COSTS).plan(&shape, k) {
            Plan::Graph { width, .. } => Some(width),
            _ => None,
        };
        assert_eq!([1, 10, 11, 30].map(width), [64, 64, 128, 192].map(Some));
        assert_eq!(width(usize::MAX), None);
    }
}
