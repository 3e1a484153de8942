//! A warm pytest: processes that wait where a candidate's files are about to be opened, and a fork
//! of them for each attempt (`greenlit_forkserver.py`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{ExecOutcome, ExitState, FileWrite, LineOutcome, Sandbox};
use serde::Deserialize;
use serde_json::json;

use crate::error::RunError;
use crate::outcome::{Stopwatch, no_report, said};
use crate::overlay::Overlay;
use crate::project::Trials;
use crate::pytest::events::Events;
use crate::pytest::{Ask, Mode, PytestProject, file, plugin_directory, utf8};
use crate::scope::Scope;
use crate::types::{TestId, TestRun};

const SERVER: &str = include_str!("greenlit_forkserver.py");

/// How long a session may live. The caller ends it long before, by dropping it.
const LIFE: Duration = Duration::from_secs(6 * 3600);

/// How long the server may take beyond an attempt's own limit, to kill and to answer.
const GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
struct Answer {
    code: Option<i32>,
    signal: Option<i32>,
    timed_out: bool,
    cpu: f64,
}

/// How one fork ended and what it reported.
pub(super) struct Round {
    pub(super) outcome: ExecOutcome,
    pub(super) events: Events,
    cpu: Duration,
}

/// The session. Each attempt runs what depends on the replaced files as a process of its own would.
pub(crate) struct PytestTrials {
    project: PytestProject,
    sandbox: Sandbox,
    overlay: Overlay,
    tests: Vec<TestId>,
    setup_wall: Duration,
    /// Whether the server runs.
    alive: bool,
    rounds: u64,
}

impl PytestProject {
    pub(crate) fn trials(
        &self,
        sandbox: Sandbox,
        tests: &[TestId],
        setup_wall: Duration,
    ) -> Result<PytestTrials, RunError> {
        let mut trials = PytestTrials {
            project: self.clone(),
            sandbox,
            overlay: Overlay::default(),
            tests: tests.to_vec(),
            setup_wall,
            alive: false,
            rounds: 0,
        };
        trials.start()?;
        Ok(trials)
    }
}

impl PytestTrials {
    fn start(&mut self) -> Result<(), RunError> {
        let sandbox = &mut self.sandbox;
        let ask = Ask { only: Some(&self.tests), brief: true, ..Ask::default() };
        let prepared = self.project.prepare(sandbox, &ask)?;
        let directory = plugin_directory(sandbox);
        let server = directory.join("greenlit_forkserver.py");
        let setup = directory.join("setup.json");
        let scope = Scope::new(sandbox, &self.project.root);
        let content = json!({
            "cwd": utf8(&scope.inside(&self.project.dir))?,
            "root": utf8(&scope.inside(&self.project.root))?,
            "args": texts(&prepared.args),
            "files": texts(&prepared.files),
            "warm": utf8(&prepared.request)?,
            "wall": self.setup_wall.as_secs_f64(),
        });
        sandbox.write(&[
            file(&server, SERVER.as_bytes()),
            file(&setup, content.to_string().as_bytes()),
        ])?;
        let argv = vec![self.project.program(sandbox), server.into(), setup.into()];
        let env = self.project.environment(sandbox);
        sandbox.spawn(&self.project.command(argv, env, LIFE))?;
        match sandbox.read_line(self.setup_wall + GRACE)? {
            LineOutcome::Line(_) => {
                self.alive = true;
                Ok(())
            }
            LineOutcome::Ended(outcome) => Err(RunError::Session { details: said(&outcome) }),
        }
    }

    /// Replaces `files`, and runs a fork of pytest on `tests` or on whatever else `ask` wants of it.
    pub(super) fn round(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        ask: &Ask<'_>,
        wall: Duration,
    ) -> Result<Round, RunError> {
        if !self.alive {
            // Code under test ended the server in an earlier attempt. It starts on the original
            // files, so that the next candidate cannot do so before it was tried.
            self.overlay.apply(&mut self.sandbox, &[])?;
            self.start()?;
        }
        self.overlay.apply(&mut self.sandbox, files)?;
        self.rounds += 1;
        let path = plugin_directory(&self.sandbox).join(format!("round-{}.jsonl", self.rounds));
        let answer = self.ask(tests, ask, &path, wall)?;
        let events = self.project.read_events(&mut self.sandbox, &path)?;
        let round = match answer {
            Ok(answer) => Round {
                outcome: outcome_of(&answer),
                events,
                cpu: Duration::try_from_secs_f64(answer.cpu).unwrap_or_default(),
            },
            Err(outcome) => {
                self.alive = false;
                Round { cpu: outcome.cpu, outcome, events }
            }
        };
        Ok(round)
    }

    /// Sends one request and waits for its answer. `Err` holds how the server ended instead.
    fn ask(
        &mut self,
        tests: &[TestId],
        ask: &Ask<'_>,
        events: &Path,
        wall: Duration,
    ) -> Result<Result<Answer, ExecOutcome>, RunError> {
        let scope = Scope::new(&self.sandbox, &self.project.root);
        let changed: Option<Vec<PathBuf>> = self
            .overlay
            .replaced()
            .map(|paths| paths.into_iter().map(|path| scope.inside(path)).collect());
        let line = json!({
            "run": self.project.request(&scope, ask, events)?,
            "changed": changed,
            "files": texts(&self.project.files(&scope, tests)),
            "wall": wall.as_secs_f64(),
        });
        self.sandbox.send_line(line.to_string().as_bytes())?;
        // An attempt at other files may begin with what a start does.
        let patience = wall.saturating_add(self.setup_wall).saturating_add(GRACE);
        Ok(match self.sandbox.read_line(patience)? {
            LineOutcome::Line(line) => match serde_json::from_slice(&line) {
                Ok(answer) => Ok(answer),
                // Only the server writes here; what is no answer comes from code under test.
                Err(_) => Err(self.sandbox.stop()?),
            },
            LineOutcome::Ended(outcome) => Err(outcome),
        })
    }
}

impl Trials for PytestTrials {
    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let mut watch = Stopwatch::start();
        let ask = Ask { only: Some(tests), brief: true, ..Ask::default() };
        let round = self.round(files, tests, &ask, wall)?;
        watch.add_cpu(round.cpu);
        let state = if self.alive {
            let scope = Scope::new(&self.sandbox, &self.project.root);
            self.project.state(&round.outcome, &round.events, &scope, Mode::Full)
        } else {
            no_report("pytest's fork server", &round.outcome)
        };
        Ok(watch.finish(state, round.events.results))
    }
}

/// Arguments as text. Paths that are no UTF-8 have no test ids either.
fn texts(arguments: &[OsString]) -> Vec<&str> {
    arguments.iter().filter_map(|argument| argument.to_str()).collect()
}

fn outcome_of(answer: &Answer) -> ExecOutcome {
    let state = match (answer.timed_out, answer.code, answer.signal) {
        (true, _, _) => ExitState::TimedOut,
        (false, Some(code), _) => ExitState::Exited(code),
        (false, None, signal) => ExitState::Signaled(signal.unwrap_or_default()),
    };
    ExecOutcome {
        state,
        stdout: Vec::new(),
        stderr: Vec::new(),
        wall: Duration::ZERO,
        cpu: Duration::ZERO,
        disk_full: false,
    }
}
