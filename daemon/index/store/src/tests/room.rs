use super::*;
use crate::layout::{Layout, RECORDS};
use crate::{AppendError, Room, RoomError};

/// A store in which three owners fill three segments.
fn full(dir: &Path) -> Store {
    let store = open(dir, PLENTY);
    let space = store.space(&space_id()).unwrap();
    for who in 0..3 {
        append(&space, who, who * RECORDS..(who + 1) * RECORDS).unwrap();
    }
    // A new ledger is larger than it needs to be and becomes smaller with each commit.
    for who in (0..3).cycle().take(12) {
        append(&space, who, [who * RECORDS]).unwrap();
    }
    store
}

/// Makes the store a little smaller than it is.
fn shrink(store: &Store, keep: u32) -> Room {
    let quota = store.used_bytes().unwrap() + Layout::new(DIMS).total;
    store.make_room_within(quota, 1, &[(&space_id(), &owner(keep))])
}

#[test]
fn the_quota_is_not_exceeded() {
    const QUOTA: u64 = 1_500_000;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), QUOTA);
    let space = store.space(&space_id()).unwrap();
    let refused = (0..1000).find_map(|n| match append(&space, n % 3, n * 10..(n + 1) * 10) {
        Ok(_) => None,
        Err(error) => Some((n, error)),
    });
    let (n, AppendError::Quota { needed, used, quota }) = refused.unwrap() else { panic!() };
    assert!(n > 10 && used <= quota && used + needed + Layout::new(DIMS).total > quota);
    assert_eq!(slot(&space, n * 10), None);
    append(&space, 3, [1, 2]).expect("what is there needs no room");
    store.make_room(needed, &[(&space_id(), &owner(3))]).outcome.unwrap();
    append(&space, 3, n * 10..(n + 1) * 10).unwrap();
    assert!(store.used_bytes().unwrap() <= QUOTA);
}

#[test]
fn unreferenced_vectors_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = full(dir.path());
    let space = store.space(&space_id()).unwrap();
    // Nobody needs half of the last segment; the first owner was used longest ago.
    space.retain(&owner(2), &(2 * RECORDS..2 * RECORDS + 8).collect()).unwrap();
    let before = space.snapshot();
    let room = shrink(&store, 9);
    room.outcome.unwrap();
    let moved = &room.moved[&space_id()];
    assert_eq!(moved.moved.len() as u64 + moved.gone.len(), u64::from(RECORDS));
    assert_eq!(space.owners().len(), 3);
    let after = space.snapshot();
    assert_ne!(after.generation(), before.generation());
    for n in 0..2 * RECORDS + 8 {
        assert!(holds(&after, slot(&space, n).unwrap(), n), "{n}");
    }
    for n in 2 * RECORDS + 8..3 * RECORDS {
        assert_eq!(slot(&space, n), None);
        assert!(moved.gone.contains(n) && is_nothing(&after, n));
    }
    for n in 0..3 * RECORDS {
        assert!(holds(&before, n, n), "an earlier snapshot stays as it is");
    }
}

#[test]
fn then_the_owner_that_was_used_longest_ago() {
    let dir = tempfile::tempdir().unwrap();
    let store = full(dir.path());
    let space = store.space(&space_id()).unwrap();
    // The first owner was used again since.
    space.retain(&owner(0), &(0..RECORDS).collect()).unwrap();
    shrink(&store, 9).outcome.unwrap();
    assert_eq!(space.owners(), [owner(2), owner(0)]);
    assert!(slot(&space, 0).is_some() && slot(&space, RECORDS).is_none());
    append(&space, 3, 100..100 + RECORDS).unwrap();
}

#[test]
fn what_two_owners_need_stays_until_both_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = full(dir.path());
    let space = store.space(&space_id()).unwrap();
    append(&space, 2, 0..RECORDS).unwrap();
    shrink(&store, 9).outcome.unwrap();
    assert_eq!(space.owners(), [owner(2)], "the first one's were needed by the last one as well");
    assert!(slot(&space, 0).is_some() && slot(&space, RECORDS).is_none());
}

#[test]
fn the_owner_that_asks_is_never_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = full(dir.path());
    let space = store.space(&space_id()).unwrap();
    append(&space, 2, 0..3 * RECORDS).unwrap();
    let room = shrink(&store, 2);
    assert!(matches!(room.outcome, Err(RoomError::Quota { .. })));
    assert_eq!(space.references(&owner(2)).len(), u64::from(3 * RECORDS));
    assert_eq!(space.owners(), [owner(2)]);
}

#[test]
fn what_the_owner_that_asks_needed_of_another_model_can_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = full(dir.path());
    let space = store.space(&space_id()).unwrap();
    append(&space, 2, 0..3 * RECORDS).unwrap();
    let id = SpaceId { backend: "test 2".into(), ..space_id() };
    let newer = store.space(&id).unwrap();
    append(&newer, 2, 0..RECORDS).unwrap();
    let quota = store.used_bytes().unwrap() + Layout::new(DIMS).total;
    store.make_room_within(quota, 1, &[(&id, &owner(2))]).outcome.unwrap();
    assert_eq!(space.owners(), []);
    assert_eq!(newer.references(&owner(2)).len(), u64::from(RECORDS));
}

#[test]
fn what_may_be_put_is_told_before_it_is_made() {
    const QUOTA: u64 = 1_500_000;
    let dir = tempfile::tempdir().unwrap();
    let space = open(dir.path(), QUOTA).space(&space_id()).unwrap();
    let refused = (0..1000).find_map(|n| {
        let told = space.room_for(10);
        let put = append(&space, 1, n * 10..(n + 1) * 10);
        assert_eq!(told.is_ok(), put.is_ok(), "{n}: {told:?} {put:?}");
        told.err()
    });
    assert!(matches!(refused, Some(AppendError::Quota { quota: QUOTA, .. })));
    space.room_for(0).unwrap();
}

#[test]
fn the_last_segment_can_go_and_records_follow_it() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    append(&space, 1, 0..RECORDS + 3).unwrap();
    space.retain(&owner(1), &(0..RECORDS + 1).collect()).unwrap();
    drop(space);
    let store = open(dir.path(), 1);
    let space = store.space(&space_id()).unwrap();
    assert!(matches!(
        store.make_room(0, &[(&space_id(), &owner(1))]).outcome,
        Err(RoomError::Quota { .. })
    ));
    assert_eq!(slot(&space, RECORDS), Some(2 * RECORDS));
    assert_eq!(space.references(&owner(1)), (0..RECORDS).chain([2 * RECORDS]).collect());
    drop((store, space));
    let space = open_space(dir.path());
    assert_eq!(append(&space, 1, [500]).unwrap(), [2 * RECORDS + 1]);
    assert!(holds(&space.snapshot(), 2 * RECORDS, RECORDS));
    assert!(holds(&space.snapshot(), 2 * RECORDS + 1, 500));
}

#[test]
fn removed_files_are_gone_and_their_bytes_are_counted_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = full(dir.path());
    let used = store.used_bytes().unwrap();
    shrink(&store, 9).outcome.unwrap();
    assert!(store.used_bytes().unwrap() < used);
    let files = dir.path().join("data").join(space_id().directory());
    assert_eq!(fs::read_dir(&files).unwrap().count(), 2);
    assert!(!files.join("00000000").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_counted_is_what_the_disk_gives() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), PLENTY);
    let space = store.space(&space_id()).unwrap();
    for batch in 0..20 {
        append(&space, 1, batch * 7..(batch + 1) * 7).unwrap();
        let data = dir.path().join("data");
        let files = fs::read_dir(data.join(space_id().directory())).unwrap();
        let vectors = files.map(|file| file.unwrap().metadata().unwrap().blocks() * 512);
        let ledger = fs::metadata(data.join("ledger")).unwrap();
        let on_disk = vectors.sum::<u64>() + ledger.len();
        assert!(on_disk <= store.used_bytes().unwrap(), "{on_disk}");
    }
}
