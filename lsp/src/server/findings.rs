//! What the daemon found, kept per root, and whether it still holds for the texts of now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use greenlit_protocol::{FileEdit, Finding, FixEntry, OfferedFix};
use lsp_types::{Diagnostic, Url};

use super::documents::{ClosedFiles, Document, apply, hash_rope};
use super::file_text::FileText;

/// Open documents by the daemon's name of the file.
pub(crate) type Documents = HashMap<PathBuf, Document>;

/// Everything found, and what of it the editor shows.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    roots: BTreeMap<PathBuf, RootFindings>,
    closed: ClosedFiles,
    /// What was published last, by URI; nothing published has no entry.
    pub(crate) published: HashMap<Url, Vec<Diagnostic>>,
}

/// The findings of one root.
#[derive(Debug, Default)]
pub(crate) struct RootFindings {
    /// The workspace revision that they were computed from.
    pub(crate) revision: u64,
    /// Failing tests and problems.
    pub(crate) findings: Vec<Finding>,
}

/// A fix with where it comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) root: &'a Path,
    pub(crate) revision: u64,
    pub(crate) finding: &'a Finding,
    pub(crate) fix: &'a OfferedFix,
}

impl Findings {
    /// Replaces what is known about a root; gives the files whose diagnostics may differ now.
    pub(crate) fn replace(
        &mut self,
        root: PathBuf,
        revision: u64,
        findings: Vec<Finding>,
    ) -> BTreeSet<PathBuf> {
        self.closed.clear();
        let paths = |findings: &[Finding]| -> BTreeSet<PathBuf> {
            findings.iter().map(|finding| finding.path.clone()).collect()
        };
        let mut touched = paths(&findings);
        let new = RootFindings { revision, findings };
        if let Some(old) = self.roots.insert(root, new) {
            touched.extend(paths(&old.findings));
        }
        touched
    }

    /// Forgets roots that are not open any more; gives the files whose diagnostics go.
    pub(crate) fn keep_roots(&mut self, roots: &[PathBuf]) -> BTreeSet<PathBuf> {
        let gone: Vec<PathBuf> =
            self.roots.keys().filter(|root| !roots.contains(root)).cloned().collect();
        let gone = gone.iter().filter_map(|root| self.roots.remove(root));
        gone.flat_map(|root| root.findings).map(|finding| finding.path).collect()
    }

    /// Whether anything is known at a file.
    pub(crate) fn mention(&self, path: &Path) -> bool {
        self.all().any(|(_, _, finding)| finding.path == path)
    }

    fn all(&self) -> impl Iterator<Item = (&Path, u64, &Finding)> {
        self.roots.iter().flat_map(|(root, known)| {
            known.findings.iter().map(move |finding| (root.as_path(), known.revision, finding))
        })
    }

    /// Findings at a file that hold for its text of now.
    pub(crate) fn current_at<'a>(
        &'a self,
        path: &'a Path,
        hash: &'a str,
    ) -> impl Iterator<Item = &'a Finding> {
        self.all()
            .map(|(_, _, finding)| finding)
            .filter(move |finding| finding.path == path && finding.content_hash == hash)
    }

    /// Every fix, whether it still holds or not, the best of each finding first.
    pub(crate) fn offers(&self) -> impl Iterator<Item = Offer<'_>> {
        self.all().flat_map(|(root, revision, finding)| {
            finding.fixes.iter().map(move |fix| Offer { root, revision, finding, fix })
        })
    }

    /// Whether the verdict on a fix holds: every file that it depends on has the content that was
    /// verified, and every file that it edits is among them.
    pub(crate) fn holds(&mut self, documents: &Documents, root: &Path, entry: &FixEntry) -> bool {
        let hashes = &entry.evidence.content_hashes;
        !hashes.is_empty()
            && entry.edits.iter().all(|edit| hashes.contains_key(&edit.path))
            && hashes.iter().all(|(path, hash)| {
                let path = root.join(path);
                match documents.get(&path) {
                    Some(document) => document.hash() == Some(hash),
                    None => self.closed.hash(&path) == Some(hash),
                }
            })
    }
}

/// The edits of a fix by file, in the order of the text.
pub(crate) fn edits_by_file(entry: &FixEntry) -> BTreeMap<&str, Vec<&FileEdit>> {
    let mut files: BTreeMap<&str, Vec<&FileEdit>> = BTreeMap::new();
    for edit in &entry.edits {
        files.entry(&edit.path).or_default().push(edit);
    }
    files.values_mut().for_each(|edits| edits.sort_by_key(|edit| (edit.start, edit.end)));
    files
}

/// blake3 (hex) of a file's text with the edits applied. `None` when they overlap or do not fit.
pub(crate) fn patched_hash(text: &FileText, edits: &[&FileEdit]) -> Option<String> {
    let overlap = edits.windows(2).any(|pair| pair[0].end > pair[1].start);
    if overlap {
        return None;
    }
    let mut rope = text.rope.clone();
    for edit in edits.iter().rev() {
        let start = edit.start.checked_sub(text.hidden)?;
        let end = edit.end.checked_sub(text.hidden)?;
        let fits = |at: usize| {
            rope.try_byte_to_char(at).is_ok_and(|character| rope.char_to_byte(character) == at)
        };
        if start > end || !fits(start) || !fits(end) {
            return None;
        }
        let change = greenlit_protocol::TextChange { start, end, text: edit.new_text.clone() };
        apply(&mut rope, &change);
    }
    Some(hash_rope(&rope))
}
