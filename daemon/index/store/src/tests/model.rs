//! Random histories against a model that keeps everything in maps.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::AppendError;

const KEYS: u32 = 90;
const OWNERS: u32 = 4;

#[derive(Debug, Clone)]
enum Step {
    Append {
        who: u32,
        keys: Vec<u32>,
    },
    Retain {
        who: u32,
        keys: BTreeSet<u32>,
    },
    Forget {
        who: u32,
    },
    MakeRoom {
        bytes: u64,
        keep: u32,
    },
    /// Closes and opens.
    Reopen,
    /// Opens a copy of the directory that was made while everything was open.
    Crash,
    /// Opens without a ledger.
    LoseLedger,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..OWNERS;
    let some = prop::collection::btree_set(0..KEYS, 0..30);
    let step = prop_oneof![
        6 => (who.clone(), prop::collection::vec(0..KEYS, 0..25))
            .prop_map(|(who, keys)| Step::Append { who, keys }),
        2 => (who.clone(), some).prop_map(|(who, keys)| Step::Retain { who, keys }),
        1 => who.clone().prop_map(|who| Step::Forget { who }),
        3 => (0..200_000_u64, who).prop_map(|(bytes, keep)| Step::MakeRoom { bytes, keep }),
        2 => Just(Step::Reopen),
        2 => Just(Step::Crash),
        1 => Just(Step::LoseLedger),
    ];
    prop::collection::vec(step, 1..25)
}

struct World {
    /// Directories that crashes left behind stay until the end.
    dirs: Vec<TempDir>,
    quota: u64,
    open: Option<(Store, Space)>,
    /// What each owner needs, and the owners, the one that was used longest ago first.
    needed: BTreeMap<u32, BTreeSet<u32>>,
    order: Vec<u32>,
    /// Which key a slot was given to, for good.
    given: BTreeMap<u32, u32>,
    /// Snapshots with what they held.
    held: Vec<(std::sync::Arc<Snapshot>, BTreeMap<u32, u32>)>,
}

impl World {
    fn new(quota: u64) -> Self {
        let mut world = Self {
            dirs: vec![tempfile::tempdir().unwrap()],
            quota,
            open: None,
            needed: BTreeMap::new(),
            order: Vec::new(),
            given: BTreeMap::new(),
            held: Vec::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let store = open(self.dirs.last().unwrap().path(), self.quota);
        let space = store.space(&space_id()).unwrap();
        self.open = Some((store, space));
    }

    fn space(&self) -> &Space {
        &self.open.as_ref().unwrap().1
    }

    fn there(&self) -> BTreeMap<u32, u32> {
        (0..KEYS).filter_map(|n| Some((slot(self.space(), n)?, n))).collect()
    }

    fn used(&mut self, who: u32) {
        self.order.retain(|&other| other != who);
        self.order.push(who);
    }

    fn take(&mut self, step: Step) {
        let before = self.there();
        match step {
            Step::Append { who, keys } => match append(self.space(), who, keys.iter().copied()) {
                Ok(slots) => {
                    let there = self.there();
                    for (slot, n) in slots.iter().zip(&keys) {
                        assert_eq!(there.get(slot), Some(n));
                    }
                    self.needed.entry(who).or_default().extend(keys);
                    self.used(who);
                    assert!(before.iter().all(|(slot, n)| there.get(slot) == Some(n)));
                }
                Err(AppendError::Quota { .. }) => assert_eq!(self.there(), before),
                Err(error) => panic!("{error}"),
            },
            Step::Retain { who, keys } => {
                let keys: BTreeSet<u32> =
                    keys.into_iter().filter(|&n| slot(self.space(), n).is_some()).collect();
                let slots = keys.iter().filter_map(|&n| slot(self.space(), n)).collect();
                self.space().retain(&owner(who), &slots).unwrap();
                self.needed.insert(who, keys);
                self.used(who);
            }
            Step::Forget { who } => {
                self.space().forget(&owner(who)).unwrap();
                self.needed.remove(&who);
                self.order.retain(|&other| other != who);
            }
            Step::MakeRoom { bytes, keep } => self.make_room(bytes, keep, &before),
            Step::Reopen => {
                self.open = None;
                self.open();
                assert_eq!(self.there(), before);
            }
            Step::Crash => {
                let image = tempfile::tempdir().unwrap();
                copy(self.dirs.last().unwrap().path(), image.path());
                self.dirs.push(image);
                self.open();
                assert!(self.open.as_ref().unwrap().0.report().is_clean());
                assert_eq!(self.there(), before);
            }
            Step::LoseLedger => {
                self.open = None;
                fs::remove_file(self.dirs.last().unwrap().path().join("data/ledger")).unwrap();
                self.open();
                assert!(self.open.as_ref().unwrap().0.report().rebuilt.is_some());
                assert_eq!(self.there(), before);
                if self.space().snapshot().is_empty() {
                    // No file was left to tell of it: the space is born again, with a generation of its own.
                    self.given.clear();
                }
                self.needed.clear();
                self.order.clear();
            }
        }
        self.check();
    }

    fn make_room(&mut self, bytes: u64, keep: u32, before: &BTreeMap<u32, u32>) {
        let (store, space) = self.open.as_ref().unwrap();
        let room = store.make_room(bytes, &[(&space_id(), &owner(keep))]);
        let owners = space.owners();
        let left: Vec<u32> =
            self.order.iter().copied().filter(|&who| owners.contains(&owner(who))).collect();
        let gone: Vec<u32> = self.order.iter().copied().filter(|who| !left.contains(who)).collect();
        let oldest: Vec<u32> = self.order.iter().copied().filter(|&who| who != keep).collect();
        assert!(oldest.starts_with(&gone), "{gone:?} of {oldest:?}");
        self.needed.retain(|who, _| left.contains(who));
        self.order = left;
        let moved = room.moved.get(&space_id()).cloned().unwrap_or_default();
        let there = self.there();
        for (&slot, n) in before {
            let needed = self.needed.values().any(|keys| keys.contains(n));
            match moved.get(slot) {
                Some(slot) => assert_eq!(there.get(&slot), Some(n)),
                None => assert!(!needed, "{n} is needed"),
            }
        }
        if room.outcome.is_err() {
            assert!(oldest.len() == gone.len(), "more could have been forgotten");
        } else {
            assert!(store.used_bytes().unwrap() + bytes <= self.quota);
        }
    }

    fn check(&mut self) {
        let space = self.space().clone();
        let snapshot = space.snapshot();
        let there = self.there();
        for (&slot, &n) in &there {
            assert!(holds(&snapshot, slot, n), "slot {slot}, key {n}");
            let first = *self.given.entry(slot).or_insert(n);
            assert_eq!(first, n, "slot {slot} is used again");
        }
        assert_eq!(space.owners(), self.order.iter().map(|&who| owner(who)).collect::<Vec<_>>());
        for (&who, keys) in &self.needed {
            let slots = keys.iter().map(|&n| slot(&space, n).expect("is needed")).collect();
            assert_eq!(space.references(&owner(who)), slots);
        }
        for (snapshot, held) in &self.held {
            for (&slot, &n) in held {
                assert!(holds(snapshot, slot, n), "an earlier snapshot, slot {slot}");
            }
        }
        self.held.push((snapshot, there));
        if self.held.len() > 3 {
            self.held.remove(0);
        }
        assert!(self.open.as_ref().unwrap().0.used_bytes().unwrap() <= self.quota);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..Default::default() })]
    #[test]
    fn every_history_ends_as_the_model_does(
        steps in steps(),
        quota in prop_oneof![Just(PLENTY), 1_250_000_u64..1_500_000]
    ) {
        let mut world = World::new(quota);
        for step in steps {
            world.take(step);
        }
    }
}
