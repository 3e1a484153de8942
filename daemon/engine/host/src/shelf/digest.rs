//! What files hash to, and whether they are still those.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::ShelfError;

/// So much is read between two looks whether somebody still wants it.
const STEP: usize = 1 << 20;

/// A file as it was when it was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    modified: u128,
}

impl Mark {
    pub(crate) fn of(path: &Path) -> Result<Self, ShelfError> {
        let failed = |source| ShelfError::Read { path: path.to_owned(), source };
        let meta = fs::metadata(path).map_err(failed)?;
        let modified = meta.modified().map_err(failed)?;
        let modified = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        Ok(Self { path: path.to_owned(), size: meta.len(), modified })
    }

    pub(crate) fn holds(&self) -> bool {
        Self::of(&self.path).is_ok_and(|now| now == *self)
    }
}

/// blake3 (hex) over the names and contents of files.
pub(crate) fn digest(files: &[PathBuf], wanted: &dyn Fn() -> bool) -> Result<String, ShelfError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; STEP];
    for path in files {
        let failed = |source| ShelfError::Read { path: path.clone(), source };
        let mut file = fs::File::open(path).map_err(failed)?;
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let length = file.metadata().map_err(failed)?.len();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name);
        hasher.update(&length.to_le_bytes());
        loop {
            if !wanted() {
                return Err(ShelfError::Cancelled);
            }
            match file.read(&mut buffer).map_err(failed)? {
                0 => break,
                read => hasher.update(&buffer[..read]),
            };
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}
