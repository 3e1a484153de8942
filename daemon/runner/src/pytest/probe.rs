//! What variants of a function do with inputs beyond those of the tests: a hint for ranking.
//!
//! The arguments that tests call it with are recorded on the unchanged files and mutated
//! (`greenlit_inputs.py`); each variant is then called with all of them in a fork of its own
//! (`greenlit_probe.py`). Everything that comes back may be forged by a variant, and is bounded.

use std::time::{Duration, Instant};

use greenlit_sandbox::{ExitState, FileWrite, Sandbox};
use serde_json::json;

use crate::error::RunError;
use crate::probing::{INPUT_BYTES, INPUTS, Outcomes, RESTARTS, SHORTEST, compared, left};
use crate::project::{ProbeTarget, Probes};
use crate::pytest::trials::PytestTrials;
use crate::pytest::{Ask, PytestProject, utf8};
use crate::scope::Scope;
use crate::types::TestId;

/// One test may not take longer than this while its calls are recorded.
const TEST_WALL: Duration = Duration::from_secs(2);

/// What was recorded.
struct Recording {
    module: String,
    inputs: Vec<String>,
}

impl PytestProject {
    /// `None` when no test calls the function with arguments that can be copied, or the function
    /// cannot be called by its name (a nested one).
    pub(crate) fn probe(
        &self,
        sandbox: Sandbox,
        target: &ProbeTarget,
        variants: &[Vec<FileWrite>],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Probes>, RunError> {
        let end = Instant::now() + wall;
        // `outer.<locals>.inner`, a lambda: nothing to call by that name.
        let nameless = |part: &str| part.is_empty() || part.starts_with('<');
        if tests.is_empty() || variants.is_empty() || target.function.split('.').any(nameless) {
            return Ok(None);
        }
        let path = Scope::new(&sandbox, &self.root).inside(&target.path);
        let path = utf8(&path)?;
        let mut trials = match self.trials(sandbox, tests, wall) {
            Err(RunError::Session { .. }) => return Ok(None),
            other => other?,
        };
        let Some(recording) = record(&mut trials, path, target, tests, left(end) / 3)? else {
            return Ok(None);
        };
        let mut outcomes = Vec::new();
        for (index, files) in variants.iter().enumerate() {
            let after = u32::try_from(variants.len() - index).unwrap_or(u32::MAX);
            let share = left(end) / after;
            outcomes.push(call(&mut trials, path, target, &recording, files, tests, share)?);
        }
        Ok(compared(recording.inputs.len(), outcomes))
    }
}

/// Runs the tests on the unchanged files; `None` when nothing was recorded.
fn record(
    trials: &mut PytestTrials,
    path: &str,
    target: &ProbeTarget,
    tests: &[TestId],
    wall: Duration,
) -> Result<Option<Recording>, RunError> {
    let share = wall / u32::try_from(tests.len()).unwrap_or(u32::MAX);
    let ask = Ask {
        only: Some(tests),
        brief: true,
        limit: Some(share.clamp(Duration::from_millis(100), TEST_WALL)),
        more: Some(("record", json!({ "path": path, "function": target.function }))),
        ..Ask::default()
    };
    let round = trials.round(&[], tests, &ask, wall)?;
    let Some((module, mut inputs)) = round.events.inputs else { return Ok(None) };
    inputs.retain(|input| input.len() <= INPUT_BYTES);
    inputs.truncate(INPUTS);
    Ok((!inputs.is_empty()).then_some(Recording { module, inputs }))
}

/// Calls one variant with every input; `None` when not all of them have an outcome in the end.
fn call(
    trials: &mut PytestTrials,
    path: &str,
    target: &ProbeTarget,
    recording: &Recording,
    files: &[FileWrite],
    tests: &[TestId],
    wall: Duration,
) -> Result<Option<Outcomes>, RunError> {
    let end = Instant::now() + wall;
    let mut outcomes = Outcomes::new(recording.inputs.len());
    for _ in 0..=RESTARTS {
        let Some(next) = outcomes.next() else { break };
        if left(end) < SHORTEST {
            return Ok(None);
        }
        let probe = json!({
            "path": path,
            "module": recording.module,
            "function": target.function,
            "inputs": recording.inputs,
            "skip": next,
        });
        let more = Some(("probe", probe));
        let ask = Ask { only: Some(tests), brief: true, more, ..Ask::default() };
        let round = trials.round(files, tests, &ask, left(end))?;
        for (index, outcome, stable) in round.events.probes {
            outcomes.note(index, outcome, stable);
        }
        if round.events.probed || round.events.finish.is_some() {
            // The function is gone, or an outcome is not to be had.
            break;
        }
        outcomes.ended(round.outcome.state == ExitState::TimedOut);
    }
    Ok(outcomes.complete())
}
