//! One file: read, judged, cut into chunks.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use greenlit_workspace::Stamp;

use crate::names::shared;
use crate::record::{ChunkMeta, Record};

/// Files over this many bytes are left out.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Read {
    /// Nothing.
    Gone,
    /// A directory.
    Directory,
    /// Something that is left out, and why.
    Skipped { reason: Arc<str>, stamp: Option<[u8; 16]> },
    /// A text.
    Text { text: String, hash: [u8; 32], stamp: Option<[u8; 16]> },
}

/// Reads a file; `path` is relative to the root. The hash is that of the bytes that were read,
/// whatever happens to the file meanwhile.
pub(crate) fn read(root: &Path, path: &str) -> Read {
    let absolute = root.join(path);
    let metadata = match fs::symlink_metadata(&absolute) {
        Ok(metadata) => metadata,
        Err(error) if is_gone(&error) => return Read::Gone,
        Err(_) => return skipped("not readable", None),
    };
    if metadata.is_dir() {
        return Read::Directory;
    }
    let stamp = short(&Stamp::of(&metadata), SystemTime::now());
    if metadata.is_symlink() {
        return skipped("symbolic link", stamp);
    }
    if !metadata.is_file() {
        return skipped("not a regular file", stamp);
    }
    if let Some(reason) = before_reading(path, metadata.len()) {
        return skipped(&reason, stamp);
    }
    let bytes = match fs::read(&absolute) {
        Ok(bytes) => bytes,
        Err(error) if is_gone(&error) => return Read::Gone,
        Err(_) => return skipped("not readable", None),
    };
    let hash = *blake3::hash(&bytes).as_bytes();
    match String::from_utf8(bytes) {
        Ok(text) => Read::Text { text, hash, stamp },
        Err(error) if error.as_bytes().contains(&0) => skipped("binary", stamp),
        Err(_) => skipped("not UTF-8", stamp),
    }
}

fn skipped(reason: &str, stamp: Option<[u8; 16]>) -> Read {
    Read::Skipped { reason: shared(reason), stamp }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What is kept of a stamp; nothing when the file may still change under it.
pub(crate) fn short(stamp: &Stamp, now: SystemTime) -> Option<[u8; 16]> {
    if stamp.is_racy(now) {
        return None;
    }
    let digest = stamp.digest();
    digest.as_bytes().first_chunk().copied()
}

/// A text as a record, with what is searched of each chunk.
#[derive(Debug)]
pub(crate) struct Chunked {
    pub(crate) record: Record,
    pub(crate) texts: Vec<String>,
}

/// Cuts a text into chunks, or says why it is left out.
pub(crate) fn chunk(path: &str, text: &str, hash: [u8; 32]) -> Result<Chunked, Arc<str>> {
    let cut = catch_unwind(AssertUnwindSafe(|| cut(path, text, hash)));
    cut.unwrap_or_else(|_panic| {
        tracing::error!(path, "cutting a file into chunks panicked");
        Err(shared("it could not be cut into chunks"))
    })
}

// TEMPORARY until the chunker is there.
pub(crate) fn before_reading(_path: &str, len: u64) -> Option<Arc<str>> {
    (len > MAX_BYTES).then(|| shared("over 1 MiB"))
}

fn cut(path: &str, text: &str, hash: [u8; 32]) -> Result<Chunked, Arc<str>> {
    let mut chunks = Vec::new();
    let mut texts = Vec::new();
    let (mut start, mut first) = (0, 0);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for window in lines.chunks(10) {
        let len: usize = window.iter().map(|l| l.len()).sum();
        let part = &text[start..start + len];
        let symbol = part
            .lines()
            .find_map(|l| l.trim().strip_prefix("def "))
            .map(|l| l.split('(').next().unwrap_or("").to_owned())
            .unwrap_or_default();
        chunks.push(ChunkMeta {
            start: start as u32,
            end: (start + len) as u32,
            first_line: first,
            end_line: first + window.len() as u32,
            kind: shared("code"),
            symbol: symbol.into(),
            text: *blake3::hash(part.as_bytes()).as_bytes(),
        });
        texts.push(part.to_owned());
        start += len;
        first += window.len() as u32;
    }
    Ok(Chunked {
        record: Record { path: path.into(), hash, language: shared("text"), chunks: chunks.into() },
        texts,
    })
}
