//! What the tests say about the unpatched view.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use greenlit_runner::{Outcome, Project, RunRequest, RunState, Selection, TestId, TestRun};
use greenlit_sandbox::{CacheMode, Layer};

use crate::ahead::Ahead;
use crate::verdict::{BaselineOutcome, BaselineTests};
use crate::workbench::{WorkError, Workbench};

/// A project that was run to the end.
#[derive(Clone)]
pub struct ProjectBaseline {
    /// Which.
    pub project: Project,
    /// The ids that its report named: a verification must report exactly these.
    pub ids: BTreeSet<TestId>,
    /// Wall time of the run, build included.
    pub wall: Duration,
    /// What was begun for the repair.
    pub(crate) ahead: Option<Ahead>,
}

/// What a baseline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A report.
    Report,
    /// A repair of what fails: the spectra are measured beside the second run.
    Repair {
        /// Candidates are tried before the spectra are known, because it is known what changed: a
        /// session for them is opened first.
        at_once: bool,
    },
}

/// A project that could not be run, and why. Never a verdict.
#[derive(Debug, Clone)]
pub struct ProjectProblem {
    /// The project's label, for people.
    pub label: String,
    /// What happened.
    pub state: RunState,
}

/// The baseline of a view.
#[derive(Clone, Default)]
pub struct Baseline {
    /// Projects that ran.
    pub projects: Vec<ProjectBaseline>,
    /// Projects that did not.
    pub problems: Vec<ProjectProblem>,
    /// Every test of the projects that ran.
    pub tests: BaselineTests,
    /// How long each took, as reported.
    pub durations: BTreeMap<TestId, Duration>,
    /// The weakest sandbox layer that ran.
    pub layer: Option<Layer>,
    /// CPU time.
    pub cpu: Duration,
    /// Wall time.
    pub wall: Duration,
}

impl Baseline {
    /// The failing tests in id order.
    pub fn failing(&self) -> impl Iterator<Item = (&TestId, &greenlit_runner::Failure)> {
        self.tests.iter().filter_map(|(id, outcome)| match outcome {
            BaselineOutcome::Failed(failure) => Some((id, failure)),
            _ => None,
        })
    }

    /// Time for what is measured beside the search, such as the strength of tests: `least` where the
    /// tests run at once, more where they take long or the machine is busy.
    pub(crate) fn allowance(&self, least: Duration) -> Duration {
        (self.wall * RUNS_BESIDE).clamp(least, least.max(MOST_BESIDE))
    }
}

/// What is measured beside the search may take as long as so many baselines, and at most so long: a
/// baseline may hold a build from nothing, and a person waits for the end.
const RUNS_BESIDE: u32 = 4;
const MOST_BESIDE: Duration = Duration::from_secs(20);

/// Runs `selection` of every project, and every failure a second time.
///
/// # Errors
/// When a sandbox or a runner could not be driven at all; what the tests do is data.
pub fn baseline(
    bench: &Workbench,
    projects: &[Project],
    selection: &Selection,
    purpose: Purpose,
) -> Result<Baseline, WorkError> {
    let started = Instant::now();
    let mut baseline = Baseline::default();
    for project in projects {
        let Some(selection) = selection_of(project, selection) else { continue };
        run_project(bench, project, &selection, purpose, &mut baseline)?;
    }
    baseline.wall = started.elapsed();
    Ok(baseline)
}

/// The part of `selection` that belongs to `project`; `None` when nothing does.
pub(crate) fn selection_of(project: &Project, selection: &Selection) -> Option<Selection> {
    match selection {
        Selection::All => Some(Selection::All),
        Selection::Only(ids) => {
            let own: Vec<_> = ids.iter().filter(|id| project.owns(id)).cloned().collect();
            (!own.is_empty()).then_some(Selection::Only(own))
        }
    }
}

fn run_project(
    bench: &Workbench,
    project: &Project,
    selection: &Selection,
    purpose: Purpose,
    baseline: &mut Baseline,
) -> Result<(), WorkError> {
    let mut open = bench.open(project, CacheMode::Keep, &[])?;
    let layer = open.sandbox.layer();
    baseline.layer = Some(baseline.layer.map_or(layer, |weakest| weakest.min(layer)));
    let request = |selection: Selection, per_test: Duration| RunRequest {
        selection,
        build_wall: bench.walls.build,
        test_wall: bench.walls.tests,
        per_test: Some(per_test),
    };
    let mut ahead = None;
    let both = project.run_twice(
        &mut open.sandbox,
        &request(selection.clone(), bench.walls.per_test),
        &mut |first| {
            let failed = failed_ids(first);
            let again = first.state == RunState::Completed && !failed.is_empty();
            if let (true, Purpose::Repair { at_once }) = (again, purpose) {
                ahead = Ahead::begin(bench, project, first, layer, at_once);
            }
            again.then(|| request(Selection::Only(failed), second_limit(bench, first)))
        },
    );
    let (first, second) = both.map_err(|error| bench.run_error(error))?;
    baseline.cpu += first.cpu;
    if first.state != RunState::Completed {
        let problem = ProjectProblem { label: project.label(), state: first.state };
        baseline.problems.push(problem);
        return Ok(());
    }
    let mut flaky = BTreeSet::new();
    let mut traced = BTreeMap::new();
    if let Some(second) = second {
        // Passing now, they prove nothing: flaky, or dependent on the tests before them.
        baseline.cpu += second.cpu;
        flaky = passing(&second);
        traced.extend(second.results.into_iter().filter_map(|result| match result.outcome {
            Outcome::Failed(failure) => Some((result.id, failure)),
            _ => None,
        }));
    }
    baseline.projects.push(ProjectBaseline {
        project: project.clone(),
        ids: first.results.iter().map(|result| result.id.clone()).collect(),
        wall: first.wall,
        ahead,
    });
    for result in first.results {
        let outcome = match result.outcome {
            _ if flaky.contains(&result.id) => BaselineOutcome::Flaky,
            Outcome::Passed => BaselineOutcome::Passed,
            Outcome::Failed(failure) => match traced.remove(&result.id) {
                // The second run may say more of the same failure.
                Some(second) if second.kind == failure.kind => BaselineOutcome::Failed(second),
                _ => BaselineOutcome::Failed(failure),
            },
            Outcome::Skipped => BaselineOutcome::Skipped,
        };
        baseline.durations.insert(result.id.clone(), result.duration);
        baseline.tests.insert(result.id, outcome);
    }
    Ok(())
}

/// A test that hung once need not hang as long again to be believed, if the others are quick.
fn second_limit(bench: &Workbench, first: &TestRun) -> Duration {
    let slowest = first.results.iter().filter(|result| result.outcome == Outcome::Passed);
    let slowest = slowest.map(|result| result.duration).max().unwrap_or_default();
    (bench.walls.per_test / 4).max(slowest * 4).min(bench.walls.per_test)
}

fn failed_ids(run: &TestRun) -> Vec<TestId> {
    let failed =
        |result: &&greenlit_runner::TestResult| matches!(result.outcome, Outcome::Failed(_));
    run.results.iter().filter(failed).map(|result| result.id.clone()).collect()
}

fn passing(run: &TestRun) -> BTreeSet<TestId> {
    let passed = |result: &&greenlit_runner::TestResult| result.outcome == Outcome::Passed;
    run.results.iter().filter(passed).map(|result| result.id.clone()).collect()
}
