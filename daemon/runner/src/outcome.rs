//! From a command that did not end well to the state of a run.

use std::time::{Duration, Instant};

use greenlit_sandbox::{ExecOutcome, ExitState};

use crate::text::{plain, tail};
use crate::types::{RunState, TestResult, TestRun};

/// Collects wall and CPU time over the commands of one run.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), cpu: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, outcome: &ExecOutcome) {
        self.cpu += outcome.cpu;
    }

    pub(crate) fn add_cpu(&mut self, cpu: Duration) {
        self.cpu += cpu;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn finish(self, state: RunState, results: Vec<TestResult>) -> TestRun {
        TestRun { state, results, wall: self.started.elapsed(), cpu: self.cpu }
    }
}

/// Standard error and output as text for people.
pub(crate) fn said(outcome: &ExecOutcome) -> String {
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    let stdout = String::from_utf8_lossy(&outcome.stdout);
    let text = match (stdout.trim().is_empty(), stderr.trim().is_empty()) {
        (true, _) => stderr.into_owned(),
        (_, true) => stdout.into_owned(),
        _ => format!("{}\n{}", stdout.trim_end(), stderr),
    };
    tail(&plain(&text))
}

/// Why a report is missing, from how its command ended.
pub(crate) fn no_report(tool: &str, outcome: &ExecOutcome) -> RunState {
    let mut message = match &outcome.state {
        ExitState::Exited(code) => {
            format!("{tool} exited with code {code} before its report was complete")
        }
        ExitState::Signaled(signal) => format!("{tool} was killed by signal {signal}"),
        ExitState::TimedOut => format!("{tool} ran out of time"),
        ExitState::OutOfMemory => format!("{tool} ran out of memory"),
        ExitState::OutputLimit => format!("{tool} wrote more output than allowed"),
        ExitState::NotStarted(reason) => format!("{tool} could not be started: {reason}"),
    };
    if outcome.disk_full {
        message.push_str("; the sandbox's disk was full");
    }
    RunState::NoReport { message }
}
