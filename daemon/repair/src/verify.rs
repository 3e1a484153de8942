//! The verification of one candidate, from scratch, in a fresh sandbox.
//!
//! Follows the generate-and-validate scheme (Le Goues et al., "GenProg", 2012) with the stricter
//! acceptance that overfitting calls for: exact ids, two green runs, unchanged inputs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use greenlit_runner::{FailureKind, RunRequest, Selection, TestId, TestRun};
use greenlit_sandbox::{CacheMode, FileWrite, Layer};

use crate::ahead::apart;
use crate::baseline::{Baseline, ProjectBaseline, selection_of};
use crate::patch::PatchedFile;
use crate::verdict::{Fall, compare};
use crate::workbench::{WorkError, Workbench};

/// With more failing tests than this, which of them a patch mends is worth knowing first.
const BESIDE: usize = 20;

/// What a plausible patch achieved: it passed these tests. Nothing says that it is correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plausible {
    /// Failing tests that were green in every run.
    pub red_to_green: BTreeSet<TestId>,
    /// Tests with the same outcome as in the baseline.
    pub unchanged: u32,
    /// Runs of the target tests.
    pub runs: u32,
    /// Weakest sandbox layer that ran.
    pub layer: Layer,
    /// Wall time of the verification.
    pub wall: Duration,
    /// CPU time of the verification.
    pub cpu: Duration,
}

/// What verification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may be offered.
    Plausible(Plausible),
    /// It may not.
    Fallen(Fall),
}

/// Decides over a patched view. The only way to an offered fix.
pub trait Verifier: Sync {
    /// Runs what must be run.
    ///
    /// # Errors
    /// When nothing could be run at all: no verdict.
    fn verify(&self, patch: &[PatchedFile]) -> Result<Verdict, WorkError>;
}

/// Verifies by running the whole baseline selection, and the targets once more.
pub struct SandboxVerifier<'a> {
    /// Opens the sandboxes.
    pub bench: &'a Workbench,
    /// What to compare with.
    pub baseline: &'a Baseline,
    /// What the baseline ran.
    pub selection: &'a Selection,
    /// Whether every input is still what the baseline saw.
    pub inputs_unchanged: &'a (dyn Fn() -> bool + Sync),
    /// Gives up on runs that take much longer than the baseline's: something else waits.
    pub quick: bool,
}

impl Verifier for SandboxVerifier<'_> {
    fn verify(&self, patch: &[PatchedFile]) -> Result<Verdict, WorkError> {
        let started = Instant::now();
        let mut total = Plausible {
            red_to_green: BTreeSet::new(),
            unchanged: 0,
            runs: 2,
            layer: Layer::Namespaces,
            wall: Duration::ZERO,
            cpu: Duration::ZERO,
        };
        for project in &self.baseline.projects {
            if let Err(fall) = self.verify_project(project, patch, &mut total)? {
                // On other inputs (a test that is new, say) it tells nothing of the patch.
                let same = (self.inputs_unchanged)();
                return Ok(Verdict::Fallen(if same { fall } else { Fall::InputsChanged }));
            }
        }
        if total.red_to_green.is_empty() {
            return Ok(Verdict::Fallen(Fall::StillRed));
        }
        if !(self.inputs_unchanged)() {
            return Ok(Verdict::Fallen(Fall::InputsChanged));
        }
        total.wall = started.elapsed();
        Ok(Verdict::Plausible(total))
    }
}

impl SandboxVerifier<'_> {
    /// Runs the part of the selection that is of one project, and adds up what came of it.
    pub(crate) fn verify_project(
        &self,
        project: &ProjectBaseline,
        patch: &[PatchedFile],
        total: &mut Plausible,
    ) -> Result<Result<(), Fall>, WorkError> {
        let bench = self.bench;
        let Some(selection) = selection_of(&project.project, self.selection) else {
            return Ok(Ok(()));
        };
        let mut open = bench.open(&project.project, CacheMode::Discard, &writes(patch))?;
        total.layer = total.layer.min(open.sandbox.layer());
        let wall = match self.quick {
            true => project.wall * 2 + Duration::from_millis(500),
            false => project.wall * 4 + Duration::from_secs(5),
        };
        let request = |selection: Selection| RunRequest {
            selection,
            build_wall: bench.walls.build,
            test_wall: bench.walls.tests.min(wall),
            per_test: Some(bench.walls.per_test),
        };
        let judge = |first: &TestRun| compare(&self.baseline.tests, &project.ids, first);
        let failing = self.beside(project, &selection, open.sandbox.layer());
        let ((first, second), beside) = std::thread::scope(|scope| {
            let thread = (!failing.is_empty()).then(|| {
                let request = request(Selection::Only(failing.iter().cloned().collect()));
                scope.spawn(move || self.once(project, patch, &request))
            });
            let sequential = thread.is_none();
            let both =
                project.project.run_twice(&mut open.sandbox, &request(selection), &mut |first| {
                    let targets: Vec<_> = judge(first).ok()?.red_to_green.into_iter().collect();
                    let again = sequential && !targets.is_empty();
                    again.then(|| request(Selection::Only(targets)))
                });
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let beside: Option<Result<TestRun, WorkError>> = thread.map(join);
            Ok::<_, WorkError>((both.map_err(|error| bench.run_error(error))?, beside))
        })?;
        total.cpu += first.cpu;
        let comparison = match judge(&first) {
            Ok(comparison) => comparison,
            Err(fall) => return Ok(Err(fall)),
        };
        let (second, expected) = match beside {
            Some(run) => (Some(run?), failing),
            None => (second, comparison.red_to_green.clone()),
        };
        if let Some(second) = second {
            total.cpu += second.cpu;
            match compare(&self.baseline.tests, &expected, &second) {
                Ok(again) if again.red_to_green.is_superset(&comparison.red_to_green) => {}
                Ok(_) | Err(Fall::NewlyFailing(_)) => return Ok(Err(Fall::Unstable)),
                Err(fall) => return Ok(Err(fall)),
            }
        }
        total.red_to_green.extend(comparison.red_to_green);
        total.unchanged += comparison.unchanged;
        Ok(Ok(()))
    }

    /// Failing tests that are run a second time while all run the first time: a second sandbox shows
    /// the same, and shares nothing with the first. None where that is not so or gains nothing.
    fn beside(
        &self,
        project: &ProjectBaseline,
        selection: &Selection,
        layer: Layer,
    ) -> BTreeSet<TestId> {
        let asked = |id: &TestId| match selection {
            Selection::All => true,
            Selection::Only(ids) => ids.contains(id),
        };
        let failing =
            self.baseline.failing().filter(|(id, _)| project.ids.contains(*id) && asked(id));
        let failing: Vec<_> = failing.collect();
        let hangs = failing.iter().any(|(_, failure)| failure.kind == FailureKind::Timeout);
        if hangs || failing.len() > BESIDE || !apart(self.bench, &project.project, layer) {
            return BTreeSet::new();
        }
        failing.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// One run in a fresh sandbox.
    fn once(
        &self,
        project: &ProjectBaseline,
        patch: &[PatchedFile],
        request: &RunRequest,
    ) -> Result<TestRun, WorkError> {
        let mut open = self.bench.open(&project.project, CacheMode::Discard, &writes(patch))?;
        let run = project.project.run(&mut open.sandbox, request);
        run.map_err(|error| self.bench.run_error(error))
    }
}

/// A patch as files for a sandbox.
pub(crate) fn writes(patch: &[PatchedFile]) -> Vec<FileWrite> {
    patch
        .iter()
        .map(|file| FileWrite {
            path: file.path.clone(),
            content: Some(file.after.clone().into_bytes()),
        })
        .collect()
}
