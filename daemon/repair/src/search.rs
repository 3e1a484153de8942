//! The search: candidates in order, screened in warm sandboxes, the promising ones verified.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use greenlit_runner::{Project, TestId};

use crate::Candidate;
use crate::baseline::Baseline;
use crate::patch::{self, PatchedFile};
use crate::reject::Rejector;
use crate::screen::Screen;
use crate::verdict::Fall;
use crate::verify::{Plausible, Verdict, Verifier};
use crate::workbench::{WorkError, Workbench};

/// Bounds of a search.
#[derive(Debug, Clone, Copy)]
pub struct SearchLimits {
    /// When to give up.
    pub deadline: Instant,
    /// Enough fixes.
    pub max_fixes: usize,
    /// Candidates tried at once.
    pub jobs: usize,
}

/// A candidate that passed the whole verification.
#[derive(Debug, Clone)]
pub struct VerifiedFix {
    /// The changed files.
    pub files: Vec<PatchedFile>,
    /// The edits.
    pub candidate: Candidate,
    /// What it achieved.
    pub plausible: Plausible,
}

/// What became of the candidates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchCounts {
    /// Proposed, without duplicates.
    pub generated: u64,
    /// Refused without running.
    pub rejected_static: u64,
    /// Built or loaded.
    pub built: u64,
    /// Tests were run on it.
    pub run: u64,
    /// Passed the whole verification.
    pub verified: u64,
    /// Why the others fell, by [`Fall::label`].
    pub fallen: BTreeMap<String, u64>,
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct SearchOutcome {
    /// Best first.
    pub fixes: Vec<VerifiedFix>,
    /// What became of the candidates.
    pub counts: SearchCounts,
    /// CPU time of screening, and of the verification of what it found.
    pub cpu: Duration,
    /// Whether time ran out before the candidates did.
    pub out_of_time: bool,
}

/// What a search tells while it runs.
#[derive(Debug, Clone)]
pub enum SearchEvent {
    /// So many of so many candidates were tried.
    Tried {
        /// Tried.
        tried: usize,
        /// All.
        of: usize,
        /// Verified so far.
        found: usize,
    },
    /// A fix was verified.
    Found {
        /// Which.
        fix: Box<VerifiedFix>,
        /// What became of the candidates until then.
        counts: SearchCounts,
    },
}

/// A search in one project.
pub struct Search<'a> {
    /// Opens the sandboxes.
    pub bench: &'a Workbench,
    /// What fails.
    pub baseline: &'a Baseline,
    /// The project that owns the targets.
    pub project: &'a Project,
    /// Failing tests to turn green.
    pub targets: &'a [TestId],
    /// Decides.
    pub verifier: &'a dyn Verifier,
    /// Bounds.
    pub limits: SearchLimits,
    /// Hears of progress; called from several threads.
    pub on_event: &'a (dyn Fn(SearchEvent) + Sync),
}

/// Failing tests that one fix has to turn green together: the cases of one test function.
pub(crate) type Group = Vec<TestId>;

struct Shared {
    queue: VecDeque<(Candidate, Vec<PatchedFile>)>,
    outcome: SearchOutcome,
    tried: usize,
    of: usize,
    stop_at: Instant,
    failed: Option<WorkError>,
}

impl Search<'_> {
    /// Tries `candidates` in order.
    ///
    /// # Errors
    /// When nothing could be tried at all. Fixes found before an error are kept and returned.
    pub fn run(&self, candidates: Vec<Candidate>) -> Result<SearchOutcome, WorkError> {
        let mut outcome = SearchOutcome::default();
        let queue = self.admit(candidates, &mut outcome.counts);
        let shared = Mutex::new(Shared {
            of: queue.len(),
            queue,
            outcome,
            tried: 0,
            stop_at: self.limits.deadline,
            failed: None,
        });
        let groups = self.groups();
        std::thread::scope(|scope| {
            for _ in 0..self.limits.jobs.max(1) {
                scope.spawn(|| {
                    if let Err(error) = self.work(&shared, &groups) {
                        let mut shared = lock(&shared);
                        shared.queue.clear();
                        shared.failed.get_or_insert(error);
                    }
                });
            }
        });
        let mut shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = shared.failed
            && shared.outcome.fixes.is_empty()
        {
            return Err(error);
        }
        rank(&mut shared.outcome.fixes, self.limits.max_fixes);
        Ok(shared.outcome)
    }

    /// Applies the candidates; drops those with equal results.
    fn admit(
        &self,
        candidates: Vec<Candidate>,
        counts: &mut SearchCounts,
    ) -> VecDeque<(Candidate, Vec<PatchedFile>)> {
        let mut texts = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut queue = VecDeque::new();
        for candidate in candidates {
            for edit in &candidate.edits {
                texts
                    .entry(edit.path.clone())
                    .or_insert_with(|| self.bench.subject.text(&edit.path));
            }
            let text_of = |path: &Path| texts.get(path).cloned().flatten();
            let Ok(files) = patch::apply(&candidate.edits, &text_of) else {
                counts.generated += 1;
                fall(counts, &Fall::Rejected("edits do not fit".into()));
                counts.rejected_static += 1;
                continue;
            };
            let after: Vec<_> = files.iter().map(|f| (f.path.clone(), f.after.clone())).collect();
            if !seen.insert(after) {
                continue;
            }
            counts.generated += 1;
            queue.push_back((candidate, files));
        }
        queue
    }

    /// Failing cases of one parametrized test belong together: a patch that mends some cases and
    /// not the others has not found the cause.
    fn groups(&self) -> Vec<Group> {
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        for id in self.targets {
            groups.entry(function_of(&id.0)).or_default().push(id.clone());
        }
        groups.into_values().collect()
    }

    fn work(&self, shared: &Mutex<Shared>, groups: &[Group]) -> Result<(), WorkError> {
        let mut screen: Option<Screen<'_>> = None;
        let mut rejector = Rejector::default();
        let mut confirmed = false;
        let is_test = |path: &Path| self.project.is_test_file(path);
        loop {
            self.bench.check()?;
            let Some((candidate, files)) = next(shared) else { return Ok(()) };
            if let Some(reason) = rejector.reject(&self.bench.subject.root, &files, &is_test) {
                let counts = &mut lock(shared).outcome.counts;
                counts.rejected_static += 1;
                fall(counts, &Fall::Rejected(reason.to_string()));
                continue;
            }
            if screen.is_none() {
                screen = Some(Screen::open(self.bench, self.baseline, self.project, groups)?);
            }
            let Some(open) = &mut screen else { unreachable!("the screen was opened above") };
            let left = lock(shared).stop_at.saturating_duration_since(Instant::now());
            let screened = open.screen(&files, left)?;
            let mut state = lock(shared);
            state.tried += 1;
            state.outcome.cpu += screened.cpu;
            state.outcome.counts.run += u64::from(screened.ran);
            state.outcome.counts.built += u64::from(screened.built);
            if let Some(reason) = &screened.fall {
                fall(&mut state.outcome.counts, reason);
            }
            let (tried, of, found) = (state.tried, state.of, state.outcome.fixes.len());
            drop(state);
            (self.on_event)(SearchEvent::Tried { tried, of, found });
            if screened.fall.is_none() {
                if !confirmed {
                    confirmed = open.is_red(CONFIRMATIONS)?;
                    if !confirmed {
                        return Err(WorkError::Flaky);
                    }
                }
                self.verify(shared, candidate, files, groups)?;
            }
        }
    }

    fn verify(
        &self,
        shared: &Mutex<Shared>,
        candidate: Candidate,
        files: Vec<PatchedFile>,
        groups: &[Group],
    ) -> Result<(), WorkError> {
        let verdict = self.verifier.verify(&files)?;
        let mut state = lock(shared);
        let plausible = match verdict {
            Verdict::Fallen(reason) => {
                fall(&mut state.outcome.counts, &reason);
                if reason == Fall::InputsChanged {
                    // Nothing that follows could be believed either.
                    state.queue.clear();
                }
                return Ok(());
            }
            Verdict::Plausible(plausible) => plausible,
        };
        state.outcome.cpu += plausible.cpu;
        let whole_group =
            groups.iter().any(|group| group.iter().all(|id| plausible.red_to_green.contains(id)));
        if !whole_group {
            fall(&mut state.outcome.counts, &Fall::StillRed);
            return Ok(());
        }
        let fix = VerifiedFix { files, candidate, plausible };
        state.outcome.fixes.push(fix.clone());
        state.outcome.counts.verified += 1;
        let counts = state.outcome.counts.clone();
        let fixes = &state.outcome.fixes;
        let mended = |id: &TestId| fixes.iter().any(|fix| fix.plausible.red_to_green.contains(id));
        if self.targets.iter().all(mended) {
            if fixes.len() >= self.limits.max_fixes {
                state.queue.clear();
            }
            // Something good is on offer: look a little longer for alternatives, not for ever.
            state.stop_at = state.stop_at.min(Instant::now() + ALTERNATIVES);
        }
        drop(state);
        (self.on_event)(SearchEvent::Found { fix: Box::new(fix), counts });
        Ok(())
    }
}

/// How long a search goes on for alternatives once every target has a fix.
const ALTERNATIVES: Duration = Duration::from_secs(6);

/// Runs of the unpatched targets before the first candidate is believed: a test that is red by
/// chance makes any candidate look like a fix.
const CONFIRMATIONS: usize = 5;

fn next(shared: &Mutex<Shared>) -> Option<(Candidate, Vec<PatchedFile>)> {
    let mut shared = lock(shared);
    if Instant::now() >= shared.stop_at {
        shared.outcome.out_of_time |= !shared.queue.is_empty();
        return None;
    }
    shared.queue.pop_front()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn fall(counts: &mut SearchCounts, reason: &Fall) {
    *counts.fallen.entry(reason.label()).or_default() += 1;
}

/// The test function of a parametrized case: `a.py::test_x[3-5]` is a case of `a.py::test_x`.
pub fn function_of(id: &str) -> &str {
    match id.find('[') {
        Some(bracket) if id.ends_with(']') => &id[..bracket],
        _ => id,
    }
}

/// Most tests mended first, then by the generator's score; drops fixes whose tests are a strict
/// subset of another fix's.
fn rank(fixes: &mut Vec<VerifiedFix>, keep: usize) {
    let mended: Vec<_> = fixes.iter().map(|fix| fix.plausible.red_to_green.clone()).collect();
    fixes.retain(|fix| {
        let own = &fix.plausible.red_to_green;
        !mended.iter().any(|other| other.len() > own.len() && own.is_subset(other))
    });
    fixes.sort_by(|a, b| {
        let mends = |fix: &VerifiedFix| fix.plausible.red_to_green.len();
        mends(b).cmp(&mends(a)).then(b.candidate.score.total_cmp(&a.candidate.score))
    });
    // Each failing test keeps at least its best fix when the list is cut.
    let mut covered = BTreeSet::new();
    let mut kept = Vec::new();
    let mut rest = Vec::new();
    for fix in fixes.drain(..) {
        let adds = fix.plausible.red_to_green.iter().any(|id| !covered.contains(id));
        covered.extend(fix.plausible.red_to_green.iter().cloned());
        if adds { kept.push(fix) } else { rest.push(fix) }
    }
    rest.truncate(keep.saturating_sub(kept.len()));
    kept.extend(rest);
    *fixes = kept;
}
