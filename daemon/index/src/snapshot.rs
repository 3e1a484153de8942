//! What the index is at one moment: immutable, shared with whoever reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenlit_lexical::Lexical;
use roaring::RoaringBitmap;

use crate::pages::Pages;
use crate::record::{ChunkMeta, Record, RecordId, parts};

/// One moment of an index.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) records: Pages<Record>,
    /// Records of the files as they are on disk.
    pub(crate) live: RoaringBitmap,
    pub(crate) words: Arc<Lexical>,
    pub(crate) totals: Totals,
}

/// Counts over the live records, kept up to date as they change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) files: u64,
    pub(crate) chunks: u64,
    /// Estimated heap bytes of all records, live or not.
    pub(crate) bytes: u64,
    /// Texts that were cut into chunks since the opening; contents seen before are not.
    pub(crate) cut: u64,
    /// Files that were left out, by reason.
    pub(crate) skipped: BTreeMap<Arc<str>, u64>,
}

/// The records that one session sees.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    records: RoaringBitmap,
    /// Records of the files behind unsaved buffers.
    pub(crate) hidden: Vec<RecordId>,
    /// Records of unsaved buffers.
    pub(crate) shown: Vec<RecordId>,
}

impl Scope {
    /// The live records of a snapshot, with those of unsaved buffers in the place of others.
    pub(crate) fn new(snapshot: &Snapshot, hidden: &[RecordId], shown: &[RecordId]) -> Self {
        let mut records = snapshot.live.clone();
        hidden.iter().for_each(|record| {
            records.remove(*record);
        });
        records.extend(shown);
        Self { records, hidden: hidden.to_vec(), shown: shown.to_vec() }
    }

    pub(crate) fn holds(&self, record: RecordId) -> bool {
        self.records.contains(record)
    }
}

impl Snapshot {
    pub(crate) fn empty(words: Arc<Lexical>) -> Self {
        let (records, live) = (Pages::default(), RoaringBitmap::new());
        Self { records, live, words, totals: Totals::default() }
    }

    /// The chunk behind a document's id.
    pub(crate) fn chunk(&self, document: u64) -> Option<(&Arc<Record>, &ChunkMeta)> {
        let (record, ordinal) = parts(document);
        let record = self.records.get(record)?;
        Some((record, record.chunks.get(ordinal)?))
    }
}
