//! Bytes on disk, by what they are for.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// Bytes of one index and of the store of vectors.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Disk {
    pub(crate) chunks: u64,
    pub(crate) words: u64,
    /// Files and chunks, in the catalogue.
    pub(crate) records: u64,
    pub(crate) graph: u64,
    pub(crate) vectors: u64,
}

impl Disk {
    pub(crate) fn of(index: &Path, vectors: &Path, chunks: u64) -> Result<Self> {
        let graph = size(&index.join("graph"))?;
        let words = size(&index.join("words"))?;
        let records = size(index)?.saturating_sub(graph + words);
        Ok(Self { chunks, words, records, graph, vectors: size(vectors)? })
    }

    pub(crate) fn total(&self) -> u64 {
        self.words + self.records + self.graph + self.vectors
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |bytes: u64| bytes / self.chunks.max(1);
        write!(
            f,
            "bytes on disk per chunk: {} ({} words, {} records, {} vectors, {} graph)",
            each(self.total()),
            each(self.words),
            each(self.records),
            each(self.vectors),
            each(self.graph),
        )
    }
}

/// Bytes of a file or of all below a directory, as they are allocated; 0 of what is not there.
fn size(path: &Path) -> Result<u64> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(0) };
    if !metadata.is_dir() {
        return Ok(allocated(&metadata));
    }
    fs::read_dir(path)?.map(|entry| size(&entry?.path())).sum()
}

#[cfg(unix)]
fn allocated(metadata: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    metadata.blocks() * 512
}

#[cfg(not(unix))]
fn allocated(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}
