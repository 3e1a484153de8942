//! Source text from packages that lie on the machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use greenlit_syntax::chunk::{HEAD_BYTES, SourceKind, skip};

/// Text of a chunk, about; how many there are is counted afterwards.
const CHUNK_BYTES: u64 = 280;
/// A few packages of generated bindings would else be most of the text.
const PACKAGE_BYTES: u64 = 500_000;
/// Larger files are mostly data.
const FILE_BYTES: u64 = 200_000;

/// Packages, in an order that the seed decides. Each is given out once.
pub(crate) struct Corpus {
    roots: Vec<PathBuf>,
    packages: std::vec::IntoIter<PathBuf>,
    taken: usize,
}

/// A file of a package: where it is, and its path below the package's directory.
pub(crate) struct Source {
    pub(crate) file: PathBuf,
    pub(crate) place: PathBuf,
}

impl Corpus {
    pub(crate) fn find(given: &[PathBuf], seed: u64) -> Result<Self> {
        let mut roots = given.to_vec();
        if roots.is_empty() {
            let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
            let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
            let registry = home.context("no home directory")?.join("registry/src");
            let venv = greenlit_benches::repository().join(".tools/venv/lib");
            roots.extend(entries(&registry));
            roots.extend(entries(&venv).iter().map(|python| python.join("site-packages")));
        }
        let mut packages: Vec<PathBuf> = roots.iter().flat_map(|root| entries(root)).collect();
        packages.retain(|package| package.is_dir());
        fastrand::Rng::with_seed(seed).shuffle(&mut packages);
        Ok(Self { roots, packages: packages.into_iter(), taken: 0 })
    }

    /// Files with text for about so many chunks.
    pub(crate) fn take(&mut self, chunks: usize) -> Result<Vec<Source>> {
        let mut left = chunks as u64 * CHUNK_BYTES;
        let mut sources = Vec::new();
        while left > 0 {
            let Some(package) = self.packages.next() else {
                bail!("too little text in {}: {} packages", self.listed(), self.taken);
            };
            self.taken += 1;
            let mut of_package = PACKAGE_BYTES.min(left);
            let parent = package.parent().unwrap_or(&package).to_owned();
            let mut open = vec![package];
            while let Some(path) = open.pop().filter(|_| of_package > 0) {
                if path.is_dir() {
                    let hidden = |path: &PathBuf| {
                        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
                    };
                    open.extend(entries(&path).into_iter().filter(|path| !hidden(path)));
                } else if SourceKind::from_path(&path).is_some()
                    && let Ok(bytes) = path.metadata().map(|metadata| metadata.len())
                    && bytes <= FILE_BYTES
                {
                    let place = path.strip_prefix(&parent)?.to_owned();
                    if !is_indexed(&path, &place) {
                        continue;
                    }
                    of_package = of_package.saturating_sub(bytes);
                    left = left.saturating_sub(bytes);
                    sources.push(Source { file: path, place });
                }
            }
        }
        Ok(sources)
    }

    pub(crate) fn described(&self) -> String {
        let taken = self.taken;
        format!("{taken} packages of {}, at most {PACKAGE_BYTES} bytes of each", self.listed())
    }

    fn listed(&self) -> String {
        let roots: Vec<_> = self.roots.iter().map(|root| root.display().to_string()).collect();
        roots.join(", ")
    }
}

/// Whether the index takes it: what is saved there must be found.
fn is_indexed(file: &Path, place: &Path) -> bool {
    fs::read_to_string(file).is_ok_and(|text| {
        let head = &text.as_bytes()[..text.len().min(HEAD_BYTES)];
        skip(place, head, text.len() as u64).is_none()
    })
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = found.map(|entry| entry.path()).collect();
    found.sort();
    found
}
