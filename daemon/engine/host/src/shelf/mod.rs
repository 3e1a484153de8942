//! The language models and adapters of this machine, in the data directory.
//!
//! `record.json` says what there is. Models that were pulled lie in `models/`; of those that a person
//! added only the place is recorded. Adapters are copied to `adapters/DIGEST/`.

mod adapters;
mod digest;
mod error;
mod models;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

pub use adapters::{AdapterAdd, AdapterRecord};
pub use error::ShelfError;
pub use models::{ModelRecord, Origin};

/// The language models and adapters of this machine. One process owns a directory.
#[derive(Debug)]
pub struct Shelf {
    directory: PathBuf,
    record: Mutex<Record>,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    models: BTreeMap<String, ModelRecord>,
    /// By `name@version`.
    adapters: BTreeMap<String, AdapterRecord>,
    /// The adapter that a workspace uses.
    active: BTreeMap<PathBuf, String>,
}

impl Shelf {
    /// What is in a directory, which need not exist. A record that cannot be read is as good as none.
    #[must_use]
    pub fn open(directory: PathBuf) -> Self {
        let path = directory.join("record.json");
        let record = match fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(record)) => record,
            Ok(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "the record of language models is left aside");
                Record::default()
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "cannot read the record of language models");
                }
                Record::default()
            }
        };
        Self { directory, record: Mutex::new(record) }
    }

    /// Where pulled models lie.
    #[must_use]
    pub fn models_directory(&self) -> PathBuf {
        self.directory.join("models")
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the record on disk, then here.
    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> Result<T, ShelfError> {
        let mut record = self.record();
        let mut new = record.clone();
        let result = change(&mut new);
        let path = self.directory.join("record.json");
        let text = serde_json::to_vec_pretty(&new).expect("plain data with text as keys");
        write(&self.directory, &path, &text)
            .map_err(|source| ShelfError::Write { path, source })?;
        *record = new;
        Ok(result)
    }
}

/// The old text or the new one, never a part.
fn write(directory: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(beside, path)
}

/// Whether a text can name a model or an adapter, and a directory of its own.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('.')
}

/// A given name, else the directory's.
fn name_of(given: Option<&str>, place: &Path) -> Result<String, ShelfError> {
    let name = match given {
        Some(name) => name.to_owned(),
        None => place.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    match is_name(&name) {
        true => Ok(name),
        false => Err(ShelfError::Name { name }),
    }
}
