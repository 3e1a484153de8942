//! Tests of the store as a whole, with segments of 16 records.

use std::fs;
use std::path::Path;

use crate::{Key, Options, Owner, Snapshot, Space, SpaceId, Store};

mod basics;
mod damage;
mod disk_full;
mod model;
mod readers;
mod room;

/// Two words of signs, and no multiple of anything.
const DIMS: u32 = 67;
const PLENTY: u64 = 1 << 30;

fn space_id() -> SpaceId {
    SpaceId { model: [7; 32], backend: "test 1".into(), dims: DIMS }
}

fn open(dir: &Path, quota_bytes: u64) -> Store {
    Store::open(dir, Options { quota_bytes }).unwrap()
}

fn open_space(dir: &Path) -> Space {
    open(dir, PLENTY).space(&space_id()).unwrap()
}

fn key(n: u32) -> Key {
    space_id().key(1, blake3::hash(&n.to_le_bytes()).as_bytes())
}

/// The vector that belongs to a key: of length one, other values for each.
fn vector(n: u32) -> Vec<f32> {
    let mut state = n.wrapping_mul(2_654_435_761).wrapping_add(1);
    let values: Vec<f32> = (0..DIMS)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        })
        .collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.into_iter().map(|value| value / length).collect()
}

fn owner(n: u32) -> Owner {
    Owner { repository: "/repository".into(), branch: format!("branch-{n}") }
}

fn append(
    space: &Space,
    who: u32,
    keys: impl IntoIterator<Item = u32>,
) -> Result<Vec<u32>, crate::AppendError> {
    let batch: Vec<(Key, Vec<f32>)> = keys.into_iter().map(|n| (key(n), vector(n))).collect();
    let batch: Vec<(Key, &[f32])> = batch.iter().map(|(key, vector)| (*key, &vector[..])).collect();
    space.append(&owner(who), &batch)
}

fn slot(space: &Space, n: u32) -> Option<u32> {
    space.lookup(&[key(n)])[0]
}

/// Whether all parts of a slot are those of a key.
fn holds(snapshot: &Snapshot, slot: u32, n: u32) -> bool {
    let vector = vector(n);
    let (codes, scale) = greenlit_graph::quantize(&vector);
    snapshot.full(slot) == vector
        && snapshot.code(slot) == codes
        && snapshot.scale(slot) == scale
        && snapshot.signs(slot) == greenlit_graph::signs(&vector)
}

/// Whether all parts of a slot are zeros.
fn is_nothing(snapshot: &Snapshot, slot: u32) -> bool {
    snapshot.full(slot).iter().all(|&value| value == 0.0)
        && snapshot.code(slot).iter().all(|&code| code == 0)
        && snapshot.scale(slot) == 0.0
        && snapshot.signs(slot).iter().all(|&word| word == 0)
        && snapshot.full(slot).len() == DIMS as usize
}

/// The image of a store at this moment, as a power failure would leave it at best.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
