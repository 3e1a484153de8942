//! Keeps cargo from taking an artifact for fresh that was compiled from other source text.
//!
//! cargo compares modification times. A kept store can hold an artifact of an unsaved buffer; once
//! that buffer is closed, the file on disk is older than the artifact and cargo would compile
//! nothing: a wrong verdict. So a list of content hashes is kept beside the artifacts, and every
//! file whose content differs from it is written again, with the time of now, before a build.
//!
//! The list lies in the target directory: it is kept or thrown away together with the artifacts
//! that it describes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use greenlit_sandbox::{FileWrite, Sandbox, SandboxError};
use ignore::WalkBuilder;

use crate::cargo::CargoProject;
use crate::patterns::FOREIGN_DIRECTORIES;
use crate::scope::relative;

/// The list's name in the target directory.
const LIST: &str = ".greenlit-sources.json";

/// Larger files are taken for data that no build reads.
const LARGEST: u64 = 4 << 20;

/// Largest list that is read.
const LIST_LIMIT: u64 = 64 << 20;

type Hashes = BTreeMap<String, String>;

/// The state of the sources at the start of a build.
#[derive(Debug)]
pub(super) struct Sources {
    list: PathBuf,
    hashes: Hashes,
    changed: bool,
}

impl CargoProject {
    /// Brings modification times in line with the list. Until [`Sources::built`] the list names
    /// only what did not change: an interrupted build leaves the rest unknown. The list is that of
    /// the target directory `target`.
    pub(super) fn freshen(
        &self,
        sandbox: &mut Sandbox,
        target: &Path,
    ) -> Result<Sources, SandboxError> {
        let list = target.join(LIST);
        let known: Option<Hashes> =
            sandbox.read(&list, LIST_LIMIT)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut hashes = Hashes::new();
        let mut writes = Vec::new();
        for path in self.sources() {
            let Some(name) = relative(&self.dir, &path) else { continue };
            let content = match sandbox.read(&path, LARGEST) {
                Ok(Some(content)) => content,
                Ok(None)
                | Err(
                    SandboxError::TooLarge { .. }
                    | SandboxError::Symlink { .. }
                    | SandboxError::File { .. },
                ) => continue,
                Err(error) => return Err(error),
            };
            let hash = blake3::hash(&content).to_hex().to_string();
            if known.as_ref().is_some_and(|known| known.get(&name) != Some(&hash)) {
                writes.push(FileWrite { path, content: Some(content) });
            }
            hashes.insert(name, hash);
        }
        let changed = known.as_ref() != Some(&hashes);
        if changed {
            let mut certain = known.unwrap_or_default();
            certain.retain(|name, hash| hashes.get(name) == Some(hash));
            writes.push(FileWrite { path: list.clone(), content: Some(encode(&certain)) });
            sandbox.write(&writes)?;
        }
        Ok(Sources { list, hashes, changed })
    }

    /// Files that a build may read, as the host has them. A file that exists only in the sandbox
    /// was written there just now, and needs no care.
    pub(super) fn sources(&self) -> Vec<PathBuf> {
        let target = self.target.clone();
        WalkBuilder::new(&self.dir)
            .require_git(false)
            .parents(false)
            .git_global(false)
            .filter_entry(move |entry| {
                let name = entry.file_name().to_str().unwrap_or_default();
                entry.depth() == 0
                    || (entry.path() != target && !FOREIGN_DIRECTORIES.contains(&name))
            })
            .build()
            .flatten()
            .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
            .map(ignore::DirEntry::into_path)
            .collect()
    }
}

impl Sources {
    /// A hash of what decides which test executables a complete build has: the names of all files
    /// and the texts of the manifests.
    pub(super) fn layout(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        // Executables are known by the paths that they have inside.
        hasher.update(self.list.as_os_str().as_encoded_bytes()).update(b"\0");
        for (name, hash) in &self.hashes {
            hasher.update(name.as_bytes()).update(b"\0");
            if name.ends_with(".toml") {
                hasher.update(hash.as_bytes());
            }
        }
        hasher.finalize()
    }

    /// Records that every artifact now comes from these sources.
    pub(super) fn built(&self, sandbox: &mut Sandbox) -> Result<(), SandboxError> {
        if self.changed {
            let path: &Path = &self.list;
            let content = Some(encode(&self.hashes));
            sandbox.write(&[FileWrite { path: path.to_owned(), content }])?;
        }
        Ok(())
    }
}

fn encode(hashes: &Hashes) -> Vec<u8> {
    serde_json::to_vec(hashes).expect("a map of strings is valid JSON")
}
