//! The index: opening, creating, writing.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::{
    Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, TantivyDocument,
    TantivyError, Term,
};

use crate::error::{ApplyError, OpenError, SearchError, guarded};
use crate::schema::{Fields, SCHEMA_VERSION, schema, tokenizers};
use crate::{symbols, verify};

/// The least that the library takes.
const WRITER_BYTES: usize = 15_000_000;
/// A segment with this share of deleted documents is written anew.
const MAX_DELETED: f32 = 0.3;

/// What is indexed of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The caller's number for it.
    pub id: u64,
    /// Its file, relative to the workspace, with `/`.
    pub path: String,
    /// The definition it belongs to, outermost name first.
    pub symbol: Vec<String>,
    /// Names that it defines: what [`Lexical::symbols`] finds.
    pub names: Vec<String>,
    /// Its text.
    pub text: String,
    /// Its language, for filters.
    pub language: String,
    /// Its kind, for filters.
    pub kind: String,
}

/// An index of words.
pub struct Lexical {
    pub(crate) fields: Fields,
    reader: IndexReader,
    /// `None` after a failure that the writer did not survive.
    writer: Mutex<Option<IndexWriter>>,
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
        let reader = reader.map_err(|source| OpenError::Start { source })?;
        Ok(Lexical { fields, reader, writer: Mutex::new(Some(writer)) })
    }

    /// Removes and adds documents as one step: searches see all of it or nothing. A document whose
    /// id is there already takes its place.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; nothing was changed.
    pub fn apply(&self, removed: &[u64], added: &[Document]) -> Result<(), ApplyError> {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let result = guarded(
            |reason| ApplyError::Damaged { reason },
            || {
                let writer = slot.as_mut().ok_or(ApplyError::Stopped)?;
                let written = self.write(writer, removed, added);
                if written.is_err() {
                    writer.rollback().map_err(|_| ApplyError::Stopped)?;
                }
                written.map_err(|source| ApplyError::Write { source })
            },
        );
        if matches!(result, Err(ApplyError::Damaged { .. } | ApplyError::Stopped)) {
            *slot = None;
        }
        result
    }

    fn write(
        &self,
        writer: &mut IndexWriter,
        removed: &[u64],
        added: &[Document],
    ) -> Result<(), TantivyError> {
        let id = |id: u64| Term::from_field_u64(self.fields.id, id);
        for gone in removed {
            writer.delete_term(id(*gone));
        }
        for document in added {
            writer.delete_term(id(document.id));
            writer.add_document(self.fields_of(document))?;
        }
        writer.commit()?;
        self.reader.reload()
    }

    fn fields_of(&self, document: &Document) -> TantivyDocument {
        let mut fields = TantivyDocument::default();
        fields.add_u64(self.fields.id, document.id);
        fields.add_text(self.fields.text, &document.text);
        for name in document.symbol.iter().chain(&document.names) {
            fields.add_text(self.fields.symbol, name);
        }
        fields.add_text(self.fields.path, &document.path);
        fields.add_text(self.fields.whole_path, &document.path);
        fields.add_text(self.fields.language, &document.language);
        fields.add_text(self.fields.kind, &document.kind);
        for name in &document.names {
            fields.add_text(self.fields.name, symbols::key(name));
            fields.add_text(self.fields.humps, symbols::humps(name));
        }
        fields
    }

    /// How many documents are found.
    pub fn len(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// Whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the files in use; of an index in memory, those that it would have.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub fn bytes(&self) -> Result<u64, SearchError> {
        let usage = self.reader.searcher().space_usage().map_err(TantivyError::from)?;
        Ok(usage.total().get_bytes())
    }

    pub(crate) fn searcher(&self) -> Searcher {
        self.reader.searcher()
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
