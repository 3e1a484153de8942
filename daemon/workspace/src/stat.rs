//! Content hashes remembered by metadata, with git's "racy" problem handled.

use std::collections::HashMap;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use blake3::Hash;

/// A file written less than this before it was hashed may change again without a new timestamp:
/// the coarsest common file systems count in two seconds.
const RACY: Duration = Duration::from_secs(2);

/// What the system says about a file; equal stamps mean an unchanged file, racy ones aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    /// Change time (seconds, nanoseconds) and inode where there are any: `touch -r`, archives and
    /// editors that rename a new file into place keep or restore `modified`.
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    /// The stamp in a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let (changed, inode) = {
            use std::os::unix::fs::MetadataExt;
            ((metadata.ctime(), metadata.ctime_nsec()), metadata.ino())
        };
        #[cfg(not(unix))]
        let (changed, inode) = ((0, 0), 0);
        Self { len: metadata.len(), modified: metadata.modified().ok(), changed, inode }
    }

    /// Whether the file could still change within the same timestamps as of `now`.
    pub fn is_racy(&self, now: SystemTime) -> bool {
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(
                u64::try_from(self.changed.0).unwrap_or(0),
                u32::try_from(self.changed.1).unwrap_or(0),
            );
        let latest = self.modified.map_or(now, |modified| modified.max(changed));
        now.duration_since(latest).map_or(true, |age| age < RACY)
    }

    /// Stands for the content of files too large to hash, and for the stamp itself on disk.
    pub fn digest(&self) -> Hash {
        let modified =
            self.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.len.to_le_bytes());
        hasher.update(&modified.unwrap_or_default().as_nanos().to_le_bytes());
        hasher.update(&self.changed.0.to_le_bytes());
        hasher.update(&self.changed.1.to_le_bytes());
        hasher.update(&self.inode.to_le_bytes());
        hasher.finalize()
    }
}

/// Content hashes by path, kept between scans. One per root.
#[derive(Debug, Default)]
pub struct StatCache {
    entries: HashMap<PathBuf, Entry>,
    generation: u64,
}

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    hash: Hash,
    racy: bool,
    used: u64,
}

impl StatCache {
    /// The remembered hash, when the file is provably unchanged since.
    pub(crate) fn get(&mut self, path: &Path, stamp: &Stamp) -> Option<Hash> {
        let entry = self.entries.get_mut(path)?;
        entry.used = self.generation;
        (entry.stamp == *stamp && !entry.racy).then_some(entry.hash)
    }

    /// Remembers a hash. `stamp` and `before` were taken before the file was read.
    pub(crate) fn put(&mut self, path: PathBuf, stamp: Stamp, hash: Hash, before: SystemTime) {
        let racy = stamp.is_racy(before);
        self.entries.insert(path, Entry { stamp, hash, racy, used: self.generation });
    }

    /// Starts a scan: what it does not look at is forgotten by [`Self::finish`].
    pub(crate) fn begin(&mut self) {
        self.generation += 1;
    }

    pub(crate) fn finish(&mut self) {
        self.entries.retain(|_, entry| entry.used == self.generation);
    }

    /// As if every file had been hashed long after it was written.
    #[cfg(test)]
    pub(crate) fn age_all(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.racy = false);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_fresh_file_is_not_trusted_until_it_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "x").unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap());
        let hash = blake3::hash(b"x");
        let mut cache = StatCache::default();

        cache.put(path.clone(), stamp, hash, SystemTime::now());
        assert_eq!(cache.get(&path, &stamp), None);
        cache.put(path.clone(), stamp, hash, SystemTime::now() + Duration::from_secs(10));
        assert_eq!(cache.get(&path, &stamp), Some(hash));
        let other = Stamp { len: 2, ..stamp };
        assert_eq!(cache.get(&path, &other), None);
    }

    #[test]
    fn a_timestamp_in_the_future_is_never_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(1000)).unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap());
        assert!(stamp.is_racy(SystemTime::now()));
    }
}
