//! The log file: rotated by size, a few old ones kept.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

/// A file that grows beyond this is renamed, in bytes.
const SIZE_MAX: u64 = 8 << 20;
/// Old files kept: `.1` is the newest.
const KEPT: u32 = 3;

/// Appends to a file and rotates it. Clones are one file.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
    size: u64,
    size_max: u64,
}

impl LogFile {
    /// Opens or creates the file, readable by this user only.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Self::with_size(path, SIZE_MAX)
    }

    fn with_size(path: &Path, size_max: u64) -> io::Result<Self> {
        let file = append(path)?;
        let size = file.metadata()?.len();
        let inner = Inner { path: path.to_owned(), file, size, size_max };
        Ok(Self { inner: Arc::new(Mutex::new(inner)) })
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

impl Inner {
    fn rotate(&mut self) -> io::Result<()> {
        let old = |index: u32| PathBuf::from(format!("{}.{index}", self.path.display()));
        for index in (1..KEPT).rev() {
            // A gap in the row is no error.
            let _moved = fs::rename(old(index), old(index + 1));
        }
        fs::rename(&self.path, old(1))?;
        self.file = append(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.size > 0 && inner.size + bytes.len() as u64 > inner.size_max {
            // A log that cannot be rotated is still better than none.
            let _rotated = inner.rotate();
        }
        inner.file.write_all(bytes)?;
        inner.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        let mut log = LogFile::with_size(&path, 10).unwrap();
        for index in 0..6 {
            log.write_all(format!("line {index}...\n").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("daemon.log"), "line 5...\n");
        assert_eq!(read("daemon.log.1"), "line 4...\n");
        assert_eq!(read("daemon.log.3"), "line 2...\n");
        assert!(!dir.path().join("daemon.log.4").exists());
    }

    #[test]
    fn an_existing_file_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        LogFile::open(&path).unwrap().write_all(b"one\n").unwrap();
        LogFile::open(&path).unwrap().write_all(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }
}
