//! What survives a restart: the files of a root with their records.
//!
//! The words are in another store, so a batch has two steps: [`Catalogue::begin`] durably notes
//! which records are about to change there, [`Catalogue::finish`] takes the batch over. What was
//! begun and not finished is unsure: its documents are removed at the next opening, and its files
//! are read again.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use redb::backends::InMemoryBackend;
use redb::{Database, Durability, ReadableTable, TableDefinition};
use rmp_serde::config::BytesMode;
use serde::{Deserialize, Serialize};

use crate::record::{Record, RecordId};

const META: TableDefinition<&str, &str> = TableDefinition::new("meta");
const FILES: TableDefinition<&str, &[u8]> = TableDefinition::new("files");
const RECORDS: TableDefinition<u32, &[u8]> = TableDefinition::new("records");
/// Records that a begun batch adds or removes, with their number of chunks.
const UNSURE: TableDefinition<u32, u32> = TableDefinition::new("unsure");

/// Bytes of pages that redb keeps in memory.
const CACHE: usize = 4 << 20;

/// What is known of one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileState {
    /// What became of its content.
    pub(crate) content: Content,
    /// Digest of the metadata that it was read under; `None` when that was too fresh to be trusted.
    pub(crate) stamp: Option<[u8; 16]>,
}

/// What became of a file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Content {
    /// It is in the index.
    Record(RecordId),
    /// It is left out, and why.
    Skipped(#[serde(with = "crate::names")] Arc<str>),
}

/// The content of a catalogue as it was opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) files: BTreeMap<Arc<str>, FileState>,
    pub(crate) records: Vec<(RecordId, Record)>,
    /// Numbers and chunk counts of records whose documents may or may not be there.
    pub(crate) unsure: Vec<(RecordId, u32)>,
    pub(crate) paused: bool,
    /// That no other catalogue has.
    pub(crate) name: String,
}

/// One step of the index.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) added: Vec<(RecordId, Arc<Record>)>,
    pub(crate) removed: Vec<(RecordId, Arc<Record>)>,
    /// Paths with their new state; `None` for those that are gone.
    pub(crate) files: BTreeMap<Arc<str>, Option<FileState>>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.files.is_empty()
    }

    /// Both steps as one; the other one comes second.
    pub(crate) fn extend(&mut self, other: &Batch) {
        self.added.extend_from_slice(&other.added);
        self.removed.extend_from_slice(&other.removed);
        let files = other.files.iter();
        self.files.extend(files.map(|(path, state)| (path.clone(), state.clone())));
    }
}

/// Why the catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
    /// Another process has it open.
    #[error("another process uses the index of this workspace")]
    InUse,
    /// What is on disk is not whole.
    #[error("the catalogue of the index is damaged")]
    Damaged(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was written by another version, or with other chunks.
    #[error("the index was made by another version")]
    Outdated,
    /// Reading or writing failed.
    #[error("the catalogue of the index cannot be read or written")]
    Database(#[source] Box<redb::Error>),
}

impl<E: Into<redb::Error>> From<E> for CatalogueError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(why) => Self::Damaged(why.into()),
            other => Self::Database(Box::new(other)),
        }
    }
}

/// The open catalogue.
#[derive(Debug)]
pub(crate) struct Catalogue {
    database: Database,
}

impl Catalogue {
    /// Opens or makes the catalogue in a file. `format` names everything that decides what is in a
    /// record: another one makes it outdated.
    pub(crate) fn open(file: &Path, format: &str) -> Result<(Self, Loaded), CatalogueError> {
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let mut builder = Database::builder();
            // A file that somebody wrote into fails here and not in the middle of the work.
            builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
            let catalogue = Self { database: builder.create(file)? };
            let loaded = catalogue.load(format)?;
            Ok((catalogue, loaded))
        }));
        match opened {
            Ok(Err(CatalogueError::Database(error))) if !is_of_the_system(&error) => {
                Err(CatalogueError::Damaged(error))
            }
            Ok(result) => result,
            Err(_panic) => Err(CatalogueError::Damaged("reading it panicked".into())),
        }
    }

    /// One that is gone with the process.
    pub(crate) fn in_memory(format: &str) -> Result<Self, CatalogueError> {
        let backend = InMemoryBackend::new();
        let database = Database::builder().set_cache_size(CACHE).create_with_backend(backend);
        let catalogue = Self { database: database? };
        catalogue.load(format)?;
        Ok(catalogue)
    }

    fn load(&self, format: &str) -> Result<Loaded, CatalogueError> {
        let transaction = self.database.begin_write()?;
        let mut loaded = Loaded::default();
        {
            let mut meta = transaction.open_table(META)?;
            let known = meta.get("format")?.map(|value| value.value().to_owned());
            match known {
                None => {
                    meta.insert("format", format)?;
                }
                Some(known) if known == format => {}
                Some(_) => return Err(CatalogueError::Outdated),
            }
            loaded.paused = meta.get("paused")?.is_some();
            let name = meta.get("name")?.map(|value| value.value().to_owned());
            loaded.name = name.unwrap_or_else(new_name);
            meta.insert("name", &*loaded.name)?;
            for entry in transaction.open_table(FILES)?.iter()? {
                let (path, state) = entry?;
                loaded.files.insert(path.value().into(), decode(state.value())?);
            }
            for entry in transaction.open_table(UNSURE)?.iter()? {
                let (record, chunks) = entry?;
                loaded.unsure.push((record.value(), chunks.value()));
            }
            for entry in transaction.open_table(RECORDS)?.iter()? {
                let (number, record) = entry?;
                loaded.records.push((number.value(), decode(record.value())?));
            }
        }
        transaction.commit()?;
        Ok(loaded)
    }

    /// Durably notes what a batch is about to change elsewhere.
    pub(crate) fn begin(&self, batch: &Batch) -> Result<(), CatalogueError> {
        let transaction = self.database.begin_write()?;
        {
            let mut unsure = transaction.open_table(UNSURE)?;
            for (number, record) in batch.added.iter().chain(&batch.removed) {
                unsure.insert(number, u32::try_from(record.chunks.len()).unwrap_or(u32::MAX))?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Takes a batch over. Durable with the next [`Self::begin`] or [`Self::flush`]: until then a
    /// crash only means that the batch is done again.
    pub(crate) fn finish(&self, batch: &Batch) -> Result<(), CatalogueError> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::None).map_err(redb::Error::from)?;
        {
            let mut records = transaction.open_table(RECORDS)?;
            let mut unsure = transaction.open_table(UNSURE)?;
            for (number, record) in &batch.added {
                records.insert(number, &*encode(&**record))?;
                unsure.remove(number)?;
            }
            for (number, _) in &batch.removed {
                records.remove(number)?;
                unsure.remove(number)?;
            }
            let mut files = transaction.open_table(FILES)?;
            for (path, state) in &batch.files {
                match state {
                    Some(state) => files.insert(&**path, &*encode(state))?,
                    None => files.remove(&**path)?,
                };
            }
        }
        Ok(transaction.commit()?)
    }

    /// The documents of unsure records were removed: so are the records, and what names them.
    pub(crate) fn forget_unsure(&self, loaded: &mut Loaded) -> Result<(), CatalogueError> {
        let transaction = self.database.begin_write()?;
        {
            let mut records = transaction.open_table(RECORDS)?;
            let mut unsure = transaction.open_table(UNSURE)?;
            let mut files = transaction.open_table(FILES)?;
            let gone: HashSet<RecordId> =
                std::mem::take(&mut loaded.unsure).into_iter().map(|(number, _)| number).collect();
            for number in &gone {
                records.remove(number)?;
                unsure.remove(number)?;
            }
            loaded.records.retain(|(number, _)| !gone.contains(number));
            let named = |state: &FileState| match state.content {
                Content::Record(number) => gone.contains(&number),
                Content::Skipped(_) => false,
            };
            for (path, _) in loaded.files.extract_if(.., |_, state| named(state)) {
                files.remove(&*path)?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Remembers whether a person paused the index.
    pub(crate) fn set_paused(&self, paused: bool) -> Result<(), CatalogueError> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            match paused {
                true => meta.insert("paused", "by a person")?,
                false => meta.remove("paused")?,
            };
        }
        Ok(transaction.commit()?)
    }

    /// Makes everything durable.
    pub(crate) fn flush(&self) -> Result<(), CatalogueError> {
        Ok(self.database.begin_write()?.commit()?)
    }
}

/// Random by the seed of the standard library's hash maps.
fn new_name() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// Whether the disk is at fault and not the file's content.
fn is_of_the_system(error: &redb::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error, redb::Error::Io(error) if !matches!(error.kind(), InvalidData | UnexpectedEof))
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Digests as bytes are read several times as fast as lists of numbers, and take less room.
    let mut to = rmp_serde::Serializer::new(&mut bytes).with_bytes(BytesMode::ForceAll);
    value.serialize(&mut to).expect("records hold only strings, numbers and lists");
    bytes
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CatalogueError> {
    rmp_serde::from_slice(bytes).map_err(|error| CatalogueError::Damaged(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> Arc<Record> {
        let (path, language) = (path.into(), "python".into());
        Arc::new(Record { path, hash: [1; 32], language, chunks: Box::new([]) })
    }

    fn batch(number: RecordId, path: &str) -> Batch {
        let state = FileState { content: Content::Record(number), stamp: Some([7; 16]) };
        Batch {
            added: vec![(number, record(path))],
            removed: Vec::new(),
            files: [(path.into(), Some(state))].into(),
        }
    }

    #[test]
    fn a_finished_batch_is_there_again_and_a_begun_one_is_unsure() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalogue");
        let (catalogue, loaded) = Catalogue::open(&file, "1").unwrap();
        assert!(loaded.files.is_empty());
        catalogue.begin(&batch(1, "a.py")).unwrap();
        catalogue.finish(&batch(1, "a.py")).unwrap();
        catalogue.begin(&batch(2, "b.py")).unwrap();
        catalogue.set_paused(true).unwrap();
        drop(catalogue);

        let (catalogue, mut loaded) = Catalogue::open(&file, "1").unwrap();
        assert_eq!(loaded.records.len(), 1);
        assert_eq!(loaded.files.keys().map(|path| &**path).collect::<Vec<_>>(), ["a.py"]);
        assert_eq!(loaded.unsure, [(2, 0)]);
        assert!(loaded.paused);
        catalogue.forget_unsure(&mut loaded).unwrap();
        drop(catalogue);
        assert!(Catalogue::open(&file, "1").unwrap().1.unsure.is_empty());
    }

    #[test]
    fn an_unsure_removal_takes_the_record_and_its_files_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalogue");
        let (catalogue, _) = Catalogue::open(&file, "1").unwrap();
        catalogue.finish(&batch(1, "a.py")).unwrap();
        let removal = Batch { removed: vec![(1, record("a.py"))], ..Batch::default() };
        catalogue.begin(&removal).unwrap();
        drop(catalogue);
        let (catalogue, mut loaded) = Catalogue::open(&file, "1").unwrap();
        catalogue.forget_unsure(&mut loaded).unwrap();
        assert!(loaded.records.is_empty() && loaded.files.is_empty());
    }

    #[test]
    fn another_format_a_second_process_and_damage_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalogue");
        let (catalogue, _) = Catalogue::open(&file, "1").unwrap();
        catalogue.finish(&batch(1, "a.py")).unwrap();
        catalogue.flush().unwrap();
        assert!(matches!(Catalogue::open(&file, "1"), Err(CatalogueError::InUse)));
        drop(catalogue);
        assert!(matches!(Catalogue::open(&file, "2"), Err(CatalogueError::Outdated)));

        let whole = std::fs::read(&file).unwrap();
        for cut in [0, 1, 64, 4096, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&file, &whole[..cut]).unwrap();
            // Whole again by redb's own means, empty, or an error: never a panic.
            match Catalogue::open(&file, "1") {
                Ok((_, loaded)) => assert!(loaded.records.len() <= 1),
                Err(error) => assert!(matches!(error, CatalogueError::Damaged(_)), "{error:?}"),
            }
        }
        std::fs::write(&file, b"nonsense, and enough of it to look like a header at first sight")
            .unwrap();
        assert!(matches!(Catalogue::open(&file, "1"), Err(CatalogueError::Damaged(_))));
    }
}
