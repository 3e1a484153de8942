//! Passing tests that candidates broke: the next ones are asked for these before they are verified.
//!
//! Many candidates mend a target in the same wrong way. In the session each costs one more attempt;
//! a verification costs a build, or a run of all tests.

use std::time::Duration;

use greenlit_runner::{Outcome, TestId};

use super::{Attempt, Limit, Screen, passed};
use crate::patch::PatchedFile;
use crate::verify::writes;
use crate::workbench::WorkError;

/// Guards kept.
const MOST: usize = 8;

impl Screen<'_> {
    /// Takes a test that a candidate broke as a guard, if it passes in the session on the unpatched view:
    /// a test that needs what only a whole run has must not decide here.
    pub(crate) fn guard(&mut self, test: &TestId) -> Result<(), WorkError> {
        if self.guards.len() >= MOST || self.guards.contains(test) {
            return Ok(());
        }
        let tests = std::slice::from_ref(test);
        let wall = self.wall(tests);
        let run = self.trials.attempt(&[], tests, wall);
        let run = run.map_err(|error| self.bench.run_error(error))?;
        if passed(&run).contains(test) {
            self.guards.push(test.clone());
        }
        Ok(())
    }

    /// A guard that fails on a patch. One that does not end, or is not there, says nothing.
    pub(crate) fn broken(
        &mut self,
        patch: &[PatchedFile],
        variant: Option<usize>,
        left: Duration,
    ) -> Result<Option<TestId>, WorkError> {
        if self.guards.is_empty() {
            return Ok(None);
        }
        let attempt = Attempt { files: writes(patch), variant, limit: Limit::Patient, left };
        let run = self.attempt(&attempt, &self.guards.clone())?;
        let mut failed = run.results.into_iter().filter(|result| {
            matches!(result.outcome, Outcome::Failed(_)) && self.guards.contains(&result.id)
        });
        Ok(failed.next().map(|result| result.id))
    }
}
