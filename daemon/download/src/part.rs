//! The partial file: bytes that came, how they hash, and where they came from.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::digest::{Digest, feed};
use crate::error::DownloadError;

/// An open, locked `NAME.part`. Dropping it keeps the bytes and gives the lock back.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    len: u64,
    hasher: Sha256,
    origin: Origin,
}

/// Where the bytes of a partial file came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) url: String,
    /// A strong entity tag: equal tags mean equal bytes. Empty when the server gave none.
    pub(crate) etag: String,
}

impl Part {
    /// Opens the partial file of `to` and reads what is there, as long as `go_on` agrees. Of a file that
    /// is larger than `limit` only that is learnt: it is no beginning of what is wanted.
    pub(crate) fn open(
        to: &Path,
        limit: u64,
        mut go_on: impl FnMut(u64) -> bool,
    ) -> Result<Self, DownloadError> {
        let path = beside(to, ".part");
        let failed = |source| DownloadError::file(&path, source);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DownloadError::Busy(to.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut stopped = false;
        let mut hasher = Sha256::new();
        let len = feed(&mut hasher, &mut file, |done| {
            stopped = !go_on(done);
            !stopped && done <= limit
        })
        .map_err(failed)?;
        if stopped {
            return Err(DownloadError::Cancelled);
        }
        let origin = read_origin(&beside(to, ".part.from"));
        Ok(Self { path, file, len, hasher, origin })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Empties the file: what comes next is the beginning of what `origin` has.
    pub(crate) fn restart(&mut self, origin: Origin) -> Result<(), DownloadError> {
        self.empty().map_err(|source| DownloadError::file(&self.path, source))?;
        // After the old bytes are gone: a tag must never name bytes of another origin.
        let from = self.path.with_extension("part.from");
        let text = format!("{}\n{}\n", origin.url, origin.etag);
        fs::write(&from, text).map_err(|source| DownloadError::file(&from, source))?;
        self.origin = origin;
        Ok(())
    }

    fn empty(&mut self) -> io::Result<()> {
        if self.len > 0 {
            self.file.set_len(0)?;
            self.file.rewind()?;
        }
        self.len = 0;
        self.hasher = Sha256::new();
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.file.write_all(bytes).map_err(|source| DownloadError::file(&self.path, source))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn digest(&self) -> Digest {
        Digest::from(self.hasher.clone())
    }

    /// Gives the bytes their final name, durably. The lock is held until that is done.
    pub(crate) fn finish(self, to: &Path) -> Result<(), DownloadError> {
        self.file.sync_all().map_err(|source| DownloadError::file(&self.path, source))?;
        fs::rename(&self.path, to).map_err(|source| DownloadError::file(to, source))?;
        let from = self.path.with_extension("part.from");
        match fs::remove_file(&from) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DownloadError::file(&from, error));
            }
            _ => {}
        }
        sync_directory(to)
    }
}

/// `NAME` and an ending; the name's own ending stays.
fn beside(to: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(to.file_name().unwrap_or_default());
    name.push(ending);
    to.with_file_name(name)
}

/// Nothing is believed of a file that is missing or cut: then there is no tag.
fn read_origin(path: &Path) -> Origin {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    match (lines.next(), lines.next()) {
        (Some(url), Some(etag)) => Origin { url: url.to_owned(), etag: etag.to_owned() },
        _ => Origin::default(),
    }
}

/// A rename is durable when its directory is.
#[cfg(unix)]
fn sync_directory(of: &Path) -> Result<(), DownloadError> {
    let dir = match of.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| DownloadError::file(dir, source))
}

#[cfg(not(unix))]
fn sync_directory(_of: &Path) -> Result<(), DownloadError> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named() {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let hasher = Sha256::new();
        let mut part = Part { path, file, len: 0, hasher, origin: Origin::default() };
        let error = part.append(b"one byte too many").unwrap_err();
        assert!(matches!(error, DownloadError::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().contains("no space left for /dev/full"), "{error}");
        assert_eq!(part.len(), 0);
    }
}
