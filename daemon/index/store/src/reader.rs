//! Reading a part of a file without mapping it.

use std::fs::File;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many files are kept open to be read, in the whole process: a quarter of what the system lets it open.
/// Few in unit tests, so that they do without as well.
static MOST: LazyLock<usize> = LazyLock::new(|| match cfg!(test) {
    true => 2,
    false => allowed() / 4,
});

/// How many files this process may have open.
#[cfg(unix)]
fn allowed() -> usize {
    let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE);
    limit.map_or(0, |(soft, _hard)| usize::try_from(soft).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn allowed() -> usize {
    0
}

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A file that is kept open. What is read of a mapping stays in the memory of this process, with the pages
/// around it; what is read here does not.
#[derive(Debug)]
pub(crate) struct Reader(File);

impl Reader {
    /// `None` where enough files are open, and where there is no way to read at a place.
    pub(crate) fn new(file: &File) -> Option<Self> {
        let more = |open: usize| (open < *MOST).then_some(open + 1);
        OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        match file.try_clone() {
            Ok(file) => Some(Self(file)),
            Err(_) => {
                OPEN.fetch_sub(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// `count` bytes from `offset` on.
    pub(crate) fn read(&self, offset: usize, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        #[cfg(unix)]
        std::os::unix::fs::FileExt::read_exact_at(&self.0, &mut bytes, offset as u64)?;
        #[cfg(not(unix))]
        let _ = (&self.0, offset, &mut bytes);
        Ok(bytes)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_is_read_and_one_that_is_not_there_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abcdef").unwrap();
        // Other tests may keep as many open as may be.
        let reader = Reader(File::open(file.path()).unwrap());
        OPEN.fetch_add(1, Ordering::Relaxed);
        assert_eq!(reader.read(2, 3).unwrap(), b"cde");
        assert_eq!(reader.read(4, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
