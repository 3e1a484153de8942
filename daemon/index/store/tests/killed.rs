//! A process is killed while it writes: what it was told to be on disk is there.
#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use greenlit_store::{Key, Options, Owner, Space, SpaceId, Store};

const DIMS: u32 = 32;
const BATCH: u32 = 40;
/// Room for a few thousand vectors, so that the child has to compact again and again.
const QUOTA: u64 = 2_500_000;

fn space_id() -> SpaceId {
    SpaceId { model: [1; 32], backend: "test".into(), dims: DIMS }
}

fn key(n: u32) -> Key {
    space_id().key(1, blake3::hash(&n.to_le_bytes()).as_bytes())
}

/// A vector of length one that no other number has.
fn vector(n: u32) -> Vec<f32> {
    let angle = f64::from(n) * 1e-3;
    let mut vector = vec![0.0; DIMS as usize];
    vector[(n % 31) as usize] = angle.sin() as f32;
    vector[31] = angle.cos() as f32;
    vector
}

fn owner(n: u32) -> Owner {
    Owner { repository: "r".into(), branch: n.to_string() }
}

fn open(dir: &Path) -> (Store, Space) {
    let store = Store::open(dir, Options { quota_bytes: QUOTA }).unwrap();
    let space = store.space(&space_id()).unwrap();
    (store, space)
}

/// Puts batch after batch, each needed by the current owner, of whom there is a new one every ten
/// batches. Says what is done.
fn write_until_killed(dir: &Path, mut batch: u32) -> ! {
    let (store, space) = open(dir);
    let mut out = std::io::stdout();
    loop {
        let who = owner(batch / 10);
        let vectors: Vec<_> =
            (batch * BATCH..(batch + 1) * BATCH).map(|n| (key(n), vector(n))).collect();
        let vectors: Vec<_> = vectors.iter().map(|(key, vector)| (*key, &vector[..])).collect();
        while let Err(error) = space.append(&who, &vectors) {
            let greenlit_store::AppendError::Quota { needed, .. } = error else {
                panic!("{error}")
            };
            store.make_room(needed, &[(&space_id(), &who)]).outcome.unwrap();
            writeln!(out, "room").unwrap();
        }
        writeln!(out, "batch {batch}").unwrap();
        batch += 1;
    }
}

#[test]
fn twenty_times() {
    const ROLE: &str = "GREENLIT_TEST_WRITES_TO";
    if let Ok(role) = std::env::var(ROLE) {
        let (batch, dir) = role.split_once(' ').unwrap();
        write_until_killed(Path::new(dir), batch.parse().unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let mut next = 0;
    let mut rooms = 0;
    for round in 0..20_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "twenty_times", "--nocapture"])
            .env(ROLE, format!("{next} {}", dir.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The child goes on while its last word is read, so that it dies anywhere.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let words = lines.map_while(Result::ok).filter(|line| {
            rooms += usize::from(line == "room");
            line.starts_with("batch")
        });
        let last = words.take(10 + round).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let confirmed: u32 = last.strip_prefix("batch ").unwrap().parse().unwrap();
        next = check(dir.path(), confirmed);
    }
    assert!(rooms > 5, "compactions were among what was interrupted: {rooms}");
}

/// Looks at everything and returns the batch to go on with.
fn check(dir: &Path, confirmed: u32) -> u32 {
    let (store, space) = open(dir);
    assert!(store.report().is_clean(), "{:?}", store.report());
    assert!(store.used_bytes().unwrap() <= QUOTA);
    let snapshot = space.snapshot();
    let there = |n: u32| match space.lookup(&[key(n)])[0] {
        Some(slot) => {
            assert_eq!(snapshot.full(slot), vector(n), "{n}");
            assert_eq!(snapshot.code(slot), greenlit_graph::quantize(&vector(n)).0, "{n}");
            true
        }
        None => false,
    };
    // The owner of the last batch is never forgotten, nor is what it needs.
    let first = confirmed / 10 * 10;
    let mut next = first;
    loop {
        let whole = (next * BATCH..(next + 1) * BATCH).filter(|&n| there(n)).count();
        assert!(whole == 0 || whole == BATCH as usize, "half of batch {next} is there");
        if whole == 0 {
            break;
        }
        next += 1;
    }
    assert!(next > confirmed, "batch {confirmed} was confirmed, {next} is lost");
    assert!((0..first * BATCH).filter(|&n| there(n)).count() > 0 || first == 0);
    if next / 10 == confirmed / 10 {
        let references = space.references(&owner(next / 10));
        assert_eq!(references.len(), u64::from((next - first) * BATCH));
    }
    next
}
