//! Workspace roots and the names of files: as the editor spells them, and as the daemon knows them.
//!
//! A root behind a symbolic link has two names. The daemon gets the canonical one; the editor gets
//! its own back, else it would open every file twice.

use std::path::{Path, PathBuf};

use lsp_types::Url;

/// The roots of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Roots(Vec<Root>);

/// One root with both names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Root {
    spelled: PathBuf,
    canonical: PathBuf,
}

impl Roots {
    /// The roots behind these URIs; ones that are not directories on this machine are left out.
    pub(crate) fn new<'a>(uris: impl IntoIterator<Item = &'a Url>) -> Self {
        let mut roots = Self::default();
        uris.into_iter().for_each(|uri| roots.add(uri));
        roots
    }

    pub(crate) fn add(&mut self, uri: &Url) {
        let Some(spelled) = file_path(uri) else { return };
        match spelled.canonicalize() {
            Ok(canonical) if canonical.is_dir() => {
                if !self.0.iter().any(|root| root.canonical == canonical) {
                    self.0.push(Root { spelled, canonical });
                }
            }
            _ => tracing::warn!(%uri, "this workspace folder is not a directory here"),
        }
    }

    pub(crate) fn remove(&mut self, uri: &Url) {
        if let Some(path) = file_path(uri) {
            self.0.retain(|root| root.spelled != path && root.canonical != path);
        }
    }

    /// The daemon's names of the roots.
    pub(crate) fn canonical(&self) -> Vec<PathBuf> {
        self.0.iter().map(|root| root.canonical.clone()).collect()
    }

    /// The daemon's name of a root that the editor names by URI or by path.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        let path = Url::parse(name).ok().and_then(|uri| file_path(&uri));
        let path = path.unwrap_or_else(|| PathBuf::from(name));
        let same = |root: &&Root| root.spelled == path || root.canonical == path;
        self.0.iter().find(same).map(|root| root.canonical.clone())
    }

    /// The daemon's name of the editor's file; `None` for what is not a file.
    pub(crate) fn path(&self, uri: &Url) -> Option<PathBuf> {
        let path = file_path(uri)?;
        let inner = self
            .0
            .iter()
            .filter_map(|root| Some((root, path.strip_prefix(&root.spelled).ok()?)))
            .min_by_key(|(_, rest)| rest.as_os_str().len())
            .map(|(root, rest)| root.canonical.join(rest));
        Some(inner.unwrap_or(path))
    }

    /// The editor's name of the daemon's file.
    pub(crate) fn uri(&self, path: &Path) -> Option<Url> {
        let inner = self
            .0
            .iter()
            .filter_map(|root| Some((root, path.strip_prefix(&root.canonical).ok()?)))
            .min_by_key(|(_, rest)| rest.as_os_str().len())
            .map(|(root, rest)| root.spelled.join(rest));
        Url::from_file_path(inner.as_deref().unwrap_or(path)).ok()
    }
}

/// The path that a `file:` URI names, the drive letter of Windows in upper case.
fn file_path(uri: &Url) -> Option<PathBuf> {
    if uri.scheme() != "file" {
        return None;
    }
    let path = uri.to_file_path().ok()?;
    Some(upper_drive(path))
}

/// Editors write `c:` and `C:` for the same drive, sometimes both in one session.
fn upper_drive(path: PathBuf) -> PathBuf {
    match path.to_str().map(str::as_bytes) {
        Some([drive, b':', ..]) if drive.is_ascii_lowercase() => {
            let text = path.to_str().expect("its bytes were just looked at");
            PathBuf::from(format!("{}{}", &text[..1].to_ascii_uppercase(), &text[1..]))
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(path: &Path) -> Url {
        Url::from_file_path(path).unwrap()
    }

    #[test]
    #[cfg(unix)]
    fn a_linked_root_keeps_the_editors_spelling() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap().join("real é");
        let link = dir.path().join("link");
        std::fs::create_dir_all(real.join("sub")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();

        let roots = Roots::new([&uri(&link)]);
        assert_eq!(roots.canonical(), std::slice::from_ref(&real));
        assert_eq!(roots.path(&uri(&link.join("a.py"))), Some(real.join("a.py")));
        assert_eq!(roots.uri(&real.join("a.py")), Some(uri(&link.join("a.py"))));
        assert_eq!(roots.find(uri(&link).as_str()), Some(real.clone()));
        assert_eq!(roots.find(real.to_str().unwrap()), Some(real.clone()));
        // Outside every root, names stay as they are.
        let other = dir.path().join("other.py");
        assert_eq!(roots.path(&uri(&other)), Some(other.clone()));
        assert_eq!(roots.uri(&other), Some(uri(&other)));
    }

    #[test]
    fn the_innermost_root_wins() {
        let dir = tempfile::tempdir().unwrap();
        let outer = dir.path().canonicalize().unwrap();
        let inner = outer.join("inner");
        std::fs::create_dir(&inner).unwrap();
        let mut roots = Roots::new([&uri(&outer), &uri(&inner), &uri(&outer)]);
        assert_eq!(roots.canonical(), [outer.clone(), inner.clone()]);
        roots.remove(&uri(&inner));
    }

    #[test]
    fn only_files_have_paths() {
        let roots = Roots::new([&Url::parse("untitled:Untitled-1").unwrap()]);
        assert_eq!(roots, Roots::default());
        assert_eq!(roots.path(&Url::parse("untitled:Untitled-1").unwrap()), None);
        assert_eq!(roots.path(&Url::parse("https://example.org/a.py").unwrap()), None);
        assert_eq!(roots.path(&Url::parse("vscode-vfs://github/o/r/a.py").unwrap()), None);
    }

    #[test]
    fn drive_letters_are_upper_case() {
        assert_eq!(upper_drive(r"c:\x".into()), PathBuf::from(r"C:\x"));
        assert_eq!(upper_drive(r"C:\x".into()), PathBuf::from(r"C:\x"));
        assert_eq!(upper_drive("/c:/x".into()), PathBuf::from("/c:/x"));
        assert_eq!(upper_drive("é:".into()), PathBuf::from("é:"));
    }
}
