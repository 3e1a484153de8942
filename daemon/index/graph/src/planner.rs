//! Which way of searching answers soonest and well enough.

use crate::costs::Costs;
use crate::scan;

/// A way that finds less of the best ten, on the vectors at hand, is not taken. It lies above what is
/// promised (0.97), because it is measured on few queries.
pub(crate) const FLOOR: f64 = 0.98;

/// The number of neighbours that costs and recall are measured for.
pub(crate) const MEASURED_K: usize = 10;

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
