//! Fixes that are held back because failing tests that run the changed lines stay red.
//!
//! Spectra put failing tests behind one cause when they run its most suspicious line. A patch there
//! that mends some of them, and leaves others red that run what it changed, fits the tests that it
//! mends. Tests that never reach the change fail for another reason and say nothing against it.

use std::collections::BTreeSet;
use std::path::Path;

use greenlit_runner::TestId;

use super::{Reason, Withheld, common_prefix, common_suffix};
use crate::patch::PatchedFile;
use crate::search::VerifiedFix;

/// Takes the fixes out of `fixes` that leave some of `failing` red although `runs` says that these
/// execute the changed lines (1-based, inclusive, of the unpatched file).
pub(crate) fn withhold_partial(
    fixes: &mut Vec<VerifiedFix>,
    failing: &BTreeSet<&TestId>,
    runs: impl Fn(&TestId, &Path, (u32, u32)) -> bool,
) -> Vec<Withheld> {
    let mut withheld = Vec::new();
    fixes.retain(|fix| {
        let mended = &fix.plausible.red_to_green;
        let red = failing.iter().filter(|id| !mended.contains(**id));
        let changed: Vec<_> =
            fix.files.iter().map(|file| (&*file.path, changed_lines(file))).collect();
        let red = red.filter(|id| changed.iter().any(|(path, lines)| runs(id, path, *lines)));
        let red = red.count();
        if red > 0 {
            let summary = fix.candidate.summary.clone();
            withheld.push(Withheld {
                summary,
                reason: Reason::LeavesRed { mended: mended.len(), red },
            });
        }
        red == 0
    });
    withheld
}

/// The lines of the unpatched text that a patch touches; for an insertion, the line that it is put
/// before.
fn changed_lines(file: &PatchedFile) -> (u32, u32) {
    let start = common_prefix(&file.before, &file.after);
    let end = file.before.len() - common_suffix(&file.before[start..], &file.after[start..]);
    let line = |at: usize| {
        let above = file.before.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count();
        u32::try_from(above + 1).unwrap_or(u32::MAX)
    };
    (line(start), line(end.max(start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::withheld::tests::fix;

    fn id(name: &str) -> TestId {
        TestId(name.into())
    }

    #[test]
    fn what_leaves_tests_red_that_run_the_change_is_withheld() {
        let (a, b, c) = (id("a"), id("b"), id("c"));
        let failing = BTreeSet::from([&a, &b, &c]);
        // `b` runs the second line of the first function, `c` does not.
        let runs = |id: &TestId, _: &Path, (first, last): (u32, u32)| {
            id.0 != "c" && first <= 3 && last >= 3
        };
        let mending = |tests: &[&TestId], from: &str, to: &str| {
            let mut fix = fix(from, to, None);
            fix.plausible.red_to_green = tests.iter().map(|id| (*id).clone()).collect();
            fix
        };
        let mut fixes = vec![
            mending(&[&a, &b, &c], "a + 1", "a - 1"),
            mending(&[&a, &b], "a + 1", "a * 1"),
            mending(&[&a], "a + 1", "1 + 1"),
            mending(&[&a], "a + 2", "2 + 2"),
        ];
        let withheld = withhold_partial(&mut fixes, &failing, runs);
        let kept: Vec<_> = fixes.iter().map(|fix| fix.candidate.summary.as_str()).collect();
        assert_eq!(kept, ["a + 1 -> a - 1", "a + 1 -> a * 1", "a + 2 -> 2 + 2"]);
        assert_eq!(withheld.len(), 1);
        assert_eq!(withheld[0].reason, Reason::LeavesRed { mended: 1, red: 1 });
    }

    #[test]
    fn changed_lines_are_those_of_the_unpatched_text() {
        let lines = |from: &str, to: &str| changed_lines(&fix(from, to, None).files[0]);
        assert_eq!(lines("a + 1", "a - 1"), (3, 3));
        assert_eq!(lines("    g(a)\n", ""), (2, 3));
        assert_eq!(lines("    g(a)\n", "    h(a)\n    g(a)\n"), (2, 2));
        assert_eq!(lines("g(a)\n    return a + 1", "h(a)\n    return a"), (2, 3));
    }
}
