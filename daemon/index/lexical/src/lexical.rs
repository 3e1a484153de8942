//! The index: opening and creating.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, TantivyError};

use crate::error::{OpenError, SearchError, guarded};
use crate::held::{Part, View};
use crate::schema::{Fields, SCHEMA_VERSION, schema, tokenizers};
use crate::verify;

/// The least that the library takes.
const WRITER_BYTES: usize = 15_000_000;
/// A segment with this share of deleted documents is written anew.
const MAX_DELETED: f32 = 0.3;

/// An index of words.
pub struct Lexical {
    pub(crate) fields: Fields,
    /// `None` after a failure that the writer did not survive. Taken before `changing`.
    pub(crate) stored: Mutex<Option<Stored>>,
    /// Held by whoever makes the next view out of the present one.
    pub(crate) changing: Mutex<()>,
    /// Held only to copy or replace the pointer.
    view: RwLock<Arc<View>>,
}

/// What is in the directory.
pub(crate) struct Stored {
    pub(crate) writer: IndexWriter,
    pub(crate) reader: IndexReader,
}

impl std::fmt::Debug for Lexical {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lexical").field("documents", &self.len()).finish_non_exhaustive()
    }
}

impl Lexical {
    /// Opens the index in a directory, or begins one if there is nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; where [`OpenError::wants_rebuild`] holds, [`Lexical::create`] and the files
    /// give a new one.
    pub fn open(dir: &Path) -> Result<Lexical, OpenError> {
        if !verify::has_index(dir, SCHEMA_VERSION)? {
            return Lexical::create(dir);
        }
        guarded(
            |reason| OpenError::Damaged { reason },
            || {
                let damaged =
                    |error: TantivyError| OpenError::Damaged { reason: error.to_string() };
                let mut index = Index::open_in_dir(dir).map_err(damaged)?;
                let (wanted, fields) = schema();
                if index.schema() != wanted || *index.settings() != IndexSettings::default() {
                    let reason = "its fields are not those of this version".to_owned();
                    return Err(OpenError::Damaged { reason });
                }
                index.set_tokenizers(tokenizers());
                // The lock comes first: another process may be writing what is verified.
                let writer = writer(&index, dir)?;
                verify::files(&index, dir)?;
                Lexical::with(index, fields, writer)
            },
        )
    }

    /// Begins an empty index in a directory, whatever was in it.
    ///
    /// # Errors
    ///
    /// [`OpenError::Io`], [`OpenError::Locked`], [`OpenError::Start`].
    pub fn create(dir: &Path) -> Result<Lexical, OpenError> {
        let failed = |source| OpenError::Io { dir: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        // Whoever holds the lock still uses the files.
        if is_locked(dir)? {
            return Err(OpenError::Locked { dir: dir.to_owned() });
        }
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.map_err(failed)?;
        }
        let (schema, fields) = schema();
        let start = |source| OpenError::Start { source };
        let mut index = Index::create_in_dir(dir, schema).map_err(start)?;
        index.set_tokenizers(tokenizers());
        let writer = writer(&index, dir)?;
        // Last: a directory without it is not taken for an index.
        verify::write_version(dir, SCHEMA_VERSION).map_err(failed)?;
        Lexical::with(index, fields, writer)
    }

    /// An empty index in memory.
    ///
    /// # Errors
    ///
    /// [`OpenError::Start`].
    pub fn in_memory() -> Result<Lexical, OpenError> {
        let (schema, fields) = schema();
        let mut index = Index::create_in_ram(schema);
        index.set_tokenizers(tokenizers());
        let writer = writer(&index, Path::new("memory"))?;
        Lexical::with(index, fields, writer)
    }

    fn with(index: Index, fields: Fields, writer: IndexWriter) -> Result<Lexical, OpenError> {
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(MAX_DELETED);
        writer.set_merge_policy(Box::new(policy));
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into();
        let reader: IndexReader = reader.map_err(|source| OpenError::Start { source })?;
        let view = RwLock::new(Arc::new(View::new(reader.searcher())));
        let stored = Mutex::new(Some(Stored { writer, reader }));
        Ok(Lexical { fields, stored, changing: Mutex::default(), view })
    }

    /// What there is now.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, view: View) {
        let view = Arc::new(view);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
    }

    /// How many documents are found.
    pub fn len(&self) -> u64 {
        self.view().parts().map(Part::len).sum()
    }

    /// Whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the files in use; of documents in memory, of the files that they would have.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub fn bytes(&self) -> Result<u64, SearchError> {
        let view = self.view();
        let mut bytes = 0;
        for part in view.parts() {
            let usage = part.searcher.space_usage().map_err(TantivyError::from)?;
            bytes += usage.total().get_bytes();
        }
        Ok(bytes)
    }
}

fn writer(index: &Index, dir: &Path) -> Result<IndexWriter, OpenError> {
    let options = IndexWriterOptions::builder()
        .num_worker_threads(1)
        .num_merge_threads(1)
        .memory_budget_per_thread(WRITER_BYTES)
        .build();
    index.writer_with_options(options).map_err(|source| match source {
        TantivyError::LockFailure(..) => OpenError::Locked { dir: PathBuf::from(dir) },
        source => OpenError::Start { source },
    })
}

/// Whether a writer holds a directory.
fn is_locked(dir: &Path) -> Result<bool, OpenError> {
    use tantivy::Directory;
    use tantivy::directory::INDEX_WRITER_LOCK;
    let directory = MmapDirectory::open(dir)
        .map_err(|source| OpenError::Start { source: TantivyError::from(source) })?;
    Ok(directory.acquire_lock(&INDEX_WRITER_LOCK).is_err())
}
