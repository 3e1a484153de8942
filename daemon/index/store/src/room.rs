//! Making room: what nobody needs goes first, then what was used longest ago.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use roaring::RoaringBitmap;

use crate::error::{CommitError, RoomError};
use crate::files;
use crate::key::{Key, Owner, SpaceId};
use crate::layout::RECORDS;
use crate::ledger::Change;
use crate::snapshot::Snapshot;
use crate::store::{Store, reserve};
use crate::writer::{Writer, lock, segment_path};

/// Where vectors went in a compaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SlotMap {
    /// Old slot → new slot. All other slots stay where they are, but for those that are gone.
    pub moved: BTreeMap<u32, u32>,
    /// Slots that hold nothing any more.
    pub gone: RoaringBitmap,
}

impl SlotMap {
    /// Where the vector of a slot lies now.
    pub fn get(&self, slot: u32) -> Option<u32> {
        match self.moved.get(&slot) {
            Some(&new) => Some(new),
            None => (!self.gone.contains(slot)).then_some(slot),
        }
    }

    /// The same for a set.
    pub fn apply(&self, slots: &RoaringBitmap) -> RoaringBitmap {
        slots.iter().filter_map(|slot| self.get(slot)).collect()
    }

    /// Adds what a later step did.
    fn then(&mut self, step: &Self) {
        for new in self.moved.values_mut() {
            *new = step.moved.get(new).copied().unwrap_or(*new);
        }
        // A slot whose vector went away in the second of two moves is gone, too.
        let gone = self.moved.extract_if(.., |_, new| step.gone.contains(*new));
        self.gone.extend(gone.map(|(old, _)| old));
        self.moved.extend(&step.moved);
        self.gone |= &step.gone;
    }
}

/// What was done to make room. Also after an error: the steps before it are done.
#[derive(Debug)]
#[must_use]
pub struct Room {
    /// Where the vectors of each changed space went.
    pub moved: BTreeMap<SpaceId, SlotMap>,
    /// Whether there is enough room now.
    pub outcome: Result<(), RoomError>,
}

impl Store {
    /// Makes room for `bytes` more: compacts away what nobody needs, and where that is not enough
    /// forgets the owners that were used longest ago, one by one, but never `keep`: owners, each in one
    /// space. What they needed in other spaces, those of earlier models, goes like anybody's.
    ///
    /// Slots move: whoever holds some follows [`Room::moved`], or looks the keys up again. Snapshots
    /// taken before stay as they are. Every step is committed before files are removed, so that a
    /// process that is killed here loses nothing.
    pub fn make_room(&self, bytes: u64, keep: &[(&SpaceId, &Owner)]) -> Room {
        self.make_room_within(self.shared.options.quota_bytes, bytes, keep)
    }

    pub(crate) fn make_room_within(
        &self,
        quota: u64,
        bytes: u64,
        keep: &[(&SpaceId, &Owner)],
    ) -> Room {
        let mut moved = BTreeMap::new();
        let mut writer = lock(&self.shared.writer);
        let outcome = make_room(&mut writer, bytes, quota, keep, &mut moved);
        Room { moved, outcome }
    }
}

fn make_room(
    writer: &mut Writer,
    needed: u64,
    quota: u64,
    keep: &[(&SpaceId, &Owner)],
    moved: &mut BTreeMap<SpaceId, SlotMap>,
) -> Result<(), RoomError> {
    loop {
        let used = writer.used().map_err(RoomError::Write)?;
        let reserve = writer.spaces.keys().map(reserve).max().unwrap_or(0);
        if used.saturating_add(needed).saturating_add(reserve) <= quota {
            return Ok(());
        }
        if writer.set_aside_bytes > 0 {
            files::remove_dir(&writer.set_aside).map_err(RoomError::Write)?;
            writer.set_aside_bytes = 0;
        } else if let Some((space, number)) = emptiest(writer) {
            let step = clean(writer, &space, number)?;
            moved.entry(space).or_default().then(&step);
        } else if !forget_oldest(writer, keep)? {
            return Err(RoomError::Quota { needed, used, quota });
        }
    }
}

/// The segment with most records that nobody needs.
fn emptiest(writer: &Writer) -> Option<(SpaceId, u32)> {
    let mut most = None;
    for (id, state) in &writer.spaces {
        let (snapshot, live) = (state.view.snapshot(), state.live());
        for number in snapshot.present() {
            let slots = snapshot.slots_of(number);
            let dead = slots.len() as u64 - live.range_cardinality(slots);
            if dead > 0 && most.as_ref().is_none_or(|(other, _)| dead > *other) {
                most = Some((dead, (id.clone(), number)));
            }
        }
    }
    most.map(|(_, place)| place)
}

/// Forgets the owner of a space that was used longest ago; `false` when all are to be kept.
fn forget_oldest(writer: &mut Writer, keep: &[(&SpaceId, &Owner)]) -> Result<bool, CommitError> {
    let rows = writer.spaces.values().flat_map(|state| {
        let space = &state.entry.space;
        let owners =
            state.entry.owners.iter().filter(|(owner, _)| !keep.contains(&(&space.id, owner)));
        owners.map(move |(owner, row)| (row.last_use, space, owner))
    });
    let Some((_, space, owner)) = rows.min_by_key(|(last_use, ..)| *last_use) else {
        return Ok(false);
    };
    tracing::info!(?owner, "no room: forgets the vectors of the owner that was used longest ago");
    let change = Change { space: space.clone(), owners: vec![(owner.clone(), None)] };
    writer.commit(change)?;
    Ok(true)
}

/// Moves what is needed of a segment behind the last record, and removes the file.
fn clean(writer: &mut Writer, id: &SpaceId, number: u32) -> Result<SlotMap, RoomError> {
    let state = writer.state(id);
    let snapshot = state.view.snapshot();
    let live = state.live();
    let mut space = state.entry.space.clone();
    let owners = state.entry.owners.clone();
    let slots = snapshot.slots_of(number);
    // The last segment may be the one that is to go: then records follow in a new one.
    let len =
        if number == space.len / RECORDS { space.len.next_multiple_of(RECORDS) } else { space.len };

    // Each is read once: what cannot be read is not kept, and what was read is what is written.
    let record = |slot: u32| Some((slot, snapshot.key(slot)?, snapshot.sound(slot)?));
    let keep: Vec<(u32, Key, Cow<'_, [f32]>)> =
        live.range(slots.clone()).filter_map(record).collect();
    let records: Vec<(Key, &[f32])> = keep.iter().map(|(_, key, full)| (*key, &**full)).collect();
    let written = writer.write_tail(id, len, &records).map_err(RoomError::Write)?;
    let moved: BTreeMap<u32, u32> = keep.iter().map(|(slot, ..)| *slot).zip(len..).collect();
    let gone = slots.clone().filter(|slot| !moved.contains_key(slot)).collect();
    let step = SlotMap { moved, gone };

    space.len = written.len;
    space.generation += 1;
    space.segments.extend(written.segments.iter().map(|(number, _)| *number));
    space.segments.remove(number);
    let generation = space.generation;
    let changed = owners.into_iter().filter_map(|(owner, mut row)| {
        let slots = step.apply(&row.slots);
        (slots != row.slots).then(|| {
            row.slots = slots;
            (owner, Some(row))
        })
    });
    writer.commit(Change { space, owners: changed.collect() })?;

    let mut next = written.added_to(Snapshot::clone(&snapshot));
    next.segments[number as usize] = None;
    next.generation = generation;
    let state = writer.state(id);
    if state.tail.as_ref().is_some_and(|(open, ..)| *open == number) {
        state.tail = None;
    }
    let keys = |known: &mut HashMap<Key, u32>| {
        for slot in slots {
            let Some(key) = snapshot.key(slot) else { continue };
            if known.get(&key) == Some(&slot) {
                match step.moved.get(&slot) {
                    Some(&new) => known.insert(key, new),
                    None => known.remove(&key),
                };
            }
        }
    };
    state.view.publish(next, keys);
    // Where a mapping keeps the file from being removed (Windows), the next opening does it.
    let path = segment_path(&writer.data.join(id.directory()), number);
    if let Err(error) = files::remove_file(&path) {
        tracing::warn!(%error, "a file of vectors that nobody needs is removed later");
    }
    Ok(step)
}
