//! What the index knows of one content of one file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Number of a record; the upper part of a lexical document's id.
pub(crate) type RecordId = u32;

/// Chunks of a file beyond this many are left out: an ordinal has sixteen bits.
pub(crate) const MAX_CHUNKS: usize = 1 << 16;

/// A path with one content of it. Never changes; another content is another record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Relative to the root, with forward slashes.
    #[serde(with = "crate::names::own")]
    pub(crate) path: Arc<str>,
    /// blake3 of the bytes.
    pub(crate) hash: [u8; 32],
    /// Name of the language or format.
    #[serde(with = "crate::names")]
    pub(crate) language: Arc<str>,
    /// In order; the position is the ordinal.
    pub(crate) chunks: Box<[ChunkMeta]>,
}

/// Where a chunk lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkMeta {
    /// Bytes of the file.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Lines, from 0, the end exclusive.
    pub(crate) first_line: u32,
    pub(crate) end_line: u32,
    /// Name of the kind of definition.
    #[serde(with = "crate::names")]
    pub(crate) kind: Arc<str>,
    /// Outermost first; joined with dots. Empty for code between definitions.
    pub(crate) symbol: Box<str>,
    /// blake3 of what is embedded: equal for equal chunks of any file on any branch.
    pub(crate) text: [u8; 32],
}

impl Record {
    /// What tells records apart.
    pub(crate) fn key(path: &str, hash: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(hash);
        hasher.update(path.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// Estimated heap bytes, for the status.
    pub(crate) fn bytes(&self) -> u64 {
        let chunks = self.chunks.iter().map(|chunk| size_of::<ChunkMeta>() + chunk.symbol.len());
        (size_of::<Self>() + self.path.len() + chunks.sum::<usize>()) as u64
    }
}

/// The id of a chunk's lexical document.
pub(crate) fn document_id(record: RecordId, ordinal: usize) -> u64 {
    debug_assert!(ordinal < MAX_CHUNKS);
    u64::from(record) << 16 | ordinal as u64
}

/// The record and ordinal behind a document's id.
pub(crate) fn parts(document: u64) -> (RecordId, usize) {
    ((document >> 16) as u32, (document & 0xffff) as usize)
}
