//! What is known of what was downloaded or added: one file in its directory.

use std::fs;
use std::io::{self, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value with a copy on disk. One process owns the file.
#[derive(Debug)]
pub struct RecordFile<T> {
    path: PathBuf,
    value: Mutex<T>,
}

impl<T: Clone + Default + Serialize + DeserializeOwned> RecordFile<T> {
    /// What is in `record.json` of a directory, which need not exist. What cannot be read is as good as
    /// nothing; the log names it.
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let path = directory.join("record.json");
        let value = match fs::read(&path).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(value)) => value,
            Ok(Err(error)) => {
                tracing::warn!(path = %path.display(), %error, "a record of models is left aside");
                T::default()
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "cannot read a record of models");
                }
                T::default()
            }
        };
        Self { path, value: Mutex::new(value) }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value; nobody changes it while this lives.
    pub fn get(&self) -> impl Deref<Target = T> {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it on disk, then here: the old text or the new one, never a part.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    ///
    /// # Panics
    /// When the value cannot be JSON: maps must have text as keys.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> io::Result<R> {
        let mut value = self.lock();
        let mut new = value.clone();
        let result = change(&mut new);
        let text = serde_json::to_vec_pretty(&new).expect("plain data with text as keys");
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let beside = self.path.with_extension("new");
        let mut file = fs::File::create(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(beside, &self.path)?;
        *value = new;
        Ok(result)
    }
}

/// Whether a text can name a directory or file of its own.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_cannot_be_written_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let record = RecordFile::<Vec<String>>::open(&dir.path().join("there"));
        record.change(|names| names.push("a".into())).unwrap();
        assert_eq!(*RecordFile::<Vec<String>>::open(&dir.path().join("there")).get(), ["a"]);
        fs::write(dir.path().join("file"), "").unwrap();
        let nowhere = RecordFile::<Vec<String>>::open(&dir.path().join("file"));
        assert!(nowhere.change(|names| names.push("b".into())).is_err());
        assert!(nowhere.get().is_empty());
    }

    #[test]
    fn junk_is_as_good_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("record.json"), "[1").unwrap();
        assert!(RecordFile::<Vec<String>>::open(dir.path()).get().is_empty());
    }
}
