//! Puts the lines first that changed since the failing tests passed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Localization, Method, Scores, ranked};

/// Lines by absolute path.
pub(crate) type ChangedLines = BTreeMap<PathBuf, BTreeSet<u32>>;

/// Least suspicion of a changed line that is suspected anyway: above every other.
const CHANGED: f64 = 0.7;
/// What is left to lines that did not change: the change may be meant, and what it broke be elsewhere.
const UNCHANGED: f64 = 0.5;

/// What is known of the failures orders the changed lines among themselves, and the others.
///
/// Spectra know which lines failing tests execute: a changed line that they do not name stays out.
/// Traces do not know that, and every changed line is suspected.
pub(crate) fn with_changed(localization: Localization, changed: &ChangedLines) -> Localization {
    let has = |path: &PathBuf, line: u32| changed.get(path).is_some_and(|l| l.contains(&line));
    let mut scores = Scores::new();
    let mut named = false;
    for line in localization.lines {
        let score = match has(&line.path, line.line) {
            true => {
                named = true;
                CHANGED + (1.0 - CHANGED) * line.score
            }
            false => UNCHANGED * line.score,
        };
        scores.insert((line.path, line.line), score);
    }
    if localization.method == Method::Trace {
        for (path, lines) in changed {
            for line in lines {
                named = true;
                scores.entry((path.clone(), *line)).or_insert(CHANGED);
            }
        }
    }
    let measured_by = localization.measured_by;
    Localization { measured_by, changed: named, ..ranked(localization.method, scores) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Suspicious;

    fn localization(method: Method, lines: &[(u32, f64)]) -> Localization {
        let line = |(line, score): &(u32, f64)| Suspicious {
            path: "/w/a.py".into(),
            line: *line,
            score: *score,
        };
        let lines = lines.iter().map(line).collect();
        Localization { method, measured_by: None, changed: false, lines }
    }

    fn order(found: &Localization) -> Vec<u32> {
        found.lines.iter().map(|line| line.line).collect()
    }

    #[test]
    fn changed_lines_come_first_in_the_order_of_their_suspicion() {
        let changed = ChangedLines::from([("/w/a.py".into(), [3, 4, 9].into())]);
        let spectrum = localization(Method::Spectrum, &[(1, 1.0), (3, 0.2), (4, 0.4)]);
        let found = with_changed(spectrum, &changed);
        assert_eq!(order(&found), [4, 3, 1], "9 is not executed");
        assert!(found.changed);
        let traces = localization(Method::Trace, &[(1, 1.0), (3, 0.2)]);
        assert_eq!(order(&with_changed(traces, &changed)), [3, 4, 9, 1]);
    }

    #[test]
    fn a_change_that_no_failing_test_executes_points_nowhere() {
        let changed = ChangedLines::from([("/w/b.py".into(), [1].into())]);
        let spectrum = localization(Method::Spectrum, &[(1, 1.0), (3, 0.5)]);
        let found = with_changed(spectrum.clone(), &changed);
        assert_eq!(found, spectrum);
    }
}
