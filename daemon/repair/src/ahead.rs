//! What is begun while the failures run a second time: spectra, and a session for trials.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use greenlit_runner::{FailureKind, Outcome, Project, Spectrum, TestId, TestRun};
use greenlit_sandbox::{CacheMode, Layer};

use crate::locate::{FAILING_TRACED, measure, traced};
use crate::screen::Warm;
use crate::search::groups;
use crate::workbench::{WorkError, Workbench};

type Measured = Result<Option<Spectrum>, WorkError>;

/// The end of a thread, for the first who asks.
type Slot<T> = Arc<Mutex<Option<JoinHandle<T>>>>;

/// What is under way. Clones are the same.
#[derive(Clone)]
pub(crate) struct Ahead {
    /// What is being traced.
    tests: Arc<BTreeSet<TestId>>,
    spectra: Slot<Measured>,
    /// What the session is for.
    failing: Arc<BTreeSet<TestId>>,
    session: Slot<Result<Warm, WorkError>>,
}

impl Ahead {
    /// Begins on what the first run says; `None` where that could disturb the second run, or is not
    /// worth it. With `at_once`, a session is opened, and the spectra wait for it: both together would
    /// delay what is needed first.
    pub(crate) fn begin(
        bench: &Workbench,
        project: &Project,
        first: &TestRun,
        layer: Layer,
        at_once: bool,
    ) -> Option<Self> {
        let hangs = first.results.iter().any(|result| {
            matches!(&result.outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Timeout)
        });
        if hangs || !apart(bench, project, layer) {
            return None;
        }
        let of = |wanted: fn(&Outcome) -> bool| -> Vec<TestId> {
            let results = first.results.iter().filter(|result| wanted(&result.outcome));
            results.map(|result| result.id.clone()).collect()
        };
        let failing = of(|outcome| matches!(outcome, Outcome::Failed(_)));
        let tests = traced(failing.clone(), of(|outcome| *outcome == Outcome::Passed));
        let asked = tests.iter().cloned().collect();
        let (opened, ready) = mpsc::channel::<()>();
        let session = at_once.then(|| {
            let (bench, project, tests) =
                (bench.clone(), project.clone(), groups(&failing).concat());
            std::thread::spawn(move || {
                // Dropping it, in whatever way this ends, lets the spectra begin.
                let _opened = opened;
                Warm::open(&bench, &project, &tests)
            })
        });
        let (bench, project) = (bench.clone(), project.clone());
        // It may outlast the second run, and nobody waits for it before there is something to repair.
        let spectra = std::thread::spawn(move || {
            // It only ends with an error: nothing is ever sent.
            let _opened = ready.recv();
            let wall = bench.walls.tests;
            measure(&bench, &project, &tests, wall)
        });
        Some(Self {
            tests: Arc::new(asked),
            spectra: Arc::new(Mutex::new(Some(spectra))),
            failing: Arc::new(failing.into_iter().collect()),
            session: Arc::new(Mutex::new(session)),
        })
    }

    /// Waits for the spectra, if they know these tests, or of many enough; once. Of many that fail, only
    /// some are traced.
    pub(crate) fn spectra(&self, failing: &[TestId]) -> Option<Measured> {
        let known = failing.iter().filter(|id| self.tests.contains(*id)).count();
        (known == failing.len() || known * 2 >= FAILING_TRACED).then(|| take(&self.spectra))?
    }

    /// Waits for the session, if it is for all of these tests; once.
    pub(crate) fn session(&self, tests: &[TestId]) -> Option<Result<Warm, WorkError>> {
        tests.iter().all(|id| self.failing.contains(id)).then(|| take(&self.session))?
    }
}

fn take<T>(slot: &Slot<T>) -> Option<T> {
    let thread = slot.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Whether runs in two sandboxes of this layer share nothing, and there is a processor for each.
pub(crate) fn apart(bench: &Workbench, project: &Project, layer: Layer) -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores >= 2
        && layer == Layer::Namespaces
        && project.needs(&bench.sandbox.store, CacheMode::Keep).caches.is_empty()
}
