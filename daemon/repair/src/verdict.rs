//! The verdict on a candidate: what was run, compared with the baseline, test id by test id.

use std::collections::{BTreeMap, BTreeSet};

use greenlit_runner::{Failure, Outcome, RunState, TestId, TestRun};
use serde::{Deserialize, Serialize};

/// How a test behaves on the unpatched view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineOutcome {
    /// Passed.
    Passed,
    /// Failed twice.
    Failed(Failure),
    /// Differed between two runs; proves nothing either way.
    Flaky,
    /// Skipped by the runner.
    Skipped,
}

/// Every test that the runner reported on the unpatched view.
pub type BaselineTests = BTreeMap<TestId, BaselineOutcome>;

/// Why a candidate was not offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fall {
    /// Refused without running.
    Rejected(String),
    /// It does not build or load.
    DoesNotBuild,
    /// No target test turned green.
    StillRed,
    /// A test that passed before does not pass now.
    NewlyFailing(TestId),
    /// A baseline test id is missing from the report.
    MissingTest(TestId),
    /// The report names a test that the baseline does not have.
    UnknownTest(TestId),
    /// The runner ended without a report (early exit, crash).
    NoReport,
    /// It ran into the time limit.
    TimedOut,
    /// The targets were green once and red once.
    Unstable,
    /// Files changed while it was being verified.
    InputsChanged,
}

impl Fall {
    /// A few words that group falls of one kind.
    pub fn label(&self) -> String {
        match self {
            Self::Rejected(why) => format!("rejected: {why}"),
            Self::DoesNotBuild => "does not build".into(),
            Self::StillRed => "target still red".into(),
            Self::NewlyFailing(_) => "breaks another test".into(),
            Self::MissingTest(_) => "a test disappeared".into(),
            Self::UnknownTest(_) => "an unknown test appeared".into(),
            Self::NoReport => "ended without a report".into(),
            Self::TimedOut => "timed out".into(),
            Self::Unstable => "green once, red once".into(),
            Self::InputsChanged => "files changed meanwhile".into(),
        }
    }
}

/// What one complete run says about a patched view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunComparison {
    /// Baseline failures that passed.
    pub red_to_green: BTreeSet<TestId>,
    /// Tests with the same outcome as in the baseline.
    pub unchanged: u32,
}

/// Compares a run of exactly the tests in `expected` with the baseline.
///
/// Fails closed: a missing id, an unknown id, a duplicate, or a passed test that is now failing or
/// skipped makes the candidate fall, whatever the exit code was.
pub fn compare(
    baseline: &BaselineTests,
    expected: &BTreeSet<TestId>,
    run: &TestRun,
) -> Result<RunComparison, Fall> {
    if let Some(fall) = fall_of_state(&run.state) {
        return Err(fall);
    }
    let mut reported = BTreeMap::new();
    for result in &run.results {
        if !expected.contains(&result.id) || reported.insert(&result.id, result).is_some() {
            return Err(Fall::UnknownTest(result.id.clone()));
        }
    }
    let mut red_to_green = BTreeSet::new();
    let mut unchanged = 0;
    for id in expected {
        let Some(result) = reported.get(id) else {
            return Err(Fall::MissingTest(id.clone()));
        };
        match (baseline.get(id), &result.outcome) {
            (Some(BaselineOutcome::Passed), Outcome::Passed)
            | (Some(BaselineOutcome::Failed(_)), Outcome::Failed(_))
            | (Some(BaselineOutcome::Skipped), Outcome::Skipped) => unchanged += 1,
            (Some(BaselineOutcome::Failed(_)), Outcome::Passed) => {
                red_to_green.insert(id.clone());
            }
            (Some(BaselineOutcome::Flaky), _) => {}
            // A failing test that is skipped now is not green; a skipped one may start to run.
            (Some(BaselineOutcome::Failed(_)), Outcome::Skipped)
            | (Some(BaselineOutcome::Skipped), Outcome::Passed) => {}
            (Some(BaselineOutcome::Passed), Outcome::Failed(_) | Outcome::Skipped)
            | (Some(BaselineOutcome::Skipped), Outcome::Failed(_)) => {
                return Err(Fall::NewlyFailing(id.clone()));
            }
            (None, _) => return Err(Fall::UnknownTest(id.clone())),
        }
    }
    Ok(RunComparison { red_to_green, unchanged })
}

/// The fall that a run's state means, if it is not a complete run.
pub(crate) fn fall_of_state(state: &RunState) -> Option<Fall> {
    match state {
        RunState::Completed => None,
        RunState::BuildFailed { .. } => Some(Fall::DoesNotBuild),
        RunState::Hung { .. } => Some(Fall::TimedOut),
        RunState::NoTests | RunState::NoReport { .. } | RunState::ToolMissing { .. } => {
            Some(Fall::NoReport)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use greenlit_runner::{FailureKind, TestResult};

    use super::*;

    fn failure() -> Failure {
        Failure {
            kind: FailureKind::Assertion,
            message: "no".into(),
            site: None,
            trace: Vec::new(),
            details: String::new(),
        }
    }

    fn id(name: &str) -> TestId {
        TestId(name.into())
    }

    fn baseline() -> BaselineTests {
        BaselineTests::from([
            (id("red"), BaselineOutcome::Failed(failure())),
            (id("green"), BaselineOutcome::Passed),
            (id("skipped"), BaselineOutcome::Skipped),
            (id("flaky"), BaselineOutcome::Flaky),
        ])
    }

    fn run(results: &[(&str, Outcome)]) -> TestRun {
        TestRun {
            state: RunState::Completed,
            results: results
                .iter()
                .map(|(name, outcome)| TestResult {
                    id: id(name),
                    outcome: outcome.clone(),
                    duration: Duration::ZERO,
                })
                .collect(),
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    fn compared(results: &[(&str, Outcome)]) -> Result<RunComparison, Fall> {
        let baseline = baseline();
        let expected = baseline.keys().cloned().collect();
        compare(&baseline, &expected, &run(results))
    }

    #[test]
    fn red_to_green_with_the_rest_unchanged_is_counted() {
        let comparison = compared(&[
            ("red", Outcome::Passed),
            ("green", Outcome::Passed),
            ("skipped", Outcome::Skipped),
            ("flaky", Outcome::Failed(failure())),
        ])
        .unwrap();
        assert_eq!(comparison.red_to_green, BTreeSet::from([id("red")]));
        assert_eq!(comparison.unchanged, 2);
    }

    #[test]
    fn a_missing_unknown_or_duplicate_id_falls() {
        let missing = compared(&[("red", Outcome::Passed), ("green", Outcome::Passed)]);
        assert_eq!(missing, Err(Fall::MissingTest(id("flaky"))));
        let unknown = compared(&[("red", Outcome::Passed), ("new", Outcome::Passed)]);
        assert_eq!(unknown, Err(Fall::UnknownTest(id("new"))));
        let twice = compared(&[("red", Outcome::Passed), ("red", Outcome::Passed)]);
        assert_eq!(twice, Err(Fall::UnknownTest(id("red"))));
    }

    #[test]
    fn skipping_or_failing_a_green_test_falls() {
        for outcome in [Outcome::Skipped, Outcome::Failed(failure())] {
            let fallen = compared(&[
                ("red", Outcome::Passed),
                ("green", outcome),
                ("skipped", Outcome::Skipped),
                ("flaky", Outcome::Passed),
            ]);
            assert_eq!(fallen, Err(Fall::NewlyFailing(id("green"))));
        }
    }

    #[test]
    fn skipping_the_target_is_not_green() {
        let comparison = compared(&[
            ("red", Outcome::Skipped),
            ("green", Outcome::Passed),
            ("skipped", Outcome::Skipped),
            ("flaky", Outcome::Passed),
        ])
        .unwrap();
        assert!(comparison.red_to_green.is_empty());
    }

    #[test]
    fn no_state_but_completed_is_a_verdict() {
        let mut hung = run(&[("red", Outcome::Passed)]);
        hung.state = RunState::Hung { running: Vec::new() };
        let all = baseline().keys().cloned().collect();
        assert_eq!(compare(&baseline(), &all, &hung), Err(Fall::TimedOut));
        hung.state = RunState::NoReport { message: "exit 0".into() };
        assert_eq!(compare(&baseline(), &all, &hung), Err(Fall::NoReport));
    }
}
