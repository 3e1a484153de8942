//! Passing tests that candidates broke: the next ones are asked for these before they are verified.
//!
//! Many candidates mend a target in the same wrong way. In the session each costs an attempt or a few; a
//! verification costs a build, or a run of all tests. Where an attempt costs as much, there are no guards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use greenlit_runner::{Outcome, TestId, TestRun};

use super::{Attempt, Limit, Screen, passed};
use crate::patch::PatchedFile;
use crate::verify::writes;
use crate::workbench::WorkError;

/// Guards kept.
const MOST: usize = 8;
/// An attempt may cost one part in so many of a run of all tests.
const CHEAP: u32 = 2;

/// The guards of a session.
#[derive(Debug, Default)]
pub(super) struct Guards {
    tests: Vec<TestId>,
    /// Those that were tried as guards, whatever came of it.
    asked: BTreeSet<TestId>,
    costly: bool,
}

impl Screen<'_> {
    /// Takes a test that a candidate broke as a guard, if it passes in the session on the unpatched view:
    /// a test that needs what only a whole run has must not decide here. Within `left`.
    pub(crate) fn guard(&mut self, test: &TestId, left: Duration) {
        let full = self.guards.costly || self.guards.tests.len() >= MOST;
        if full || left.is_zero() || !self.guards.asked.insert(test.clone()) {
            return;
        }
        let started = Instant::now();
        match self.passes_unpatched(test, left) {
            Ok(true) => self.guards.tests.push(test.clone()),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "no guard was taken"),
        }
        if started.elapsed() * CHEAP > self.whole {
            self.guards = Guards { costly: true, ..Guards::default() };
        }
    }

    /// A guard that fails on a patch, twice, and not without it: what one attempt leaves behind in the
    /// session must not decide about the next. One that does not end, or is not there, says nothing.
    pub(crate) fn broken(
        &mut self,
        patch: &[PatchedFile],
        variant: Option<usize>,
        left: Duration,
    ) -> Result<Option<TestId>, WorkError> {
        if self.guards.tests.is_empty() {
            return Ok(None);
        }
        let attempt = Attempt { files: writes(patch), variant, limit: Limit::Patient, left };
        let run = self.attempt(&attempt, &self.guards.tests.clone())?;
        let Some(test) = self.guards.tests.iter().find(|test| failed(&run, test)).cloned() else {
            return Ok(None);
        };
        if !self.passes_unpatched(&test, left)? {
            self.guards.tests.retain(|guard| *guard != test);
            return Ok(None);
        }
        let again = self.attempt(&attempt, std::slice::from_ref(&test))?;
        Ok(failed(&again, &test).then_some(test))
    }

    fn passes_unpatched(&mut self, test: &TestId, left: Duration) -> Result<bool, WorkError> {
        let tests = std::slice::from_ref(test);
        let wall = self.wall(tests).min(left);
        let run = self.trials.attempt(&[], tests, wall);
        Ok(passed(&run.map_err(|error| self.bench.run_error(error))?).contains(test))
    }
}

fn failed(run: &TestRun, test: &TestId) -> bool {
    let is_red = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
    run.results.iter().any(|result| result.id == *test && is_red(&result.outcome))
}
