//! A session for trials that nobody uses yet.

use std::collections::BTreeSet;

use greenlit_runner::{Project, TestId, Trials};
use greenlit_sandbox::CacheMode;

use crate::cancel::Registration;
use crate::workbench::{WorkError, Workbench};

/// A sandbox in which trials are about to begin.
pub(crate) struct Warm {
    pub(super) trials: Box<dyn Trials>,
    pub(super) registration: Registration,
    pub(super) tests: BTreeSet<TestId>,
}

impl Warm {
    pub(crate) fn open(
        bench: &Workbench,
        project: &Project,
        tests: &[TestId],
    ) -> Result<Self, WorkError> {
        let open = bench.open(project, CacheMode::Discard, &[])?;
        let trials = project
            .trials(open.sandbox, tests, bench.walls.build)
            .map_err(|error| bench.run_error(error))?;
        let tests = tests.iter().cloned().collect();
        Ok(Self { trials, registration: open.registration, tests })
    }
}
