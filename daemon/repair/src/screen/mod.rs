//! Screening: the target tests of a candidate, in a warm sandbox. Cheap, and never a verdict.

mod guards;
mod warm;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use greenlit_runner::{
    Failure, FailureKind, Outcome, Prepared, Project, RunState, TestId, TestRun, Trials,
};
use greenlit_sandbox::FileWrite;

use self::guards::Guards;
pub(crate) use self::warm::Warm;
use crate::baseline::Baseline;
use crate::cancel::Registration;
use crate::patch::PatchedFile;
use crate::search::Group;
use crate::verdict::{BaselineOutcome, Fall, fall_of_state};
use crate::verify::writes;
use crate::workbench::{WorkError, Workbench};

/// How much time a candidate gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// A few times what the unpatched view takes: most candidates that are slower never end.
    Quick,
    /// As long as may be reasonable.
    Patient,
}

/// What screening says.
#[derive(Debug, Default)]
pub(crate) struct Screened {
    /// Why it fell; `None` means that it is worth a verification.
    pub(crate) fall: Option<Fall>,
    /// Targets that were green.
    pub(crate) green: BTreeSet<TestId>,
    /// Whether a target was red.
    pub(crate) leaves_red: bool,
    /// Whether it built.
    pub(crate) built: bool,
    /// Whether tests ran.
    pub(crate) ran: bool,
    /// CPU time.
    pub(crate) cpu: Duration,
    /// The first line of the failure that killed it.
    pub(crate) failure: Option<String>,
    /// How much further than the unpatched view a failing test got, if it did.
    pub(crate) progress: Option<u32>,
}

impl Screened {
    /// What a candidate shows that built and passed.
    pub(crate) fn passed() -> Self {
        Self { built: true, ran: true, ..Self::default() }
    }
}

/// A warm sandbox for one worker.
pub(crate) struct Screen<'a> {
    bench: &'a Workbench,
    baseline: &'a Baseline,
    groups: Vec<Group>,
    /// What it was opened for: a runner builds and lists nothing else.
    tests: BTreeSet<TestId>,
    trials: Box<dyn Trials>,
    /// Kept for its effect.
    _registration: Registration,
    /// Time for what is not the tests themselves: starting and importing.
    overhead: Duration,
    /// What an attempt at the unpatched view took; `None` where nothing could be timed.
    pace: Option<Duration>,
    /// Candidates made ready together so far.
    prepared: usize,
    guards: Guards,
    /// What a run of all tests took.
    whole: Duration,
}

impl<'a> Screen<'a> {
    pub(crate) fn open(
        bench: &'a Workbench,
        baseline: &'a Baseline,
        project: &'a Project,
        groups: &[Group],
    ) -> Result<Self, WorkError> {
        let started = Instant::now();
        let wanted: Vec<_> = groups.concat();
        let whole = baseline.projects.iter().find(|run| run.project.dir() == project.dir());
        let ahead = whole.and_then(|run| run.ahead.as_ref());
        let opened = ahead.and_then(|ahead| ahead.session(&wanted));
        let Warm { trials, registration, tests } = match opened {
            Some(Ok(warm)) => warm,
            Some(Err(WorkError::Cancelled)) => return Err(WorkError::Cancelled),
            Some(Err(error)) => {
                tracing::debug!(%error, "the session is opened again");
                Warm::open(bench, project, &wanted)?
            }
            None => Warm::open(bench, project, &wanted)?,
        };
        let running: Duration = baseline.durations.values().sum();
        let starting = whole.map_or(Duration::ZERO, |run| run.wall.saturating_sub(running));
        let overhead = starting.min(Duration::from_secs(10));
        let groups = groups.to_vec();
        let mut screen = Self {
            bench,
            baseline,
            groups,
            tests,
            trials,
            _registration: registration,
            overhead,
            pace: None,
            prepared: 0,
            guards: Guards::default(),
            whole: whole.map_or(Duration::ZERO, |run| run.wall),
        };
        screen.measure_pace(project)?;
        tracing::debug!(
            ms = started.elapsed().as_millis(),
            pace_ms = screen.pace.map(|pace| pace.as_millis()),
            "opened a session for trials"
        );
        Ok(screen)
    }

    /// Whether no candidates were made ready together yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.prepared == 0
    }

    /// What an attempt at the unpatched view took, if it could be timed.
    pub(crate) fn pace(&self) -> Option<Duration> {
        self.pace
    }

    /// Whether it was opened for all of these tests.
    pub(crate) fn covers(&self, groups: &[Group]) -> bool {
        groups.iter().flatten().all(|id| self.tests.contains(id))
    }

    /// Judges by these groups from now on: all tests that it was opened for, or some. Other groups
    /// are another cause, whose best candidates come first again.
    pub(crate) fn judge_by(&mut self, groups: &[Group]) {
        if self.groups != groups {
            self.groups = groups.to_vec();
            self.prepared = 0;
        }
    }

    /// Times an attempt at the unpatched view. Targets that hang tell nothing; a quick passing test
    /// stands in for them.
    fn measure_pace(&mut self, project: &Project) -> Result<(), WorkError> {
        let mut cases = self.cases();
        if cases.iter().any(|id| self.hangs(id)) {
            let passing =
                self.baseline.tests.iter().filter(|(id, outcome)| {
                    **outcome == BaselineOutcome::Passed && project.owns(id)
                });
            let quickest = passing.map(|(id, _)| id).min_by_key(|id| self.duration(id));
            let Some(quickest) = quickest else { return Ok(()) };
            cases = vec![quickest.clone()];
        }
        let wall = self.wall(&cases);
        let run = self.trials.attempt(&[], &cases, wall);
        // Without what the session finds out about itself the first time.
        let run = run.map_err(|error| self.bench.run_error(error))?;
        self.pace = Some(run.wall.max(PACE));
        Ok(())
    }

    /// How many candidates are worth preparing together now; 1 where there is nothing to gain. The
    /// best come first: the sooner they are tried, the sooner there is a fix. Later on fewer builds
    /// count more.
    pub(crate) fn batch(&self) -> usize {
        batch_after(self.prepared, self.trials.batch())
    }

    /// Makes patches ready together; see [`Trials::prepare`].
    pub(crate) fn prepare<'p>(
        &mut self,
        patches: impl Iterator<Item = &'p [PatchedFile]>,
    ) -> Result<Vec<Prepared>, WorkError> {
        let variants: Vec<_> = patches.map(writes).collect();
        let prepared = self.trials.prepare(&variants).map_err(|e| self.bench.run_error(e))?;
        self.prepared += variants.len();
        assert_eq!(prepared.len(), variants.len(), "a session answers for each variant");
        Ok(prepared)
    }

    /// No longer judges by these tests.
    pub(crate) fn forget(&mut self, tests: &BTreeSet<TestId>) {
        self.groups.retain(|group| group.iter().all(|id| !tests.contains(id)));
    }

    /// Runs some cases of each group, then the rest of the groups of which none was red. `variant` is
    /// the patch's index in the last [`Screen::prepare`], if that made it ready.
    pub(crate) fn screen(
        &mut self,
        patch: &[PatchedFile],
        variant: Option<usize>,
        limit: Limit,
        left: Duration,
    ) -> Result<Screened, WorkError> {
        let attempt = Attempt { files: writes(patch), variant, limit, left };
        let mut open = self.cases();
        let mut screened = Screened { built: true, ran: true, ..Screened::default() };
        let (mut green, mut red) = (BTreeSet::new(), BTreeSet::new());
        // A trial may stop at its first failure; the groups behind that are tried again.
        while !open.is_empty() {
            let run = self.attempt(&attempt, &open)?;
            screened.cpu += run.cpu;
            if let Some(fall) = fall_of_state(&run.state) {
                screened.built = fall != Fall::DoesNotBuild;
                screened.ran = screened.built;
                self.learn(&run, &mut screened);
                // What hangs after a target was red need not be given more time.
                let red = run.results.iter().any(|result| result.outcome != Outcome::Passed);
                screened.fall = Some(if red { Fall::StillRed } else { fall });
                if let RunState::BuildFailed { diagnostics, .. } = &run.state {
                    screened.failure = diagnostics.first().map(|error| first_line(&error.message));
                }
                return Ok(screened);
            }
            self.learn(&run, &mut screened);
            let before = open.len();
            for result in &run.results {
                open.retain(|id| *id != result.id);
                let side = if result.outcome == Outcome::Passed { &mut green } else { &mut red };
                side.insert(result.id.clone());
            }
            // One red case is enough for its group.
            open.retain(|id| !self.group_of(id).iter().any(|case| red.contains(case)));
            if open.len() == before {
                break;
            }
        }
        let alive = |group: &&Group| {
            group.iter().any(|id| green.contains(id)) && !group.iter().any(|id| red.contains(id))
        };
        let alive: Vec<&Group> = self.groups.iter().filter(alive).collect();
        let rest: Vec<TestId> =
            alive.iter().copied().flatten().filter(|id| !green.contains(*id)).cloned().collect();
        if alive.is_empty() {
            screened.fall = Some(Fall::StillRed);
        } else if !rest.is_empty() {
            let whole: Vec<Group> = alive.into_iter().cloned().collect();
            let run = self.attempt(&attempt, &rest)?;
            screened.cpu += run.cpu;
            self.learn(&run, &mut screened);
            green.extend(passed(&run));
            if !whole.iter().any(|group| group.iter().all(|id| green.contains(id))) {
                screened.fall = Some(fall_of_state(&run.state).unwrap_or(Fall::StillRed));
            }
        }
        if !green.is_empty() {
            let cases = u32::try_from(green.len()).unwrap_or(u32::MAX);
            screened.progress = Some(cases.saturating_mul(CASE));
        }
        screened.leaves_red = !red.is_empty();
        screened.green = green;
        Ok(screened)
    }

    /// Notes what failed now, and whether it failed further on than before.
    fn learn(&self, run: &TestRun, screened: &mut Screened) {
        for result in &run.results {
            let Outcome::Failed(failure) = &result.outcome else { continue };
            screened.failure.get_or_insert_with(|| first_line(&failure.message));
            if let Some(BaselineOutcome::Failed(before)) = self.baseline.tests.get(&result.id)
                && further(before, failure)
            {
                screened.progress.get_or_insert(1);
            }
        }
    }

    /// Runs one case of each group on the unpatched view, several times: those that were ever green.
    pub(crate) fn green_unpatched(&mut self, times: usize) -> Result<BTreeSet<TestId>, WorkError> {
        let mut cases = self.cases();
        let mut green = BTreeSet::new();
        for _ in 0..times {
            // A trial may stop at its first failure: each time another case comes first.
            let first = cases.len().min(1);
            cases.rotate_left(first);
            let wall = self.wall(&cases);
            let run = self.trials.attempt(&[], &cases, wall);
            green.extend(passed(&run.map_err(|error| self.bench.run_error(error))?));
        }
        Ok(green)
    }

    /// Whether `tests` all pass on a patch.
    pub(crate) fn is_green(
        &mut self,
        patch: &[PatchedFile],
        variant: Option<usize>,
        tests: &[TestId],
        limit: Limit,
        left: Duration,
    ) -> Result<bool, WorkError> {
        let attempt = Attempt { files: writes(patch), variant, limit, left };
        let run = self.attempt(&attempt, tests)?;
        let green = passed(&run);
        Ok(fall_of_state(&run.state).is_none() && tests.iter().all(|id| green.contains(id)))
    }

    /// The quickest case of each of the first groups, then more cases of them while these are quick:
    /// a candidate that mends some cases is a step on the way.
    fn cases(&self) -> Vec<TestId> {
        let sorted = |group: &Group| {
            let mut cases = group.clone();
            cases.sort_by_key(|id| self.duration(id));
            cases
        };
        let groups: Vec<Group> = self.groups.iter().take(CASES).map(sorted).collect();
        let most = groups.iter().map(Vec::len).max().unwrap_or(0);
        let mut cases = Vec::new();
        for turn in 0..most {
            let of_turn = groups.iter().filter_map(|group| group.get(turn));
            let quick = |id: &&TestId| turn == 0 || (self.duration(id) < QUICK && !self.hangs(id));
            cases.extend(of_turn.filter(quick).cloned());
        }
        cases.truncate(CASES);
        cases
    }

    fn group_of(&self, id: &TestId) -> &[TestId] {
        self.groups.iter().find(|group| group.contains(id)).map_or(&[], Vec::as_slice)
    }

    fn hangs(&self, id: &TestId) -> bool {
        matches!(
            self.baseline.tests.get(id),
            Some(BaselineOutcome::Failed(failure)) if failure.kind == FailureKind::Timeout
        )
    }

    /// How long a test takes; nothing is known of one that hangs.
    fn duration(&self, id: &TestId) -> Duration {
        if self.hangs(id) {
            return Duration::ZERO;
        }
        self.baseline.durations.get(id).copied().unwrap_or_default()
    }

    /// The longest that these tests can reasonably take.
    fn wall(&self, tests: &[TestId]) -> Duration {
        let took: Duration = tests.iter().map(|id| self.duration(id)).sum();
        took * 5 + self.overhead + GRACE
    }

    fn attempt(&mut self, attempt: &Attempt, tests: &[TestId]) -> Result<TestRun, WorkError> {
        let patient = self.wall(tests);
        let wall = match (attempt.limit, self.pace) {
            (Limit::Quick, Some(pace)) => {
                let took: Duration = tests.iter().map(|id| self.duration(id)).sum();
                (pace * 3 + took * 3 + QUICK_GRACE).min(patient)
            }
            _ => patient,
        };
        let wall = wall.min(attempt.left);
        let started = Instant::now();
        let run = match attempt.variant {
            Some(variant) => self.trials.attempt_prepared(variant, tests, wall),
            None => self.trials.attempt(&attempt.files, tests, wall),
        };
        let run = run.map_err(|error| self.bench.run_error(error))?;
        if self.pace.is_none() && attempt.variant.is_none() && run.state == RunState::Completed {
            // Every target hangs and nothing else could be timed: the first candidate that ends sets
            // the pace.
            self.pace = Some(started.elapsed().max(PACE));
        }
        Ok(run)
    }
}

/// The size of the next batch of at most `most`, when so many candidates were in earlier ones.
fn batch_after(prepared: usize, most: usize) -> usize {
    let most = most.max(1);
    (prepared * 2).clamp(FIRST_BATCH.min(most), most)
}

struct Attempt {
    files: Vec<FileWrite>,
    variant: Option<usize>,
    limit: Limit,
    left: Duration,
}

/// Progress of a case that turned green, against 1 for one that failed further on.
const CASE: u32 = 10;

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().chars().take(120).collect()
}

/// Whether a test failed at a later line of the same file than before.
fn further(before: &Failure, now: &Failure) -> bool {
    match (&before.site, &now.site) {
        (Some(before), Some(now)) => before.path == now.path && now.line > before.line,
        _ => false,
    }
}

/// Tests that are screened first. With more groups, one cause is likely behind many, and
/// verification sees all.
const CASES: usize = 8;
/// A further case of a group is run at once if it takes less than this.
const QUICK: Duration = Duration::from_millis(50);
/// Candidates made ready together at first. Many of these do not build, and a build that only finds that
/// out takes about as long for a few as for many.
const FIRST_BATCH: usize = 20;
/// No attempt is expected to be quicker: what is measured of so little is noise.
const PACE: Duration = Duration::from_millis(10);
/// Added to every limit: noise of a busy machine.
const GRACE: Duration = Duration::from_millis(300);
/// The same for the first limit, where noise only means a second try.
const QUICK_GRACE: Duration = Duration::from_millis(100);

fn passed(run: &TestRun) -> BTreeSet<TestId> {
    let passed = run.results.iter().filter(|result| result.outcome == Outcome::Passed);
    passed.map(|result| result.id.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_begin_small_and_grow() {
        let mut prepared = 0;
        let mut sizes = Vec::new();
        for _ in 0..4 {
            sizes.push(batch_after(prepared, 60));
            prepared += sizes[sizes.len() - 1];
        }
        assert_eq!(sizes, [20, 40, 60, 60]);
        assert_eq!(batch_after(0, 5), 5);
        assert_eq!(
            [batch_after(0, 0), batch_after(100, 1)],
            [1, 1],
            "where there is nothing to gain"
        );
    }
}
