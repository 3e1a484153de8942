//! A handle to one space: lookups for all, and what changes it.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::error::{AppendError, CommitError};
use crate::key::{Key, Owner, SpaceId};
use crate::layout::{Layout, MAX_SLOTS};
use crate::ledger::{Change, OwnerRow};
use crate::snapshot::Snapshot;
use crate::store::{Shared, reserve};
use crate::unit::has_unit_length;
use crate::writer::{View, Writer, lock};

/// The vectors of one model. Cheap to clone; all clones are the same space. Lookups and snapshots
/// never wait for a write.
#[derive(Debug, Clone)]
pub struct Space {
    pub(crate) id: SpaceId,
    pub(crate) view: Arc<View>,
    pub(crate) shared: Arc<Shared>,
}

impl Space {
    /// What the vectors have in common.
    pub fn id(&self) -> &SpaceId {
        &self.id
    }

    /// The committed vectors of this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.view.snapshot()
    }

    /// Where vectors lie; `None` for a key that was never put, was given up, or whose vector was found
    /// damaged. Reads no vector: damage that nobody came across yet shows when the vector is read.
    /// A slot that is found lies in every snapshot taken afterwards, until a compaction.
    pub fn lookup(&self, keys: &[Key]) -> Vec<Option<u32>> {
        self.view.lookup(keys)
    }

    /// Puts vectors, needed by `owner`, and tells their slots, in order. They are on disk when this
    /// returns: all of them, or on an error none. A key that is there already keeps its vector, also
    /// within the batch, where the first one counts.
    ///
    /// # Errors
    /// Vectors must have the dimensions of the space, be finite and of length one. After
    /// [`CommitError::Broken`] alone a batch may turn out to be there when the store is opened again.
    pub fn append(&self, owner: &Owner, batch: &[(Key, &[f32])]) -> Result<Vec<u32>, AppendError> {
        self.check(batch)?;
        let mut writer = lock(&self.shared.writer);
        let snapshot = self.snapshot();
        let row = writer.state(&self.id).entry.space.clone();

        let keys: Vec<Key> = batch.iter().map(|(key, _)| *key).collect();
        let known = self.view.lookup(&keys);
        let mut new: Vec<(Key, &[f32])> = Vec::new();
        let mut places: HashMap<Key, u32> = HashMap::new();
        let mut slots = Vec::with_capacity(batch.len());
        for (&(key, vector), known) in batch.iter().zip(known) {
            let known = known.filter(|&slot| snapshot.is_sound(slot));
            slots.push(known.unwrap_or_else(|| {
                *places.entry(key).or_insert_with(|| {
                    new.push((key, vector));
                    row.len.saturating_add(new.len() as u32 - 1)
                })
            }));
        }
        if new.len() as u64 > u64::from(MAX_SLOTS.saturating_sub(row.len)) {
            return Err(AppendError::Full);
        }
        self.admit(&writer, row.len, new.len() as u32)?;

        let written = writer.write_tail(&self.id, row.len, &new).map_err(AppendError::Write)?;
        let mut space = row;
        space.len = written.len;
        space.segments.extend(written.segments.iter().map(|(number, _)| *number));
        let owned = self.used_by(&mut writer, owner, |slots_before| {
            slots_before.extend(slots.iter().copied());
        });
        writer.commit(Change { space, owners: vec![(owner.clone(), Some(owned))] })?;
        let snapshot = written.added_to(Snapshot::clone(&snapshot));
        self.view.publish(snapshot, |slots| slots.extend(places));
        Ok(slots)
    }

    fn check(&self, batch: &[(Key, &[f32])]) -> Result<(), AppendError> {
        let expected = self.id.dims as usize;
        for (index, (_, vector)) in batch.iter().enumerate() {
            if vector.len() != expected {
                return Err(AppendError::Dims { index, found: vector.len(), expected });
            }
            if !has_unit_length(vector) {
                return Err(AppendError::NotUnit { index });
            }
        }
        Ok(())
    }

    /// Whether so many more vectors may be put now, when none of them is there already.
    ///
    /// # Errors
    /// As [`Space::append`] for them.
    pub fn room_for(&self, more: u32) -> Result<(), AppendError> {
        let mut writer = lock(&self.shared.writer);
        let len = writer.state(&self.id).entry.space.len;
        if more > MAX_SLOTS.saturating_sub(len) {
            return Err(AppendError::Full);
        }
        self.admit(&writer, len, more)
    }

    /// Whether so many more records may be written.
    fn admit(&self, writer: &Writer, len: u32, more: u32) -> Result<(), AppendError> {
        if more == 0 {
            return Ok(());
        }
        let needed = Layout::new(self.id.dims).growth(len, more);
        let used = writer.used().map_err(AppendError::Write)?;
        let quota = self.shared.options.quota_bytes;
        if used + needed + reserve(&self.id) > quota {
            return Err(AppendError::Quota { needed, used, quota });
        }
        Ok(())
    }

    /// Says what `owner` needs from now on, in place of what it needed before, and that it was used
    /// now. Slots that hold nothing are left out.
    pub fn retain(&self, owner: &Owner, slots: &RoaringBitmap) -> Result<(), CommitError> {
        let mut writer = lock(&self.shared.writer);
        let held = self.snapshot().held(slots);
        let row = self.used_by(&mut writer, owner, |before| *before = held);
        let space = writer.state(&self.id).entry.space.clone();
        writer.commit(Change { space, owners: vec![(owner.clone(), Some(row))] })
    }

    /// Says that `owner` needs nothing any more. Its vectors stay until their room is needed.
    pub fn forget(&self, owner: &Owner) -> Result<(), CommitError> {
        let mut writer = lock(&self.shared.writer);
        let entry = &writer.state(&self.id).entry;
        if !entry.owners.contains_key(owner) {
            return Ok(());
        }
        let space = entry.space.clone();
        writer.commit(Change { space, owners: vec![(owner.clone(), None)] })
    }

    /// What `owner` needs; empty for one that is not known (any more).
    pub fn references(&self, owner: &Owner) -> RoaringBitmap {
        let mut writer = lock(&self.shared.writer);
        let row = writer.state(&self.id).entry.owners.get(owner);
        row.map(|row| row.slots.clone()).unwrap_or_default()
    }

    /// All owners, the one that was used longest ago first.
    pub fn owners(&self) -> Vec<Owner> {
        let mut writer = lock(&self.shared.writer);
        let owners = &writer.state(&self.id).entry.owners;
        let mut owners: Vec<_> = owners.iter().map(|(owner, row)| (row.last_use, owner)).collect();
        owners.sort();
        owners.into_iter().map(|(_, owner)| owner.clone()).collect()
    }

    /// The row of an owner that is used now, with its slots changed.
    fn used_by(
        &self,
        writer: &mut Writer,
        owner: &Owner,
        change: impl FnOnce(&mut RoaringBitmap),
    ) -> OwnerRow {
        let last_use = writer.clock + 1;
        let row = writer.state(&self.id).entry.owners.get(owner);
        let mut slots = row.map(|row| row.slots.clone()).unwrap_or_default();
        change(&mut slots);
        OwnerRow { last_use, slots }
    }
}
