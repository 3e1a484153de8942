//! What one session sees: files on disk with its unsaved buffers on top.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use blake3::Hash;

/// An immutable picture of the unsaved buffers under a root; cloning is cheap.
///
/// Files without an overlay are read from disk when asked for, so they are as of then;
/// [`Inputs`](crate::Inputs) tells whether any changed meanwhile.
#[derive(Debug, Clone)]
pub struct View {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    overlays: BTreeMap<PathBuf, Overlay>,
    digest: Hash,
}

/// The text of one unsaved buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    /// The whole text.
    pub text: Arc<str>,
    /// The editor's version of the document.
    pub version: i32,
    /// blake3 of `text`.
    pub hash: Hash,
}

impl View {
    /// A view of the files on disk only.
    pub fn of_disk(root: PathBuf) -> Self {
        Self::new(root, BTreeMap::new())
    }

    pub(crate) fn new(root: PathBuf, overlays: BTreeMap<PathBuf, Overlay>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for (path, overlay) in &overlays {
            let path = path.as_os_str().as_encoded_bytes();
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            hasher.update(overlay.hash.as_bytes());
        }
        let digest = hasher.finalize();
        Self { inner: Arc::new(Inner { root, overlays, digest }) }
    }

    /// The workspace root, absolute.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Every buffer that differs from its file, by absolute path, in order.
    pub fn overlays(&self) -> impl ExactSizeIterator<Item = (&Path, &Overlay)> {
        self.inner.overlays.iter().map(|(path, overlay)| (path.as_path(), overlay))
    }

    /// The buffer at an absolute path or one relative to the root, where it differs from the file.
    pub fn overlay(&self, path: &Path) -> Option<&Overlay> {
        self.inner.overlays.get(&*self.absolute(path))
    }

    /// Bytes of a file as the session sees it; `path` is absolute or relative to the root.
    pub fn read(&self, path: &Path) -> io::Result<Cow<'_, [u8]>> {
        match self.overlay(path) {
            Some(overlay) => Ok(overlay.text.as_bytes().into()),
            None => fs::read(self.absolute(path)).map(Cow::Owned),
        }
    }

    /// Text of a file as the session sees it; an error of kind `InvalidData` where it is not UTF-8.
    pub fn read_text(&self, path: &Path) -> io::Result<Arc<str>> {
        match self.overlay(path) {
            Some(overlay) => Ok(overlay.text.clone()),
            None => fs::read_to_string(self.absolute(path)).map(Arc::from),
        }
    }

    /// blake3 of a file as the session sees it.
    pub fn hash(&self, path: &Path) -> io::Result<Hash> {
        match self.overlay(path) {
            Some(overlay) => Ok(overlay.hash),
            None => fs::read(self.absolute(path)).map(|bytes| blake3::hash(&bytes)),
        }
    }

    /// blake3 over the paths and contents of all overlays; equal for equal buffers, whatever their
    /// versions.
    pub fn digest(&self) -> Hash {
        self.inner.digest
    }

    fn absolute<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        if path.is_absolute() { path.into() } else { self.inner.root.join(path).into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Overlays;

    #[test]
    fn buffers_stand_before_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "disk").unwrap();
        fs::write(dir.path().join("b"), [0xff]).unwrap();
        let mut overlays = Overlays::default();
        overlays.open(1, dir.path().join("a"), 7, Some("buffer"));
        overlays.open(1, dir.path().join("new"), 1, Some("only in the editor"));
        let view = overlays.view(1, dir.path());

        assert_eq!(&*view.read_text(Path::new("a")).unwrap(), "buffer");
        assert_eq!(&*view.read_text(&dir.path().join("a")).unwrap(), "buffer");
        assert_eq!(view.overlay(Path::new("a")).unwrap().version, 7);
        assert_eq!(view.hash(Path::new("new")).unwrap(), blake3::hash(b"only in the editor"));
        assert_eq!(view.read(Path::new("b")).unwrap(), &[0xff][..]);
        let invalid = view.read_text(Path::new("b")).unwrap_err();
        assert_eq!(invalid.kind(), io::ErrorKind::InvalidData);
        assert_eq!(&*View::of_disk(dir.path().into()).read_text(Path::new("a")).unwrap(), "disk");
    }

    #[test]
    fn the_digest_follows_contents_and_not_versions() {
        let mut overlays = Overlays::default();
        let root = Path::new("/nowhere");
        let empty = overlays.view(1, root).digest();
        overlays.open(1, root.join("a"), 1, Some("x"));
        let one = overlays.view(1, root).digest();
        overlays.change(1, &root.join("a"), 2, [(0, 1, "y")]).unwrap();
        let two = overlays.view(1, root).digest();
        overlays.change(1, &root.join("a"), 3, [(0, 1, "x")]).unwrap();
        let three = overlays.view(1, root).digest();
        assert_eq!(one, three);
        assert_ne!(one, two);
        assert_ne!(one, empty);
    }
}
