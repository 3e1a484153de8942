//! Spectra that are measured while the failures run a second time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use greenlit_runner::{FailureKind, Outcome, Project, Spectrum, TestId, TestRun};
use greenlit_sandbox::{CacheMode, Layer};

use crate::locate::{measure, traced};
use crate::workbench::{WorkError, Workbench};

type Measured = Result<Option<Spectrum>, WorkError>;

/// A measurement under way. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Ahead {
    /// What is being traced.
    tests: Arc<BTreeSet<TestId>>,
    thread: Arc<Mutex<Option<JoinHandle<Measured>>>>,
}

impl Ahead {
    /// Begins on what the first run says; `None` where that could disturb the second run, or is not
    /// worth it.
    pub(crate) fn begin(
        bench: &Workbench,
        project: &Project,
        first: &TestRun,
        layer: Layer,
    ) -> Option<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let hangs = first.results.iter().any(|result| {
            matches!(&result.outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Timeout)
        });
        // Sandboxes of this layer share nothing, but for what a build keeps.
        let apart = layer == Layer::Namespaces
            && project.needs(&bench.sandbox.store, CacheMode::Keep).caches.is_empty();
        if cores < 2 || hangs || !apart {
            return None;
        }
        let of = |wanted: fn(&Outcome) -> bool| -> Vec<TestId> {
            let results = first.results.iter().filter(|result| wanted(&result.outcome));
            results.map(|result| result.id.clone()).collect()
        };
        let failing = of(|outcome| matches!(outcome, Outcome::Failed(_)));
        let tests = traced(failing, of(|outcome| *outcome == Outcome::Passed));
        let asked = tests.iter().cloned().collect();
        let (bench, project) = (bench.clone(), project.clone());
        // It may outlast the second run, and nobody waits for it before there is something to repair.
        let thread = std::thread::spawn(move || {
            let wall = bench.walls.tests;
            measure(&bench, &project, &tests, wall)
        });
        Some(Self { tests: Arc::new(asked), thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Waits for it, if it knows all of these tests; once.
    pub(crate) fn take(&self, failing: &[TestId]) -> Option<Measured> {
        if !failing.iter().all(|id| self.tests.contains(id)) {
            return None;
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}
