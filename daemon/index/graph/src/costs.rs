//! What searching costs here, measured.

use std::time::Instant;

use roaring::RoaringBitmap;

use crate::graph::Graph;
use crate::planner::{FLOOR, MEASURED_K};
use crate::scan;
use crate::vectors::{Query, Vectors};
use crate::view::View;

/// Queries of a measurement.
const QUERIES: usize = 16;

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
    /// What was measured at a hundred thousand chunks of code that were never looked at before; good until
    /// [`Costs::measured`] says what holds here. A vector is checked when it is first read, which takes many
    /// times as long as reading it: the first search after a start reads as few as it can.
    fn default() -> Self {
        /// Of the check.
        const FIRST: f64 = 900.0;
        Self {
            code: FIRST + 45.0,
            sign: FIRST + 14.0,
            look: FIRST + 60.0,
            visit: FIRST + 160.0,
            width: 192,
            visits: 2300.0,
            graph_recall: 0.98,
            sign_recall: 0.99,
        }
    }
}

impl Costs {
    /// Measures searches for some of the `recent` queries, and for means of two members each where
    /// these are too few: members themselves are found more easily than what people ask for. Takes as
    /// long as forty scans of the view, at a hundred thousand vectors 0.2 s: for the background.
    /// `None` where there are too few members to tell anything.
    pub fn measured(view: &View, recent: &[Vec<f32>]) -> Option<Self> {
        let vectors = view.vectors();
        let population = match view.graph() {
            Some(graph) => view.members() & graph.members(),
            None => view.members().clone(),
        };
        let samples = samples(vectors, &population, recent)?;
        let mut costs = Self { graph_recall: 0.0, ..Self::default() };
        let (truth, time) = timed(&samples, |query| {
            scan::exact(vectors, &population, query, MEASURED_K)
                .into_iter()
                .map(|near| near.slot)
                .collect()
        });
        costs.code = time / population.len() as f64;
        costs.look = look(vectors, &population, &samples[0]);
        let (found, time) = timed(&samples, |query| {
            scan::by_signs(vectors, &population, query, MEASURED_K)
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
        samples: &[Query],
        truth: &[Vec<u32>],
    ) {
        let all = population.len() == graph.members().len();
        let live = (!all).then_some(population);
        for width in [32, 48, 64, 96, 128, 192, 256, 384, 512] {
            let mut visits = 0;
            let (found, time) = timed(samples, |query| {
                let walk = graph.search(vectors, query, MEASURED_K, width, live, usize::MAX);
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

/// Recent queries, filled up with means of two members each, taken at even distances.
fn samples(
    vectors: &dyn Vectors,
    population: &RoaringBitmap,
    recent: &[Vec<f32>],
) -> Option<Vec<Query>> {
    let step = u32::try_from(population.len() / (2 * QUERIES as u64)).ok()?;
    if step < MEASURED_K as u32 {
        return None;
    }
    let recent = recent.iter().rev().filter_map(|query| Query::new(query, vectors.dims()).ok());
    let means = (0..QUERIES as u32).filter_map(|i| {
        let [a, b] = [i, i + QUERIES as u32].map(|i| population.select(i * step));
        let (a, b) = (vectors.full(a?), vectors.full(b?));
        let mean: Vec<f32> = a.iter().zip(&*b).map(|(a, b)| a + b).collect();
        // Of opposite vectors there is none.
        Query::new(&mean, vectors.dims()).ok()
    });
    let samples: Vec<_> = recent.chain(means).take(QUERIES).collect();
    (!samples.is_empty()).then_some(samples)
}

/// What is found for each sample, and the time in nanoseconds that a quarter of them take at most: what
/// else the machine does is not measured.
fn timed(samples: &[Query], mut search: impl FnMut(&Query) -> Vec<u32>) -> (Vec<Vec<u32>>, f64) {
    let mut times = Vec::new();
    let found = samples.iter().map(|query| {
        let started = Instant::now();
        let found = search(query);
        times.push(started.elapsed().as_nanos() as f64);
        found
    });
    let found = found.collect();
    times.sort_unstable_by(f64::total_cmp);
    (found, times[times.len() / 4].max(1.0))
}

/// Nanoseconds for a vector whose neighbours in memory are not looked at.
fn look(vectors: &dyn Vectors, population: &RoaringBitmap, query: &Query) -> f64 {
    let count = u32::try_from(population.len()).unwrap_or(u32::MAX);
    // Steps of a large odd number come by everywhere, in no order that memory foresees.
    let slots =
        (0..1000_u32).filter_map(|i| population.select(i.wrapping_mul(2_654_435_761) % count));
    let slots: Vec<_> = slots.collect();
    // In parts, of which the quickest counts: whoever is interrupted here is not slow.
    let part = |slots: &[u32]| {
        let started = Instant::now();
        let sum: f32 = slots.iter().map(|slot| query.rough(vectors, *slot)).sum();
        std::hint::black_box(sum);
        started.elapsed().as_nanos() as f64 / slots.len() as f64
    };
    slots.chunks(100).map(part).fold(f64::INFINITY, f64::min).max(1.0)
}

/// The part of what is as near as the tenth that was found. Of vectors that are equally near any
/// counts: code has many copies.
fn recall(vectors: &dyn Vectors, samples: &[Query], truth: &[Vec<u32>], found: &[Vec<u32>]) -> f64 {
    let (mut hits, mut wanted) = (0, 0);
    for ((query, truth), found) in samples.iter().zip(truth).zip(found) {
        let Some(last) = truth.last() else { continue };
        let least = query.similarity(vectors, *last) - 1e-6;
        wanted += truth.len();
        hits += found.iter().filter(|slot| query.similarity(vectors, **slot) >= least).count();
    }
    hits as f64 / wanted.max(1) as f64
}
