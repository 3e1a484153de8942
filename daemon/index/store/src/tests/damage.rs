//! Files that are not as they were left.

use super::*;
use crate::layout::{Layout, PAGE, RECORDS};

const KEYS: u32 = 2 * RECORDS + 5;

/// A closed store with two segments and a bit.
fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    append(&open_space(dir.path()), 1, 0..KEYS).unwrap();
    dir
}

fn segment(dir: &Path, number: u32) -> std::path::PathBuf {
    dir.join("data").join(space_id().directory()).join(format!("{number:08}"))
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    (0..3).map(|number| segment(dir, number)).chain([dir.join("data/ledger")]).collect()
}

/// Opens the store and looks at everything: never another vector than the one that was put. Damaged
/// keys can be put again. Returns how many are unknown or damaged.
fn survive(dir: &Path, what: &str) -> u32 {
    let store = open(dir, PLENTY);
    let space = store.space(&space_id()).unwrap();
    let snapshot = space.snapshot();
    let mut bad = 0;
    for n in 0..KEYS {
        let sound = slot(&space, n).is_some_and(|slot| {
            let sound = holds(&snapshot, slot, n);
            assert!(sound || is_nothing(&snapshot, slot), "{what}: {n} reads as another vector");
            sound
        });
        if !sound {
            bad += 1;
            assert_eq!(slot(&space, n), None, "{what}: {n} is still known");
        }
    }
    append(&space, 1, 0..KEYS).unwrap();
    let snapshot = space.snapshot();
    for n in 0..KEYS {
        assert!(holds(&snapshot, slot(&space, n).unwrap(), n), "{what}: {n} again");
    }
    drop((store, space, snapshot));
    let space = open_space(dir);
    for n in 0..KEYS {
        assert!(holds(&space.snapshot(), slot(&space, n).unwrap(), n), "{what}: {n} at last");
    }
    bad
}

#[test]
fn a_changed_byte_costs_one_vector_at_most_outside_of_headers() {
    let whole = filled();
    let layout = Layout::new(DIMS);
    for (index, column) in layout.columns().into_iter().enumerate() {
        for (record, byte) in [(0, 0), (3, column.stride - 1), (RECORDS - 1, column.stride / 2)] {
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            flip(&segment(dir.path(), 1), column.at(record) + byte);
            let bad = survive(dir.path(), &format!("column {index}, record {record}"));
            assert_eq!(bad, 1, "column {index}, record {record}");
        }
    }
}

#[test]
fn damage_is_reported_and_only_the_damaged_are_unknown() {
    let dir = filled();
    flip(&segment(dir.path(), 0), Layout::new(DIMS).full.at(7) + 3);
    let space = open_space(dir.path());
    let snapshot = space.snapshot();
    assert!(snapshot.damaged().is_empty(), "nobody read it yet");
    let all = (0..KEYS).collect();
    assert!(snapshot.verify(&all, &|| false).is_empty(), "told to stop");
    assert_eq!(snapshot.verify(&all, &|| true), [7].into());
    assert_eq!(snapshot.damaged(), [7].into());
    assert_eq!(slot(&space, 7), None);
    assert_eq!(slot(&space, 8), Some(8));
    let again = append(&space, 1, [7]).unwrap();
    assert_eq!(again, [KEYS]);
    assert!(holds(&space.snapshot(), KEYS, 7));
}

#[test]
fn damage_does_not_move_in_a_compaction() {
    let dir = filled();
    flip(&segment(dir.path(), 0), Layout::new(DIMS).codes.at(7));
    let space = open_space(dir.path());
    space.retain(&owner(1), &(0..12).collect()).unwrap();
    drop(space);
    let store = open(dir.path(), 1);
    let space = store.space(&space_id()).unwrap();
    let room = store.make_room(0, &[(&space_id(), &owner(1))]);
    assert_eq!(room.moved[&space_id()].get(7), None);
    assert_eq!(slot(&space, 7), None);
    assert_eq!(space.references(&owner(1)).len(), 11);
    assert!(holds(&space.snapshot(), slot(&space, 8).unwrap(), 8));
}

#[test]
fn changed_bytes_everywhere() {
    let whole = filled();
    for (index, file) in files(Path::new("")).into_iter().enumerate() {
        // Headers densely, all pages in steps that meet every column. Pages of the ledger that were
        // never written to are left out.
        let bytes = fs::read(whole.path().join(&file)).unwrap();
        let is_used = |at: &usize| {
            let page = at - at % PAGE as usize;
            index < 3 || bytes[page..page + PAGE as usize].iter().any(|&byte| byte != 0)
        };
        let dense = (0..256).step_by(19);
        let rest = (256..bytes.len()).step_by(if index == 3 { 499 } else { 2049 });
        for at in dense.chain(rest.filter(is_used)).chain([bytes.len() - 1]) {
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            flip(&dir.path().join(&file), at);
            survive(dir.path(), &format!("{} at {at}", file.display()));
        }
    }
}

#[test]
fn files_that_are_cut_off_or_too_long() {
    let whole = filled();
    for file in files(Path::new("")) {
        let length = fs::metadata(whole.path().join(&file)).unwrap().len();
        let page = PAGE;
        let cuts = [0, 1, 100, page - 1, page, page + 1, length / 2, length - page, length - 1];
        for cut in cuts.into_iter().chain([length + 1, length + page]) {
            let dir = tempfile::tempdir().unwrap();
            copy(whole.path(), dir.path());
            let cut_off = fs::OpenOptions::new().write(true).open(dir.path().join(&file)).unwrap();
            cut_off.set_len(cut).unwrap();
            survive(dir.path(), &format!("{} cut at {cut}", file.display()));
        }
    }
}

#[test]
fn files_that_are_missing() {
    let whole = filled();
    for (index, file) in files(Path::new("")).into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        fs::remove_file(dir.path().join(&file)).unwrap();
        let expected = [RECORDS, RECORDS, 5, 0][index];
        assert_eq!(survive(dir.path(), &file.display().to_string()), expected);
    }
}

#[test]
fn files_that_changed_places_and_those_of_another_store() {
    let dir = filled();
    let spare = dir.path().join("spare");
    fs::rename(segment(dir.path(), 0), &spare).unwrap();
    fs::rename(segment(dir.path(), 1), segment(dir.path(), 0)).unwrap();
    fs::rename(&spare, segment(dir.path(), 1)).unwrap();
    let store = open(dir.path(), PLENTY);
    assert_eq!(store.report().lost.len(), 2);
    assert!(store.report().lost[0].why.contains("another segment"));
    drop(store);
    assert_eq!(survive(dir.path(), "swapped"), 2 * RECORDS);

    // The same slots of a store with the same name hold other keys.
    let other = tempfile::tempdir().unwrap();
    append(&open_space(other.path()), 1, 1000..1000 + KEYS).unwrap();
    let dir = filled();
    fs::copy(segment(other.path(), 1), segment(dir.path(), 1)).unwrap();
    assert_eq!(survive(dir.path(), "foreign"), RECORDS);
}

#[test]
fn a_file_from_before_lacks_what_came_later() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    append(&space, 1, 0..5).unwrap();
    let early = dir.path().join("early");
    fs::copy(segment(dir.path(), 0), &early).unwrap();
    append(&space, 1, 5..KEYS).unwrap();
    drop(space);
    fs::rename(&early, segment(dir.path(), 0)).unwrap();
    assert_eq!(survive(dir.path(), "early"), RECORDS - 5);
}

#[test]
fn a_ledger_from_before_forgets_what_came_later_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let space = open_space(dir.path());
    append(&space, 1, 0..RECORDS + 3).unwrap();
    drop(space);
    let early = fs::read(dir.path().join("data/ledger")).unwrap();
    append(&open_space(dir.path()), 1, RECORDS + 3..KEYS).unwrap();
    fs::write(dir.path().join("data/ledger"), early).unwrap();
    assert_eq!(survive(dir.path(), "early ledger"), KEYS - RECORDS - 3);
}

#[test]
fn without_a_ledger_the_vectors_are_found_again() {
    let dir = filled();
    fs::write(dir.path().join("data/ledger"), b"").unwrap();
    let store = open(dir.path(), PLENTY);
    assert!(store.report().rebuilt.is_some());
    let space = store.space(&space_id()).unwrap();
    for n in 0..KEYS {
        assert!(holds(&space.snapshot(), slot(&space, n).unwrap(), n));
    }
    assert!(space.owners().is_empty());
    assert_eq!(append(&space, 1, [999]).unwrap(), [3 * RECORDS], "no slot is used again");
}

#[test]
fn another_version_is_set_aside_and_goes_when_room_is_needed() {
    let dir = filled();
    let format = dir.path().join("data/format");
    fs::write(&format, "greenlit store of vectors, version 2\n").unwrap();
    let store = open(dir.path(), PLENTY);
    let aside = store.report().set_aside.clone().unwrap();
    assert!(aside.join("ledger").exists());
    let space = store.space(&space_id()).unwrap();
    assert!(space.snapshot().is_empty() && slot(&space, 1).is_none());
    let used = store.used_bytes().unwrap();
    assert!(used > 3 * PAGE * 8);
    drop((store, space));
    let store = open(dir.path(), 1);
    assert!(store.report().is_clean());
    assert!(
        store.make_room(0, &[(&space_id(), &owner(1))]).outcome.is_err(),
        "an empty ledger takes more"
    );
    assert!(!aside.exists() && store.used_bytes().unwrap() < used);
}

#[test]
fn a_directory_without_a_version_is_set_aside_too() {
    let dir = filled();
    fs::remove_file(dir.path().join("data/format")).unwrap();
    let store = open(dir.path(), PLENTY);
    assert!(store.report().set_aside.is_some());
    assert!(store.spaces().is_empty());
}

#[test]
fn what_a_killed_process_left_behind_is_removed() {
    let dir = filled();
    let data = dir.path().join("data");
    let strays = [segment(dir.path(), 9), data.join("ledger.new"), data.join("x")];
    for stray in &strays {
        fs::write(stray, b"half").unwrap();
    }
    fs::create_dir(data.join("unknown")).unwrap();
    assert_eq!(survive(dir.path(), "strays"), 0);
    assert!(strays.iter().all(|stray| !stray.exists()) && !data.join("unknown").exists());
}

#[test]
fn a_segment_of_an_earlier_generation_comes_back() {
    for with_ledger in [true, false] {
        let dir = filled();
        let early = dir.path().join("early");
        fs::copy(segment(dir.path(), 0), &early).unwrap();
        let store = open(dir.path(), PLENTY);
        let space = store.space(&space_id()).unwrap();
        space.retain(&owner(1), &(1..KEYS).collect()).unwrap();
        let _ = store.make_room_within(0, 0, &[(&space_id(), &owner(1))]);
        assert!(!segment(dir.path(), 0).exists() && slot(&space, 0).is_none());
        drop((store, space));
        fs::rename(&early, segment(dir.path(), 0)).unwrap();
        if !with_ledger {
            fs::remove_file(dir.path().join("data/ledger")).unwrap();
        }
        // Without a ledger nobody knows that it was given up; what it holds is right all the same.
        assert_eq!(survive(dir.path(), "early"), u32::from(with_ledger));
    }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}
