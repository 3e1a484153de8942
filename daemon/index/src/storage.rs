//! Where an index is kept: a directory of its own, or memory where that cannot be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use greenlit_lexical::{ApplyError, Document, Lexical, OpenError};
use greenlit_syntax::chunk::CHUNKER_VERSION;
use greenlit_workspace::chain;

use crate::catalogue::{Batch, Catalogue, CatalogueError, Loaded};
use crate::file::BUDGET;
use crate::record::document_id;
use crate::shelf::{Taken, size_of_directory};

/// Grows when records or their documents mean something else.
const FORMAT: u32 = 3;

/// A change of so many chunks and paths at most is held in memory at first: a saved file is found without a
/// wait for the disk.
const SMALL: usize = 128;
/// So many are held before they are stored, in the background. What is held when the process
/// is killed is cut again at the next start.
const HELD: usize = 512;

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
    /// Nothing to store them in the background with.
    #[error("the index cannot start a thread")]
    Thread(#[source] io::Error),
    /// Catalogue and words are not of one piece.
    #[error("the index has words of {words} chunks and knows {chunks}")]
    Torn {
        /// Documents.
        words: u64,
        /// Chunks of the records.
        chunks: u64,
    },
    /// The words are those of another catalogue.
    #[error("the words are not those of this index")]
    Foreign,
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
    catalogue: Arc<Catalogue>,
    pub(crate) words: Arc<Lexical>,
    /// What is in no file yet, and how many chunks and paths that is. The words hold its documents.
    held: Batch,
    held_size: usize,
    /// Stores what was held.
    folding: Option<JoinHandle<Result<(), StorageError>>>,
    /// What was there at the opening.
    pub(crate) loaded: Loaded,
    /// What a person should know of the opening.
    pub(crate) notice: Option<String>,
    /// Let go when the files are closed.
    taken: Option<Taken>,
}

/// In the directory of the words: of which catalogue they are.
const OWNER: &str = "owner";

impl Storage {
    /// Opens a directory. One that is damaged or of another version is emptied and says so; one
    /// that another process uses is left alone and memory used instead.
    pub(crate) fn open(directory: &Path) -> Result<Self, StorageError> {
        let Some(taken) = take(directory)? else { return Self::beside_another() };
        let why = match Self::open_once(directory) {
            Ok(storage) => return Ok(storage.holding(taken)),
            Err(StorageError::Catalogue(CatalogueError::InUse)) => return Self::beside_another(),
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
        clear(directory, &taken)?;
        let mut storage = Self::open_once(directory)?.holding(taken);
        storage.notice = why.map(|why| format!("the stored index was made anew: {why}"));
        Ok(storage)
    }

    /// Opens a directory without what is in it.
    pub(crate) fn anew(directory: &Path) -> Result<Self, StorageError> {
        let Some(taken) = take(directory)? else { return Self::beside_another() };
        clear(directory, &taken)?;
        Ok(Self::open_once(directory)?.holding(taken))
    }

    fn holding(mut self, taken: Taken) -> Self {
        self.taken = Some(taken);
        self
    }

    fn beside_another() -> Result<Self, StorageError> {
        let mut storage = Self::in_memory()?;
        storage.notice =
            Some("another process uses the stored index: this one is not kept".to_owned());
        Ok(storage)
    }

    fn open_once(directory: &Path) -> Result<Self, StorageError> {
        let failed = |source| StorageError::Directory { path: directory.to_owned(), source };
        let (catalogue, mut loaded) = Catalogue::open(&directory.join("catalogue"), &format())?;
        let words = directory.join("words");
        let fresh = loaded.records.is_empty() && loaded.unsure.is_empty();
        if fresh && words.exists() {
            // Documents that no record names.
            fs::remove_dir_all(&words).map_err(failed)?;
        }
        let owner = words.join(OWNER);
        let words = Lexical::open(&words)?;
        if fresh {
            fs::write(&owner, &loaded.name).map_err(failed)?;
        } else if !fs::read_to_string(&owner).is_ok_and(|owner| owner == loaded.name) {
            return Err(StorageError::Foreign);
        }
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
        Ok(Self::new(Some(directory.to_owned()), catalogue, words, loaded))
    }

    fn new(
        directory: Option<PathBuf>,
        catalogue: Catalogue,
        words: Lexical,
        loaded: Loaded,
    ) -> Self {
        Self {
            directory,
            catalogue: Arc::new(catalogue),
            words: Arc::new(words),
            held: Batch::default(),
            held_size: 0,
            folding: None,
            loaded,
            notice: None,
            taken: None,
        }
    }

    /// A store that is gone with the process.
    pub(crate) fn in_memory() -> Result<Self, StorageError> {
        let (catalogue, words) = (Catalogue::in_memory(&format())?, Lexical::in_memory()?);
        Ok(Self::new(None, catalogue, words, Loaded::default()))
    }

    /// Takes a batch in, with the documents of the records that it adds: it is found from now on.
    /// A small one is only held; what is held is gone with a process that is killed, as if its files
    /// had not been looked at.
    pub(crate) fn store(
        &mut self,
        batch: &Batch,
        documents: Vec<Document>,
    ) -> Result<(), StorageError> {
        let removed = batch.removed.iter().flat_map(|(number, record)| {
            (0..record.chunks.len()).map(|ordinal| document_id(*number, ordinal))
        });
        let removed: Vec<u64> = removed.collect();
        let size = removed.len() + documents.len() + batch.files.len();
        if size > SMALL {
            self.join()?;
            self.held.extend(batch);
            let held = self.take_held();
            return take_over(&self.catalogue, &held, || self.words.apply(&removed, &documents));
        }
        self.words.hold(&removed, documents)?;
        self.held.extend(batch);
        self.held_size += size;
        if self.held_size > HELD { self.fold() } else { Ok(()) }
    }

    fn take_held(&mut self) -> Batch {
        self.held_size = 0;
        std::mem::take(&mut self.held)
    }

    /// Begins to store what is held.
    fn fold(&mut self) -> Result<(), StorageError> {
        self.join()?;
        let (catalogue, words) = (self.catalogue.clone(), self.words.clone());
        let held = self.take_held();
        let work = move || {
            take_over(&catalogue, &held, || words.fold())?;
            Ok(catalogue.flush()?)
        };
        let thread = thread::Builder::new().name("index fold".to_owned()).spawn(work);
        self.folding = Some(thread.map_err(StorageError::Thread)?);
        Ok(())
    }

    /// Waits until nothing is being stored.
    fn join(&mut self) -> Result<(), StorageError> {
        match self.folding.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(stored)) => stored,
            // A defect: whoever called has to know.
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }

    /// Remembers whether a person paused the index.
    pub(crate) fn set_paused(&self, paused: bool) -> Result<(), StorageError> {
        Ok(self.catalogue.set_paused(paused)?)
    }

    /// Makes everything durable.
    pub(crate) fn flush(&mut self) -> Result<(), StorageError> {
        self.join()?;
        let held = self.take_held();
        if !held.is_empty() {
            take_over(&self.catalogue, &held, || self.words.fold())?;
        }
        Ok(self.catalogue.flush()?)
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.directory.as_deref().map_or(0, size_of_directory)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // Its files may be removed next.
        if let Some(folding) = self.folding.take() {
            let _ = folding.join();
        }
    }
}

/// Stores a batch in both places.
fn take_over(
    catalogue: &Catalogue,
    batch: &Batch,
    words: impl FnOnce() -> Result<(), ApplyError>,
) -> Result<(), StorageError> {
    if !batch.added.is_empty() || !batch.removed.is_empty() {
        catalogue.begin(batch)?;
    }
    words()?;
    Ok(catalogue.finish(batch)?)
}

/// Everything that decides what is in a record.
fn format() -> String {
    format!("{FORMAT}, chunks {CHUNKER_VERSION} of {BUDGET} tokens")
}

fn take(directory: &Path) -> Result<Option<Taken>, StorageError> {
    let failed = |source| StorageError::Directory { path: directory.to_owned(), source };
    Taken::take(directory).map_err(failed)
}

fn clear(directory: &Path, taken: &Taken) -> Result<(), StorageError> {
    let failed = |source| StorageError::Directory { path: directory.to_owned(), source };
    taken.clear().map_err(failed)
}
