//! Puts candidate files into a sandbox that is used again and again, and takes them back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use greenlit_sandbox::{FileWrite, Sandbox, SandboxError};

/// Largest file that a candidate may replace.
const LIMIT: u64 = 16 << 20;

/// Remembers what each replaced file held before the session.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    originals: BTreeMap<PathBuf, Option<Vec<u8>>>,
    changed: BTreeMap<PathBuf, Option<Vec<u8>>>,
}

impl Overlay {
    /// Makes the sandbox's files the original state with `files` replaced. Files that an earlier
    /// call replaced and this one does not are restored; what already is as wanted is not touched.
    pub(crate) fn apply(
        &mut self,
        sandbox: &mut Sandbox,
        files: &[FileWrite],
    ) -> Result<(), SandboxError> {
        let wanted: BTreeMap<PathBuf, Option<Vec<u8>>> =
            files.iter().map(|file| (file.path.clone(), file.content.clone())).collect();
        for path in wanted.keys() {
            if !self.originals.contains_key(path) {
                let original = sandbox.read(path, LIMIT)?;
                self.originals.insert(path.clone(), original);
            }
        }
        let mut writes = Vec::new();
        for (path, original) in &self.originals {
            let now = self.changed.get(path).unwrap_or(original);
            let then = wanted.get(path).unwrap_or(original);
            if now != then {
                writes.push(FileWrite { path: path.clone(), content: then.clone() });
            }
        }
        if !writes.is_empty() {
            sandbox.write(&writes)?;
        }
        self.changed = wanted;
        Ok(())
    }

    /// The files that are replaced now; `None` when one of them was created or removed.
    pub(crate) fn replaced(&self) -> Option<Vec<&Path>> {
        let both = |(path, now): (_, &Option<Vec<u8>>)| {
            let original = self.originals.get(path).is_some_and(Option::is_some);
            (original && now.is_some()).then_some(PathBuf::as_path(path))
        };
        self.changed.iter().map(both).collect()
    }
}
