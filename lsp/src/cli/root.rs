//! Which workspace a command is about.

use std::path::{Path, PathBuf};

use super::failure::Failure;

/// A directory with one of these is a workspace root.
const MARKERS: [&str; 11] = [
    ".git",
    "greenlit.toml",
    "Cargo.toml",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "pytest.ini",
    "tox.ini",
    "package.json",
    "go.mod",
    ".hg",
];

/// `root`, or else the nearest directory from here upwards that looks like a project, or else the
/// working directory; canonical.
pub(crate) fn resolve(root: Option<&Path>) -> Result<PathBuf, Failure> {
    let here = || std::env::current_dir().map_err(Failure::io("no working directory"));
    let root = match root {
        Some(root) => root.to_owned(),
        None => nearest(&here()?),
    };
    let canonical = root
        .canonicalize()
        .map_err(|error| Failure::usage(format!("no workspace at {}: {error}", root.display())))?;
    if canonical.is_dir() {
        Ok(canonical)
    } else {
        Err(Failure::usage(format!("{} is not a directory", root.display())))
    }
}

fn nearest(from: &Path) -> PathBuf {
    let is_root = |dir: &&Path| MARKERS.iter().any(|marker| dir.join(marker).exists());
    from.ancestors().find(is_root).unwrap_or(from).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_project_wins() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("packages/a/src");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        assert_eq!(nearest(&inner), dir.path());
        std::fs::write(dir.path().join("packages/a/package.json"), "{}").unwrap();
        assert_eq!(nearest(&inner), dir.path().join("packages/a"));
    }

    #[test]
    fn a_root_that_is_none_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let failure = resolve(Some(&missing)).unwrap_err();
        assert_eq!(failure.kind, "bad-request");
        assert!(failure.message.starts_with("no workspace at "), "{}", failure.message);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(resolve(Some(&file)).unwrap_err().message.ends_with("is not a directory"));
    }
}
