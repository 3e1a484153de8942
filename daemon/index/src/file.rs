//! One file: read, judged, cut into chunks.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use greenlit_syntax::Language;
use greenlit_syntax::chunk::{self, Document, HEAD_BYTES, Skip, SourceKind, skip};
use greenlit_workspace::{Stamp, chain};

use crate::names::shared;
use crate::record::{ChunkMeta, MAX_CHUNKS, Record};

/// Tokens that a chunk may have, by the estimate of [`chunk::tokens`]: chunks do not depend on which model
/// there is. A quarter less than the smallest window in the catalogue, for the estimate's error.
pub(crate) const BUDGET: usize = 192;

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
    pub(crate) texts: Vec<Searched>,
}

/// What is searched of one chunk.
#[derive(Debug)]
pub(crate) struct Searched {
    pub(crate) text: String,
    pub(crate) symbol: Vec<String>,
    /// Names of the definitions that begin in it.
    pub(crate) names: Vec<String>,
}

/// Cuts a text into chunks, or says why it is left out.
pub(crate) fn chunk(path: &str, text: &str, hash: [u8; 32]) -> Result<Chunked, Arc<str>> {
    chunk_changed(path, text, hash, None).map(|(chunked, _)| chunked)
}

/// The same, built upon what the file was before where that is known; with what it is now.
pub(crate) fn chunk_changed(
    path: &str,
    text: &str,
    hash: [u8; 32],
    before: Option<&Document>,
) -> Result<(Chunked, Document), Arc<str>> {
    let cut = catch_unwind(AssertUnwindSafe(|| cut(path, text, hash, before)));
    cut.unwrap_or_else(|_panic| {
        tracing::error!(path, "cutting a file into chunks panicked");
        Err(shared("it could not be cut into chunks"))
    })
}

/// Why a file is left out by its name and length alone.
pub(crate) fn before_reading(path: &str, len: u64) -> Option<Arc<str>> {
    skip(Path::new(path), &[], len).map(reason)
}

/// Reasons are counted: without what differs from file to file.
fn reason(skip: Skip) -> Arc<str> {
    match skip {
        Skip::Huge { .. } => shared("longer than 1 MiB"),
        Skip::Data { .. } => shared("data"),
        Skip::Minified { .. } => shared("minified"),
        Skip::Generated(_) => shared("generated"),
        other => shared(&other.to_string()),
    }
}

fn cut(
    path: &str,
    text: &str,
    hash: [u8; 32],
    before: Option<&Document>,
) -> Result<(Chunked, Document), Arc<str>> {
    let name = Path::new(path);
    let head = &text.as_bytes()[..text.len().min(HEAD_BYTES)];
    if let Some(skip) = skip(name, head, text.len() as u64) {
        return Err(reason(skip));
    }
    let Some(kind) = SourceKind::from_path(name) else { return Err(reason(Skip::UnknownKind)) };
    let document = match before {
        Some(before) => before.edited(text.into()),
        None => Document::read(text.into(), kind),
    };
    let cut = document.and_then(|document| {
        let chunks = document.chunks(BUDGET, &chunk::tokens)?;
        Ok((document, chunks))
    });
    let (document, cut) = cut.map_err(|error| {
        tracing::error!(path, error = chain(&error), "cannot cut a file");
        shared("it could not be cut into chunks")
    })?;
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let mut chunks = Vec::with_capacity(cut.len());
    let mut texts = Vec::with_capacity(cut.len());
    for chunk in cut.into_iter().take(MAX_CHUNKS) {
        let embedded = chunk.embedded_text(text);
        chunks.push(ChunkMeta {
            start: number(chunk.bytes.start),
            end: number(chunk.bytes.end),
            first_line: chunk.lines.start,
            end_line: chunk.lines.end,
            kind: shared(chunk.kind.name()),
            symbol: chunk.symbol.join(".").into(),
            text: *blake3::hash(embedded.as_bytes()).as_bytes(),
        });
        texts.push(Searched { text: embedded, symbol: chunk.symbol, names: chunk.defines });
    }
    let language = shared(language(kind));
    let record = Record { path: path.into(), hash, language, chunks: chunks.into() };
    Ok((Chunked { record, texts }, document))
}

/// The name of a language in filters and on the wire.
pub(crate) fn language(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Markdown => "markdown",
        SourceKind::Text => "text",
        SourceKind::Code(language) => match language {
            Language::Rust => "rust",
            Language::Python => "python",
            Language::JavaScript => "javascript",
            Language::TypeScript => "typescript",
            Language::Tsx => "tsx",
            Language::Go => "go",
            Language::Java => "java",
            Language::Cpp => "cpp",
        },
    }
}
