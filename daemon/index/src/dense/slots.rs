//! Which chunks have vectors, and which vectors live.
//!
//! Every change costs as what changes. A chunk is named by its lexical document's id.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::record::{Record, RecordId, document_id, parts};
use crate::retrieve::Filter;

/// The digest of an embedded text.
pub(crate) type Digest = [u8; 32];

/// Where the vectors of texts lie.
pub(crate) type Lookup<'a> = &'a dyn Fn(&[Digest]) -> Vec<Option<u32>>;

/// The chunks of the records that somebody sees.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    tracked: HashMap<RecordId, Tracked>,
    /// Records that are on disk now.
    live: RoaringBitmap,
    /// Which chunks have the vector of a slot.
    documents: BTreeSet<(u32, u64)>,
    /// Chunks that have no vector, by text.
    waiting: BTreeSet<(Digest, u64)>,
    /// Live chunks by slot.
    counts: HashMap<u32, u32>,
    /// Slots with a live chunk.
    members: RoaringBitmap,
    /// Live chunks without a vector.
    missing: u64,
}

#[derive(Debug)]
struct Tracked {
    record: Arc<Record>,
    /// By ordinal.
    slots: Box<[Option<u32>]>,
}

/// What a session sees in another way than the disk has it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Difference {
    pub(crate) added: RoaringBitmap,
    pub(crate) removed: RoaringBitmap,
    /// Chunks without a vector in all that the session sees.
    pub(crate) missing: u64,
}

impl Slots {
    pub(crate) fn live(&self) -> &RoaringBitmap {
        &self.live
    }

    pub(crate) fn members(&self) -> &RoaringBitmap {
        &self.members
    }

    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    pub(crate) fn record(&self, number: RecordId) -> Option<&Arc<Record>> {
        self.tracked.get(&number).map(|tracked| &tracked.record)
    }

    /// The texts of a record that have no vector, in order.
    pub(crate) fn missing_of(&self, number: RecordId) -> Vec<Digest> {
        let Some(Tracked { record, slots }) = self.tracked.get(&number) else { return Vec::new() };
        let missing = record.chunks.iter().zip(slots).filter(|(_, slot)| slot.is_none());
        missing.map(|(chunk, _)| chunk.text).collect()
    }

    /// Takes a record in; not live.
    pub(crate) fn track(&mut self, number: RecordId, record: &Arc<Record>, lookup: Lookup<'_>) {
        if self.tracked.contains_key(&number) {
            return;
        }
        let texts: Vec<Digest> = record.chunks.iter().map(|chunk| chunk.text).collect();
        let slots: Box<[_]> = lookup(&texts).into();
        for (ordinal, (slot, text)) in slots.iter().zip(&texts).enumerate() {
            let document = document_id(number, ordinal);
            match slot {
                Some(slot) => self.documents.insert((*slot, document)),
                None => self.waiting.insert((*text, document)),
            };
        }
        self.tracked.insert(number, Tracked { record: record.clone(), slots });
    }

    /// Forgets a record.
    pub(crate) fn untrack(&mut self, number: RecordId) {
        self.set_live(number, false);
        let Some(Tracked { record, slots }) = self.tracked.remove(&number) else { return };
        for (ordinal, (slot, chunk)) in slots.iter().zip(&record.chunks).enumerate() {
            let document = document_id(number, ordinal);
            match slot {
                Some(slot) => self.documents.remove(&(*slot, document)),
                None => self.waiting.remove(&(chunk.text, document)),
            };
        }
    }

    /// Says whether a tracked record is on disk.
    pub(crate) fn set_live(&mut self, number: RecordId, live: bool) {
        let Some(tracked) = self.tracked.get(&number) else { return };
        let changed = if live { self.live.insert(number) } else { self.live.remove(number) };
        if !changed {
            return;
        }
        for slot in &tracked.slots {
            match (slot, live) {
                (None, true) => self.missing += 1,
                (None, false) => self.missing -= 1,
                (Some(slot), true) => {
                    *self.counts.entry(*slot).or_default() += 1;
                    self.members.insert(*slot);
                }
                (Some(slot), false) => {
                    let count = self.counts.entry(*slot).or_default();
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        self.counts.remove(slot);
                        self.members.remove(*slot);
                    }
                }
            }
        }
    }

    /// A text has a vector now.
    pub(crate) fn resolve(&mut self, text: &Digest, slot: u32) {
        let waiting: Vec<u64> = self
            .waiting
            .range((*text, 0)..=(*text, u64::MAX))
            .map(|(_, document)| *document)
            .collect();
        for document in waiting {
            self.waiting.remove(&(*text, document));
            let (number, ordinal) = parts(document);
            let Some(tracked) = self.tracked.get_mut(&number) else { continue };
            tracked.slots[ordinal] = Some(slot);
            self.documents.insert((slot, document));
            if self.live.contains(number) {
                self.missing -= 1;
                *self.counts.entry(slot).or_default() += 1;
                self.members.insert(slot);
            }
        }
    }

    /// The same chunks, looked up again: vectors have moved, or others are asked for.
    pub(crate) fn looked_up(&self, lookup: Lookup<'_>) -> Self {
        let mut anew = Self::default();
        for (number, tracked) in &self.tracked {
            anew.track(*number, &tracked.record, lookup);
            anew.set_live(*number, self.live.contains(*number));
        }
        anew
    }

    /// The chunks with the vector of a slot.
    pub(crate) fn documents(&self, slot: u32) -> impl Iterator<Item = u64> + '_ {
        self.documents.range((slot, 0)..=(slot, u64::MAX)).map(|(_, document)| *document)
    }

    /// What is different where some live records are hidden and others shown in their place.
    pub(crate) fn difference(&self, hidden: &[RecordId], shown: &[RecordId]) -> Difference {
        let mut difference = Difference { missing: self.missing, ..Difference::default() };
        let slots = |number: &RecordId| {
            self.tracked.get(number).map(|tracked| &*tracked.slots).unwrap_or_default()
        };
        let mut gone: HashMap<u32, u32> = HashMap::new();
        for number in hidden.iter().filter(|number| self.live.contains(**number)) {
            for slot in slots(number) {
                match slot {
                    Some(slot) => *gone.entry(*slot).or_default() += 1,
                    None => difference.missing -= 1,
                }
            }
        }
        let is_last = |(slot, count): &(u32, u32)| self.counts.get(slot) == Some(count);
        difference.removed = gone.into_iter().filter(is_last).map(|(slot, _)| slot).collect();
        for number in shown {
            if self.live.contains(*number) && !hidden.contains(number) {
                continue;
            }
            for slot in slots(number) {
                match slot {
                    Some(slot) => {
                        difference.added.insert(*slot);
                    }
                    None => difference.missing += 1,
                }
            }
        }
        difference.removed -= &difference.added;
        difference
    }

    /// The slots of the chunks that a filter admits, in the records that `holds` is true for.
    pub(crate) fn only(&self, holds: &dyn Fn(RecordId) -> bool, filter: &Filter) -> RoaringBitmap {
        let mut only = RoaringBitmap::new();
        for (number, Tracked { record, slots }) in &self.tracked {
            if !holds(*number) || !filter.admits_file(record) {
                continue;
            }
            let chunks = record.chunks.iter().zip(slots);
            let admitted = chunks.filter(|(chunk, _)| filter.admits_kind(chunk));
            only.extend(admitted.filter_map(|(_, slot)| *slot));
        }
        only
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ChunkMeta;

    fn record(texts: &[u8]) -> Arc<Record> {
        let chunk = |text: &u8| ChunkMeta {
            start: 0,
            end: 0,
            first_line: 0,
            end_line: 0,
            kind: "function".into(),
            symbol: "".into(),
            text: [*text; 32],
        };
        let chunks = texts.iter().map(chunk).collect();
        Arc::new(Record { path: "a".into(), hash: [0; 32], language: "rust".into(), chunks })
    }

    /// Texts from 100 on have no vector.
    fn lookup(texts: &[Digest]) -> Vec<Option<u32>> {
        texts.iter().map(|text| (text[0] < 100).then_some(u32::from(text[0]))).collect()
    }

    fn set(slots: &[u32]) -> RoaringBitmap {
        slots.iter().copied().collect()
    }

    #[test]
    fn a_vector_lives_as_long_as_one_of_its_chunks() {
        let mut slots = Slots::default();
        slots.track(1, &record(&[7, 8]), &lookup);
        slots.track(2, &record(&[8, 100]), &lookup);
        assert_eq!((slots.members(), slots.missing()), (&set(&[]), 0));
        slots.set_live(1, true);
        slots.set_live(2, true);
        assert_eq!((slots.members(), slots.missing()), (&set(&[7, 8]), 1));
        slots.set_live(1, false);
        assert_eq!(slots.members(), &set(&[8]));
        slots.untrack(2);
        assert_eq!((slots.members(), slots.missing()), (&set(&[]), 0));
        assert_eq!(slots.documents(8).collect::<Vec<_>>(), [document_id(1, 1)]);
    }

    #[test]
    fn a_new_vector_is_that_of_every_chunk_with_its_text() {
        let mut slots = Slots::default();
        for number in 1..=3 {
            slots.track(number, &record(&[100]), &lookup);
            slots.set_live(number, number < 3);
        }
        assert_eq!(slots.missing(), 2);
        slots.resolve(&[100; 32], 40);
        assert_eq!((slots.members(), slots.missing()), (&set(&[40]), 0));
        assert_eq!(slots.documents(40).count(), 3);
        assert!(slots.missing_of(3).is_empty());
        let slots = slots.looked_up(&lookup);
        assert_eq!((slots.members(), slots.missing()), (&set(&[]), 2));
    }

    #[test]
    fn a_session_sees_its_buffers_and_not_the_files_behind_them() {
        let mut slots = Slots::default();
        slots.track(1, &record(&[7, 8, 100]), &lookup);
        slots.track(2, &record(&[8]), &lookup);
        slots.track(3, &record(&[7, 9, 101, 102]), &lookup);
        slots.set_live(1, true);
        slots.set_live(2, true);
        let seen = slots.difference(&[1], &[3]);
        assert_eq!(seen, Difference { added: set(&[7, 9]), removed: set(&[]), missing: 2 });
        let gone = slots.difference(&[1], &[]);
        assert_eq!(gone, Difference { added: set(&[]), removed: set(&[7]), missing: 0 });
        // A buffer as it is on disk.
        assert_eq!(slots.difference(&[2], &[2]).removed, set(&[]));
        assert_eq!(slots.difference(&[2], &[2]).missing, 1);
    }
}
