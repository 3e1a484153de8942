//! Which lines each test executes, through the plugin's own tracing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use greenlit_sandbox::Sandbox;

use crate::error::RunError;
use crate::outcome::Stopwatch;
use crate::pytest::{Ask, PytestProject};
use crate::scope::Scope;
use crate::types::{Outcome, Spectrum, TestId};

/// A test may take no less than this while it is traced, and no more than a quarter of the limit.
const SHORTEST: Duration = Duration::from_millis(100);

impl PytestProject {
    /// Runs `tests` traced. A test that takes longer than its share is interrupted, recorded with
    /// the lines so far, and counts as failed. One that cannot be interrupted (a loop in native
    /// code) ends its process; the tests after it are run in a new one, while time is left.
    /// Tests that produced no lines record are left out.
    pub(crate) fn spectrum(
        &self,
        sandbox: &mut Sandbox,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Spectrum>, RunError> {
        let watch = Stopwatch::start();
        let share = wall / u32::try_from(tests.len().max(1) * 2).unwrap_or(u32::MAX);
        let limit = share.clamp(SHORTEST, (wall / 4).max(SHORTEST));
        let mut spectrum = Spectrum::default();
        let mut left: Vec<TestId> = tests.to_vec();
        while !left.is_empty() {
            let Some(time) = wall.checked_sub(watch.elapsed()) else { break };
            let ask = Ask {
                only: Some(&left),
                lines: true,
                brief: true,
                limit: Some(limit),
                ..Ask::default()
            };
            let (_, events, _) = self.execute(sandbox, &ask, time)?;
            let passed: BTreeMap<&TestId, bool> = events
                .results
                .iter()
                .map(|result| (&result.id, matches!(result.outcome, Outcome::Passed)))
                .collect();
            if let Some(tracer) = events.traced_by {
                tracer.clone_into(&mut spectrum.measured_by);
            }
            let scope = Scope::new(sandbox, &self.root);
            let mut done = BTreeSet::new();
            for (id, lines) in &events.lines {
                if left.contains(id) && done.insert(id.clone()) {
                    let passed = passed.get(id).copied().unwrap_or(false);
                    add(&mut spectrum, &scope, id, passed, lines);
                }
            }
            let before = left.len();
            // A test that was running when its process died would only do so again.
            let stuck: BTreeSet<&TestId> = events.running.iter().collect();
            left.retain(|id| !done.contains(id) && !stuck.contains(id));
            if events.finish.is_some() || left.len() == before {
                break;
            }
        }
        Ok(Some(spectrum))
    }
}

fn add(
    spectrum: &mut Spectrum,
    scope: &Scope,
    id: &TestId,
    passed: bool,
    lines: &BTreeMap<String, Vec<u32>>,
) {
    let Some(index) = spectrum.test(id.clone(), passed) else { return };
    for (path, numbers) in lines {
        let Some(path) = scope.person(Path::new(path)) else { continue };
        spectrum.hit(index, path, numbers.iter().copied());
    }
}
