//! Whether files of models and adapters can be used, before the inference library sees them: it
//! panics over some mistakes, ignores others silently, and names no file.

mod adapter;
mod config;
mod gguf;
mod model;
mod safetensors;
mod tokenizer;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use adapter::{Adapter, adapter};
pub use config::{Architecture, Shape};
pub use gguf::gguf_tensors;
pub use model::{Beside, Format, ModelFiles, model};
pub use safetensors::Tensor;

/// Longest JSON file that is read, in bytes. A tokenizer has tens of megabytes.
const MAX_JSON: u64 = 256 << 20;

/// Why a file of a model or an adapter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadFile {
    /// It is not there.
    #[error("{} is missing: {remedy}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// It cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is damaged, or asks for what is not supported.
    #[error("{}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy where there is one.
        problem: String,
    },
}

impl BadFile {
    fn invalid(path: &Path, problem: impl Into<String>) -> Self {
        Self::Invalid { path: path.to_owned(), problem: problem.into() }
    }

    fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }
}

/// Opens a regular file (links to one are followed) and says how long it is. Anything else could
/// block for ever.
fn open(path: &Path, remedy: &'static str) -> Result<(File, u64), BadFile> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(BadFile::Missing { path: path.to_owned(), remedy });
        }
        Err(error) => return Err(BadFile::unreadable(path, error)),
    };
    if !meta.is_file() {
        return Err(BadFile::invalid(path, "is not a regular file"));
    }
    let file = File::open(path).map_err(|error| BadFile::unreadable(path, error))?;
    Ok((file, meta.len()))
}

/// Reads a JSON file.
fn json<T: DeserializeOwned>(path: &Path, remedy: &'static str) -> Result<T, BadFile> {
    let (file, length) = open(path, remedy)?;
    if length > MAX_JSON {
        return Err(BadFile::invalid(path, format!("has {length} bytes, more than any such file")));
    }
    let mut text = String::new();
    file.take(MAX_JSON)
        .read_to_string(&mut text)
        .map_err(|error| BadFile::unreadable(path, error))?;
    serde_json::from_str(&text)
        .map_err(|error| BadFile::invalid(path, format!("is not valid: {error}")))
}
