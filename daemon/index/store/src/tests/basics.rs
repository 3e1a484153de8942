use super::*;
use crate::{AppendError, OpenError};

#[test]
fn what_is_put_is_returned_also_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    let slots = append(&space, 1, 0..40).unwrap();
    assert_eq!(slots, (0..40).collect::<Vec<_>>());
    for _ in 0..2 {
        let space = open_space_after(&space, dir.path());
        let snapshot = space.snapshot();
        assert_eq!((snapshot.len(), snapshot.dims()), (40, DIMS as usize));
        for n in 0..40 {
            let slot = slot(&space, n).unwrap();
            assert!(holds(&snapshot, slot, n), "{n}");
        }
        assert_eq!(slot(&space, 40), None);
        assert_eq!(space.references(&owner(1)).len(), 40);
    }
}

/// Lets go of everything and opens anew.
fn open_space_after(space: &Space, dir: &Path) -> Space {
    let there = space.clone();
    let copied = tempfile::tempdir().unwrap();
    copy(dir, copied.path());
    drop(there);
    let store = open(copied.path(), PLENTY);
    assert!(store.report().is_clean(), "{:?}", store.report());
    store.space(&space_id()).unwrap()
}

#[test]
fn a_key_has_one_slot_within_a_batch_and_across() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    assert_eq!(append(&space, 1, [5, 6, 5]).unwrap(), [0, 1, 0]);
    assert_eq!(append(&space, 2, [7, 6, 7, 5]).unwrap(), [2, 1, 2, 0]);
    assert_eq!(space.snapshot().len(), 3);
    assert_eq!(space.references(&owner(1)).iter().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(space.references(&owner(2)).iter().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_batch_with_a_wrong_vector_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    let good = vector(1);
    let mut values = vec![(vec![0.0; 3], "dims")];
    for wrong in [f32::NAN, f32::INFINITY, 3.0] {
        let mut vector = good.clone();
        vector[5] = wrong;
        values.push((vector, "unit"));
    }
    values.push((vec![0.0; DIMS as usize], "unit"));
    for (wrong, why) in values {
        let batch = [(key(1), &good[..]), (key(2), &wrong[..])];
        let error = space.append(&owner(1), &batch).unwrap_err();
        match why {
            "dims" => assert!(matches!(error, AppendError::Dims { index: 1, found: 3, .. })),
            _ => assert!(matches!(error, AppendError::NotUnit { index: 1 }), "{error}"),
        }
        assert_eq!(slot(&space, 1), None);
        assert!(space.snapshot().is_empty());
    }
}

#[test]
fn vectors_that_no_file_could_hold_have_no_space() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), PLENTY);
    assert!(store.space(&SpaceId { dims: 0, ..space_id() }).is_err());
    assert!(store.space(&SpaceId { dims: 8193, ..space_id() }).is_err());
    assert!(store.space(&SpaceId { backend: "x".repeat(513), ..space_id() }).is_err());
    assert!(store.spaces().is_empty());
}

#[test]
fn spaces_do_not_know_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), PLENTY);
    let space = store.space(&space_id()).unwrap();
    let other = store.space(&SpaceId { backend: "test 2".into(), ..space_id() }).unwrap();
    append(&space, 1, [1]).unwrap();
    assert_eq!(slot(&other, 1), None);
    append(&other, 1, [2]).unwrap();
    assert_eq!(store.spaces().len(), 2);
    assert_eq!(other.snapshot().len(), 1);
}

#[test]
fn a_snapshot_does_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    append(&space, 1, 0..10).unwrap();
    let before = space.snapshot();
    append(&space, 1, 10..40).unwrap();
    assert_eq!(before.len(), 10);
    assert!(is_nothing(&before, 10) && is_nothing(&before, u32::MAX));
    assert!(holds(&before, 9, 9) && holds(&space.snapshot(), 39, 39));
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), PLENTY);
    let space = store.space(&space_id()).unwrap();
    append(&space, 1, [1]).unwrap();
    drop(store);
    let second = Store::open(dir.path(), Options { quota_bytes: PLENTY });
    assert!(matches!(second, Err(OpenError::Held { .. })));
    let snapshot = space.snapshot();
    drop(space);
    assert!(slot(&open_space(dir.path()), 1).is_some());
    assert!(holds(&snapshot, 0, 1));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("cache/vectors");
    append(&open_space(&root), 1, [1]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    let space = root.join("data").join(space_id().directory());
    assert_eq!(mode(&space), 0o700);
    assert_eq!(mode(&space.join("00000000")), 0o600);
    assert_eq!(mode(&root.join("data/ledger")), 0o600);
}

#[test]
fn retain_replaces_and_leaves_out_what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    append(&space, 1, 0..10).unwrap();
    append(&space, 2, 0..3).unwrap();
    space.retain(&owner(1), &[1, 2, 77].into()).unwrap();
    assert_eq!(space.references(&owner(1)), [1, 2].into());
    assert_eq!(space.owners(), [owner(2), owner(1)]);
    space.forget(&owner(2)).unwrap();
    space.forget(&owner(9)).unwrap();
    assert_eq!(space.owners(), [owner(1)]);
    assert!(slot(&space, 9).is_some(), "kept until the room is needed");
}
