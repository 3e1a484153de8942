//! What variants of a function do with inputs beyond those of the tests: a hint for ranking.
//!
//! The arguments that tests call it with are recorded on the unchanged files and mutated
//! (`greenlit_inputs.py`); each variant is then called with all of them in a fork of its own
//! (`greenlit_probe.py`). Everything that comes back may be forged by a variant, and is bounded.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use greenlit_sandbox::{ExitState, FileWrite, Sandbox};
use serde_json::json;

use crate::error::RunError;
use crate::project::{ProbeTarget, Probes};
use crate::pytest::trials::PytestTrials;
use crate::pytest::{Ask, PytestProject, utf8};
use crate::scope::Scope;
use crate::types::TestId;

/// Inputs, and bytes of each, that are taken from a recording.
const INPUTS: usize = 60;
const INPUT_BYTES: usize = 16 << 10;

/// Bytes of an outcome: its kind and a digest.
const OUTCOME_BYTES: usize = 40;

/// How often a variant that ends its process, or cannot be interrupted, is started again behind
/// the input that did it.
const RESTARTS: usize = 3;

/// What is left of a limit when there is no point in another start.
const SHORTEST: Duration = Duration::from_millis(50);

/// One test may not take longer than this while its calls are recorded.
const TEST_WALL: Duration = Duration::from_secs(2);

/// What was recorded.
struct Recording {
    module: String,
    inputs: Vec<String>,
}

/// The outcomes of one variant: by input, with those that differ from call to call.
struct Outcomes {
    of: Vec<String>,
    unstable: BTreeSet<usize>,
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
        if outcomes.iter().all(Option::is_none) {
            return Ok(None);
        }
        let unstable: BTreeSet<usize> =
            outcomes.iter().flatten().flat_map(|outcomes| outcomes.unstable.clone()).collect();
        let kept =
            |(index, outcome): (usize, String)| (!unstable.contains(&index)).then_some(outcome);
        let inputs = recording.inputs.len() - unstable.len();
        Ok(Some(Probes {
            inputs: u32::try_from(inputs).unwrap_or(u32::MAX),
            outcomes: outcomes
                .into_iter()
                .map(|of| Some(of?.of.into_iter().enumerate().filter_map(kept).collect()))
                .collect(),
        }))
    }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
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
    let mut of: Vec<Option<String>> = vec![None; recording.inputs.len()];
    let mut unstable = BTreeSet::new();
    for _ in 0..=RESTARTS {
        let Some(next) = of.iter().position(Option::is_none) else { break };
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
            if let Some(slot) = of.get_mut(index)
                && outcome.len() <= OUTCOME_BYTES
                && outcome.is_ascii()
            {
                *slot = Some(outcome);
                if !stable {
                    unstable.insert(index);
                }
            }
        }
        if round.events.probed || round.events.finish.is_some() {
            // The function is gone, or an outcome is not to be had.
            break;
        }
        let Some(fatal) = of.iter().position(Option::is_none) else { break };
        let timed_out = round.outcome.state == ExitState::TimedOut;
        of[fatal] = Some(if timed_out { "timeout" } else { "ends the process" }.to_owned());
    }
    let of: Option<Vec<String>> = of.into_iter().collect();
    Ok(of.map(|of| Outcomes { of, unstable }))
}
