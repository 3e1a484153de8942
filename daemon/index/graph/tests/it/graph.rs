//! Building.

use std::sync::atomic::{AtomicUsize, Ordering};

use greenlit_graph::{BuildError, Control, Graph, InMemory, Params, Query};
use roaring::RoaringBitmap;

use crate::support::{DIMS, Noise, all, built, check, clustered};

#[test]
fn copies_and_near_copies_are_all_found() {
    let mut noise = Noise::new(1);
    let base = noise.vector();
    let mut vectors = InMemory::new(DIMS);
    for i in 0..300 {
        let close: Vec<f32> = match i % 3 {
            0 => base.clone(),
            1 => base.iter().map(|value| value * (1.0 + 1e-7 * noise.next())).collect(),
            _ => base.iter().map(|value| value + 1e-6 * noise.next()).collect(),
        };
        vectors.push(&close).unwrap();
    }
    let members = all(&vectors);
    let graph = built(&vectors, &members);
    let query = Query::new(&base, DIMS).unwrap();
    let walk = graph.search(&vectors, &query, 300, 300, None, usize::MAX).unwrap();
    check(&walk.near, &members, 300);
    assert!(walk.near.iter().all(|near| near.similarity > 0.999));
}

#[test]
fn every_node_can_be_reached() {
    let vectors = clustered(3000, 2);
    let members = all(&vectors);
    let graph = built(&vectors, &members);
    let query = Query::new(&Noise::new(3).vector(), DIMS).unwrap();
    let walk = graph.search(&vectors, &query, 3000, 3000, None, usize::MAX).unwrap();
    check(&walk.near, &members, 3000);
}

#[test]
fn one_thread_builds_the_same_graph_again_and_more_build_a_good_one() {
    let vectors = clustered(1500, 4);
    let members: RoaringBitmap = (0..1500).filter(|slot| slot % 3 != 0).collect();
    let build = |threads| {
        let params = Params { links: 8, effort: 48, threads };
        Graph::build(&vectors, &members, params, Control::default()).unwrap()
    };
    assert_eq!(build(1), build(1));
    let query = Query::new(&Noise::new(5).vector(), DIMS).unwrap();
    let walk = build(4).search(&vectors, &query, 1000, 1000, None, usize::MAX).unwrap();
    check(&walk.near, &members, 1000);
}

#[test]
fn one_member_is_a_graph_and_none_is_not() {
    let vectors = clustered(5, 6);
    let query = Query::new(&Noise::new(7).vector(), DIMS).unwrap();
    let one: RoaringBitmap = [3].into_iter().collect();
    let walk = built(&vectors, &one).search(&vectors, &query, 10, 10, None, usize::MAX).unwrap();
    check(&walk.near, &one, 10);
    let build = |members: &[u32]| {
        let members = members.iter().copied().collect();
        Graph::build(&vectors, &members, Params::default(), Control::default()).unwrap_err()
    };
    assert_eq!(build(&[]), BuildError::Empty);
    assert_eq!(build(&[1, 5]), BuildError::UnknownSlot(5));
}

#[test]
fn a_build_tells_how_far_it_is_and_ends_when_told() {
    let vectors = clustered(5000, 8);
    let members = all(&vectors);
    let inserted = AtomicUsize::new(0);
    let progress = |nodes: usize| {
        inserted.fetch_max(nodes, Ordering::Relaxed);
    };
    let control =
        Control { cancelled: &|| inserted.load(Ordering::Relaxed) >= 2048, progress: &progress };
    let params = Params { links: 8, effort: 48, threads: 2 };
    let error = Graph::build(&vectors, &members, params, control).unwrap_err();
    assert_eq!(error, BuildError::Cancelled);
    let seen = inserted.load(Ordering::Relaxed);
    assert!((2048..4096).contains(&seen), "{seen}");
}

#[test]
fn a_point_costs_a_small_part_of_what_it_does_in_the_builder() {
    let vectors = clustered(5000, 9);
    let params = Params { effort: 64, ..Params::default() };
    let graph = Graph::build(&vectors, &all(&vectors), params, Control::default()).unwrap();
    // Thirty-two links of four bytes in the lowest layer, a slot, a start, and the upper layers.
    assert!(graph.bytes() / 5000 < 170, "{}", graph.bytes() / 5000);
}
