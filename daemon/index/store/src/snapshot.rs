//! What readers hold: the vectors of a space as they were at one moment.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::key::{Key, SpaceId};
use crate::layout::RECORDS;
use crate::segment::Segment;

/// The committed vectors of a space. It never changes, costs no copy of a vector, and stays valid when
/// files are removed by a later compaction.
///
/// A slot that holds nothing (never given out, given up by a compaction, or damaged) reads as zeros:
/// as similar to everything as to nothing. Damage is found when a record is first read, is reported by
/// [`Snapshot::damaged`], and its key is unknown to lookups from then on.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) id: SpaceId,
    pub(crate) generation: u64,
    pub(crate) len: u32,
    /// By number; `None` where a compaction took all records away or a file was lost.
    pub(crate) segments: Vec<Option<Arc<Segment>>>,
    nothing: Arc<Nothing>,
}

impl greenlit_graph::Vectors for Snapshot {
    fn dims(&self) -> usize {
        self.dims()
    }

    fn len(&self) -> u32 {
        self.len()
    }

    fn full(&self, slot: u32) -> Cow<'_, [f32]> {
        self.full(slot)
    }

    fn code(&self, slot: u32) -> &[i8] {
        self.code(slot)
    }

    fn scale(&self, slot: u32) -> f32 {
        self.scale(slot)
    }

    fn signs(&self, slot: u32) -> &[u64] {
        self.signs(slot)
    }
}

/// What empty slots read as.
#[derive(Debug)]
struct Nothing {
    full: Vec<f32>,
    codes: Vec<i8>,
    signs: Vec<u64>,
}

impl Snapshot {
    pub(crate) fn empty(id: SpaceId, generation: u64) -> Self {
        let dims = id.dims as usize;
        let full = vec![0.0; dims];
        let signs = vec![0; dims.div_ceil(64)];
        let nothing = Arc::new(Nothing { full, codes: vec![0; dims], signs });
        Self { id, generation, len: 0, segments: Vec::new(), nothing }
    }

    /// The space that the vectors lie in.
    pub fn space(&self) -> &SpaceId {
        &self.id
    }

    /// Changes with every compaction. Slots of one generation hold what they hold for good; those of
    /// an earlier one still hold the same vector or nothing: a slot is never used a second time.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many values a vector has.
    pub fn dims(&self) -> usize {
        self.id.dims as usize
    }

    /// One more than the last slot given out; not the count of vectors, for there may be gaps.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether no slot was ever given out.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The vector as it was put, bit by bit.
    pub fn full(&self, slot: u32) -> Cow<'_, [f32]> {
        self.at(slot)
            .and_then(|(segment, record)| segment.full(record))
            .unwrap_or(Cow::Borrowed(&self.nothing.full))
    }

    /// One signed byte per value: `value ≈ code × scale`.
    pub fn code(&self, slot: u32) -> &[i8] {
        self.at(slot)
            .and_then(|(segment, record)| segment.codes(record))
            .unwrap_or(&self.nothing.codes)
    }

    /// The scale of [`Snapshot::code`].
    pub fn scale(&self, slot: u32) -> f32 {
        self.at(slot).and_then(|(segment, record)| segment.scale(record)).unwrap_or(0.0)
    }

    /// One bit per value, set where it is negative; value `i` is bit `i % 64` of word `i / 64`.
    pub fn signs(&self, slot: u32) -> &[u64] {
        self.at(slot)
            .and_then(|(segment, record)| segment.signs(record))
            .unwrap_or(&self.nothing.signs)
    }

    /// The slots that were found damaged so far, in files that are there. Reads no vector.
    pub fn damaged(&self) -> RoaringBitmap {
        self.slots().filter(|&slot| self.is_known_damaged(slot)).collect()
    }

    /// Reads whole records, two kilobytes each, and returns the slots among them that hold nothing
    /// sound. Stops when `go_on` says so, which is asked every few hundred records: for a check in the
    /// background after a start.
    pub fn verify(&self, slots: &RoaringBitmap, go_on: &dyn Fn() -> bool) -> RoaringBitmap {
        let mut unsound = RoaringBitmap::new();
        for (count, slot) in slots.iter().enumerate() {
            if count % 256 == 0 && !go_on() {
                break;
            }
            if !self.is_sound(slot) {
                unsound.insert(slot);
            }
        }
        unsound
    }

    pub(crate) fn is_sound(&self, slot: u32) -> bool {
        self.sound(slot).is_some()
    }

    /// The vector of a record that was read as a whole, and is what was written.
    pub(crate) fn sound(&self, slot: u32) -> Option<Cow<'_, [f32]>> {
        self.at(slot).and_then(|(segment, record)| segment.verified(record))
    }

    pub(crate) fn is_known_damaged(&self, slot: u32) -> bool {
        self.at(slot).is_some_and(|(segment, record)| segment.is_known_damaged(record))
    }

    pub(crate) fn key(&self, slot: u32) -> Option<Key> {
        self.at(slot).map(|(segment, record)| segment.key(record))
    }

    /// The slots among these that lie in a segment that is there.
    pub(crate) fn held(&self, slots: &RoaringBitmap) -> RoaringBitmap {
        let mut held = RoaringBitmap::new();
        for number in self.present() {
            held.insert_range(self.slots_of(number));
        }
        held & slots
    }

    /// Every slot that lies in a segment that is there.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.present().flat_map(|number| self.slots_of(number))
    }

    /// The numbers of the segments that are there.
    pub(crate) fn present(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.segments).filter(|(_, segment)| segment.is_some()).map(|(number, _)| number)
    }

    /// The slots of a segment that were given out.
    pub(crate) fn slots_of(&self, number: u32) -> Range<u32> {
        let first = number * RECORDS;
        first..(first + RECORDS).min(self.len).max(first)
    }

    /// What the segments take on disk.
    pub(crate) fn bytes(&self) -> u64 {
        let segments = (0..).zip(&self.segments);
        let bytes = |(number, segment): (u32, &Option<Arc<Segment>>)| {
            let records = self.slots_of(number).len() as u32;
            segment.as_ref().map_or(0, |segment| segment.allocated(records))
        };
        segments.map(bytes).sum()
    }

    fn at(&self, slot: u32) -> Option<(&Segment, u32)> {
        if slot >= self.len {
            return None;
        }
        let segment = self.segments.get((slot / RECORDS) as usize)?.as_deref()?;
        Some((segment, slot % RECORDS))
    }
}
