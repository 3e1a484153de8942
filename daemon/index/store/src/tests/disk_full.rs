//! The disk becomes full at every single write.

use super::*;
use crate::files::tests::room_for;
use crate::layout::RECORDS;
use crate::{AppendError, CommitError};

/// Every key that was confirmed is there, every other is there whole or not at all.
fn check(space: &Space, confirmed: u32, tried: u32) {
    let snapshot = space.snapshot();
    for n in 0..tried {
        match slot(space, n) {
            Some(slot) => assert!(holds(&snapshot, slot, n), "{n}"),
            None => assert!(n >= confirmed, "{n} was confirmed"),
        }
    }
}

#[test]
fn an_append_fails_whole_and_the_store_still_reads_and_writes() {
    let mut broken = 0;
    for writes in 0..200 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), PLENTY);
        let space = store.space(&space_id()).unwrap();
        append(&space, 1, 0..10).unwrap();
        room_for(writes);
        let result = append(&space, 1, 10..RECORDS + 10);
        check(&space, 10, RECORDS + 10);
        room_for(u32::MAX);
        match result {
            Ok(_) => {
                assert!(writes > 10, "the disk was full");
                assert!(broken < writes, "most failures are healed");
                return;
            }
            Err(AppendError::Write(_)) => {
                assert_eq!(slot(&space, 10), None);
                append(&space, 1, 10..30).expect("there is room again");
                check(&space, 30, 30);
            }
            Err(AppendError::Commit(_)) => match append(&space, 1, 10..30) {
                Err(AppendError::Commit(CommitError::Broken)) => broken += 1,
                appended => {
                    appended.unwrap();
                    check(&space, 30, 30);
                }
            },
            Err(error) => panic!("{error}"),
        }
        drop((store, space));
        let store = open(dir.path(), PLENTY);
        assert!(store.report().is_clean(), "{:?}", store.report());
        let space = store.space(&space_id()).unwrap();
        check(&space, 10, RECORDS + 10);
        append(&space, 2, 50..60).unwrap();
        assert!(holds(&space.snapshot(), slot(&space, 55).unwrap(), 55));
    }
    panic!("an append never ends");
}

#[test]
fn a_compaction_that_fails_loses_nothing() {
    for writes in 0..300 {
        let dir = tempfile::tempdir().unwrap();
        let space = open_space(dir.path());
        append(&space, 1, 0..3 * RECORDS).unwrap();
        space.retain(&owner(1), &(0..3 * RECORDS).step_by(2).collect()).unwrap();
        drop(space);
        let store = open(dir.path(), 1);
        let space = store.space(&space_id()).unwrap();
        room_for(writes);
        let room = store.make_room(0, &[(&space_id(), &owner(1))]);
        room_for(u32::MAX);
        let moved = room.moved.get(&space_id()).cloned().unwrap_or_default();
        let snapshot = space.snapshot();
        for n in (0..3 * RECORDS).step_by(2) {
            assert!(holds(&snapshot, moved.get(n).unwrap(), n), "{n}");
            assert_eq!(slot(&space, n), moved.get(n));
        }
        drop((store, space));
        let space = open_space(dir.path());
        let snapshot = space.snapshot();
        for n in (0..3 * RECORDS).step_by(2) {
            assert!(holds(&snapshot, slot(&space, n).unwrap(), n), "{n}");
        }
        // A commit that failed while it was confirmed, on a disk that is too full to look, may show.
        let needed = (0..3 * RECORDS).step_by(2).filter_map(|n| slot(&space, n)).collect();
        assert_eq!(space.references(&owner(1)), needed);
        if matches!(room.outcome, Err(crate::RoomError::Quota { .. })) {
            assert_eq!(moved.gone.len(), u64::from(3 * RECORDS / 2));
            return;
        }
    }
    panic!("a compaction never ends");
}

#[test]
fn a_store_that_cannot_be_made_can_be_made_later() {
    for writes in 0..100 {
        let dir = tempfile::tempdir().unwrap();
        room_for(writes);
        let opened = Store::open(dir.path(), Options { quota_bytes: PLENTY });
        room_for(u32::MAX);
        if opened.is_ok() {
            assert!(writes > 5);
            return;
        }
        let store = open(dir.path(), PLENTY);
        assert!(store.report().is_clean(), "{:?}", store.report());
        append(&store.space(&space_id()).unwrap(), 1, [1]).unwrap();
    }
    panic!("opening never ends");
}
