//! Applies verified fixes to the working tree.
//!
//! Invariant: nothing is written unless every file that the fixes' verdicts depend on still has the
//! content that was verified, and every new file content is ready on disk.
//! Invariant: nothing outside the root is written, through a symbolic link or otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use greenlit_protocol::{FileEdit, FixEntry, FixReport, OfferedFix};
use serde::Serialize;

use super::failure::Failure;

/// What became of the fixes that `--apply` is about.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    pub(crate) applied: Vec<Applied>,
    pub(crate) skipped: Vec<Skipped>,
}

/// A fix that is in the files now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Applied {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) tests: Vec<String>,
    /// Relative to the root.
    pub(crate) files: Vec<String>,
}

/// The best fix of some test, left out.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Skipped {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) tests: Vec<String>,
    pub(crate) reason: String,
}

/// Why nothing was applied.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error("{path} changed since the fix was verified")]
    Changed { path: String },
    #[error("the fix edits {path}, and its evidence does not name that file's content")]
    Unverified { path: String },
    #[error("{path} is not a file inside the workspace")]
    Outside { path: String },
    #[error("the edit of {path} does not fit the file")]
    Range { path: String },
    #[error("cannot read {path}")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {path}; nothing was changed")]
    Stage {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("cannot replace {path}; changed already: {}", done.join(", "))]
    Replace {
        path: String,
        done: Vec<String>,
        #[source]
        source: io::Error,
    },
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let kind = match &error {
            ApplyError::Changed { .. } => "inputs-changed",
            ApplyError::Unverified { .. } | ApplyError::Range { .. } => "internal",
            ApplyError::Outside { .. } => "bad-request",
            _ => "io",
        };
        let mut message = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            message.push_str(&format!(": {source}"));
        }
        let failure = Self::new(kind, message);
        match error {
            ApplyError::Changed { .. } => failure.hint("run it again"),
            _ => failure,
        }
    }
}

/// Applies the best fix of each failing test, of those that overlap the one of the earlier test.
/// `offered` has the handles of `report.fixes`, in the same order.
pub(crate) fn apply(
    root: &Path,
    report: &FixReport,
    offered: &[OfferedFix],
) -> Result<Outcome, Failure> {
    let (chosen, skipped) = choose(report);
    let fixes: Vec<_> = chosen.iter().map(|index| &report.fixes[*index]).collect();
    write(root, &fixes)?;
    let id = |index: usize| offered.get(index).map(|fix| fix.id.clone()).unwrap_or_default();
    let title = |index: usize| match offered.get(index) {
        Some(fix) => fix.title.clone(),
        None => format!("Fix {}", report.fixes[index].tests.join(", ")),
    };
    let applied = |index: usize| {
        let fix = &report.fixes[index];
        let mut files: Vec<_> = fix.edits.iter().map(|edit| edit.path.clone()).collect();
        files.dedup();
        Applied { id: id(index), title: title(index), tests: fix.tests.clone(), files }
    };
    let left_out = |(index, reason): (usize, String)| {
        let tests = report.fixes[index].tests.clone();
        Skipped { id: id(index), title: title(index), tests, reason }
    };
    Ok(Outcome {
        applied: chosen.iter().copied().map(applied).collect(),
        skipped: skipped.into_iter().map(left_out).collect(),
    })
}

/// Indexes of the fixes to apply, and of those left out with the reason. Of a test whose best fix
/// overlaps, the next best is tried.
fn choose(report: &FixReport) -> (Vec<usize>, Vec<(usize, String)>) {
    let mut chosen: Vec<usize> = Vec::new();
    let mut skipped = Vec::new();
    for test in &report.failing {
        let fixes = |index: &usize| report.fixes[*index].tests.contains(&test.id);
        if chosen.iter().any(fixes) {
            continue;
        }
        let mut candidates: Vec<_> = (0..report.fixes.len()).filter(fixes).collect();
        candidates.sort_by_key(|index| report.fixes[*index].rank);
        let overlapped = |index: &usize| {
            chosen.iter().find(|other| overlap(&report.fixes[*index], &report.fixes[**other]))
        };
        match candidates.iter().find(|index| overlapped(index).is_none()) {
            Some(index) => chosen.push(*index),
            None => {
                if let Some(best) = candidates.first() {
                    let other = overlapped(best).map(|other| &report.fixes[*other].tests);
                    let names = other.map(|tests| tests.join(", ")).unwrap_or_default();
                    skipped.push((*best, format!("overlaps the fix of {names}; run it again")));
                }
            }
        }
    }
    (chosen, skipped)
}

/// Whether two fixes touch. Insertions at the same place do: their order would be a guess.
fn overlap(one: &FixEntry, other: &FixEntry) -> bool {
    one.edits.iter().any(|a| {
        other.edits.iter().any(|b| a.path == b.path && a.start <= b.end && b.start <= a.end)
    })
}

/// A new content, ready to take its file's place.
struct Staged {
    path: String,
    target: PathBuf,
    content: tempfile::NamedTempFile,
}

fn write(root: &Path, fixes: &[&FixEntry]) -> Result<(), ApplyError> {
    let mut hashes: BTreeMap<&str, &str> = BTreeMap::new();
    let mut edits: BTreeMap<&str, Vec<&FileEdit>> = BTreeMap::new();
    for fix in fixes {
        for (path, hash) in &fix.evidence.content_hashes {
            if hashes.insert(path, hash).is_some_and(|other| other != hash) {
                return Err(ApplyError::Changed { path: path.clone() });
            }
        }
        for edit in &fix.edits {
            edits.entry(&edit.path).or_default().push(edit);
        }
    }
    let mut contents: BTreeMap<&str, (PathBuf, Vec<u8>)> = BTreeMap::new();
    for (path, hash) in &hashes {
        let target = inside(root, path)?;
        let content = fs::read(&target).map_err(|source| read_error(path, source))?;
        if blake3::hash(&content).to_hex().as_str() != *hash {
            return Err(ApplyError::Changed { path: (*path).to_owned() });
        }
        if edits.contains_key(path) {
            contents.insert(path, (target, content));
        }
    }
    let mut staged = Vec::new();
    for (path, edits) in edits {
        let path = path.to_owned();
        let Some((target, content)) = contents.remove(path.as_str()) else {
            return Err(ApplyError::Unverified { path });
        };
        let Some(content) = patch(&content, edits) else {
            return Err(ApplyError::Range { path });
        };
        match stage(&target, &content) {
            Ok(content) => staged.push(Staged { path, target, content }),
            Err(source) => return Err(ApplyError::Stage { path, source }),
        }
    }
    let mut done = Vec::new();
    for Staged { path, target, content } in staged {
        match content.persist(&target) {
            Ok(_) => done.push(path),
            Err(error) => return Err(ApplyError::Replace { path, done, source: error.error }),
        }
    }
    Ok(())
}

fn read_error(path: &str, source: io::Error) -> ApplyError {
    match source.kind() {
        io::ErrorKind::NotFound => ApplyError::Changed { path: path.to_owned() },
        _ => ApplyError::Read { path: path.to_owned(), source },
    }
}

/// The real file behind a path relative to the root.
fn inside(root: &Path, path: &str) -> Result<PathBuf, ApplyError> {
    let outside = || ApplyError::Outside { path: path.to_owned() };
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let root = root.canonicalize().map_err(|source| read_error(path, source))?;
    let target = root.join(path).canonicalize().map_err(|source| read_error(path, source))?;
    if target.starts_with(&root) && target.is_file() { Ok(target) } else { Err(outside()) }
}

/// The content after all edits, which all speak of the content before; `None` when they do not fit.
fn patch(content: &[u8], mut edits: Vec<&FileEdit>) -> Option<Vec<u8>> {
    edits.sort_by_key(|edit| (edit.start, edit.end));
    let mut patched = Vec::with_capacity(content.len());
    let mut position = 0;
    for edit in edits {
        if edit.start < position || edit.end < edit.start {
            return None;
        }
        patched.extend_from_slice(content.get(position..edit.start)?);
        patched.extend_from_slice(edit.new_text.as_bytes());
        position = edit.end;
    }
    patched.extend_from_slice(content.get(position..)?);
    Some(patched)
}

/// Writes the content next to its file, with the file's permissions and owner.
fn stage(target: &Path, content: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let dir = target.parent().ok_or(io::ErrorKind::NotFound)?;
    let metadata = target.metadata()?;
    let mut file = tempfile::Builder::new().prefix(".greenlit-").tempfile_in(dir)?;
    file.write_all(content)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let own = file.as_file().metadata()?;
        if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
            std::os::unix::fs::fchown(file.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
        }
    }
    file.as_file().set_permissions(metadata.permissions())?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
