//! Screening: the target tests of a candidate, in a warm sandbox. Cheap, and never a verdict.

use std::collections::BTreeSet;
use std::time::Duration;

use greenlit_runner::{FailureKind, Outcome, Project, TestId, TestRun, Trials};
use greenlit_sandbox::{CacheMode, FileWrite};

use crate::baseline::Baseline;
use crate::cancel::Registration;
use crate::patch::PatchedFile;
use crate::search::Group;
use crate::verdict::{BaselineOutcome, Fall, fall_of_state};
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
    groups: &'a [Group],
    trials: Box<dyn Trials>,
    _registration: Registration,
    /// Time for what is not the tests themselves: starting and importing.
    overhead: Duration,
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
        let whole = baseline.projects.iter().find(|run| run.project.dir() == project.dir());
        let tests: Duration = baseline.durations.values().sum();
        let starting = whole.map_or(Duration::ZERO, |run| run.wall.saturating_sub(tests));
        let overhead = starting.min(Duration::from_secs(10));
        let _registration = open.registration;
        Ok(Self { bench, baseline, groups, trials, _registration, overhead })
    }

    /// Runs one case of each group, then the rest of the groups whose case turned green.
    pub(crate) fn screen(
        &mut self,
        patch: &[PatchedFile],
        left: Duration,
    ) -> Result<Screened, WorkError> {
        let files = writes(patch);
        let mut open = self.cases();
        let mut screened = Screened { fall: None, built: true, ran: true, cpu: Duration::ZERO };
        let mut green = BTreeSet::new();
        // A trial may stop at its first failure; the groups behind that are tried again.
        while !open.is_empty() {
            let run = self.attempt(&files, &open, left)?;
            screened.cpu += run.cpu;
            if let Some(fall) = fall_of_state(&run.state) {
                screened.built = fall != Fall::DoesNotBuild;
                screened.ran = screened.built;
                screened.fall = Some(fall);
                return Ok(screened);
            }
            green.extend(passed(&run));
            let reported: BTreeSet<_> = run.results.iter().map(|result| &result.id).collect();
            let before = open.len();
            open.retain(|id| !reported.contains(id));
            if open.len() == before {
                break;
            }
        }
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
            let run = self.attempt(&files, &rest, left)?;
            screened.cpu += run.cpu;
            green.extend(passed(&run));
            let whole = |group: &Group| group.iter().all(|id| green.contains(id));
            if !self.groups.iter().any(whole) {
                screened.fall = Some(fall_of_state(&run.state).unwrap_or(Fall::StillRed));
            }
        }
        Ok(screened)
    }

    /// Runs one case of each group on the unpatched view, several times: whether none was ever green.
    pub(crate) fn is_red(&mut self, times: usize) -> Result<bool, WorkError> {
        let mut cases = self.cases();
        for _ in 0..times {
            // A trial may stop at its first failure: each time another case comes first.
            cases.rotate_left(1);
            if !passed(&self.attempt(&[], &cases, Duration::MAX)?).is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The quickest case of each of the first groups.
    fn cases(&self) -> Vec<TestId> {
        let quickest = |group: &Group| group.iter().min_by_key(|id| self.duration(id)).cloned();
        self.groups.iter().filter_map(quickest).take(GROUPS).collect()
    }

    /// How long a test takes; nothing is known of one that hangs.
    fn duration(&self, id: &TestId) -> Duration {
        match self.baseline.tests.get(id) {
            Some(BaselineOutcome::Failed(failure)) if failure.kind == FailureKind::Timeout => {
                Duration::ZERO
            }
            _ => self.baseline.durations.get(id).copied().unwrap_or_default(),
        }
    }

    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        left: Duration,
    ) -> Result<TestRun, WorkError> {
        let took: Duration = tests.iter().map(|id| self.duration(id)).sum();
        let wall = (took * 5 + self.overhead + GRACE).min(left);
        let run = self.trials.attempt(files, tests, wall);
        run.map_err(|error| self.bench.run_error(error))
    }
}

/// Groups that are screened. With more, one cause is likely behind many, and verification sees all.
const GROUPS: usize = 8;
/// Added to every limit: noise of a busy machine.
const GRACE: Duration = Duration::from_millis(300);

fn passed(run: &TestRun) -> BTreeSet<TestId> {
    let passed = run.results.iter().filter(|result| result.outcome == Outcome::Passed);
    passed.map(|result| result.id.clone()).collect()
}
