//! Locks on files. The operating system releases them when their holder dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// How often a held lock is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it.
    #[error("{} is held by another process", path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
    },
    /// The file cannot be opened or locked.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A lock, held until it is dropped or its process dies.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

impl LockFile {
    /// Takes the lock when nobody holds it. The file is created and never removed: removing a lock
    /// file lets two processes hold "the" lock.
    pub fn try_take(path: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let file = open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }

    /// Waits for the lock until `deadline`.
    pub async fn take(path: &Path, deadline: Instant) -> Result<Self, LockError> {
        loop {
            match Self::try_take(path) {
                Err(LockError::Held { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(RETRY).await;
                }
                result => return result,
            }
        }
    }

    /// Whether somebody holds the lock now. `false` also when the file does not exist. Looks with a
    /// shared lock, so that those who look do not see each other.
    pub fn is_held(path: &Path) -> bool {
        let shared = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        path.exists() && open(path).is_ok_and(shared)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.lock");
        assert!(!LockFile::is_held(&path));
        let lock = LockFile::try_take(&path).unwrap();
        assert!(LockFile::is_held(&path));
        assert!(matches!(LockFile::try_take(&path), Err(LockError::Held { .. })));
        drop(lock);
        assert!(!LockFile::is_held(&path));
    }
}
