//! Searches of views, by every plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use greenlit_graph::{
    BranchView, Costs, InMemory, Plan, Planner, QueryError, Vectors, View, ViewError, exact,
};
use proptest::prelude::*;
use roaring::RoaringBitmap;

use crate::support::{DIMS, Noise, all, built, check, clustered, hits, truth};

/// Costs that make one plan the only choice.
fn only(plan: &str) -> Planner {
    let never = 1e9;
    let costs = Costs { width: 64, graph_recall: 1.0, sign_recall: 1.0, ..Costs::default() };
    Planner::new(match plan {
        "scan" => Costs { sign: never, visit: never, ..costs },
        "signs" => Costs { code: never, visit: never, ..costs },
        "graph" => Costs { code: 1e6, sign: never, visit: 0.1, ..costs },
        other => unreachable!("{other}"),
    })
}

const PLANS: [&str; 3] = ["scan", "signs", "graph"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any branch over any graph, any filter, any `k`: what comes is alive, whole, in order; and a
    /// scan that can look at everything in full is the truth itself.
    #[test]
    fn every_plan_answers_whole_and_in_order(
        count in 1_usize..400,
        seed in any::<u64>(),
        graphed in 0_u32..400,
        alive in 0_u32..=100,
        kept in prop::option::of(0_u32..=100),
        k in 0_usize..60,
    ) {
        let vectors = clustered(count, seed);
        let mut noise = Noise::new(seed ^ 1);
        let mut share = |percent: u32| -> RoaringBitmap {
            let limit = percent as f32 / 50.0 - 1.0;
            (0..vectors.len()).filter(|_| noise.next() < limit).collect()
        };
        let members = share(alive);
        let filter = kept.map(&mut share);
        let nodes: RoaringBitmap = (0..graphed.min(vectors.len())).collect();
        let graph = (!nodes.is_empty()).then(|| built(&vectors, &nodes));
        let live = filter.as_ref().map_or(members.clone(), |filter| &members & filter);
        let query = noise.vector();
        let right = truth(&vectors, &live, &query, k);
        let view = View::new(Arc::new(vectors), graph, members).unwrap();
        for plan in PLANS {
            let answer = view.search(&query, k, filter.as_ref(), &only(plan)).unwrap();
            check(&answer.near, &live, k);
            if answer.plan == Plan::Scan && live.len() <= 4 * k as u64 + 32 {
                prop_assert_eq!(&answer.near, &right);
            }
        }
    }

    /// Eight bits may swap what is nearly as near, never lose what is clearly nearer.
    #[test]
    fn a_scan_falls_behind_by_no_more_than_rounding(count in 50_usize..600, seed in any::<u64>()) {
        let vectors = clustered(count, seed);
        let members = all(&vectors);
        let query = Noise::new(seed ^ 2).vector();
        let query = greenlit_graph::Query::new(&query, DIMS).unwrap();
        let found = exact(&vectors, &members, &query, 3);
        let right = greenlit_graph::scan::full(&vectors, &members, &query, 3);
        // Two codes, each off by half a step in every value, of values that sum to √48 at most.
        let step = (0..vectors.len()).map(|slot| vectors.scale(slot)).fold(1.0_f32 / 127.0, f32::max);
        for (found, right) in found.iter().zip(&right) {
            prop_assert!(found.similarity >= right.similarity - 2.0 * step * 48.0_f32.sqrt());
        }
    }
}

#[test]
fn the_graph_finds_what_a_scan_finds() {
    let vectors = Arc::new(clustered(3000, 11));
    let nodes: RoaringBitmap = (0..2600).collect();
    let graph = built(&*vectors, &nodes);
    // A tail of 400, and every fifth is dead.
    let members: RoaringBitmap = (0..3000).filter(|slot| slot % 5 != 0).collect();
    let view = View::new(vectors.clone(), Some(graph), members).unwrap();
    assert_eq!(view.tail().len(), 320);
    let half: RoaringBitmap = (0..3000).filter(|slot| slot % 2 == 0).collect();
    let mut noise = Noise::new(12);
    for filter in [None, Some(&half)] {
        let live = filter.map_or(view.members().clone(), |half| view.members() & half);
        for plan in PLANS {
            let (mut found, mut wanted) = (0, 0);
            for _ in 0..50 {
                let query = noise.vector();
                let answer = view.search(&query, 10, filter, &only(plan)).unwrap();
                check(&answer.near, &live, 10);
                if plan == "graph" {
                    assert!(matches!(answer.plan, Plan::Graph { .. }));
                }
                let right = truth(&*vectors, &live, &query, 10);
                found += hits(&answer.near, &right);
                wanted += right.len();
            }
            assert!(found * 100 >= wanted * 97, "{plan}: {found} of {wanted}");
        }
    }
}

#[test]
fn a_graph_that_leads_astray_is_given_up() {
    // Only the farthest live: the graph would pass through nearly everything else first.
    let vectors = Arc::new(clustered(2000, 5));
    let query = Noise::new(6).vector();
    let ranked = truth(&*vectors, &all(&*vectors), &query, 2000);
    let far: RoaringBitmap = ranked[1900..].iter().map(|near| near.slot).collect();
    let graph = built(&*vectors, &all(&*vectors));
    let view = View::new(vectors.clone(), Some(graph), far.clone()).unwrap();
    let costs = Costs { visits: 2.0, visit: 1e-3, code: 1e-3, sign: 1e9, ..Costs::default() };
    let planner = Planner::new(costs);
    let planned = planner.plan(&greenlit_graph::Shape { live: far.len(), tail: 0, nodes: 2000 }, 5);
    assert!(matches!(planned, Plan::Graph { budget, .. } if budget < 200), "{planned:?}");
    let answer = view.search(&query, 5, None, &planner).unwrap();
    assert_eq!(answer.plan, Plan::Scan);
    assert_eq!(answer.near, truth(&*vectors, &far, &query, 5));
}

#[test]
fn nobody_one_and_all() {
    let vectors = Arc::new(clustered(40, 3));
    let graph = built(&*vectors, &all(&*vectors));
    let query = Noise::new(4).vector();
    for members in [RoaringBitmap::new(), [17].into_iter().collect(), all(&*vectors)] {
        for graph in [None, Some(graph.clone())] {
            let view = View::new(vectors.clone(), graph, members.clone()).unwrap();
            for plan in PLANS {
                for k in [0, 1, 40, 1000, usize::MAX] {
                    let answer = view.search(&query, k, None, &only(plan)).unwrap();
                    check(&answer.near, &members, k);
                }
            }
        }
    }
}

#[test]
fn a_store_without_vectors_is_searched_in_vain() {
    let vectors: Arc<dyn Vectors> = Arc::new(InMemory::new(DIMS));
    let view = View::new(vectors, None, RoaringBitmap::new()).unwrap();
    let answer = view.search(&Noise::new(1).vector(), 10, None, &Planner::default()).unwrap();
    assert_eq!(answer.near, []);
    assert_eq!(Costs::measured(&view, &[]), None);
}

#[test]
fn queries_and_members_that_cannot_be_are_refused() {
    let vectors = Arc::new(clustered(40, 3));
    let graph = built(&*vectors, &all(&*vectors));
    let view = View::new(vectors.clone(), None, all(&*vectors)).unwrap();
    let mut query = Noise::new(1).vector();
    query[7] = f32::NAN;
    let error = view.search(&query, 10, None, &Planner::default()).unwrap_err();
    assert_eq!(error, QueryError::NotFinite);
    let beyond = [3, 40].into_iter().collect();
    let error = view.changed(vectors, &beyond, &RoaringBitmap::new()).unwrap_err();
    assert_eq!(error, ViewError::UnknownSlot(40));
    let fewer = Arc::new(clustered(20, 3));
    let error = View::new(fewer, Some(graph), RoaringBitmap::new()).unwrap_err();
    assert_eq!(error, ViewError::UnknownSlot(39));
}

#[test]
fn deletions_and_additions_are_seen_at_once() {
    let vectors = Arc::new(clustered(500, 8));
    let graph = built(&*vectors, &(0..400).collect());
    let view = View::new(vectors.clone(), Some(graph), (0..400).collect()).unwrap();
    let query = vectors.full(450).to_vec();
    let nearest = |view: &View| {
        let near = view.search(&query, 1, None, &only("graph")).unwrap().near;
        near[0].slot
    };
    let before = nearest(&view);
    let changed = view
        .changed(vectors.clone(), &[450].into_iter().collect(), &[before].into_iter().collect())
        .unwrap();
    assert_eq!(nearest(&changed), 450);
    let removed =
        changed.changed(vectors, &RoaringBitmap::new(), &[450].into_iter().collect()).unwrap();
    assert!(![450, before].contains(&nearest(&removed)));
    assert_eq!(nearest(&view), before);
}

#[test]
fn readers_keep_their_view_while_new_ones_are_published() {
    let vectors = Arc::new(clustered(1200, 21));
    let graph = built(&*vectors, &(0..1000).collect());
    let view = View::new(vectors.clone(), Some(graph), (0..1000).collect()).unwrap();
    let branch = BranchView::new(view);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (branch, done) = (&branch, &done);
            scope.spawn(move || {
                let mut noise = Noise::new(reader + 100);
                loop {
                    let last = done.load(Ordering::Acquire);
                    let view = branch.load();
                    let query = noise.vector();
                    let answer = view.search(&query, 10, None, &only("graph")).unwrap();
                    check(&answer.near, view.members(), 10);
                    if last {
                        assert_eq!(view.members().len(), 1000);
                        assert_eq!(view.members().max(), Some(1199));
                        return;
                    }
                }
            });
        }
        for slot in 1000..1200_u32 {
            let (added, removed) =
                ([slot].into_iter().collect(), [slot - 1000].into_iter().collect());
            let next = branch.load().changed(vectors.clone(), &added, &removed).unwrap();
            let folded = (slot % 100 == 99).then(|| built(&*vectors, next.members()));
            match folded {
                Some(graph) => branch.publish(next.with_graph(Some(graph)).unwrap()),
                None => branch.publish(next),
            }
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn costs_are_measured_on_the_vectors_at_hand() {
    let vectors = Arc::new(clustered(2000, 30));
    let graph = built(&*vectors, &all(&*vectors));
    let view = View::new(vectors.clone(), Some(graph), all(&*vectors)).unwrap();
    let costs = Costs::measured(&view, &[]).unwrap();
    for cost in [costs.code, costs.sign, costs.look, costs.visit] {
        assert!(cost.is_finite() && cost > 0.0, "{costs:?}");
    }
    assert!(costs.graph_recall >= 0.98 && costs.sign_recall >= 0.98, "{costs:?}");
    assert!((1.0..2000.0).contains(&costs.visits), "{costs:?}");
    // Queries of another model are passed over, others are used.
    let recent = [vec![1.0], Noise::new(31).vector()];
    assert!(Costs::measured(&view, &recent).is_some());
    let without = Costs::measured(&view.with_graph(None).unwrap(), &[]).unwrap();
    assert_eq!(without.graph_recall, 0.0);
    let few = View::new(vectors, None, (0..20).collect()).unwrap();
    assert_eq!(Costs::measured(&few, &[]), None);
}
