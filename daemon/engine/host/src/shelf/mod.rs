//! The language models and adapters of this machine, in the data directory.
//!
//! `record.json` says what there is. Models that were pulled lie in `models/`; of those that a person
//! added only the place is recorded. Adapters are copied to `adapters/DIGEST/`. What the engine quantized lies in
//! `quantized/`.

mod adapters;
mod digest;
mod error;
mod models;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use greenlit_download::{RecordFile, is_name};
use serde::{Deserialize, Serialize};

pub use adapters::{AdapterAdd, AdapterRecord};
pub use error::ShelfError;
pub use models::{ModelRecord, Origin};

/// The language models and adapters of this machine. One process owns a directory.
#[derive(Debug)]
pub struct Shelf {
    directory: PathBuf,
    record: RecordFile<Record>,
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    models: BTreeMap<String, ModelRecord>,
    /// By `name@version`.
    adapters: BTreeMap<String, AdapterRecord>,
    /// The adapters that a workspace uses.
    active: BTreeMap<PathBuf, Active>,
}

/// Between the names of adapters that are applied together.
pub const STACKED: &str = " + ";

/// Adapters that are applied together: for each model one of each kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "OneOrMore")]
struct Active(Vec<String>);

/// Until they could be stacked there was one.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Active {
    fn from(written: OneOrMore) -> Self {
        Self(match written {
            OneOrMore::One(name) => vec![name],
            OneOrMore::More(names) => names,
        })
    }
}

impl Shelf {
    /// What is in a directory, which need not exist. A record that cannot be read is as good as none.
    #[must_use]
    pub fn open(directory: PathBuf) -> Self {
        let record = RecordFile::open(&directory);
        Self { directory, record }
    }

    /// Where pulled models lie.
    #[must_use]
    pub fn models_directory(&self) -> PathBuf {
        self.directory.join("models")
    }

    /// Where the engine keeps quantized weights.
    #[must_use]
    pub fn kept_directory(&self) -> PathBuf {
        self.directory.join("quantized")
    }

    /// Removes quantized weights, those that were used longest ago first, until no more than so many bytes are
    /// kept.
    pub fn trim_kept(&self, most_bytes: u64) {
        greenlit_serving::keep::trim(&self.kept_directory(), most_bytes);
    }

    fn record(&self) -> impl Deref<Target = Record> {
        self.record.get()
    }

    /// Changes the record on disk, then here.
    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> Result<T, ShelfError> {
        self.record.change(change).map_err(|source| {
            let path = self.record.path().to_owned();
            ShelfError::Write { path, source }
        })
    }
}

/// A given name, else the directory's or the GGUF file's.
fn name_of(given: Option<&str>, place: &Path) -> Result<String, ShelfError> {
    let name = match given {
        Some(name) => name.to_owned(),
        None => {
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
        }
    };
    match is_name(&name) {
        true => Ok(name),
        false => Err(ShelfError::Name { name }),
    }
}
