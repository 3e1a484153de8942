//! When the shared graph is built.

use greenlit_graph::{BuildError, Control, Fold, Params, Segment, Thresholds};
use roaring::RoaringBitmap;

use crate::support::clustered;

const LIMITS: Thresholds =
    Thresholds { smallest: 200, largest: 800, tail: 50, tail_part: 4, dead_part: 2 };
const PARAMS: Params = Params { links: 8, effort: 32, threads: 1 };

#[test]
fn a_graph_is_built_when_it_pays_and_dropped_when_not() {
    let vectors = clustered(1000, 1);
    let segment = Segment::new(LIMITS, None);
    let live = |range: std::ops::Range<u32>| -> RoaringBitmap { range.collect() };
    let fold = |live: &RoaringBitmap| {
        let graph = segment.fold(&vectors, live, PARAMS, Control::default()).unwrap();
        assert_eq!(segment.graph(), graph);
        graph.is_some()
    };
    assert_eq!(segment.needs_fold(&live(0..199)), None);
    assert_eq!(segment.needs_fold(&live(0..200)), Some(Fold::Tail(200)));
    assert!(fold(&live(0..400)));
    assert_eq!(segment.needs_fold(&live(0..500)), None);
    assert_eq!(segment.needs_fold(&live(0..501)), Some(Fold::Tail(101)));
    assert_eq!(segment.needs_fold(&live(200..450)), None);
    assert_eq!(segment.needs_fold(&live(201..450)), Some(Fold::Dead(201)));
    // Around the smallest size nothing is built and dropped in turn.
    assert_eq!(segment.needs_fold(&live(0..100)), None);
    assert_eq!(segment.needs_fold(&live(0..99)), Some(Fold::Drop));
    assert_eq!(segment.needs_fold(&live(0..801)), Some(Fold::Drop));
    assert!(!fold(&live(0..801)));
    assert_eq!(segment.needs_fold(&live(0..801)), None);
}

#[test]
fn a_fold_that_is_cancelled_leaves_the_old_graph() {
    let vectors = clustered(600, 1);
    let segment = Segment::new(LIMITS, None);
    let live: RoaringBitmap = (0..300).collect();
    let old = segment.fold(&vectors, &live, PARAMS, Control::default()).unwrap();
    let control = Control { cancelled: &|| true, progress: &|_| {} };
    let live: RoaringBitmap = (0..600).collect();
    let error = segment.fold(&vectors, &live, PARAMS, control).unwrap_err();
    assert_eq!(error, BuildError::Cancelled);
    assert_eq!(segment.graph(), old);
    assert_eq!(segment.needs_fold(&live), Some(Fold::Tail(300)));
}
