//! Screening: the target tests of a candidate, in a warm sandbox. Cheap, and never a verdict.

use std::collections::BTreeSet;
use std::time::Duration;

use greenlit_runner::{Outcome, Project, RunState, TestId, TestRun, Trials};
use greenlit_sandbox::{CacheMode, FileWrite};

use crate::baseline::Baseline;
use crate::cancel::Registration;
use crate::patch::PatchedFile;
use crate::search::Group;
use crate::verdict::{Fall, fall_of_state};
use crate::verify::writes;
use crate::workbench::{WorkError, Workbench};

/// What screening says.
pub(crate) struct Screened {
    /// Why it fell; `None` means that it is worth a verification.
    pub(crate) fall: Option<Fall>,
    /// Whether it built.
    pub(crate) built: bool,
    /// Whether tests ran.
    pub(crate) ran: bool,
    /// CPU time.
    pub(crate) cpu: Duration,
}

/// A warm sandbox for one worker.
pub(crate) struct Screen<'a> {
    bench: &'a Workbench,
    baseline: &'a Baseline,
    project: &'a Project,
    groups: &'a [Group],
    trials: Box<dyn Trials>,
    _registration: Registration,
    /// Original contents of what the last candidate changed.
    restore: Vec<FileWrite>,
}

impl<'a> Screen<'a> {
    pub(crate) fn open(
        bench: &'a Workbench,
        baseline: &'a Baseline,
        project: &'a Project,
        groups: &'a [Group],
    ) -> Result<Self, WorkError> {
        let open = bench.open(project, CacheMode::Discard, &[])?;
        let tests: Vec<_> = groups.concat();
        let trials = project
            .trials(open.sandbox, &tests, bench.walls.build)
            .map_err(|error| bench.run_error(error))?;
        let restore = Vec::new();
        let _registration = open.registration;
        Ok(Self { bench, baseline, project, groups, trials, _registration, restore })
    }

    /// Runs one case of each group, then the rest of the groups whose case turned green.
    pub(crate) fn screen(
        &mut self,
        patch: &[PatchedFile],
        left: Duration,
    ) -> Result<Screened, WorkError> {
        let mut files = std::mem::take(&mut self.restore);
        files.retain(|old| !patch.iter().any(|new| new.path == old.path));
        files.extend(writes(patch));
        self.restore = patch
            .iter()
            .map(|file| FileWrite {
                path: file.path.clone(),
                content: Some(file.before.as_bytes().to_vec()),
            })
            .collect();
        let quickest = |group: &Group| group.iter().min_by_key(|id| self.duration(id)).cloned();
        let cases: Vec<_> = self.groups.iter().filter_map(quickest).collect();
        let first = self.attempt(&files, &cases, left)?;
        let mut screened = summary(&first);
        if screened.fall.is_some() {
            return Ok(screened);
        }
        let green = passed(&first);
        let rest: Vec<_> = self
            .groups
            .iter()
            .filter(|group| group.iter().any(|id| green.contains(id)))
            .flatten()
            .filter(|id| !green.contains(*id))
            .cloned()
            .collect();
        if green.is_empty() {
            screened.fall = Some(Fall::StillRed);
        } else if !rest.is_empty() {
            let second = self.attempt(&[], &rest, left)?;
            screened.cpu += second.cpu;
            let green: BTreeSet<_> = green.into_iter().chain(passed(&second)).collect();
            let whole = |group: &Group| group.iter().all(|id| green.contains(id));
            if !self.groups.iter().any(whole) {
                screened.fall = Some(fall_of_state(&second.state).unwrap_or(Fall::StillRed));
            }
        }
        Ok(screened)
    }

    fn duration(&self, id: &TestId) -> Duration {
        self.baseline.durations.get(id).copied().unwrap_or_default()
    }

    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        left: Duration,
    ) -> Result<TestRun, WorkError> {
        let took: Duration = tests.iter().map(|id| self.duration(id)).sum();
        let wall = (took * 5 + self.project.trial_overhead()).min(left);
        let run = self.trials.attempt(files, tests, wall);
        run.map_err(|error| self.bench.run_error(error))
    }
}

fn summary(run: &TestRun) -> Screened {
    let fall = match &run.state {
        // A fail-fast run ends early: an incomplete report of red tests is a plain red.
        RunState::Completed => None,
        state => fall_of_state(state),
    };
    let built = !matches!(run.state, RunState::BuildFailed { .. });
    Screened { built, ran: built, cpu: run.cpu, fall }
}

fn passed(run: &TestRun) -> BTreeSet<TestId> {
    let passed = run.results.iter().filter(|result| result.outcome == Outcome::Passed);
    passed.map(|result| result.id.clone()).collect()
}
