//! Moves a patch to texts that changed since it was written.
//!
//! A patch moves when every line that it edits, and the line before and after, is still there unchanged
//! and together. It is a candidate again then, and nothing more.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use similar::ChangeTag;

use crate::patch::line_diff;
use crate::search::VerifiedFix;
use crate::{Candidate, Edit};

/// A fix as a candidate for the texts of now. `None` where the surrounding lines do not match any more.
#[must_use]
pub fn rebase(fix: &VerifiedFix, text_of: &dyn Fn(&Path) -> Option<Arc<str>>) -> Option<Candidate> {
    let mut moves: HashMap<&PathBuf, Lines> = HashMap::new();
    for file in &fix.files {
        moves.insert(&file.path, Lines::between(&file.before, &text_of(&file.path)?));
    }
    let moved = |edit: &Edit| {
        let Range { start, end } = moves.get(&edit.path)?.moved(edit.start..edit.end)?;
        Some(Edit { start, end, ..edit.clone() })
    };
    let edits = fix.candidate.edits.iter().map(moved).collect::<Option<_>>()?;
    Some(Candidate { edits, ..fix.candidate.clone() })
}

/// Where the lines of a text are in a later one.
struct Lines {
    /// Byte ranges of the lines before.
    before: Vec<Range<usize>>,
    /// For each of them its number and first byte now, if it is unchanged.
    now: Vec<Option<(usize, usize)>>,
}

impl Lines {
    fn between(before: &str, now: &str) -> Self {
        let mut lines = Self { before: Vec::new(), now: Vec::new() };
        let (mut at_before, mut at_now, mut number) = (0, 0, 0);
        for change in line_diff(before, now).iter_all_changes() {
            let len = change.value().len();
            if change.tag() != ChangeTag::Insert {
                lines.before.push(at_before..at_before + len);
                let kept = change.tag() == ChangeTag::Equal;
                lines.now.push(kept.then_some((number, at_now)));
                at_before += len;
            }
            if change.tag() != ChangeTag::Delete {
                at_now += len;
                number += 1;
            }
        }
        lines
    }

    fn moved(&self, range: Range<usize>) -> Option<Range<usize>> {
        // An edit at the end of a line is one of that line, and one at the end of a text of its last.
        let first = self.before.iter().position(|line| range.start < line.end);
        let first = first.or_else(|| self.before.len().checked_sub(1))?;
        let past = self.before.iter().position(|line| range.end <= line.end)?;
        let past = past.max(first);
        let (from, to) = (first.saturating_sub(1), (past + 1).min(self.before.len() - 1));
        let (number, _) = self.now[from]?;
        let mut together = (from..=to).zip(number..);
        if !together.all(|(old, new)| self.now[old].is_some_and(|(now, _)| now == new)) {
            return None;
        }
        let (_, start) = self.now[first]?;
        let start = start + (range.start - self.before[first].start);
        Some(start..start + range.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moved(before: &str, now: &str, what: &str) -> Option<String> {
        let start = before.find(what).unwrap();
        let range = Lines::between(before, now).moved(start..start + what.len())?;
        Some(now[range].to_owned())
    }

    const BEFORE: &str = "a = 1\nb = 2\nc = 3\nd = 4\n";

    #[test]
    fn lines_that_moved_together_take_the_edit_with_them() {
        for now in [BEFORE, "x\n\na = 1\nb = 2\nc = 3\nd = 5\n", "b = 0\na = 1\nb = 2\nc = 3\n"] {
            assert_eq!(moved(BEFORE, now, "2").as_deref(), Some("2"), "{now}");
        }
        assert_eq!(
            moved(BEFORE, "y\na = 1\nb = 2\nc = 3\nd = 4\n", "2\nc").as_deref(),
            Some("2\nc")
        );
        let at_end = Lines::between(BEFORE, "z\na = 1\nb = 2\nc = 3\nd = 4\n").moved(24..24);
        assert_eq!(at_end, Some(26..26));
    }

    #[test]
    fn a_change_beside_it_drops_it() {
        for now in [
            "a = 1\nb = 3\nc = 3\nd = 4\n",
            "a = 1\nb = 2\n\nc = 3\nd = 4\n",
            "a = 0\nb = 2\nc = 3\nd = 4\n",
            "",
        ] {
            assert_eq!(moved(BEFORE, now, "2"), None, "{now}");
        }
        assert_eq!(Lines::between("", "").moved(0..0), None);
    }

    proptest! {
        #[test]
        fn what_is_replaced_is_what_was_there(
            before in "([abc]{0,2}\n){0,8}[abc]{0,2}",
            now in "([abc]{0,2}\n){0,8}[abc]{0,2}",
            start in 0..24_usize,
            len in 0..6_usize,
        ) {
            let start = start.min(before.len());
            let end = (start + len).min(before.len());
            if let Some(range) = Lines::between(&before, &now).moved(start..end) {
                prop_assert_eq!(&before[start..end], &now[range]);
            }
        }
    }
}
