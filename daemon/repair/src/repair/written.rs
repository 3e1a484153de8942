//! What authors write for a cause that the templates did not mend.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use greenlit_runner::{Project, TestId};

use super::{Course, Repair, RepairEvent};
use crate::author::{Desk, Fate, Fault};
use crate::cancel::Cancel;
use crate::locate::Cause;
use crate::screen::Screen;
use crate::search::SearchOutcome;
use crate::workbench::WorkError;
use crate::{Candidate, FaultContext};

/// What templates get of the time of a cause where somebody else may write as well.
pub(super) const TEMPLATE_SHARE: f64 = 0.5;

impl Repair<'_> {
    /// Asks one author after the other until a fix mends the whole cause; each gets an even share of
    /// the time that the ones before left.
    pub(super) fn ask_authors<'p>(
        &'p self,
        project: &'p Project,
        cause: &Cause,
        deadline: Instant,
        screen: &mut Option<Screen<'p>>,
        found: &mut SearchOutcome,
    ) -> Result<(), WorkError> {
        let targets: Vec<_> = cause.failures.iter().map(|(id, _)| id.clone()).collect();
        for (index, author) in self.authors.iter().enumerate() {
            if found.fixes.iter().any(|fix| found.mends_all(fix, &targets)) {
                return Ok(());
            }
            (self.on_event)(RepairEvent::Asking(author.name()));
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(self.authors.len() - index).unwrap_or(1);
            let until = Instant::now() + share;
            let fault = Fault {
                root: &self.bench.subject.root,
                context: FaultContext {
                    files: &cause.files,
                    neighbours: &cause.neighbours,
                    retrieved: &cause.retrieved,
                    localization: &cause.localization,
                },
                failures: &cause.failures,
                text: &|path: &Path| self.bench.subject.text(path),
                is_test: &|path: &Path| project.is_test_file(path),
                is_source: &|path: &Path| project.is_source_file(path),
            };
            let ended = AtomicBool::new(false);
            let tried = std::thread::scope(|scope| {
                let (submit, candidates) = mpsc::channel();
                let (tell, fates) = mpsc::channel();
                let (cancel, ended) = (&self.bench.cancel, &ended);
                let desk = Counter {
                    submit,
                    fates,
                    open: Cell::new(0),
                    until,
                    cancel: cancel.clone(),
                    ended,
                };
                scope.spawn(move || author.write(&fault, &desk));
                let tried = self.try_written(
                    (project, cause, &targets),
                    until,
                    (&candidates, &tell),
                    screen,
                    found,
                );
                // Whoever still writes stops.
                ended.store(true, Ordering::Relaxed);
                tried
            });
            match tried {
                Err(error) if error.ends_all() => return Err(error),
                Err(error) if found.fixes.is_empty() => return Err(error),
                // What was found before holds nevertheless.
                Err(error) => tracing::debug!(%error, "an author's candidates were not all tried"),
                Ok(()) => {}
            }
        }
        self.bench.check()
    }

    /// Tries what comes until nothing more does.
    fn try_written<'p>(
        &'p self,
        (project, cause, targets): (&'p Project, &Cause, &[TestId]),
        until: Instant,
        (candidates, tell): (&Receiver<Candidate>, &Sender<Fate>),
        screen: &mut Option<Screen<'p>>,
        found: &mut SearchOutcome,
    ) -> Result<(), WorkError> {
        for candidate in candidates {
            self.bench.check()?;
            let course =
                Course { deadline: until, jobs: 1, ahead: false, ended: None, found: Vec::new() };
            let one = self.search(project, cause, vec![candidate], course, screen)?;
            let fate = fate(&one, targets);
            tracing::debug!(?fate, "a written candidate");
            // The author may have gone.
            let _ = tell.send(fate);
            found.fixes.extend(one.fixes);
            found.promising.extend(one.promising);
            found.flaky.extend(one.flaky);
            found.out_of_time |= one.out_of_time;
            found.cpu += one.cpu;
            found.counts.add(one.counts);
        }
        Ok(())
    }
}

/// How the only candidate of a search ended.
fn fate(search: &SearchOutcome, targets: &[TestId]) -> Fate {
    if search.fixes.iter().any(|fix| search.mends_all(fix, targets)) {
        return Fate::Verified;
    }
    if !search.fixes.is_empty() {
        return Fate::Partial;
    }
    match search.counts.fallen.keys().next() {
        Some(reason) => Fate::Fell {
            reason: reason.clone(),
            failure: search.counts.killed_by.keys().next().cloned(),
        },
        None => Fate::Untried,
    }
}

/// The desk of a repair.
struct Counter<'a> {
    submit: Sender<Candidate>,
    fates: Receiver<Fate>,
    /// Handed in and not told of yet.
    open: Cell<usize>,
    until: Instant,
    cancel: Cancel,
    ended: &'a AtomicBool,
}

impl Counter<'_> {
    fn told(&self, fate: Option<Fate>) -> Option<Fate> {
        if fate.is_some() {
            self.open.set(self.open.get().saturating_sub(1));
        }
        fate
    }
}

impl Desk for Counter<'_> {
    fn submit(&self, candidate: Candidate) -> bool {
        let taken = self.submit.send(candidate).is_ok();
        self.open.set(self.open.get() + usize::from(taken));
        taken
    }

    fn wait(&self) -> Option<Fate> {
        if self.open.get() == 0 {
            return None;
        }
        loop {
            // Whoever tries them may have ended with an error while this waits.
            match self.fates.recv_timeout(BEAT) {
                Ok(fate) => return self.told(Some(fate)),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) if self.ended.load(Ordering::Relaxed) => {
                    return None;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn look(&self) -> Option<Fate> {
        self.told(self.fates.try_recv().ok())
    }

    fn left(&self) -> Duration {
        if self.cancel.is_cancelled() || self.ended.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        self.until.saturating_duration_since(Instant::now())
    }
}

/// How often somebody who waits looks whether it makes sense.
const BEAT: Duration = Duration::from_millis(50);
