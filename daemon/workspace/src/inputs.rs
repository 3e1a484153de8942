//! A fingerprint of every file that a test could read, to tell whether a verdict still holds.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use blake3::Hash;
use ignore::WalkState;

use crate::ignores;
use crate::stat::{Stamp, StatCache};
use crate::view::View;

/// Files over this many bytes are compared by their metadata instead of their content.
pub const MAX_HASHED_BYTES: u64 = 8 << 20;

/// A scan that meets more files than this gives up: see [`ScanError::TooManyFiles`].
pub const MAX_FILES: usize = 200_000;

/// Contents of every file under a root that is not ignored, unsaved buffers included.
///
/// What git ignores (build products, virtual environments, `node_modules`) is not looked at.
#[derive(Debug, Clone)]
pub struct Inputs {
    root: PathBuf,
    /// By path relative to the root.
    files: BTreeMap<PathBuf, Fingerprint>,
    digest: Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    kind: Kind,
    executable: bool,
    hash: Hash,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Content,
    Metadata,
    Link,
    /// It is there and cannot be read: tests cannot read it either.
    Unreadable,
}

/// Why there is no fingerprint.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The root is not a directory that can be read.
    #[error("cannot read the workspace {}", root.display())]
    Root {
        /// The root.
        root: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Too many to fingerprint: the root is probably not a project, or ignores too little.
    #[error(
        "more than {MAX_FILES} files under {} are not ignored by git: ignore what is generated, or take a \
         directory with less in it", root.display()
    )]
    TooManyFiles {
        /// The root.
        root: PathBuf,
    },
}

impl Inputs {
    /// Reads what changed since `cache` was last used; the rest is known from its metadata.
    pub fn scan(root: &Path, view: &View, cache: &mut StatCache) -> Result<Self, ScanError> {
        fs::read_dir(root).map_err(|source| ScanError::Root { root: root.to_owned(), source })?;
        cache.begin();
        let seen = walk(root)?;
        let mut files = BTreeMap::new();
        for (path, metadata) in seen {
            let fingerprint = match view.overlay(&path) {
                Some(_) => continue,
                None => fingerprint(&path, &metadata, cache),
            };
            // A file that vanished meanwhile is no input.
            if let Some(fingerprint) = fingerprint {
                files.insert(relative(root, &path), fingerprint);
            }
        }
        for (path, overlay) in view.overlays() {
            let executable = fs::metadata(path).is_ok_and(|metadata| is_executable(&metadata));
            let fingerprint = Fingerprint { kind: Kind::Content, executable, hash: overlay.hash };
            files.insert(relative(root, path), fingerprint);
        }
        cache.finish();
        let digest = digest(&files);
        Ok(Self { root: root.to_owned(), files, digest })
    }

    /// blake3 over all paths and contents.
    pub fn digest(&self) -> Hash {
        self.digest
    }

    /// blake3 of the content of a file, absolute or relative to the root. `None` for a file that
    /// is ignored, missing, too large, or a link.
    pub fn hash_of(&self, path: &Path) -> Option<Hash> {
        let relative = path.strip_prefix(&self.root).unwrap_or(path);
        let fingerprint = self.files.get(relative)?;
        (fingerprint.kind == Kind::Content).then_some(fingerprint.hash)
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Paths relative to the root, in order.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Absolute paths of files that were added, removed or changed between the two, in order.
    pub fn changed(&self, other: &Self) -> Vec<PathBuf> {
        if self.digest == other.digest && self.root == other.root {
            return Vec::new();
        }
        let mut changed: Vec<PathBuf> = self
            .files
            .iter()
            .filter(|(path, fingerprint)| other.files.get(*path) != Some(*fingerprint))
            .map(|(path, _)| self.root.join(path))
            .chain(
                other
                    .files
                    .keys()
                    .filter(|path| !self.files.contains_key(*path))
                    .map(|path| other.root.join(path)),
            )
            .collect();
        changed.sort_unstable();
        changed
    }
}

/// Every file and link with its metadata, in no order. Asking for metadata dominates a scan, so
/// it is spread over threads.
pub(crate) fn walk(root: &Path) -> Result<Vec<(PathBuf, Metadata)>, ScanError> {
    let seen = Mutex::new(Vec::new());
    let count = AtomicUsize::new(0);
    let overflow = AtomicBool::new(false);
    ignores::walk(root).threads(0).build_parallel().run(|| {
        let mut batch = Batch { files: Vec::new(), all: &seen };
        let (count, overflow) = (&count, &overflow);
        Box::new(move |entry| {
            // Unreadable directories are skipped: tests cannot read them either.
            let Ok(entry) = entry else {
                return WalkState::Continue;
            };
            if entry.file_type().is_none_or(|kind| !kind.is_file() && !kind.is_symlink()) {
                return WalkState::Continue;
            }
            if count.fetch_add(1, Ordering::Relaxed) >= MAX_FILES {
                overflow.store(true, Ordering::Relaxed);
                return WalkState::Quit;
            }
            if let Ok(metadata) = entry.metadata() {
                batch.files.push((entry.into_path(), metadata));
            }
            WalkState::Continue
        })
    });
    if overflow.into_inner() {
        return Err(ScanError::TooManyFiles { root: root.to_owned() });
    }
    Ok(seen.into_inner().expect("no thread panics while it holds the lock"))
}

/// One thread's files, handed over when the thread is done.
struct Batch<'a> {
    files: Vec<(PathBuf, Metadata)>,
    all: &'a Mutex<Vec<(PathBuf, Metadata)>>,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        if let Ok(mut all) = self.all.lock() {
            all.append(&mut self.files);
        }
    }
}

fn fingerprint(path: &Path, metadata: &Metadata, cache: &mut StatCache) -> Option<Fingerprint> {
    if metadata.is_symlink() {
        return link(path, cache);
    }
    let executable = is_executable(metadata);
    let stamp = Stamp::of(metadata);
    if metadata.len() > MAX_HASHED_BYTES {
        return Some(Fingerprint { kind: Kind::Metadata, executable, hash: stamp.digest() });
    }
    if let Some(hash) = cache.get(path, &stamp) {
        return Some(Fingerprint { kind: Kind::Content, executable, hash });
    }
    let before = SystemTime::now();
    match fs::read(path) {
        Ok(bytes) => {
            let hash = blake3::hash(&bytes);
            cache.put(path.to_owned(), stamp, hash, before);
            Some(Fingerprint { kind: Kind::Content, executable, hash })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(_) => {
            let hash = stamp.digest();
            Some(Fingerprint { kind: Kind::Unreadable, executable, hash })
        }
    }
}

/// A link is where it points and, for a file, what is there.
fn link(path: &Path, cache: &mut StatCache) -> Option<Fingerprint> {
    let target = fs::read_link(path).ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(target.as_os_str().as_encoded_bytes());
    let pointee = fs::metadata(path).ok().filter(Metadata::is_file);
    let pointee = pointee.and_then(|metadata| fingerprint(path, &metadata, cache));
    if let Some(pointee) = pointee {
        hasher.update(pointee.hash.as_bytes());
    }
    Some(Fingerprint { kind: Kind::Link, executable: false, hash: hasher.finalize() })
}

fn is_executable(metadata: &Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        false
    }
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn digest(files: &BTreeMap<PathBuf, Fingerprint>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    for (path, fingerprint) in files {
        let path = path.as_os_str().as_encoded_bytes();
        hasher.update(&(path.len() as u64).to_le_bytes());
        hasher.update(path);
        hasher.update(&[fingerprint.kind as u8, u8::from(fingerprint.executable)]);
        hasher.update(fingerprint.hash.as_bytes());
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Overlays;

    struct Project {
        dir: tempfile::TempDir,
        cache: StatCache,
        overlays: Overlays,
    }

    impl Project {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let project = Self { dir, cache: StatCache::default(), overlays: Overlays::default() };
            files.iter().for_each(|(path, text)| project.write(path, text));
            project
        }

        fn path(&self, path: &str) -> PathBuf {
            self.dir.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn scan(&mut self) -> Inputs {
            let view = self.overlays.view(1, self.dir.path());
            Inputs::scan(self.dir.path(), &view, &mut self.cache).unwrap()
        }
    }

    #[test]
    fn every_kind_of_change_is_seen() {
        let mut project = Project::new(&[
            ("a.py", "1"),
            ("b/c.py", "2"),
            (".gitignore", "out/\n"),
            ("out/x", ""),
        ]);
        let first = project.scan();
        assert_eq!(first.len(), 3);
        assert_eq!(first.hash_of(Path::new("b/c.py")), Some(blake3::hash(b"2")));
        assert_eq!(first.hash_of(&project.path("a.py")), Some(blake3::hash(b"1")));
        assert_eq!(first.hash_of(Path::new("out/x")), None);

        // Same length, within the same timestamp granularity: the racy case.
        project.write("a.py", "3");
        project.write("out/x", "changed");
        let second = project.scan();
        assert_eq!(first.changed(&second), [project.path("a.py")]);
        assert_ne!(first.digest(), second.digest());

        project.write("new.py", "");
        fs::remove_file(project.path("b/c.py")).unwrap();
        let third = project.scan();
        assert_eq!(second.changed(&third), [project.path("b/c.py"), project.path("new.py")]);
        assert_eq!(third.changed(&second), [project.path("b/c.py"), project.path("new.py")]);

        assert_eq!(third.changed(&project.scan()), Vec::<PathBuf>::new());
        assert_eq!(third.digest(), project.scan().digest());
    }

    #[test]
    fn unsaved_buffers_count_instead_of_their_files() {
        let mut project = Project::new(&[("a.py", "1")]);
        let first = project.scan();
        let (a, new) = (project.path("a.py"), project.path("new.py"));
        project.overlays.open(1, a.clone(), 1, Some("2"));
        project.overlays.open(1, new.clone(), 1, Some("n"));
        let second = project.scan();
        assert_eq!(first.changed(&second), [a.clone(), new.clone()]);
        assert_eq!(second.hash_of(&a), Some(blake3::hash(b"2")));

        project.write("a.py", "2");
        project.write("new.py", "n");
        assert_eq!(second.digest(), project.scan().digest());
    }

    #[test]
    #[cfg(unix)]
    fn links_and_modes_count() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let outside = tempfile::NamedTempFile::new().unwrap();
        let mut project = Project::new(&[("a.sh", "1")]);
        symlink(outside.path(), project.path("link")).unwrap();
        symlink("nowhere", project.path("dangling")).unwrap();
        let first = project.scan();
        assert_eq!(first.len(), 3);
        fs::write(outside.path(), "x").unwrap();
        let second = project.scan();
        assert_eq!(first.changed(&second), [project.path("link")]);
        fs::set_permissions(project.path("a.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(second.changed(&project.scan()), [project.path("a.sh")]);
    }

    #[test]
    fn large_files_are_compared_by_metadata() {
        let mut project = Project::new(&[]);
        let path = project.path("large");
        let file = fs::File::create(&path).unwrap();
        file.set_len(MAX_HASHED_BYTES + 1).unwrap();
        let first = project.scan();
        assert_eq!(first.hash_of(&path), None);
        file.set_len(MAX_HASHED_BYTES + 2).unwrap();
        assert_eq!(first.changed(&project.scan()), [path]);
    }

    #[test]
    fn a_missing_root_is_an_error() {
        let project = Project::new(&[]);
        let root = project.path("missing");
        let error = Inputs::scan(&root, &View::of_disk(root.clone()), &mut StatCache::default());
        assert!(matches!(error, Err(ScanError::Root { .. })));
    }

    #[test]
    fn ten_thousand_files_are_rescanned_quickly() {
        let mut project = Project::new(&[]);
        let old = SystemTime::now() - std::time::Duration::from_secs(60);
        for dir in 0..100 {
            fs::create_dir(project.path(&dir.to_string())).unwrap();
            for file in 0..100 {
                let path = project.path(&format!("{dir}/{file}.py"));
                fs::write(&path, format!("x = {dir}{file}\n")).unwrap();
                fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            }
        }
        // The change time cannot be set back: let the entries age instead.
        let first = project.scan();
        project.cache.age_all();
        let start = std::time::Instant::now();
        let second = project.scan();
        let took = start.elapsed();
        println!("rescan of {} files: {took:?}", second.len());
        assert_eq!(first.digest(), second.digest());
        // Generous: machines that run tests are busy. The measured time is in the report.
        assert!(took < std::time::Duration::from_secs(2), "{took:?}");
    }
}
