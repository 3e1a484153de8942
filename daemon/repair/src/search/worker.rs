//! One worker of a search: takes candidates, refuses, screens and verifies them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenlit_runner::{Prepared, TestId};

use super::fate;
use super::queue::{Item, Next, Queue};
use super::{Group, Search, SearchEvent, VerifiedFix};
use crate::ranking::Standing;
use crate::reject::{Author, Rejector};
use crate::screen::{Limit, Screen, Screened};
use crate::verdict::Fall;
use crate::verify::{Verdict, Verifier};
use crate::workbench::WorkError;

/// Runs of the unpatched targets before the first candidate is believed: a test that is red by
/// chance makes any candidate look like a fix.
const CONFIRMATIONS: usize = 5;

/// They are made ahead of the first candidates where they take no longer than this together.
const SOON: Duration = Duration::from_millis(300);

type Judged = Result<Verdict, WorkError>;

/// What was verified while a batch was built.
#[derive(Default)]
struct Ahead {
    /// Those of the batch that got a verdict.
    judged: BTreeSet<usize>,
    /// Passing tests that they broke.
    broken: Vec<TestId>,
}

pub(super) struct Worker<'a, 's> {
    search: &'a Search<'a, 's>,
    queue: &'a Queue<'a>,
    groups: &'a [Group],
    screen: Option<Screen<'s>>,
    rejector: Rejector,
    flaky: BTreeSet<TestId>,
}

impl<'a, 's> Worker<'a, 's> {
    /// `screen` is one that is open already, for these groups.
    pub(super) fn new(
        search: &'a Search<'a, 's>,
        queue: &'a Queue<'a>,
        groups: &'a [Group],
        screen: Option<Screen<'s>>,
    ) -> Self {
        let rejector = Rejector::default();
        Self { search, queue, groups, screen, rejector, flaky: BTreeSet::new() }
    }

    fn judge(&self) -> Judge<'a, 's> {
        Judge { search: self.search, queue: self.queue, groups: self.groups }
    }

    /// Ends a session that nobody should go on with.
    pub(super) fn close(&mut self) {
        self.screen = None;
    }

    /// The session that it worked with, for others.
    pub(super) fn into_screen(self) -> Option<Screen<'s>> {
        self.screen
    }

    pub(super) fn run(&mut self) -> Result<(), WorkError> {
        loop {
            self.search.bench.check()?;
            let size = self.screen.as_ref().map_or(1, Screen::batch);
            let taken = self.queue.take(size);
            if taken.is_empty() {
                return Ok(());
            }
            let batch = self.refuse(taken);
            if batch.is_empty() {
                continue;
            }
            if self.screen.is_none() {
                let Search { bench, baseline, project, .. } = *self.search;
                self.screen = Some(Screen::open(bench, baseline, project, self.groups)?);
                // Only an open session can say how many candidates it wants at once.
                self.queue.give_back(batch);
                continue;
            }
            if batch.len() == 1 { self.alone(batch)? } else { self.together(batch)? }
        }
    }

    /// Drops what is refused without running.
    fn refuse(&mut self, items: Vec<Item>) -> Vec<Item> {
        let subject = &self.search.bench.subject;
        let is_test = |path: &Path| self.search.project.is_test_file(path);
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            match self.rejector.reject(subject, &item.files, &is_test, Author::Search) {
                None => kept.push(item),
                Some(reason) => {
                    fate::tell(&item.candidate, || format!("refused: {reason}"));
                    self.queue.count(|counts| {
                        counts.rejected_static += 1;
                        counts.fall(&Fall::Rejected(reason.to_string()));
                    });
                }
            }
        }
        kept
    }

    fn screen(&mut self) -> &mut Screen<'s> {
        self.screen.as_mut().expect("the screen is opened before candidates are tried")
    }

    fn alone(&mut self, batch: Vec<Item>) -> Result<(), WorkError> {
        for item in batch {
            self.attempt(item, None)?;
        }
        Ok(())
    }

    /// One build for all of them, where the runner can.
    fn together(&mut self, batch: Vec<Item>) -> Result<(), WorkError> {
        let started = Instant::now();
        let (prepared, judged) = self.prepare(&batch)?;
        self.queue.took_together(started.elapsed());
        let mut batch = batch.into_iter().enumerate();
        for (index, prepared) in prepared.into_iter().enumerate() {
            if self.queue.is_over() {
                // A later search goes on with them.
                let left = batch.filter(|(index, _)| !judged.contains(index));
                self.queue.give_back(left.map(|(_, item)| item).collect());
                return Ok(());
            }
            let Some((_, item)) = batch.next() else { break };
            if judged.contains(&index) {
                continue;
            }
            match prepared {
                Prepared::Ready => self.attempt(item, Some(index))?,
                Prepared::Alone => self.queue.defer(item),
                Prepared::Invalid(_) => {
                    fate::tell(&item.candidate, || "screening: does not build".into());
                    self.search.judged(&item.candidate, true, Fall::DoesNotBuild.label(), None);
                    self.queue.count(|counts| counts.fall(&Fall::DoesNotBuild));
                    self.search.known.add(&item.files, &Fall::DoesNotBuild);
                }
            }
        }
        Ok(())
    }

    /// Builds them together. Where nothing else goes on, the best of the first batch are verified one by one
    /// meanwhile: the very first is often right, and such a build takes longer than one of its own. Also
    /// gives which of them got a verdict.
    ///
    /// Not for later batches: both together are slower than each, and the right one is seldom their first.
    fn prepare(&mut self, batch: &[Item]) -> Result<(Vec<Prepared>, BTreeSet<usize>), WorkError> {
        let mut ahead = self.search.ahead.filter(|_| self.screen().is_fresh());
        if ahead.is_some() && !self.is_soon_confirmed()? {
            ahead = None;
        }
        let building = AtomicBool::new(true);
        let judge = self.judge();
        let queue = self.queue;
        let screen = self.screen();
        std::thread::scope(|scope| {
            let thread = ahead
                .map(|verifier| scope.spawn(|| judge.verify_while(verifier, &building, batch)));
            let prepared = screen.prepare(batch.iter().map(|item| &*item.files));
            building.store(false, Ordering::Relaxed);
            let verified = thread.map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            let Ahead { judged, broken } = verified.transpose()?.unwrap_or_default();
            let prepared = prepared?;
            for test in &broken {
                screen.guard(test, queue.time_left());
            }
            Ok((prepared, judged))
        })
    }

    /// Confirms that the targets are red if that takes no time worth mentioning.
    fn is_soon_confirmed(&mut self) -> Result<bool, WorkError> {
        if self.queue.is_confirmed() {
            return Ok(true);
        }
        let runs = u32::try_from(CONFIRMATIONS).unwrap_or(u32::MAX);
        if self.screen().pace().is_none_or(|pace| pace * runs > SOON) {
            return Ok(false);
        }
        let flaky = self.screen().green_unpatched(CONFIRMATIONS)?;
        self.judge().confirmed(&flaky)?;
        Ok(true)
    }

    fn attempt(&mut self, mut item: Item, variant: Option<usize>) -> Result<(), WorkError> {
        let flaky = self.queue.flaky();
        if flaky != self.flaky {
            self.screen().forget(&flaky);
            self.flaky = flaky;
        }
        let left = self.queue.time_left();
        let limit = if item.patient { Limit::Patient } else { Limit::Quick };
        let started = Instant::now();
        let screened = self.screen().screen(&item.files, variant, limit, left)?;
        self.queue.took(&item, started.elapsed());
        if !item.patient && matches!(screened.fall, Some(Fall::TimedOut | Fall::NoReport)) {
            // Most that are slow never end; the few that do get a share of the time. And a session that
            // ended may have been ended by the candidate before.
            item.patient = true;
            self.queue.interrupted(&screened);
            self.queue.defer(item);
            return Ok(());
        }
        let (tried, of, found) = self.queue.screened(&item, &screened);
        (self.search.on_event)(SearchEvent::Tried { tried, of, found });
        if let Some(fall) = &screened.fall {
            fate::tell(&item.candidate, || {
                let failure = screened.failure.as_deref().unwrap_or_default();
                format!("screening: {} {failure}", fall.label())
            });
            let failure = screened.failure.as_ref();
            self.search.judged(&item.candidate, true, fall.label(), failure);
            self.search.known.add(&item.files, fall);
            if let Some(progress) = screened.progress {
                self.queue.step(&item, progress);
            }
            return Ok(());
        }
        let next = self.queue.next_for(&screened, self.search.limits.max_fixes);
        if next == Next::Verify
            && let Some(test) = self.screen().broken(&item.files, variant, left)?
        {
            let fall = Fall::NewlyFailing(test);
            fate::tell(&item.candidate, || format!("screening: {fall:?}"));
            let why = format!("screening: {}", fall.label());
            self.search.judged(&item.candidate, true, why, None);
            self.queue.count(|counts| counts.fall(&fall));
            // A second edit may mend what it broke.
            if let (true, Some(progress)) = (screened.leaves_red, screened.progress) {
                self.queue.step(&item, progress);
            }
            return Ok(());
        }
        let mut verdict = None;
        if !self.queue.is_confirmed() {
            let (flaky, first) = self.confirm(&item, next)?;
            self.judge().confirmed(&flaky)?;
            if !flaky.is_empty() {
                // What it turned green may have been green by chance.
                self.queue.give_back(vec![item]);
                return Ok(());
            }
            verdict = first;
        }
        if let (true, Some(progress)) = (screened.leaves_red, screened.progress) {
            self.queue.step(&item, progress);
        }
        match next {
            Next::Verify => {
                let verdict = match verdict {
                    Some(verdict) => verdict?,
                    None => self.search.verifier.verify(&item.files)?,
                };
                let broken = broken_by(&verdict);
                self.judge().judge(item, verdict)?;
                if let Some(test) = broken {
                    let left = self.queue.time_left();
                    self.screen().guard(&test, left);
                }
            }
            Next::Passed => {
                let why = "green on tests that others mend as well";
                fate::tell(&item.candidate, || why.into());
                self.search.judged(&item.candidate, false, why.into(), None);
            }
            Next::Note => {
                let why = "green in screening; enough were verified";
                fate::tell(&item.candidate, || why.into());
                self.search.judged(&item.candidate, false, why.into(), None);
                self.queue.note(item);
            }
        }
        Ok(())
    }

    /// Runs the targets unpatched, several times, and verifies the candidate meanwhile: one needs the
    /// session, the other a fresh sandbox, and a fix is offered only after both. The targets that were
    /// ever green, and the verdict if the candidate is to be verified.
    fn confirm(
        &mut self,
        item: &Item,
        next: Next,
    ) -> Result<(BTreeSet<TestId>, Option<Judged>), WorkError> {
        let verifier = self.search.verifier;
        std::thread::scope(|scope| {
            let verifying =
                (next == Next::Verify).then(|| scope.spawn(|| verifier.verify(&item.files)));
            let flaky = self.screen().green_unpatched(CONFIRMATIONS);
            let verdict = verifying.map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            Ok((flaky?, verdict))
        })
    }
}

/// The passing test that a candidate broke.
fn broken_by(verdict: &Verdict) -> Option<TestId> {
    match verdict {
        Verdict::Fallen(Fall::NewlyFailing(test)) => Some(test.clone()),
        _ => None,
    }
}

/// Says what becomes of a verified candidate.
#[derive(Clone, Copy)]
struct Judge<'a, 's> {
    search: &'a Search<'a, 's>,
    queue: &'a Queue<'a>,
    groups: &'a [Group],
}

impl Judge<'_, '_> {
    /// Takes over which targets were green without any change.
    fn confirmed(&self, flaky: &BTreeSet<TestId>) -> Result<(), WorkError> {
        self.queue.confirm(flaky.clone());
        let steady = |group: &Group| group.iter().all(|id| !flaky.contains(id));
        if self.groups.iter().any(steady) { Ok(()) } else { Err(WorkError::Flaky) }
    }

    /// Verifies one after the other until one is a fix or `building` is over. Of those that are not judged
    /// screening tells more.
    fn verify_while(
        &self,
        verifier: &dyn Verifier,
        building: &AtomicBool,
        batch: &[Item],
    ) -> Result<Ahead, WorkError> {
        let mut ahead = Ahead::default();
        for (index, item) in batch.iter().enumerate() {
            if !building.load(Ordering::Relaxed) || self.queue.is_over() {
                break;
            }
            let verdict = verifier.verify(&item.files)?;
            if let Verdict::Fallen(
                Fall::DoesNotBuild | Fall::StillRed | Fall::NoReport | Fall::TimedOut,
            ) = verdict
            {
                continue;
            }
            let is_fix = matches!(verdict, Verdict::Plausible(_));
            ahead.broken.extend(broken_by(&verdict));
            let (tried, of, found) = self.queue.screened(item, &Screened::passed());
            (self.search.on_event)(SearchEvent::Tried { tried, of, found });
            self.judge(item.clone(), verdict)?;
            ahead.judged.insert(index);
            if is_fix {
                break;
            }
        }
        Ok(ahead)
    }

    fn judge(&self, item: Item, verdict: Verdict) -> Result<(), WorkError> {
        let plausible = match verdict {
            Verdict::Plausible(plausible) => plausible,
            Verdict::Fallen(reason) => {
                tracing::debug!(
                    candidate = item.candidate.summary,
                    ?reason,
                    "fell in verification"
                );
                fate::tell(&item.candidate, || format!("verification: {reason:?}"));
                let why = format!("verification: {}", reason.label());
                self.search.judged(&item.candidate, true, why, None);
                self.queue.count(|counts| counts.fall(&reason));
                return match reason {
                    Fall::InputsChanged => Err(WorkError::InputsChanged),
                    _ => Ok(()),
                };
            }
        };
        self.queue.spent(plausible.cpu);
        let flaky = self.queue.flaky();
        let whole = |group: &Group| {
            group.iter().all(|id| plausible.red_to_green.contains(id) && !flaky.contains(id))
        };
        if !self.groups.iter().any(whole) {
            let why = "verification: mends no whole test";
            fate::tell(&item.candidate, || why.into());
            self.search.judged(&item.candidate, true, why.into(), None);
            self.queue.count(|counts| counts.fall(&Fall::StillRed));
            return Ok(());
        }
        fate::tell(&item.candidate, || "verified".into());
        let Item { candidate, files, .. } = item;
        let fix = VerifiedFix { files, candidate, plausible, standing: Standing::default() };
        if let Some(counts) = self.queue.found(fix.clone()) {
            (self.search.on_event)(SearchEvent::Found { fix: Box::new(fix), counts });
        }
        Ok(())
    }
}
