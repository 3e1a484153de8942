//! Attempts with node: processes that were started before they are needed, and, where it is shown
//! to make no difference, one process for attempt after attempt.
//!
//! A process is used again only under two conditions, both found out by running: on the unpatched
//! state it reports the same as a new process, twice; and a changed file is seen to be loaded anew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{Command, FileWrite, LineOutcome, Sandbox};
use serde::Deserialize;
use serde_json::json;

use crate::error::RunError;
use crate::node::events::{self, Events};
use crate::node::{NodeProject, REPORTER, assignment, file};
use crate::outcome::{Stopwatch, no_report, said};
use crate::overlay::Overlay;
use crate::project::Trials;
use crate::scope::Scope;
use crate::types::{FailureKind, Outcome, RunState, TestId, TestRun};

const POOL: &str = include_str!("greenlit_pool.cjs");
const ATTEMPT: &str = include_str!("greenlit_attempt.cjs");

/// How long a session may live. The caller ends it long before, by dropping it.
const LIFE: Duration = Duration::from_secs(6 * 3600);

/// How long the pool may take beyond an attempt's own limit, to kill and to answer.
const GRACE: Duration = Duration::from_secs(5);

/// Limit for one run that finds out whether a process can be used again.
const LOOK: Duration = Duration::from_secs(5);

/// A test file that takes longer gains nothing from a process that need not start, unless loading it is
/// what takes so long.
const SLOW: Duration = Duration::from_secs(2);

/// Largest file that is altered for that.
const LARGEST: u64 = 16 << 20;

/// What an altered file throws, to show that it was loaded.
const CANARY: &str = "greenlit looks whether this file is loaded";

#[derive(Debug, Deserialize)]
struct Answer {
    report: String,
    starts: String,
    error: Option<String>,
    ended: bool,
    code: Option<i32>,
    signal: Option<String>,
    timed_out: bool,
    cpu: f64,
}

/// One run of one test file.
struct Ran {
    state: RunState,
    events: Events,
    /// Why the file could not be loaded.
    error: Option<String>,
    cpu: Duration,
    wall: Duration,
}

/// The session: a pool of node processes in one sandbox.
pub(crate) struct NodeTrials {
    project: NodeProject,
    sandbox: Sandbox,
    overlay: Overlay,
    setup_wall: Duration,
    alive: bool,
    /// Whether a test file reports the same in a process that is used again.
    same: BTreeMap<PathBuf, bool>,
    /// Whether a test file in such a process sees a change of a source file.
    seen: BTreeMap<(PathBuf, PathBuf), bool>,
}

impl NodeProject {
    pub(crate) fn trials(
        &self,
        sandbox: Sandbox,
        setup_wall: Duration,
    ) -> Result<NodeTrials, RunError> {
        let mut trials = NodeTrials {
            project: self.clone(),
            sandbox,
            overlay: Overlay::default(),
            setup_wall,
            alive: false,
            same: BTreeMap::new(),
            seen: BTreeMap::new(),
        };
        trials.start()?;
        Ok(trials)
    }
}

impl NodeTrials {
    fn start(&mut self) -> Result<(), RunError> {
        let directory = self.sandbox.scratch().join("greenlit-node");
        let reporter = directory.join("greenlit_reporter.mjs");
        let pool = directory.join("greenlit_pool.cjs");
        let attempt = directory.join("greenlit_attempt.cjs");
        self.sandbox.write(&[
            file(&reporter, REPORTER),
            file(&pool, POOL),
            file(&attempt, ATTEMPT),
        ])?;
        let scope = Scope::new(&self.sandbox, &self.project.root);
        let mut argv: Vec<OsString> =
            vec![scope.inside(&self.project.program).into(), pool.into(), attempt.into()];
        argv.extend(self.project.arguments.flags.iter().map(OsString::from));
        argv.push(assignment("--test-reporter=", &reporter));
        argv.push("--test-reporter-destination=stdout".into());
        let (cwd, env) = (self.project.dir.clone(), self.project.env.clone());
        let command = Command { argv, cwd, env, stdin: Vec::new(), wall: LIFE, cpu: None };
        self.sandbox.spawn(&command)?;
        match self.sandbox.read_line(self.setup_wall + GRACE)? {
            LineOutcome::Line(_) => {
                self.alive = true;
                Ok(())
            }
            LineOutcome::Ended(outcome) => Err(RunError::Session { details: said(&outcome) }),
        }
    }

    /// Runs one test file. With `wanted`, the run ends as soon as these have ended: loading it again for
    /// those behind the first failure would cost more than they do.
    fn ask(
        &mut self,
        file: &Path,
        wanted: &[TestId],
        reuse: bool,
        wall: Duration,
    ) -> Result<Ran, RunError> {
        if !self.alive {
            self.start()?;
        }
        let watch = Stopwatch::start();
        let root = self.project.root.clone();
        let scope = Scope::new(&self.sandbox, &root);
        let prefix = crate::scope::relative(&root, file).unwrap_or_default() + "::";
        let names: Vec<&str> =
            wanted.iter().filter_map(|id| id.0.strip_prefix(prefix.as_str())).collect();
        let request = json!({
            "file": scope.inside(file),
            "root": scope.inside(&root),
            "reuse": reuse,
            "wanted": names,
            "wall": wall.as_secs_f64(),
        });
        self.sandbox.send_line(request.to_string().as_bytes())?;
        let answer = match self.sandbox.read_line(wall.saturating_add(GRACE))? {
            LineOutcome::Line(line) => match serde_json::from_slice::<Answer>(&line) {
                Ok(answer) => Ok(answer),
                // Only the pool writes here; what is no answer comes from code under test.
                Err(_) => Err(self.sandbox.stop()?),
            },
            LineOutcome::Ended(outcome) => Err(outcome),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(outcome) => {
                self.alive = false;
                return Ok(Ran {
                    state: no_report("the pool of node processes", &outcome),
                    events: Events::default(),
                    error: None,
                    cpu: outcome.cpu,
                    wall: watch.elapsed(),
                });
            }
        };
        let mut events = events::parse(
            answer.report.as_bytes(),
            answer.starts.as_bytes(),
            &scope,
            &root,
            &self.project.dir,
        );
        let state = state(&answer, &mut events, &scope, &prefix);
        let cpu = Duration::try_from_secs_f64(answer.cpu).unwrap_or_default();
        Ok(Ran { state, events, error: answer.error, cpu, wall: watch.elapsed() })
    }

    /// Whether a process that is used again can be believed as much as a new one.
    fn reusable(&mut self, test: &Path, files: &[FileWrite]) -> Result<bool, RunError> {
        if !self.reports_the_same(test)? {
            return Ok(false);
        }
        for write in files {
            if !self.sees(test, &write.path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn reports_the_same(&mut self, test: &Path) -> Result<bool, RunError> {
        if let Some(known) = self.same.get(test) {
            return Ok(*known);
        }
        self.overlay.apply(&mut self.sandbox, &[])?;
        let new = self.ask(test, &[], false, LOOK)?;
        let mut same = new.state == RunState::Completed && gains(&new);
        for _ in 0..2 {
            if same {
                let again = self.ask(test, &[], true, LOOK)?;
                same = again.state == new.state && summary(&again) == summary(&new);
            }
        }
        tracing::debug!(test = %test.display(), same, "whether node processes are used again");
        self.same.insert(test.to_owned(), same);
        Ok(same)
    }

    /// Makes `path` throw, and looks for what it throws.
    fn sees(&mut self, test: &Path, path: &Path) -> Result<bool, RunError> {
        let key = (test.to_owned(), path.to_owned());
        if let Some(known) = self.seen.get(&key) {
            return Ok(*known);
        }
        self.overlay.apply(&mut self.sandbox, &[])?;
        let text = self.sandbox.read(path, LARGEST)?.unwrap_or_default();
        let canary = format!("throw new Error({CANARY:?});\n");
        // The first line may be `#!`.
        let at = if text.starts_with(b"#!") {
            text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1)
        } else {
            0
        };
        let content = [&text[..at], canary.as_bytes(), &text[at..]].concat();
        let write = FileWrite { path: path.to_owned(), content: Some(content) };
        self.overlay.apply(&mut self.sandbox, &[write])?;
        let ran = self.ask(test, &[], true, LOOK)?;
        let failed = ran.events.results.iter().any(|result| {
            matches!(&result.outcome, Outcome::Failed(failure) if failure.message.contains(CANARY))
        });
        let seen = failed || ran.error.is_some_and(|error| error.contains(CANARY));
        self.seen.insert(key, seen);
        Ok(seen)
    }
}

impl Trials for NodeTrials {
    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let mut reuse = BTreeMap::new();
        for test in self.project.files_of(tests) {
            let reusable = self.reusable(&test, files)?;
            reuse.insert(test, reusable);
        }
        let mut watch = Stopwatch::start();
        self.overlay.apply(&mut self.sandbox, files)?;
        let mut results = Vec::new();
        let mut state = RunState::NoTests;
        for test in self.project.files_of(tests) {
            let Some(left) = wall.checked_sub(watch.elapsed()) else {
                return Ok(watch.finish(RunState::Hung { running: Vec::new() }, results));
            };
            let reuse = reuse.get(&test).copied().unwrap_or(false);
            let mut ran = self.ask(&test, tests, reuse, left)?;
            watch.add_cpu(ran.cpu);
            ran.events.results.retain(|result| tests.contains(&result.id));
            let failed = ran.events.results.iter().any(|r| matches!(r.outcome, Outcome::Failed(_)));
            results.append(&mut ran.events.results);
            match ran.state {
                RunState::NoTests => {}
                RunState::Completed => state = RunState::Completed,
                broken => return Ok(watch.finish(broken, results)),
            }
            if failed {
                break;
            }
        }
        if results.is_empty() && state == RunState::Completed {
            state = RunState::NoTests;
        }
        Ok(watch.finish(state, results))
    }
}

fn state(answer: &Answer, events: &mut Events, scope: &Scope, prefix: &str) -> RunState {
    if answer.timed_out && !answer.ended {
        return RunState::Hung { running: std::mem::take(&mut events.running) };
    }
    if let Some(error) = &answer.error {
        let file = prefix.trim_end_matches("::").to_owned();
        return events::not_loaded(scope, file, error);
    }
    if !answer.ended {
        let how = match (&answer.signal, answer.code) {
            (Some(signal), _) => format!("was killed by {signal}"),
            (None, Some(code)) => format!("exited with code {code}"),
            (None, None) => "was ended".to_owned(),
        };
        return RunState::NoReport { message: format!("node {how} before its tests had ended") };
    }
    if events.results.is_empty() { RunState::NoTests } else { RunState::Completed }
}

/// Whether a process that has loaded what a test file needs is likely to be quicker.
fn gains(new: &Ran) -> bool {
    let testing: Duration = new.events.results.iter().map(|result| result.duration).sum();
    new.wall < SLOW || testing < new.wall / 2
}

/// What must not differ between processes: durations and texts may.
fn summary(ran: &Ran) -> Vec<(&TestId, Option<FailureKind>, bool)> {
    let results = ran.events.results.iter();
    results
        .map(|result| match &result.outcome {
            Outcome::Passed => (&result.id, None, true),
            Outcome::Skipped => (&result.id, None, false),
            Outcome::Failed(failure) => (&result.id, Some(failure.kind), false),
        })
        .collect()
}
