//! How much of a text a fix changes, in tokens.

use similar::{Algorithm, ChangeTag, TextDiff};

use super::naturalness::tokens;
use crate::patch::PatchedFile;

/// Tokens that a fix takes out and puts in; white space does not count. What moves counts twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Tokens of the original that are gone.
    pub removed: u32,
    /// Tokens that are new.
    pub added: u32,
}

impl Change {
    pub(super) fn of(files: &[PatchedFile]) -> Self {
        let mut change = Self::default();
        for file in files {
            // Only lines that differ are looked at by token: files are long, edits are short.
            let lines = TextDiff::from_lines(&*file.before, file.after.as_str());
            let side = |tag: ChangeTag| -> String {
                let changes = lines.iter_all_changes().filter(move |change| change.tag() == tag);
                changes.map(|change| change.value()).collect()
            };
            let (before, after) = (side(ChangeTag::Delete), side(ChangeTag::Insert));
            let (old, new) = (tokens(&before), tokens(&after));
            let tokens = TextDiff::configure().algorithm(Algorithm::Myers).diff_slices(&old, &new);
            for token in tokens.iter_all_changes() {
                match token.tag() {
                    ChangeTag::Delete => change.removed += 1,
                    ChangeTag::Insert => change.added += 1,
                    ChangeTag::Equal => {}
                }
            }
        }
        change
    }

    /// Whether it only takes code away.
    pub fn only_removes(self) -> bool {
        self.removed > 0 && self.added == 0
    }

    /// All tokens that differ.
    pub fn size(self) -> u32 {
        self.removed + self.added
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &str, after: &str) -> Change {
        Change::of(&[PatchedFile {
            path: "/w/a.py".into(),
            before: before.into(),
            after: after.into(),
        }])
    }

    #[test]
    fn tokens_are_counted_and_white_space_is_not() {
        assert_eq!(change("a < b\n", "a <= b\n"), Change { removed: 0, added: 1 });
        assert_eq!(change("x = a + b\ny\n", "x = a\ny\n"), Change { removed: 2, added: 0 });
        assert_eq!(change("if a:\n    b\n", "b\n"), Change { removed: 3, added: 0 });
        assert_eq!(change("a = 1\n", "a  =  1\n"), Change::default());
        assert!(change("a\nb\n", "a\n").only_removes());
        assert!(!change("a\n", "b\n").only_removes());
    }
}
