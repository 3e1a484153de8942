//! The search: candidates in order, screened in warm sandboxes, the promising ones verified.

mod fate;
mod queue;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use greenlit_runner::{Project, TestId};

use self::queue::{Ends, Item, Queue, Texts};
use self::worker::Worker;
use crate::Candidate;
use crate::baseline::Baseline;
use crate::known::KnownFalls;
use crate::patch::{self, PatchedFile};
use crate::ranking::Standing;
use crate::screen::Screen;
use crate::verdict::Fall;
use crate::verify::{Plausible, Verifier};
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
    /// What else is known of it: how it compares with other candidates, how strong its tests are.
    pub standing: Standing,
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
    /// Not tried again: an earlier search saw them fall on the same inputs.
    pub known: u64,
    /// Why the others fell, by [`Fall::label`].
    pub fallen: BTreeMap<String, u64>,
    /// How many were killed by each failure, by its first line.
    pub killed_by: BTreeMap<String, u64>,
}

impl SearchCounts {
    pub(crate) fn fall(&mut self, reason: &Fall) {
        *self.fallen.entry(reason.label()).or_default() += 1;
    }

    /// Adds the counts of another search.
    pub(crate) fn add(&mut self, more: SearchCounts) {
        self.generated += more.generated;
        self.rejected_static += more.rejected_static;
        self.built += more.built;
        self.run += more.run;
        self.verified += more.verified;
        self.known += more.known;
        for (reason, count) in more.fallen {
            *self.fallen.entry(reason).or_default() += count;
        }
        for (failure, count) in more.killed_by {
            *self.killed_by.entry(failure).or_default() += count;
        }
    }
}

/// A candidate that mended nothing whole but got a failing test further.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) candidate: Candidate,
    pub(crate) files: Vec<PatchedFile>,
    /// How far; comparable within a search.
    pub(crate) progress: u32,
}

/// What a search found.
#[derive(Debug, Clone, Default)]
pub struct SearchOutcome {
    /// In the order found.
    pub fixes: Vec<VerifiedFix>,
    /// Patches that were green in screening and not verified: enough others were.
    pub(crate) promising: Vec<Vec<PatchedFile>>,
    /// Candidates to build on, furthest first.
    pub(crate) steps: Vec<Step>,
    /// Candidates that there was no time for, in order.
    pub(crate) untried: Vec<Candidate>,
    /// What became of the candidates.
    pub counts: SearchCounts,
    /// CPU time of screening and verification.
    pub cpu: Duration,
    /// Whether time ran out before the candidates did.
    pub out_of_time: bool,
    /// Targets that were green on the unpatched view: no candidate can be judged by them.
    pub flaky: BTreeSet<TestId>,
}

impl SearchOutcome {
    /// Whether a fix turns every one of `targets` green that can be judged by.
    pub(crate) fn mends_all(&self, fix: &VerifiedFix, targets: &[TestId]) -> bool {
        let mended = &fix.plausible.red_to_green;
        targets.iter().all(|id| self.flaky.contains(id) || mended.contains(id))
    }
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
    /// A candidate that was run is no fix.
    Judged {
        /// Which.
        candidate: Box<Candidate>,
        /// Whether it fell; else it was green in screening, and others were enough.
        fell: bool,
        /// Why, as [`Fall::label`] says it.
        reason: String,
        /// The first line of the failure that killed it.
        failure: Option<String>,
    },
    /// A fix was verified that mends every target.
    Found {
        /// Which.
        fix: Box<VerifiedFix>,
        /// What became of the candidates until then.
        counts: SearchCounts,
    },
}

/// A search in one project; `'s` is what its sessions live on, which may outlive it.
pub struct Search<'a, 's> {
    /// Opens the sandboxes.
    pub bench: &'s Workbench,
    /// What fails.
    pub baseline: &'s Baseline,
    /// The project that owns the targets.
    pub project: &'s Project,
    /// Failing tests to turn green.
    pub targets: &'a [TestId],
    /// Decides.
    pub verifier: &'a dyn Verifier,
    /// Verifies the first candidates while many are built, where nothing else goes on.
    pub ahead: Option<&'a dyn Verifier>,
    /// What earlier searches learned about these inputs.
    pub known: &'a KnownFalls,
    /// Bounds.
    pub limits: SearchLimits,
    /// Ends the search when it is set, after the candidates that were taken before.
    pub ended: Option<&'a AtomicBool>,
    /// Hears of progress; called from several threads.
    pub on_event: &'a (dyn Fn(SearchEvent) + Sync),
}

/// Failing tests that one fix has to turn green together: the cases of one test function.
pub(crate) type Group = Vec<TestId>;

impl<'s> Search<'_, 's> {
    /// Tries `candidates` in order.
    ///
    /// # Errors
    /// When nothing could be tried at all, or an input changed. Fixes found before another error are kept
    /// and returned.
    pub fn run(&self, candidates: Vec<Candidate>) -> Result<SearchOutcome, WorkError> {
        self.run_in(candidates, Vec::new(), &mut None)
    }

    /// Tells how a candidate ended that is no fix.
    fn judged(&self, candidate: &Candidate, fell: bool, reason: String, failure: Option<&String>) {
        let (candidate, failure) = (Box::new(candidate.clone()), failure.cloned());
        (self.on_event)(SearchEvent::Judged { candidate, fell, reason, failure });
    }

    /// As [`Self::run`], with fixes that were found before, and with a session that may be open
    /// already: it is used if it is for these targets and others. It leaves one for the next.
    pub(crate) fn run_in(
        &self,
        candidates: Vec<Candidate>,
        found: Vec<VerifiedFix>,
        screen: &mut Option<Screen<'s>>,
    ) -> Result<SearchOutcome, WorkError> {
        let mut outcome = SearchOutcome { fixes: found, ..SearchOutcome::default() };
        let (items, texts) = self.admit(candidates, &mut outcome);
        let groups = groups(self.targets);
        *screen = screen.take().filter(|screen| screen.covers(&groups));
        if let Some(screen) = screen {
            screen.judge_by(&groups);
        }
        let ends =
            Ends { deadline: self.limits.deadline, targets: self.targets, ended: self.ended };
        let queue = Queue::new(items, texts, outcome, ends);
        let mut first = Worker::new(self, &queue, &groups, screen.take());
        let work = |worker: &mut Worker<'_, 's>| {
            if let Err(error) = worker.run() {
                worker.close();
                queue.fail(error);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.limits.jobs {
                scope.spawn(|| work(&mut Worker::new(self, &queue, &groups, None)));
            }
            work(&mut first);
        });
        *screen = first.into_screen();
        let mut outcome = queue.into_outcome()?;
        for candidate in &outcome.untried {
            fate::tell(candidate, || "proposed, and not tried in this search".into());
        }
        outcome.steps.sort_by(|a, b| {
            b.progress.cmp(&a.progress).then(b.candidate.score.total_cmp(&a.candidate.score))
        });
        Ok(outcome)
    }

    /// The candidates whose edits fit, each resulting text once, and the texts that they are for.
    /// One that was verified before is not tried again, but takes its place among these.
    fn admit(
        &self,
        candidates: Vec<Candidate>,
        outcome: &mut SearchOutcome,
    ) -> (VecDeque<Item>, Texts) {
        let counts = &mut outcome.counts;
        let mut verified: HashMap<_, _> =
            outcome.fixes.iter_mut().map(|fix| (patch::key(&fix.files), fix)).collect();
        let mut texts = Texts::new();
        let mut seen = HashSet::new();
        let mut items = VecDeque::new();
        for candidate in candidates {
            for edit in &candidate.edits {
                if !texts.contains_key(&edit.path)
                    && let Some(text) = self.bench.subject.text(&edit.path)
                {
                    texts.insert(edit.path.clone(), text);
                }
            }
            let text_of = |path: &Path| texts.get(path).cloned();
            let Ok(files) = patch::apply(&candidate.edits, &text_of) else {
                counts.generated += 1;
                counts.fall(&Fall::Rejected("edits do not fit".into()));
                counts.rejected_static += 1;
                continue;
            };
            let key = patch::key(&files);
            if !seen.insert(key) {
                continue;
            }
            counts.generated += 1;
            if let Some(fix) = verified.remove(&key) {
                fix.candidate = candidate;
                continue;
            }
            if let Some(reason) = self.known.fall_of(&key) {
                counts.known += 1;
                counts.fall(&reason);
                fate::tell(&candidate, || {
                    format!("fell before on these inputs: {}", reason.label())
                });
                continue;
            }
            items.push_back(Item { candidate, files: Vec::new(), patient: false, later: false });
        }
        // Nobody would have proposed the others with what is known now.
        let least = items.iter().map(|item| item.candidate.score).reduce(f64::min);
        for fix in verified.into_values() {
            fix.candidate.score = fix.candidate.score.min(least.unwrap_or_default());
        }
        (items, texts)
    }
}

/// Failing cases of one parametrized test belong together: a patch that mends some cases and not
/// the others has not found the cause.
pub(crate) fn groups(targets: &[TestId]) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for id in targets {
        groups.entry(function_of(&id.0)).or_default().push(id.clone());
    }
    groups.into_values().collect()
}

/// The test function of a parametrized case: `a.py::test_x[3-5]` is a case of `a.py::test_x`.
pub fn function_of(id: &str) -> &str {
    match id.find('[') {
        Some(bracket) if id.ends_with(']') => &id[..bracket],
        _ => id,
    }
}
