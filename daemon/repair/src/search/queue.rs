//! What the workers of a search share: the candidates that wait, and what was found.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use greenlit_runner::TestId;

use super::{SearchCounts, SearchOutcome, Step, VerifiedFix};
use crate::Candidate;
use crate::patch::{self, PatchedFile};
use crate::screen::Screened;
use crate::workbench::WorkError;

/// How long a search goes on for alternatives once every target has a fix.
const ALTERNATIVES: Duration = Duration::from_secs(6);
/// Candidates kept to build on.
const STEPS: usize = 40;
/// Unverified green candidates kept to compare behaviour with.
const PROMISING: usize = 40;

/// One part in so many of the time spent on candidates may go to second tries while there are fresh
/// ones: most of them never end, and the right one may be among them on a busy machine.
const SECOND_TRIES: u32 = 4;

/// A candidate that waits.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) candidate: Candidate,
    /// Empty until it is taken: thousands of patched texts would fill the memory.
    pub(super) files: Vec<PatchedFile>,
    /// It is the second try, with the long limit.
    pub(super) patient: bool,
    /// It was deferred once.
    pub(super) later: bool,
}

struct State {
    fresh: VecDeque<Item>,
    /// Those that cost more: too slow for the first limit, or not to be built with others.
    later: VecDeque<Item>,
    /// Time spent on first tries and on those of `later`.
    first_tries: Duration,
    second_tries: Duration,
    outcome: SearchOutcome,
    tried: usize,
    of: usize,
    stop_at: Instant,
    confirmed: bool,
    failed: Option<WorkError>,
}

/// What ends a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends<'a> {
    pub(super) deadline: Instant,
    /// Tests that all have to have a fix.
    pub(super) targets: &'a [TestId],
    /// See [`super::Search::ended`].
    pub(super) ended: Option<&'a AtomicBool>,
}

pub(super) struct Queue<'a> {
    state: Mutex<State>,
    ends: Ends<'a>,
    /// Unpatched texts of all files that candidates change.
    texts: Texts,
}

/// Texts by absolute path.
pub(super) type Texts = BTreeMap<PathBuf, Arc<str>>;

/// What to do with a candidate that was green in screening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Verify it.
    Verify,
    /// Enough were verified: only note it.
    Note,
    /// It mends some tests, and others that were verified mend these too.
    Passed,
}

impl State {
    /// With every target mended, the search goes on for a bounded time only.
    fn end_soon_if_mended(&mut self, targets: &[TestId]) {
        let SearchOutcome { fixes, flaky, .. } = &self.outcome;
        let mended = |id: &TestId| {
            flaky.contains(id) || fixes.iter().any(|fix| fix.plausible.red_to_green.contains(id))
        };
        if targets.iter().all(mended) {
            self.stop_at = self.stop_at.min(Instant::now() + ALTERNATIVES);
        }
    }
}

impl<'a> Queue<'a> {
    /// `outcome` may hold fixes that were found before.
    pub(super) fn new(
        items: VecDeque<Item>,
        texts: Texts,
        outcome: SearchOutcome,
        ends: Ends<'a>,
    ) -> Self {
        let mut state = State {
            of: items.len(),
            fresh: items,
            later: VecDeque::new(),
            first_tries: Duration::ZERO,
            second_tries: Duration::ZERO,
            outcome,
            tried: 0,
            stop_at: ends.deadline,
            confirmed: false,
            failed: None,
        };
        state.end_soon_if_mended(ends.targets);
        Self { state: Mutex::new(state), ends, texts }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to `size` candidates in order; empty when the search is over.
    pub(super) fn take(&self, size: usize) -> Vec<Item> {
        let mut state = self.lock();
        let waiting = !state.fresh.is_empty() || !state.later.is_empty();
        if Instant::now() >= state.stop_at {
            state.outcome.out_of_time |= waiting;
            return Vec::new();
        }
        if self.is_ended() {
            return Vec::new();
        }
        let behind = state.second_tries * (SECOND_TRIES - 1) < state.first_tries;
        let second = if behind || state.fresh.is_empty() { state.later.pop_front() } else { None };
        let mut batch: Vec<_> = match second {
            Some(item) => vec![item],
            None => {
                let size = size.min(state.fresh.len());
                state.fresh.drain(..size).collect()
            }
        };
        drop(state);
        for item in batch.iter_mut().filter(|item| item.files.is_empty()) {
            let files = patch::apply(&item.candidate.edits, &|path| self.texts.get(path).cloned());
            item.files = files.expect("the edits fitted these texts when they were admitted");
        }
        batch
    }

    /// Puts candidates back in front, in their order.
    pub(super) fn give_back(&self, items: Vec<Item>) {
        let mut state = self.lock();
        for item in items.into_iter().rev() {
            state.fresh.push_front(item);
        }
    }

    /// Tries a candidate again, in a share of the time as long as there are cheap ones.
    pub(super) fn defer(&self, mut item: Item) {
        item.later = true;
        self.lock().later.push_back(item);
    }

    /// Notes how long one try of a candidate took.
    pub(super) fn took(&self, item: &Item, time: Duration) {
        let mut state = self.lock();
        match item.later {
            true => state.second_tries += time,
            false => state.first_tries += time,
        }
    }

    /// Notes how long it took to make first tries ready together.
    pub(super) fn took_together(&self, time: Duration) {
        self.lock().first_tries += time;
    }

    /// Whether time ran out or an error ended the search. What was built when somebody ended it is
    /// tried nevertheless: that costs little.
    pub(super) fn is_over(&self) -> bool {
        let mut state = self.lock();
        let late = Instant::now() >= state.stop_at;
        state.outcome.out_of_time |= late && state.failed.is_none();
        late || state.failed.is_some()
    }

    pub(super) fn time_left(&self) -> Duration {
        self.lock().stop_at.saturating_duration_since(Instant::now())
    }

    /// Changes the counts.
    pub(super) fn count(&self, change: impl FnOnce(&mut SearchCounts)) {
        change(&mut self.lock().outcome.counts);
    }

    /// Notes a first try that ran into its limit: the second one says how the candidate ends.
    pub(super) fn interrupted(&self, screened: &Screened) {
        let mut state = self.lock();
        state.outcome.cpu += screened.cpu;
        state.outcome.counts.run += u64::from(screened.ran);
        state.outcome.counts.built += u64::from(screened.built);
    }

    /// Notes what screening said; returns `(tried, of, found)`.
    pub(super) fn screened(&self, item: &Item, screened: &Screened) -> (usize, usize, usize) {
        let mut state = self.lock();
        state.tried += 1;
        state.outcome.cpu += screened.cpu;
        let counts = &mut state.outcome.counts;
        if !item.patient {
            counts.run += u64::from(screened.ran);
            counts.built += u64::from(screened.built);
        }
        if let Some(reason) = &screened.fall {
            counts.fall(reason);
        }
        if let (Some(_), Some(failure)) = (&screened.fall, &screened.failure) {
            *counts.killed_by.entry(failure.clone()).or_default() += 1;
        }
        (state.tried, state.of, state.outcome.fixes.len())
    }

    pub(super) fn step(&self, item: &Item, progress: u32) {
        let mut state = self.lock();
        if state.outcome.steps.len() < STEPS {
            let (candidate, files) = (item.candidate.clone(), item.files.clone());
            state.outcome.steps.push(Step { candidate, files, progress });
        }
    }

    /// Whether redness was confirmed before; `flaky` are tests that confirmation saw green.
    pub(super) fn is_confirmed(&self) -> bool {
        self.lock().confirmed
    }

    pub(super) fn confirm(&self, flaky: BTreeSet<TestId>) {
        let mut state = self.lock();
        state.confirmed = true;
        state.outcome.flaky.extend(flaky);
    }

    pub(super) fn flaky(&self) -> BTreeSet<TestId> {
        self.lock().outcome.flaky.clone()
    }

    /// Verify a green candidate, or note it when `enough` were verified. Those that leave targets red
    /// do not take the others' places.
    pub(super) fn next_for(&self, screened: &Screened, enough: usize) -> Next {
        let state = self.lock();
        let outcome = &state.outcome;
        if screened.leaves_red {
            let covered = |fix: &VerifiedFix| screened.green.is_subset(&fix.plausible.red_to_green);
            return match outcome.fixes.iter().any(covered) {
                true => Next::Passed,
                false => Next::Verify,
            };
        }
        let whole = outcome.fixes.iter().filter(|fix| outcome.mends_all(fix, self.ends.targets));
        if whole.count() < enough { Next::Verify } else { Next::Note }
    }

    /// Keeps a green candidate to compare behaviour with.
    pub(super) fn note(&self, item: Item) {
        let promising = &mut self.lock().outcome.promising;
        if promising.len() < PROMISING {
            promising.push(item.files);
        }
    }

    /// Adds a fix; returns the counts so far if it mends every target.
    pub(super) fn found(&self, fix: VerifiedFix) -> Option<SearchCounts> {
        let mut state = self.lock();
        let whole = state.outcome.mends_all(&fix, self.ends.targets);
        state.outcome.fixes.push(fix);
        state.outcome.counts.verified += 1;
        state.end_soon_if_mended(self.ends.targets);
        whole.then(|| state.outcome.counts.clone())
    }

    fn is_ended(&self) -> bool {
        self.ends.ended.is_some_and(|ended| ended.load(Ordering::Relaxed))
    }

    pub(super) fn spent(&self, cpu: Duration) {
        self.lock().outcome.cpu += cpu;
    }

    pub(super) fn fail(&self, error: WorkError) {
        let mut state = self.lock();
        state.fresh.clear();
        state.later.clear();
        state.failed.get_or_insert(error);
    }

    pub(super) fn into_outcome(self) -> Result<SearchOutcome, WorkError> {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = state.fresh.into_iter().chain(state.later);
        state.outcome.untried = left.map(|item| item.candidate).collect();
        match state.failed {
            Some(error) if error.ends_all() || state.outcome.fixes.is_empty() => Err(error),
            _ => Ok(state.outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::candidate::Source;

    fn item(name: &str) -> Item {
        let source = Source { tier: "template".into(), rule: "test".into(), adapter: None };
        let candidate = Candidate { edits: Vec::new(), source, summary: name.into(), score: 1.0 };
        Item { candidate, files: Vec::new(), patient: false, later: false }
    }

    static TARGETS: LazyLock<Vec<TestId>> = LazyLock::new(|| vec![TestId("t".into())]);

    fn queue(names: &[&str], time: Duration) -> Queue<'static> {
        let items = names.iter().map(|name| item(name)).collect();
        let ends = Ends { deadline: Instant::now() + time, targets: &TARGETS, ended: None };
        Queue::new(items, Texts::new(), SearchOutcome::default(), ends)
    }

    fn names(items: &[Candidate]) -> Vec<&str> {
        items.iter().map(|candidate| candidate.summary.as_str()).collect()
    }

    #[test]
    fn nothing_that_was_taken_and_given_back_is_lost() {
        let queue = queue(&["a", "b", "c"], Duration::from_secs(3600));
        let mut taken = queue.take(2);
        queue.defer(taken.remove(0));
        queue.give_back(taken);
        let outcome = queue.into_outcome().unwrap();
        assert_eq!(names(&outcome.untried), ["b", "c", "a"], "deferred ones come last");
    }

    #[test]
    fn a_deferred_candidate_gets_a_share_of_the_time_and_does_not_wait_for_all_others() {
        let queue = queue(&["slow", "b", "c", "d", "e"], Duration::from_secs(3600));
        let second = Duration::from_secs(1);
        let slow = queue.take(1).remove(0);
        queue.took(&slow, second);
        queue.defer(slow);
        let mut order = Vec::new();
        loop {
            let taken = queue.take(1);
            let Some(item) = taken.first() else { break };
            queue.took(item, second);
            order.push(item.candidate.summary.clone());
            if item.candidate.summary == "b" && !item.later {
                queue.defer(item.clone());
            }
        }
        assert_eq!(order, ["slow", "b", "c", "d", "b", "e"]);
    }

    #[test]
    fn building_first_tries_together_counts_as_time_spent_on_them() {
        let queue = queue(&["slow", "b"], Duration::from_secs(3600));
        let slow = queue.take(1).remove(0);
        queue.defer(slow);
        queue.took_together(Duration::from_secs(1));
        assert_eq!(queue.take(1)[0].candidate.summary, "slow");
    }

    #[test]
    fn a_search_that_somebody_ended_hands_nothing_out() {
        let ended = AtomicBool::new(false);
        let deadline = Instant::now() + Duration::from_secs(3600);
        let ends = Ends { deadline, targets: &TARGETS, ended: Some(&ended) };
        let items = ["a", "b"].map(item).into();
        let queue = Queue::new(items, Texts::new(), SearchOutcome::default(), ends);
        assert_eq!(queue.take(1).len(), 1);
        ended.store(true, Ordering::Relaxed);
        assert!(queue.take(1).is_empty());
        assert!(!queue.is_over(), "what was taken is tried");
        assert!(!queue.into_outcome().unwrap().out_of_time, "time is not why");
    }

    #[test]
    fn when_time_is_up_nothing_is_handed_out_and_the_rest_is_kept() {
        let queue = queue(&["a"], Duration::ZERO);
        assert!(queue.take(1).is_empty());
        let outcome = queue.into_outcome().unwrap();
        assert!(outcome.out_of_time);
        assert_eq!(names(&outcome.untried), ["a"]);
    }
}
