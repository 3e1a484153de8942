//! Quantized weights on disk, so that the next load reads them and computes nothing.
//!
//! `DIGEST/four/` below one directory holds what a [`Backend`](crate::Backend) wrote for a model, and
//! `DIGEST/four-…/` what it wrote for the model with an adapter. A directory counts once its manifest is
//! there, which is written last; the manifest's time says when it was used.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use greenlit_protocol::engine::{Keep, Precision};
use serde::{Deserialize, Serialize};

use crate::check::Adapter;

const MANIFEST: &str = "kept.json";

/// What a directory must hold to be whole.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Manifest {
    /// Who wrote it: another version may read it otherwise.
    by: String,
    /// Names, sizes and digests.
    files: Vec<(String, u64, String)>,
}

/// Where the weights of one plan are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    directory: PathBuf,
    by: String,
    most: u64,
}

impl Place {
    /// For a model, perhaps with adapters; `None` where nothing is quantized. `by` is the backend.
    pub fn of(keep: &Keep, precision: Precision, adapters: &[Adapter], by: &str) -> Option<Self> {
        let mut name = match precision {
            Precision::Four => "four",
            Precision::Eight => "eight",
            Precision::Auto | Precision::Full | Precision::Stored => return None,
        }
        .to_owned();
        for adapter in adapters {
            let own = adapter.weights.parent()?.file_name()?.to_string_lossy();
            let found = adapter.weights.metadata().ok()?;
            let since = found.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            name = format!("{name}-{own}-{:x}-{:x}", found.len(), since.as_nanos());
        }
        let directory = keep.directory.join(name);
        Some(Self { directory, by: by.to_owned(), most: keep.most_bytes })
    }

    /// The directory, if it is whole and was written by the same backend: everything in it is read. It counts as
    /// used now.
    pub fn find(&self) -> Option<PathBuf> {
        let path = self.directory.join(MANIFEST);
        let manifest: Manifest = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let whole = |(name, size, digest): &(String, u64, String)| {
            let path = self.directory.join(name);
            path.metadata().is_ok_and(|found| found.len() == *size)
                && digest_of(&path).is_ok_and(|found| found == *digest)
        };
        if manifest.by != self.by || !manifest.files.iter().all(whole) {
            return None;
        }
        let touched = File::options().append(true).open(&path);
        if let Err(error) = touched.and_then(|file| file.set_modified(SystemTime::now())) {
            tracing::debug!(%error, "kept weights look older than they are");
        }
        Some(self.directory.clone())
    }

    /// Removes what is there.
    pub fn discard(&self) {
        remove(&self.directory);
    }

    /// A directory to write about so many bytes to, and then to [`Self::finish`]; others that were used longest
    /// ago make room. `None` where that is too much or cannot be had.
    pub fn begin(&self, bytes: u64) -> Option<PathBuf> {
        if bytes > self.most {
            return None;
        }
        self.make_room(self.most - bytes);
        let unfinished = self.unfinished();
        remove(&unfinished);
        match fs::create_dir_all(&unfinished) {
            Ok(()) => Some(unfinished),
            Err(error) => {
                tracing::warn!(%error, place = %unfinished.display(), "quantized weights are not kept");
                None
            }
        }
    }

    /// What was written counts from now on.
    ///
    /// # Errors
    /// When it cannot be recorded or moved; then nothing is kept.
    pub fn finish(&self) -> io::Result<()> {
        let unfinished = self.unfinished();
        let mut files = Vec::new();
        for entry in fs::read_dir(&unfinished)? {
            let entry = entry?;
            File::open(entry.path())?.sync_all()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, entry.metadata()?.len(), digest_of(&entry.path())?));
        }
        let manifest = Manifest { by: self.by.clone(), files };
        fs::write(unfinished.join(MANIFEST), serde_json::to_vec(&manifest)?)?;
        remove(&self.directory);
        fs::rename(unfinished, &self.directory)
    }

    /// Gives up what was begun.
    pub fn abandon(&self) {
        remove(&self.unfinished());
    }

    fn unfinished(&self) -> PathBuf {
        let mut name = self.directory.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        self.directory.with_file_name(name)
    }

    fn make_room(&self, most: u64) {
        if let Some(all) = self.directory.parent().and_then(Path::parent) {
            trim(all, most);
        }
    }
}

/// A digest of a file. Flipped bits in weights are no error when they are read: the model writes nonsense.
fn digest_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Removes what was used longest ago of all that is kept, until no more than `most` bytes are.
pub fn trim(all: &Path, most: u64) {
    let models = entries(all).into_iter();
    let mut kept: Vec<_> = models.flat_map(|model| entries(&model)).map(Kept::of).collect();
    kept.sort_by_key(|kept| kept.used);
    let mut sum: u64 = kept.iter().map(|kept| kept.bytes).sum();
    for Kept { place, bytes, .. } in kept {
        if sum <= most {
            break;
        }
        tracing::info!(place = %place.display(), "kept weights have to go");
        remove(&place);
        sum -= bytes;
    }
}

/// Removes what is kept of a model, or of a model with one adapter, alone or with others. Both are named by what their files hash to.
pub fn forget(all: &Path, model: &str, adapter: Option<&str>) {
    let model = all.join(model);
    let Some(adapter) = adapter else { return remove(&model) };
    for place in entries(&model) {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        // Three parts for each adapter.
        if name.split('-').skip(1).step_by(3).any(|own| own == adapter) {
            remove(&place);
        }
    }
}

struct Kept {
    /// `None`, and so first, for what was never finished.
    used: Option<SystemTime>,
    bytes: u64,
    place: PathBuf,
}

impl Kept {
    fn of(place: PathBuf) -> Self {
        let used = place.join(MANIFEST).metadata().and_then(|found| found.modified()).ok();
        let size = |path: PathBuf| path.metadata().map_or(0, |found| found.len());
        Self { used, bytes: entries(&place).into_iter().map(size).sum(), place }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(directory).into_iter().flatten().flatten();
    found.map(|entry| entry.path()).collect()
}

fn remove(directory: &Path) {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, place = %directory.display(), "cannot be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(root: &Path, model: &str, most: u64) -> Place {
        let keep = Keep { directory: root.join(model), most_bytes: most };
        Place::of(&keep, Precision::Four, &[], "a backend").unwrap()
    }

    fn write(place: &Place, bytes: usize) -> bool {
        let Some(directory) = place.begin(bytes as u64) else { return false };
        fs::write(directory.join("model.uqff"), vec![7; bytes]).unwrap();
        place.finish().unwrap();
        true
    }

    #[test]
    fn only_what_is_whole_and_by_the_same_backend_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let place = place(dir.path(), "m", 1000);
        assert_eq!(place.find(), None);
        let unfinished = place.begin(100).unwrap();
        fs::write(unfinished.join("model.uqff"), [1]).unwrap();
        assert_eq!(place.find(), None);
        place.finish().unwrap();
        let found = place.find().unwrap();
        assert_eq!(fs::read(found.join("model.uqff")).unwrap(), [1]);
        let other = Place { by: "another version".into(), ..place.clone() };
        assert_eq!(other.find(), None);
        fs::write(found.join("model.uqff"), [2]).unwrap();
        assert_eq!(place.find(), None, "as long, and another content");
        fs::write(found.join("model.uqff"), []).unwrap();
        assert_eq!(place.find(), None);
        place.discard();
        assert!(!found.exists());
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, third] = ["a", "b", "c"].map(|name| place(dir.path(), name, 1000));
        assert!(!write(&first, 1001), "more than all may take");
        assert!(write(&first, 300) && write(&second, 300));
        // What was never finished goes before everything else.
        place(dir.path(), "d", 1000).begin(0).unwrap();
        let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let manifest = dir.path().join("a/four").join(MANIFEST);
        File::options().append(true).open(manifest).unwrap().set_modified(old).unwrap();
        assert!(write(&third, 350));
        assert_eq!([first.find(), second.find()].map(|found| found.is_some()), [false, true]);
        assert!(third.find().is_some() && !dir.path().join("d/four.unfinished").exists());
        trim(dir.path(), 0);
        assert_eq!([second.find(), third.find()], [None, None]);
        trim(&dir.path().join("never"), 0);
    }

    #[test]
    fn what_is_forgotten_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["m/four", "m/four-a-1-2", "m/eight-b-1-2-a-1-2", "m/four-b-1-a", "n/four"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let left = |model: &str| entries(&dir.path().join(model)).len();
        forget(dir.path(), "m", Some("a"));
        assert_eq!((left("m"), left("n")), (2, 1));
        forget(dir.path(), "m", None);
        forget(dir.path(), "never", None);
        assert_eq!((left("m"), left("n")), (0, 1));
    }

    #[test]
    fn where_nothing_can_be_written_nothing_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("m"), "a file is in the way").unwrap();
        let place = place(dir.path(), "m", 1000);
        assert_eq!(place.begin(10), None);
        assert_eq!(place.find(), None);
    }
}
