//! What changed since tests passed.
//!
//! A test that passed on one state and fails on the next was broken by what lies between the two: where
//! to look first is known before anything is measured (cf. Zeller, "Yesterday, my program worked. Today,
//! it does not. Why?", 1999).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use greenlit_runner::TestId;
use similar::ChangeTag;

use crate::Localization;
use crate::causes::Failures;
use crate::localize::{ChangedLines, with_changed};
use crate::patch::line_diff;
use crate::workbench::Subject;

/// Above this many lines that a change added or took away, it does not tell where to look.
const MOST_LINES: usize = 400;

/// What is different since tests passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    passed: BTreeSet<TestId>,
    /// Empty where there is no change, or too much.
    lines: ChangedLines,
}

impl Changes {
    /// `passed` are the tests that passed, `before` the texts of then, by absolute path, of the source
    /// files that are different now; an empty one for a file that is new or whose text is not known.
    pub fn since(
        passed: BTreeSet<TestId>,
        before: &BTreeMap<PathBuf, Arc<str>>,
        subject: &Subject,
    ) -> Self {
        let changed = |(path, before): (&PathBuf, &Arc<str>)| {
            let lines = changed_lines(before, &subject.text(path)?);
            (!lines.is_empty()).then(|| (path.clone(), lines))
        };
        let mut lines: ChangedLines = before.iter().filter_map(changed).collect();
        if lines.values().map(BTreeSet::len).sum::<usize>() > MOST_LINES {
            lines.clear();
        }
        Self { passed, lines }
    }

    /// These failures apart: those of tests that passed before, which the change broke, and the older
    /// ones. Nothing is known of any of them where it does not tell where to look.
    pub(crate) fn divide(&self, failures: Failures) -> (Failures, Failures) {
        let broken = |id: &TestId| !self.lines.is_empty() && self.passed.contains(id);
        failures.into_iter().partition(|(id, _)| broken(id))
    }

    /// Whether it tells where to look: all of these tests passed before.
    pub(crate) fn explain(&self, failures: &Failures) -> bool {
        !self.lines.is_empty() && failures.iter().all(|(id, _)| self.passed.contains(id))
    }

    /// Puts the changed lines first, where they explain these failures.
    pub(crate) fn point(&self, failures: &Failures, localization: Localization) -> Localization {
        if self.explain(failures) { with_changed(localization, &self.lines) } else { localization }
    }
}

/// The 1-based lines of `after` that `before` does not have, and those beside what was taken away.
fn changed_lines(before: &str, after: &str) -> BTreeSet<u32> {
    let mut lines = BTreeSet::new();
    let count = after.lines().count();
    let mut next = 1_usize;
    for change in line_diff(before, after).iter_all_changes() {
        match change.tag() {
            ChangeTag::Equal => next += 1,
            ChangeTag::Insert => {
                lines.insert(next);
                next += 1;
            }
            ChangeTag::Delete => lines.extend([next.saturating_sub(1), next]),
        }
    }
    lines
        .into_iter()
        .filter(|line| (1..=count).contains(line))
        .filter_map(|line| u32::try_from(line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(before: &str, after: &str) -> Vec<u32> {
        changed_lines(before, after).into_iter().collect()
    }

    #[test]
    fn a_changed_line_is_known_with_what_lies_beside_a_deletion() {
        assert!(lines("a\nb\nc\n", "a\nb\nc\n").is_empty());
        assert_eq!(lines("a\nb\nc\n", "a\nB\nc\n"), [1, 2]);
        assert_eq!(lines("a\nc\n", "a\nb\nc\n"), [2]);
        assert_eq!(lines("a\nb\nc\n", "a\nc\n"), [1, 2]);
        assert_eq!(lines("a\nb", "a"), [1]);
        assert_eq!(lines("", "a\nb\n"), [1, 2]);
        assert!(lines("a\n", "").is_empty());
    }
}
