//! Readers in other threads, while vectors come, move and go.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::*;
use crate::layout::RECORDS;

#[test]
fn readers_see_the_right_vector_or_none() {
    const KEYS: u32 = 6 * RECORDS;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), PLENTY);
    let space = store.space(&space_id()).unwrap();
    let done = AtomicBool::new(false);
    let seen = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for first in 0..2 {
            let (space, done, seen) = (&space, &done, &seen);
            scope.spawn(move || {
                for n in (first..KEYS).cycle() {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let Some(slot) = slot(space, n) else { continue };
                    let snapshot = space.snapshot();
                    let right = holds(&snapshot, slot, n);
                    assert!(right || is_nothing(&snapshot, slot), "{n} reads as another vector");
                    seen.fetch_add(u32::from(right), Ordering::Relaxed);
                }
            });
        }
        // The writer goes on until the readers have seen something, however slow they are.
        let mut round = 0;
        while round < 30 || seen.load(Ordering::Relaxed) < 1000 {
            let first = round % 6 * RECORDS;
            append(&space, round % 2, first..first + RECORDS).unwrap();
            let half = space.references(&owner(round % 2)).iter().step_by(2).collect();
            space.retain(&owner(round % 2), &half).unwrap();
            let _ = store.make_room_within(0, 0, &[(&space_id(), &owner(round % 2))]);
            round += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
}
