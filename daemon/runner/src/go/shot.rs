//! One process of a test executable: started, listened to, ended when a test takes too long.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use greenlit_sandbox::{ExecOutcome, ExitState, LineOutcome, Sandbox, SandboxError};

use crate::error::RunError;
use crate::go::GoProject;
use crate::go::build::Binary;
use crate::go::frames::Report;
use crate::outcome::Stopwatch;
use crate::scope::Scope;
use crate::text::{head, plain};
use crate::types::RunState;

/// Bytes of one process's standard error that are searched for panics.
const STDERR: usize = 1 << 20;

/// What to run in one process.
#[derive(Debug, Default)]
pub(super) struct Ask<'a> {
    /// Which tests, as `-test.run` takes it; `None` for all.
    pub(super) pattern: Option<String>,
    /// Ends at the first failure.
    pub(super) fail_fast: bool,
    /// How long a test may say nothing of itself before the process is killed.
    pub(super) per_test: Option<Duration>,
    /// How long the `testing` package itself waits before it ends with every goroutine's stack.
    pub(super) alarm: Option<Duration>,
    /// Where to write which lines ran.
    pub(super) profile: Option<&'a Path>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Shot {
    pub(super) report: Report,
    pub(super) state: ExitState,
    pub(super) stderr: String,
    pub(super) outcome: ExecOutcome,
    /// The test that was taken for hanging.
    pub(super) stuck: Option<String>,
}

impl Shot {
    /// Whether the process died of a panic, a fatal error or a signal: no code under test ends it
    /// like this by a plain exit.
    pub(super) fn crashed(&self) -> bool {
        match self.state {
            ExitState::Exited(2) => self
                .stderr
                .lines()
                .any(|line| line.starts_with("panic: ") || line.starts_with("fatal error: ")),
            ExitState::Signaled(_) => true,
            _ => false,
        }
    }

    /// Whether the `testing` package's own alarm ended it.
    pub(super) fn alarmed(&self) -> bool {
        self.crashed() && self.stderr.contains("panic: test timed out after ")
    }
}

impl GoProject {
    pub(super) fn shoot(
        &self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        ask: &Ask<'_>,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Shot, RunState>, RunError> {
        let scope = Scope::new(sandbox, &self.root);
        let mut argv: Vec<OsString> = vec![binary.executable.clone().into()];
        argv.extend(
            ["-test.v=test2json", "-test.paniconexit0", "-test.fullpath", "-test.count=1"]
                .map(OsString::from),
        );
        if let Some(pattern) = &ask.pattern {
            argv.push(format!("-test.run={pattern}").into());
        }
        if ask.fail_fast {
            argv.push("-test.failfast".into());
        }
        let mut more = Vec::new();
        if let Some(alarm) = ask.alarm {
            argv.push(format!("-test.timeout={}ms", alarm.as_millis()).into());
            if ask.profile.is_none() {
                // The stack of a goroutine that runs on another thread is not to be had.
                more.push(("GOMAXPROCS", OsString::from("1")));
            }
        }
        if let Some(profile) = ask.profile {
            let mut argument = OsString::from("-test.coverprofile=");
            argument.push(profile);
            argv.push(argument);
        }
        let command = self.command(&scope, argv, binary.package.dir.clone(), &more, wall);
        match sandbox.spawn(&command) {
            Ok(()) => {}
            Err(SandboxError::NotStarted { reason }) => {
                let message = format!("the tests of {} did not start: {reason}", binary.package.id);
                return Ok(Err(RunState::NoReport { message }));
            }
            Err(error) => return Err(error.into()),
        }
        let deadline = Instant::now() + wall;
        let shot = listen(sandbox, ask.per_test, deadline)?;
        watch.add(&shot.outcome);
        Ok(Ok(shot))
    }
}

fn listen(
    sandbox: &mut Sandbox,
    per_test: Option<Duration>,
    deadline: Instant,
) -> Result<Shot, SandboxError> {
    let mut report = Report::default();
    loop {
        let quietest = report.quietest().map(|(name, since)| (name.to_owned(), since));
        let limit = quietest.zip(per_test).map(|((name, since), limit)| (name, since + limit));
        let now = Instant::now();
        let next = limit.as_ref().map_or(deadline, |(_, at)| deadline.min(*at));
        let outcome = if report.is_too_long() {
            let mut outcome = sandbox.stop()?;
            outcome.state = ExitState::OutputLimit;
            outcome
        } else {
            match sandbox.read_line(next.saturating_duration_since(now))? {
                LineOutcome::Line(line) => {
                    report.feed(&line, Instant::now());
                    continue;
                }
                LineOutcome::Ended(outcome) => outcome,
            }
        };
        for line in outcome.stdout.split(|byte| *byte == b'\n') {
            report.feed(line, Instant::now());
        }
        let stuck = limit
            .filter(|(_, at)| outcome.state == ExitState::TimedOut && *at < deadline)
            .map(|(name, _)| name);
        let stderr = plain(&String::from_utf8_lossy(&outcome.stderr));
        let stderr = head(&stderr, STDERR).to_owned();
        return Ok(Shot { report, state: outcome.state.clone(), stderr, outcome, stuck });
    }
}
