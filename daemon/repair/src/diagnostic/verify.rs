//! The tests' part of the verification of a patch for a diagnostic.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use greenlit_runner::{
    CheckDiagnostic, Outcome, Project, RunRequest, RunState, Selection, Severity, TestId, TestRun,
};
use greenlit_sandbox::{CacheMode, Layer};

use super::DiagnosticRepair;
use crate::baseline::Baseline;
use crate::patch::PatchedFile;
use crate::verdict::Fall;
use crate::verify::{Plausible, SandboxVerifier, writes};
use crate::workbench::WorkError;

/// What was run on a patch that passed. The diagnostic is gone and no other appeared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Tests with the same outcome as before.
    pub unchanged: u32,
    /// Failing tests that are green now.
    pub red_to_green: BTreeSet<TestId>,
    /// Green tests that could not be run before, because their project did not build.
    pub first_run: BTreeSet<TestId>,
    /// Projects whose tests were not run, with the reason in a few words.
    pub not_run: Vec<String>,
    /// Warnings that were not seen before because the diagnostic ended the checker early.
    pub revealed: u32,
    /// Weakest sandbox layer that ran.
    pub layer: Layer,
    /// Wall time of the verification.
    pub wall: Duration,
    /// CPU time of the verification.
    pub cpu: Duration,
}

impl Checked {
    /// How many tests were run.
    pub fn tests(&self) -> usize {
        self.unchanged as usize + self.red_to_green.len() + self.first_run.len()
    }
}

/// Why a patch is not offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiagnosticFall {
    /// The diagnostic is still there.
    NotGone,
    /// A diagnostic that was not there before, by its code.
    NewDiagnostic(String),
    /// The checker came to no report.
    NotChecked,
    /// There is no test to run on it.
    NoTests,
    /// A test that could not be run before is red.
    RedAtLast(TestId),
    /// The tests say no.
    Tests(Fall),
}

impl DiagnosticFall {
    /// A few words that group falls of one kind.
    pub fn label(&self) -> String {
        match self {
            Self::NotGone => "the diagnostic stays".into(),
            Self::NewDiagnostic(_) => "another diagnostic appears".into(),
            Self::NotChecked => "the checker did not report".into(),
            Self::NoTests => "no tests to run on it".into(),
            Self::RedAtLast(_) => "builds, and a test is red".into(),
            Self::Tests(fall) => fall.label(),
        }
    }

    pub(super) fn inputs_changed(&self) -> bool {
        *self == Self::Tests(Fall::InputsChanged)
    }
}

pub(super) struct Verification<'a> {
    pub(super) repair: &'a DiagnosticRepair<'a>,
    pub(super) baseline: &'a Baseline,
    pub(super) found: &'a CheckDiagnostic,
}

type Verdict<T> = Result<Result<T, DiagnosticFall>, WorkError>;

impl Verification<'_> {
    /// Runs every test of the root on the patched view, in fresh sandboxes.
    pub(super) fn run_tests(&self, patch: &[PatchedFile], layer: Layer) -> Verdict<Checked> {
        let repair = self.repair;
        let always = || true;
        let verifier = SandboxVerifier {
            bench: repair.bench,
            baseline: self.baseline,
            selection: &Selection::All,
            inputs_unchanged: &always,
            quick: false,
        };
        let mut total = Plausible {
            red_to_green: BTreeSet::new(),
            unchanged: 0,
            runs: 1,
            layer,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
        };
        for project in &self.baseline.projects {
            if let Err(fall) = verifier.verify_project(project, patch, &mut total)? {
                return Ok(Err(DiagnosticFall::Tests(fall)));
            }
        }
        let mut checked = Checked {
            unchanged: total.unchanged,
            red_to_green: total.red_to_green,
            first_run: BTreeSet::new(),
            not_run: Vec::new(),
            revealed: 0,
            layer: total.layer,
            wall: Duration::ZERO,
            cpu: total.cpu,
        };
        for project in repair.projects {
            if let Err(fall) = self.without_baseline(project, patch, &mut checked)? {
                return Ok(Err(fall));
            }
        }
        if checked.tests() == 0 && !repair.without_tests {
            return Ok(Err(DiagnosticFall::NoTests));
        }
        if !(repair.inputs_unchanged)() {
            return Ok(Err(DiagnosticFall::Tests(Fall::InputsChanged)));
        }
        Ok(Ok(checked))
    }

    /// A project of which no test could be run without the patch.
    fn without_baseline(
        &self,
        project: &Project,
        patch: &[PatchedFile],
        checked: &mut Checked,
    ) -> Verdict<()> {
        let same = |other: &Project| {
            other.dir() == project.dir() && other.ecosystem() == project.ecosystem()
        };
        if self.baseline.projects.iter().any(|known| same(&known.project)) {
            return Ok(Ok(()));
        }
        let label = project.label();
        let problem = self.baseline.problems.iter().find(|problem| problem.label == label);
        let concerned = self.concerns(project.dir());
        let why = match problem.map(|problem| &problem.state) {
            Some(RunState::BuildFailed { .. }) => {
                return self.first_run(project, patch, checked);
            }
            Some(RunState::Hung { .. }) if concerned => {
                return Ok(Err(DiagnosticFall::Tests(Fall::TimedOut)));
            }
            Some(RunState::NoReport { .. } | RunState::Completed) if concerned => {
                return Ok(Err(DiagnosticFall::Tests(Fall::NoReport)));
            }
            Some(RunState::Hung { .. }) => "hangs",
            Some(RunState::NoReport { .. } | RunState::Completed) => "no report",
            Some(RunState::ToolMissing { .. }) => "the runner is missing",
            Some(RunState::NoTests) | None => "no tests",
        };
        checked.not_run.push(format!("{label}: {why}"));
        Ok(Ok(()))
    }

    /// A project that did not build. If the diagnostic kept it from building, now it has to.
    fn first_run(
        &self,
        project: &Project,
        patch: &[PatchedFile],
        checked: &mut Checked,
    ) -> Verdict<()> {
        let bench = self.repair.bench;
        let mut open = bench.open(project, CacheMode::Discard, &writes(patch))?;
        checked.layer = checked.layer.min(open.sandbox.layer());
        let request = RunRequest {
            selection: Selection::All,
            build_wall: bench.walls.build,
            test_wall: bench.walls.tests,
            per_test: Some(bench.walls.per_test),
        };
        let run = project.run(&mut open.sandbox, &request);
        let run: TestRun = run.map_err(|error| bench.run_error(error))?;
        checked.cpu += run.cpu;
        let must_build = self.found.severity == Severity::Error && self.concerns(project.dir());
        match run.state {
            RunState::Completed => {}
            RunState::NoTests => {
                checked.not_run.push(format!("{}: no tests", project.label()));
                return Ok(Ok(()));
            }
            RunState::BuildFailed { .. } if !must_build => {
                checked.not_run.push(format!("{}: does not build", project.label()));
                return Ok(Ok(()));
            }
            state => {
                let fall = crate::verdict::fall_of_state(&state).unwrap_or(Fall::NoReport);
                return Ok(Err(DiagnosticFall::Tests(fall)));
            }
        }
        for result in run.results {
            match result.outcome {
                Outcome::Passed => {
                    checked.first_run.insert(result.id);
                }
                Outcome::Skipped => {}
                Outcome::Failed(_) => return Ok(Err(DiagnosticFall::RedAtLast(result.id))),
            }
        }
        Ok(Ok(()))
    }

    fn concerns(&self, dir: &Path) -> bool {
        self.found.path.starts_with(dir)
    }
}
