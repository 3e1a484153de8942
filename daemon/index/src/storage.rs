//! Where an index is kept: a directory of its own, or memory where that cannot be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_lexical::{ApplyError, Document, Lexical, OpenError};
use greenlit_syntax::chunk::CHUNKER_VERSION;

use crate::catalogue::{Batch, Catalogue, CatalogueError, Loaded};
use crate::file::BUDGET;
use crate::record::document_id;

/// Grows when records or their documents mean something else.
const FORMAT: u32 = 2;

/// Why something was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The catalogue.
    #[error("the index cannot be stored")]
    Catalogue(#[from] CatalogueError),
    /// The words are not there.
    #[error("the words of the index cannot be read")]
    Open(#[from] OpenError),
    /// The words were not taken.
    #[error("the words of the index cannot be stored")]
    Apply(#[from] ApplyError),
    /// Catalogue and words are not of one piece.
    #[error("the index has words of {words} chunks and knows {chunks}")]
    Torn {
        /// Documents.
        words: u64,
        /// Chunks of the records.
        chunks: u64,
    },
    /// The directory.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// An open store.
#[derive(Debug)]
pub(crate) struct Storage {
    directory: Option<PathBuf>,
    catalogue: Catalogue,
    pub(crate) words: Arc<Lexical>,
    /// What was there at the opening.
    pub(crate) loaded: Loaded,
    /// What a person should know of the opening.
    pub(crate) notice: Option<String>,
}

impl Storage {
    /// Opens a directory. One that is damaged or of another version is emptied and says so; one
    /// that another process uses is left alone and memory used instead.
    pub(crate) fn open(directory: &Path) -> Result<Self, StorageError> {
        let why = match Self::open_once(directory) {
            Ok(storage) => return Ok(storage),
            Err(StorageError::Catalogue(CatalogueError::InUse)) => {
                let mut storage = Self::in_memory()?;
                storage.notice =
                    Some("another process uses the stored index: this one is not kept".to_owned());
                return Ok(storage);
            }
            Err(StorageError::Catalogue(CatalogueError::Outdated)) => None,
            Err(
                error @ (StorageError::Directory { .. }
                | StorageError::Open(OpenError::Io { .. } | OpenError::Locked { .. })),
            ) => return Err(error),
            Err(error) => Some(chain(&error)),
        };
        if let Some(why) = &why {
            tracing::warn!(directory = %directory.display(), why, "the index is made anew");
        }
        clear(directory)?;
        let mut storage = Self::open_once(directory)?;
        storage.notice = why.map(|why| format!("the stored index was made anew: {why}"));
        Ok(storage)
    }

    fn open_once(directory: &Path) -> Result<Self, StorageError> {
        let failed = |source| StorageError::Directory { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        let (catalogue, mut loaded) = Catalogue::open(&directory.join("catalogue"), &format())?;
        let words = directory.join("words");
        let fresh = loaded.records.is_empty() && loaded.unsure.is_empty();
        if fresh && words.exists() {
            // Documents that no record names.
            fs::remove_dir_all(&words).map_err(failed)?;
        }
        let words = Lexical::open(&words)?;
        if !loaded.unsure.is_empty() {
            let documents: Vec<u64> = loaded
                .unsure
                .iter()
                .flat_map(|(number, chunks)| {
                    (0..*chunks).map(|ordinal| document_id(*number, ordinal as usize))
                })
                .collect();
            words.apply(&documents, &[])?;
            catalogue.forget_unsure(&mut loaded)?;
        }
        let chunks: u64 = loaded.records.iter().map(|(_, record)| record.chunks.len() as u64).sum();
        if words.len() != chunks {
            return Err(StorageError::Torn { words: words.len(), chunks });
        }
        let (words, directory) = (Arc::new(words), Some(directory.to_owned()));
        Ok(Self { directory, catalogue, words, loaded, notice: None })
    }

    /// A store that is gone with the process.
    pub(crate) fn in_memory() -> Result<Self, StorageError> {
        let (catalogue, words) =
            (Catalogue::in_memory(&format())?, Arc::new(Lexical::in_memory()?));
        let (loaded, notice) = (Loaded::default(), None);
        Ok(Self { directory: None, catalogue, words, loaded, notice })
    }

    /// Stores a batch and the documents of the records that it adds.
    pub(crate) fn store(&self, batch: &Batch, documents: &[Document]) -> Result<(), StorageError> {
        let removed = batch.removed.iter().flat_map(|(number, record)| {
            (0..record.chunks.len()).map(|ordinal| document_id(*number, ordinal))
        });
        let removed: Vec<u64> = removed.collect();
        if !removed.is_empty() || !documents.is_empty() {
            self.catalogue.begin(batch)?;
            self.words.apply(&removed, documents)?;
        }
        Ok(self.catalogue.finish(batch)?)
    }

    /// Remembers whether a person paused the index.
    pub(crate) fn set_paused(&self, paused: bool) -> Result<(), StorageError> {
        Ok(self.catalogue.set_paused(paused)?)
    }

    /// Makes everything durable.
    pub(crate) fn flush(&self) -> Result<(), StorageError> {
        Ok(self.catalogue.flush()?)
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.directory.as_deref().map_or(0, size_of_directory)
    }
}

/// Everything that decides what is in a record.
fn format() -> String {
    format!("{FORMAT}, chunks {CHUNKER_VERSION} of {BUDGET} tokens")
}

/// Removes a stored index.
pub(crate) fn clear(directory: &Path) -> Result<(), StorageError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::Directory { path: directory.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

fn size_of_directory(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_directory(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
