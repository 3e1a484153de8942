//! Turning edits into texts and texts into unified diffs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use similar::TextDiff;

use crate::Edit;

/// Why edits do not fit a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A range lies outside the text or inside a character.
    #[error("the range {start}..{end} of {} does not fit its text", path.display())]
    BadRange {
        /// The file.
        path: PathBuf,
        /// Start in bytes.
        start: usize,
        /// End in bytes.
        end: usize,
    },
    /// Two edits overlap.
    #[error("two edits of {} overlap", path.display())]
    Overlap {
        /// The file.
        path: PathBuf,
    },
    /// The file is not part of the view.
    #[error("{} is not a file of this workspace", path.display())]
    UnknownFile {
        /// The file.
        path: PathBuf,
    },
}

/// A changed file: its text before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchedFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Unpatched text.
    pub before: Arc<str>,
    /// Patched text.
    pub after: String,
}

/// Applies `edits` (in any order) to the texts that `text_of` gives.
pub fn apply(
    edits: &[Edit],
    text_of: &dyn Fn(&Path) -> Option<Arc<str>>,
) -> Result<Vec<PatchedFile>, ApplyError> {
    let mut by_file: BTreeMap<&Path, Vec<&Edit>> = BTreeMap::new();
    for edit in edits {
        by_file.entry(&edit.path).or_default().push(edit);
    }
    by_file
        .into_iter()
        .map(|(path, mut edits)| {
            let before =
                text_of(path).ok_or_else(|| ApplyError::UnknownFile { path: path.to_owned() })?;
            edits.sort_by_key(|edit| (edit.start, edit.end));
            let after = splice(path, &before, &edits)?;
            Ok(PatchedFile { path: path.to_owned(), before, after })
        })
        .collect()
}

/// What is different, line by line; after a while more coarsely, since somebody waits.
pub(crate) fn line_diff<'a>(before: &'a str, now: &'a str) -> TextDiff<'a, 'a, 'a, str> {
    TextDiff::configure().timeout(Duration::from_millis(200)).diff_lines(before, now)
}

/// A digest of what a patch leaves: paths and texts.
pub(crate) fn key(patch: &[PatchedFile]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for file in patch {
        for part in [file.path.as_os_str().as_encoded_bytes(), file.after.as_bytes()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize()
}

fn splice(path: &Path, before: &str, edits: &[&Edit]) -> Result<String, ApplyError> {
    let mut after = String::with_capacity(before.len() + 64);
    let mut at = 0;
    for edit in edits {
        if edit.start < at {
            return Err(ApplyError::Overlap { path: path.to_owned() });
        }
        let kept = (edit.start <= edit.end)
            .then(|| Some((before.get(at..edit.start)?, before.get(edit.start..edit.end)?)))
            .flatten();
        let Some((kept, _replaced)) = kept else {
            return Err(ApplyError::BadRange {
                path: path.to_owned(),
                start: edit.start,
                end: edit.end,
            });
        };
        after.push_str(kept);
        after.push_str(&edit.new_text);
        at = edit.end;
    }
    after.push_str(&before[at..]);
    Ok(after)
}

/// A unified diff with `a/` and `b/` paths relative to `root`, as `git apply` reads it.
pub fn unified_diff(root: &Path, files: &[PatchedFile]) -> String {
    files
        .iter()
        .map(|file| {
            let name = relative(root, &file.path);
            TextDiff::from_lines(&*file.before, &file.after)
                .unified_diff()
                .context_radius(3)
                .header(&diff_name("a/", &name), &diff_name("b/", &name))
                .to_string()
        })
        .collect()
}

/// `path` relative to `root` with forward slashes; the whole path where it lies elsewhere.
pub fn relative(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> =
        inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// git quotes names with quotes, backslashes or control characters, and ends names that hold a
/// space with a tab, so that they are not read as a name and a time stamp.
fn diff_name(prefix: &str, name: &str) -> String {
    if name.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        let mut quoted = format!("\"{prefix}");
        for c in name.chars() {
            match c {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                c if c.is_control() => quoted.push_str(&format!("\\{:03o}", c as u32)),
                c => quoted.push(c),
            }
        }
        quoted.push('"');
        return quoted;
    }
    let tab = if name.contains(' ') { "\t" } else { "" };
    format!("{prefix}{name}{tab}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit(start: usize, end: usize, new_text: &str) -> Edit {
        Edit { path: "/w/a.py".into(), start, end, new_text: new_text.into() }
    }

    fn apply_to(text: &str, edits: &[Edit]) -> Result<String, ApplyError> {
        let text: Arc<str> = text.into();
        apply(edits, &|_| Some(text.clone())).map(|mut files| files.remove(0).after)
    }

    #[test]
    fn edits_apply_in_any_order() {
        let edits = [edit(4, 5, "two"), edit(0, 1, "one")];
        assert_eq!(apply_to("a = b\n", &edits).unwrap(), "one = two\n");
    }

    #[test]
    fn bad_ranges_and_overlaps_are_errors() {
        assert!(matches!(apply_to("ab", &[edit(1, 9, "")]), Err(ApplyError::BadRange { .. })));
        assert!(matches!(apply_to("é", &[edit(1, 2, "")]), Err(ApplyError::BadRange { .. })));
        assert!(matches!(apply_to("é", &[edit(0, 1, "")]), Err(ApplyError::BadRange { .. })));
        let overlapping = [edit(0, 2, ""), edit(1, 3, "")];
        assert!(matches!(apply_to("abc", &overlapping), Err(ApplyError::Overlap { .. })));
    }

    #[test]
    fn the_diff_is_what_git_reads() {
        let file = PatchedFile {
            path: "/w/my dir/a.py".into(),
            before: "one\r\ntwo\r\nthree".into(),
            after: "one\r\n2\r\nthree".into(),
        };
        let diff = unified_diff(Path::new("/w"), &[file]);
        assert_eq!(
            diff,
            "--- a/my dir/a.py\t\n+++ b/my dir/a.py\t\n@@ -1,3 +1,3 @@\n one\r\n-two\r\n+2\r\n three\n\\ No newline at end of file\n"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_edits_never_panic(text in "\\PC{0,40}", ranges in prop::collection::vec((0usize..50, 0usize..50), 0..4)) {
            let edits: Vec<_> = ranges.into_iter().map(|(a, b)| edit(a, b, "x")).collect();
            let text: Arc<str> = text.into();
            let _ = apply(&edits, &|_| Some(text.clone()));
        }
    }
}
