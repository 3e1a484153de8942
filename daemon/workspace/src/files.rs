//! Which files of a workspace there are, for whoever needs more than a fingerprint of them all.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::ignores::IgnoreRules;
use crate::inputs::{ScanError, walk};
use crate::stat::Stamp;

/// A file or symbolic link that git does not ignore. Links are listed and never followed.
#[derive(Debug, Clone)]
pub struct FoundFile {
    /// Below the directory that was listed.
    pub path: PathBuf,
    /// What the system says of it; of a link, not of what it points to.
    pub stamp: Stamp,
    /// When it was last written.
    pub modified: Option<SystemTime>,
}

/// Every file under a directory that is not ignored, in no order; the rules are those of
/// [`Inputs`](crate::Inputs). Directories that cannot be read are left out.
pub fn list_files(dir: &Path) -> Result<Vec<FoundFile>, ScanError> {
    std::fs::read_dir(dir).map_err(|source| ScanError::Root { root: dir.to_owned(), source })?;
    let found = walk(dir)?.into_iter().map(|(path, metadata)| FoundFile {
        path,
        stamp: Stamp::of(&metadata),
        modified: metadata.modified().ok(),
    });
    Ok(found.collect())
}

/// Says of single paths under a root whether [`list_files`] leaves them out.
#[derive(Debug)]
pub struct Ignored(IgnoreRules);

impl Ignored {
    /// Rules of a root, read as they are needed.
    pub fn new(root: &Path) -> Self {
        Self(IgnoreRules::new(root))
    }

    /// Forgets what was read, after a `.gitignore` changed.
    pub fn reload(&mut self) {
        self.0.reload();
    }

    /// Whether a file or directory is left out, itself or by a directory above it. So is every path
    /// outside. Of some directories, like virtual environments, what they hold decides.
    pub fn is_ignored(&mut self, path: &Path, is_dir: bool) -> bool {
        self.0.is_ignored(path, is_dir)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_and_links_are_listed_and_ignored_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join(".gitignore"), "*.log\n").unwrap();
        fs::write(root.join("a.py"), "1").unwrap();
        fs::write(root.join("a.log"), "1").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(root, root.join("loop")).unwrap();
        let mut names: Vec<_> = list_files(root)
            .unwrap()
            .into_iter()
            .map(|file| file.path.strip_prefix(root).unwrap().to_owned())
            .collect();
        names.sort();
        let mut expected = vec![PathBuf::from(".gitignore"), "a.py".into()];
        if cfg!(unix) {
            expected.push("loop".into());
        }
        assert_eq!(names, expected);
        let mut ignored = Ignored::new(root);
        assert!(ignored.is_ignored(&root.join("a.log"), false));
        assert!(!ignored.is_ignored(&root.join("a.py"), false));
        assert!(ignored.is_ignored(Path::new("/elsewhere/a.py"), false));
        fs::create_dir(root.join("env")).unwrap();
        assert!(!ignored.is_ignored(&root.join("env"), true));
        fs::write(root.join("env/pyvenv.cfg"), "").unwrap();
        assert!(ignored.is_ignored(&root.join("env"), true));
    }
}
