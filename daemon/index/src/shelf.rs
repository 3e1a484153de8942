//! The directories of all indexes of a user: one process each, and a cap over them together.
//!
//! A directory has a lock that its index holds while it is open; the time of that file is when it
//! was last used. The lock beside the directories is held while one is taken or removed, so that
//! neither happens in the middle of the other.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const LOCK: &str = "lock";

/// Where the indexes of a user are kept, each in a directory of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// The directory around them; what else is a directory in it counts as an index.
    pub directory: PathBuf,
    /// What they may take on disk together, in bytes.
    pub quota_bytes: u64,
}

/// What the indexes of a [`Shelf`] take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many there are.
    pub indexes: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// How many were removed.
    pub removed: u64,
}

impl Shelf {
    /// The directory of the index with this name.
    pub fn directory_of(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// What there is.
    ///
    /// # Errors
    ///
    /// The directory cannot be read. One that is not there is empty.
    pub fn usage(&self) -> io::Result<Usage> {
        let kept = self.kept()?;
        let bytes = kept.iter().map(|kept| kept.bytes).sum();
        Ok(Usage { indexes: kept.len() as u64, bytes, removed: 0 })
    }

    /// Removes indexes that no process has open, those first that were used longest ago, until the
    /// others fit the quota. They are made anew when they are needed. What is open stays, even if
    /// it is too much.
    ///
    /// # Errors
    ///
    /// A directory cannot be read or removed.
    pub fn tidy(&self) -> io::Result<Usage> {
        if !self.directory.is_dir() {
            return Ok(Usage::default());
        }
        let _nobody_opens = lock_of(&self.directory)?;
        let mut kept = self.kept()?;
        kept.sort_by_key(|kept| kept.used);
        let mut usage = Usage { indexes: kept.len() as u64, ..Usage::default() };
        usage.bytes = kept.iter().map(|kept| kept.bytes).sum();
        for Kept { directory, bytes, .. } in kept {
            if usage.bytes <= self.quota_bytes {
                break;
            }
            if is_open(&directory)? {
                continue;
            }
            fs::remove_dir_all(&directory)?;
            usage = Usage {
                indexes: usage.indexes - 1,
                bytes: usage.bytes - bytes,
                removed: usage.removed + 1,
            };
        }
        Ok(usage)
    }

    fn kept(&self) -> io::Result<Vec<Kept>> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut kept = Vec::new();
        for entry in entries {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let directory = entry.path();
            let lock = fs::metadata(directory.join(LOCK));
            // One without a lock was never opened by a version that counts.
            let used = lock.and_then(|lock| lock.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
            kept.push(Kept { bytes: size_of_directory(&directory), directory, used });
        }
        Ok(kept)
    }
}

struct Kept {
    directory: PathBuf,
    bytes: u64,
    used: SystemTime,
}

/// A directory that no other process uses as long as this lives.
#[derive(Debug)]
pub(crate) struct Taken {
    directory: PathBuf,
    lock: File,
}

impl Taken {
    /// Makes the directory if need be; `None` when another process, or another index of this one,
    /// has it.
    pub(crate) fn take(directory: &Path) -> io::Result<Option<Self>> {
        fs::create_dir_all(directory)?;
        let _nobody_removes = directory.parent().map(lock_of).transpose()?;
        fs::create_dir_all(directory)?;
        let lock = lock_file(directory)?;
        if !try_lock(&lock)? {
            return Ok(None);
        }
        let taken = Self { directory: directory.to_owned(), lock };
        taken.note_use();
        Ok(Some(taken))
    }

    /// Removes all that it holds.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else if entry.file_name() != LOCK {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn note_use(&self) {
        if let Err(error) = self.lock.set_modified(SystemTime::now()) {
            let directory = self.directory.display();
            tracing::warn!(%error, %directory, "an index may be thought of as unused");
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.note_use();
    }
}

fn lock_file(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).open(directory.join(LOCK))
}

/// Waits for the lock of a directory.
fn lock_of(directory: &Path) -> io::Result<File> {
    let file = lock_file(directory)?;
    match file.lock() {
        // Some file systems have none: nobody else is told there either.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    }
}

/// Whether the lock was free.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn is_open(directory: &Path) -> io::Result<bool> {
    Ok(!try_lock(&lock_file(directory)?)?)
}

/// Bytes of all files below a directory; what cannot be read counts nothing.
pub(crate) fn size_of_directory(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_directory(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shelf(quota_bytes: u64) -> (tempfile::TempDir, Shelf) {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf { directory: dir.path().join("index"), quota_bytes };
        (dir, shelf)
    }

    /// An index of a thousand bytes that was used so many hours ago.
    fn put(shelf: &Shelf, name: &str, hours: u64) -> Taken {
        let taken = Taken::take(&shelf.directory_of(name)).unwrap().unwrap();
        fs::create_dir(taken.directory.join("words")).unwrap();
        fs::write(taken.directory.join("words/a"), [0; 1000]).unwrap();
        used(shelf, name, hours);
        taken
    }

    fn used(shelf: &Shelf, name: &str, hours: u64) {
        let ago = SystemTime::now() - Duration::from_secs(hours * 3600);
        lock_file(&shelf.directory_of(name)).unwrap().set_modified(ago).unwrap();
    }

    fn names(shelf: &Shelf) -> Vec<String> {
        let kept = shelf.kept().unwrap().into_iter();
        let mut names: Vec<String> =
            kept.map(|kept| kept.directory.file_name().unwrap().to_str().unwrap().into()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_used_longest_ago_goes_and_what_is_open_stays() {
        let (_dir, shelf) = shelf(2500);
        let open = put(&shelf, "a", 9);
        for (name, hours) in [("b", 5), ("c", 7), ("d", 3)] {
            drop(put(&shelf, name, hours));
            // Closing it is a use of it.
            used(&shelf, name, hours);
        }
        assert_eq!(shelf.usage().unwrap(), Usage { indexes: 4, bytes: 4000, removed: 0 });
        assert_eq!(shelf.tidy().unwrap(), Usage { indexes: 2, bytes: 2000, removed: 2 });
        assert_eq!(names(&shelf), ["a", "d"]);
        assert_eq!(shelf.tidy().unwrap().removed, 0);

        let nothing = Shelf { quota_bytes: 0, ..shelf.clone() };
        assert_eq!(nothing.tidy().unwrap(), Usage { indexes: 1, bytes: 1000, removed: 1 });
        drop(open);
        assert_eq!(nothing.tidy().unwrap(), Usage { indexes: 0, bytes: 0, removed: 1 });
    }

    #[test]
    fn closing_an_index_counts_as_a_use_of_it() {
        let (_dir, shelf) = shelf(1500);
        let (first, second) = (put(&shelf, "first", 3), put(&shelf, "second", 2));
        drop(second);
        used(&shelf, "second", 2);
        drop(first);
        shelf.tidy().unwrap();
        assert_eq!(names(&shelf), ["first"]);
    }

    #[test]
    fn a_directory_is_taken_once_and_cleared_without_giving_it_up() {
        let (_dir, shelf) = shelf(0);
        let taken = put(&shelf, "a", 0);
        assert!(Taken::take(&taken.directory).unwrap().is_none());
        taken.clear().unwrap();
        assert_eq!(size_of_directory(&taken.directory), 0);
        assert!(Taken::take(&taken.directory).unwrap().is_none());
        let directory = taken.directory.clone();
        drop(taken);
        assert!(Taken::take(&directory).unwrap().is_some());
    }

    #[test]
    fn no_directory_is_an_empty_one() {
        let (_dir, shelf) = shelf(0);
        assert_eq!((shelf.usage().unwrap(), shelf.tidy().unwrap()), Default::default());
    }
}
