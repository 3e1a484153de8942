//! Separates failing tests by cause: tests that fail for different reasons are repaired apart.

use std::collections::BTreeSet;

use greenlit_runner::{Failure, TestId};

use crate::Localization;
use crate::localize::Suspicious;

/// Causes told apart at most; what is left over is one more.
const MOST: usize = 4;

/// Failing tests with their failures.
pub(crate) type Failures = Vec<(TestId, Failure)>;

/// Splits `failures` into those behind the most suspicious line and the rest, again and again: the
/// failing tests that execute the line that best tells red from green share a cause, and the others
/// are localized anew without them. A wrong split costs order, not fixes: every cause keeps all
/// lines of its own tests, and verification runs every test.
///
/// `localize` computes suspicion from some of the failures; `executes` says whether a test reaches a
/// line.
pub(crate) fn split(
    failures: Failures,
    localize: &mut dyn FnMut(&Failures) -> Localization,
    executes: &dyn Fn(&TestId, &Suspicious) -> bool,
) -> Vec<(Failures, Localization)> {
    let mut causes = Vec::new();
    let mut left = failures;
    while !left.is_empty() {
        let localization = localize(&left);
        let behind: BTreeSet<TestId> = match localization.lines.first() {
            Some(top) if causes.len() + 1 < MOST => {
                left.iter().map(|(id, _)| id).filter(|id| executes(id, top)).cloned().collect()
            }
            _ => BTreeSet::new(),
        };
        if behind.is_empty() || behind.len() == left.len() {
            causes.push((left, localization));
            break;
        }
        let (own, others): (Failures, Failures) =
            left.into_iter().partition(|(id, _)| behind.contains(id));
        let localization = localize(&own);
        causes.push((own, localization));
        left = others;
    }
    causes
}

#[cfg(test)]
mod tests {
    use greenlit_runner::FailureKind;

    use super::*;
    use crate::localize::Method;

    fn failure(id: &str) -> (TestId, Failure) {
        let failure = Failure {
            kind: FailureKind::Assertion,
            message: String::new(),
            site: None,
            trace: Vec::new(),
            details: String::new(),
        };
        (TestId(id.into()), failure)
    }

    fn line(line: u32, score: f64) -> Suspicious {
        Suspicious { path: "/w/m.py".into(), line, score }
    }

    /// Test `tN…` executes line N; the line of most tests comes first.
    fn split_by_name(ids: &[&str]) -> Vec<Vec<String>> {
        let failures = ids.iter().map(|id| failure(id)).collect();
        let of = |id: &TestId| id.0[1..2].parse::<u32>().unwrap();
        let mut localize = |failures: &Failures| {
            let mut lines: Vec<_> = (1..9)
                .map(|n| (n, failures.iter().filter(|(id, _)| of(id) == n).count()))
                .filter(|(_, count)| *count > 0)
                .collect();
            lines.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let lines = lines.into_iter().map(|(n, count)| line(n, count as f64)).collect();
            Localization { method: Method::Spectrum, measured_by: None, changed: false, lines }
        };
        split(failures, &mut localize, &|id, line| of(id) == line.line)
            .into_iter()
            .map(|(failures, _)| failures.into_iter().map(|(id, _)| id.0).collect())
            .collect()
    }

    #[test]
    fn tests_behind_one_line_stay_together() {
        assert_eq!(split_by_name(&["t1a", "t1b"]), [["t1a", "t1b"]]);
    }

    #[test]
    fn tests_that_share_nothing_are_apart() {
        assert_eq!(split_by_name(&["t1a", "t2a", "t1b"]), [vec!["t1a", "t1b"], vec!["t2a"]]);
    }

    #[test]
    fn the_number_of_causes_is_bounded() {
        let causes = split_by_name(&["t1a", "t2a", "t3a", "t4a", "t5a", "t6a"]);
        assert_eq!(causes.len(), MOST);
        assert_eq!(causes.concat().len(), 6);
    }

    #[test]
    fn nothing_suspicious_is_one_cause() {
        let failures = vec![failure("t1a"), failure("t2a")];
        let mut none = |_: &Failures| Localization {
            method: Method::Trace,
            measured_by: None,
            changed: false,
            lines: Vec::new(),
        };
        assert_eq!(split(failures, &mut none, &|_, _| true).len(), 1);
    }
}
