//! Runs test executables and puts their reports together.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use greenlit_sandbox::{ExitState, Sandbox};

use crate::error::RunError;
use crate::go::GoProject;
use crate::go::build::{Binary, Package};
use crate::go::failures;
use crate::go::frames::{Ended, Report, Status, top};
use crate::go::shot::{Ask, Shot};
use crate::outcome::{Stopwatch, no_report};
use crate::project::TestList;
use crate::scope::Scope;
use crate::text::batches;
use crate::types::{
    Failure, Outcome, RunRequest, RunState, Selection, TestId, TestResult, TestRun,
};

/// How thoroughly to run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Care {
    /// What a crash or a hanging test keeps from running gets a process of its own.
    Full {
        /// How long one test may take.
        per_test: Option<Duration>,
    },
    /// As fast as it goes, to the first failure.
    Quick,
}

/// The tests of one package in one run.
struct Session<'a> {
    project: &'a GoProject,
    scope: Scope,
    binary: &'a Binary,
    care: Care,
    deadline: Instant,
    results: Vec<TestResult>,
    /// Names that have a result.
    done: BTreeSet<String>,
}

impl GoProject {
    pub(crate) fn run(
        &self,
        sandbox: &mut Sandbox,
        request: &RunRequest,
    ) -> Result<TestRun, RunError> {
        let mut watch = Stopwatch::start();
        let only = match &request.selection {
            Selection::All => None,
            Selection::Only(ids) => Some(ids.as_slice()),
        };
        let binaries = match self.built(sandbox, only, request.build_wall, &mut watch)? {
            Ok(binaries) => binaries,
            Err(state) => return Ok(watch.finish(state, Vec::new())),
        };
        let care = Care::Full { per_test: request.per_test };
        let (state, results) =
            self.run_built(sandbox, &binaries, only, care, request.test_wall, &mut watch)?;
        Ok(watch.finish(state, results))
    }

    pub(crate) fn list(&self, sandbox: &mut Sandbox, wall: Duration) -> Result<TestList, RunError> {
        let mut watch = Stopwatch::start();
        let binaries = match self.built(sandbox, None, wall, &mut watch)? {
            Ok(binaries) => binaries,
            Err(state) => {
                return Ok(TestList::from_run(watch.finish(state, Vec::new()), Vec::new()));
            }
        };
        let mut tests = Vec::new();
        for binary in &binaries {
            let left = wall.saturating_sub(watch.elapsed());
            match self.names(sandbox, binary, left, &mut watch)? {
                Ok(names) => tests.extend(names.iter().map(|name| test_id(&binary.package, name))),
                Err(state) => {
                    return Ok(TestList::from_run(watch.finish(state, Vec::new()), Vec::new()));
                }
            }
        }
        let state = if tests.is_empty() { RunState::NoTests } else { RunState::Completed };
        Ok(TestList::from_run(watch.finish(state, Vec::new()), tests))
    }

    /// Builds what the selection needs. A whole run builds every package with tests: one that does
    /// not compile is a broken build.
    fn built(
        &self,
        sandbox: &mut Sandbox,
        only: Option<&[TestId]>,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<Binary>, RunState>, RunError> {
        let mut packages = match self.packages(sandbox, wall, watch)? {
            Ok(packages) => packages,
            Err(state) => return Ok(Err(state)),
        };
        if let Some(ids) = only {
            packages.retain(|package| !names_in(package, ids).is_empty());
        }
        let left = wall.saturating_sub(watch.elapsed());
        self.build(sandbox, &packages, left, watch)
    }

    /// Runs executables that are built.
    pub(super) fn run_built(
        &self,
        sandbox: &mut Sandbox,
        binaries: &[Binary],
        only: Option<&[TestId]>,
        care: Care,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<(RunState, Vec<TestResult>), RunError> {
        let deadline = Instant::now() + wall;
        let selected: Option<BTreeSet<&TestId>> = only.map(|ids| ids.iter().collect());
        let mut results = Vec::new();
        let mut state = RunState::Completed;
        for binary in binaries {
            let tops = only.map(|ids| tops(names_in(&binary.package, ids)));
            if tops.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let mut session = Session {
                project: self,
                scope: Scope::new(sandbox, &self.root),
                binary,
                care,
                deadline,
                results: Vec::new(),
                done: BTreeSet::new(),
            };
            state = session.run(sandbox, tops, watch)?;
            let mut of_package = session.results;
            // A test function runs as a whole; what was not asked for is not told.
            if let Some(selected) = &selected {
                of_package.retain(|result| selected.contains(&result.id));
            }
            let failed = of_package.iter().any(|r| matches!(r.outcome, Outcome::Failed(_)));
            results.append(&mut of_package);
            if state != RunState::Completed || (failed && matches!(care, Care::Quick)) {
                break;
            }
        }
        if state == RunState::Completed && results.is_empty() {
            state = RunState::NoTests;
        }
        Ok((state, results))
    }

    /// The test functions, examples and fuzz tests of an executable, in its order.
    fn names(
        &self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<String>, RunState>, RunError> {
        let scope = Scope::new(sandbox, &self.root);
        let argv = vec![OsString::from(&binary.executable), "-test.list=.".into()];
        let command = self.command(&scope, argv, binary.package.dir.clone(), &[], wall);
        let outcome = sandbox.exec(&command)?;
        watch.add(&outcome);
        Ok(match outcome.state {
            ExitState::Exited(0) => Ok(String::from_utf8_lossy(&outcome.stdout)
                .lines()
                .filter(|name| {
                    ["Test", "Example", "Fuzz"].iter().any(|kind| name.starts_with(kind))
                })
                .map(str::to_owned)
                .collect()),
            ExitState::TimedOut => Err(RunState::Hung { running: Vec::new() }),
            _ => Err(no_report(&named(binary), &outcome)),
        })
    }
}

impl Session<'_> {
    /// Runs these test functions, or all; `Completed` when each has a result.
    fn run(
        &mut self,
        sandbox: &mut Sandbox,
        tops: Option<Vec<String>>,
        watch: &mut Stopwatch,
    ) -> Result<RunState, RunError> {
        let Some(tops) = tops else { return self.batch(sandbox, None, watch) };
        for batch in batches(&tops) {
            let state = self.batch(sandbox, Some(batch.to_vec()), watch)?;
            if state != RunState::Completed {
                return Ok(state);
            }
        }
        Ok(RunState::Completed)
    }

    /// Runs until each test function has a result: a crash or a hanging test ends its process, and
    /// what it kept from running goes to the next.
    fn batch(
        &mut self,
        sandbox: &mut Sandbox,
        mut tops: Option<Vec<String>>,
        watch: &mut Stopwatch,
    ) -> Result<RunState, RunError> {
        let per_test = match self.care {
            Care::Full { per_test } => per_test,
            Care::Quick => None,
        };
        loop {
            let ask = Ask {
                pattern: tops.as_deref().map(pattern),
                fail_fast: matches!(self.care, Care::Quick),
                per_test,
                ..Ask::default()
            };
            let shot = match self.shoot(sandbox, &ask, watch)? {
                Ok(shot) => shot,
                Err(state) => return Ok(state),
            };
            let before = self.done.len();
            self.keep(&shot, false);
            let state = self.judge(&shot);
            let quick = matches!(self.care, Care::Quick);
            if quick || !(shot.crashed() || shot.stuck.is_some()) || shot.report.fault.is_some() {
                let silent = state == RunState::Completed && !quick && self.done.is_empty();
                return if silent && tops.is_none() {
                    self.confirm(sandbox, watch)
                } else {
                    Ok(state)
                };
            }
            let names = match tops {
                Some(names) => names,
                None => match self.names(sandbox, watch)? {
                    Ok(names) => names,
                    Err(state) => return Ok(state),
                },
            };
            if let Some(stuck) = &shot.stuck {
                let state = self.alone(sandbox, stuck, per_test, watch)?;
                if state != RunState::Completed {
                    return Ok(state);
                }
            }
            let mut rest: Vec<String> =
                names.into_iter().filter(|name| !self.done.contains(name)).collect();
            if self.done.len() == before {
                // Nobody was blamed: give each a process of its own.
                for name in std::mem::take(&mut rest) {
                    let state = self.alone(sandbox, &name, per_test, watch)?;
                    if state != RunState::Completed {
                        return Ok(state);
                    }
                }
            }
            if rest.is_empty() {
                return Ok(RunState::Completed);
            }
            tops = Some(rest);
        }
    }

    /// An executable that reported no test must have none.
    fn confirm(&self, sandbox: &mut Sandbox, watch: &mut Stopwatch) -> Result<RunState, RunError> {
        Ok(match self.names(sandbox, watch)? {
            Err(state) => state,
            Ok(names) => match names.first() {
                None => RunState::Completed,
                Some(name) => RunState::NoReport {
                    message: format!(
                        "no result was reported for {}",
                        test_id(&self.binary.package, name)
                    ),
                },
            },
        })
    }

    /// Runs one test function in a process of its own. A crash is then its failure; a plain exit
    /// proves nothing and stays without a report.
    fn alone(
        &mut self,
        sandbox: &mut Sandbox,
        name: &str,
        per_test: Option<Duration>,
        watch: &mut Stopwatch,
    ) -> Result<RunState, RunError> {
        let names = [name.to_owned()];
        let ask = Ask { pattern: Some(pattern(&names)), alarm: per_test, ..Ask::default() };
        let shot = match self.shoot(sandbox, &ask, watch)? {
            Ok(shot) => shot,
            Err(state) => return Ok(state),
        };
        self.keep(&shot, true);
        if !shot.crashed() || shot.report.fault.is_some() {
            return Ok(self.judge(&shot));
        }
        if !self.done.contains(name) {
            let failure = match per_test.filter(|_| shot.alarmed()) {
                Some(limit) => failures::timeout(&self.scope, &shot.stderr, name, limit),
                None => failures::crash(&self.scope, &shot.stderr),
            };
            let unfinished: BTreeSet<&str> =
                shot.report.unfinished().into_iter().chain([name]).collect();
            for unfinished in unfinished {
                self.push(unfinished, Outcome::Failed(failure.clone()), shot.outcome.wall);
            }
        }
        Ok(RunState::Completed)
    }

    fn shoot(
        &self,
        sandbox: &mut Sandbox,
        ask: &Ask<'_>,
        watch: &mut Stopwatch,
    ) -> Result<Result<Shot, RunState>, RunError> {
        self.project.shoot(sandbox, self.binary, ask, self.left(), watch)
    }

    fn names(
        &self,
        sandbox: &mut Sandbox,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<String>, RunState>, RunError> {
        self.project.names(sandbox, self.binary, self.left(), watch)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What a process's end and its report say together.
    fn judge(&self, shot: &Shot) -> RunState {
        let id = |name: &str| test_id(&self.binary.package, name);
        if shot.state == ExitState::TimedOut {
            return RunState::Hung {
                running: shot.report.unfinished().into_iter().map(id).collect(),
            };
        }
        if let Some(fault) = &shot.report.fault {
            return RunState::NoReport { message: format!("{}: {fault}", named(self.binary)) };
        }
        match (&shot.state, shot.report.passed) {
            (ExitState::Exited(0), Some(true)) | (ExitState::Exited(1), Some(false))
                if shot.report.is_whole() =>
            {
                RunState::Completed
            }
            _ => match (no_report(&named(self.binary), &shot.outcome), shot.report.unfinished()) {
                (RunState::NoReport { message }, unfinished) if !unfinished.is_empty() => {
                    let running = id(unfinished[0]);
                    RunState::NoReport { message: format!("{message}; {running} was running") }
                }
                (state, _) => state,
            },
        }
    }

    /// Keeps the results of a process. Where it did not come to its end, subtests of functions that
    /// have no result count only when they will not be run again.
    fn keep(&mut self, shot: &Shot, last: bool) {
        let whole = shot.report.is_whole();
        // The crash is that of the test function that failed last.
        let culprit = shot.crashed().then(|| shot.report.ended.last()).flatten();
        let culprit = culprit.filter(|ended| ended.status == Status::Fail);
        for ended in &shot.report.ended {
            if !(whole || last || shot.report.result(top(&ended.name)).is_some()) {
                continue;
            }
            let crashed = culprit.is_some_and(|culprit| top(&culprit.name) == top(&ended.name));
            let outcome = match ended.status {
                Status::Pass => Outcome::Passed,
                Status::Skip => Outcome::Skipped,
                Status::Fail => Outcome::Failed(self.failure(&shot.report, ended, || {
                    crashed.then(|| failures::crash(&self.scope, &shot.stderr))
                })),
            };
            self.push(&ended.name, outcome, ended.duration);
        }
    }

    fn failure(
        &self,
        report: &Report,
        ended: &Ended,
        crash: impl Fn() -> Option<Failure>,
    ) -> Failure {
        let dir: &Path = &self.binary.package.dir;
        let dir = self.scope.inside(dir);
        if let Some(failure) = failures::reported(&self.scope, &dir, &ended.output) {
            return failure;
        }
        let prefix = format!("{}/", ended.name);
        let inner = report
            .ended
            .iter()
            .find(|inner| inner.status == Status::Fail && inner.name.starts_with(&prefix));
        match inner {
            Some(inner) => {
                let mut failure = self.failure(report, inner, crash);
                let name = &inner.name[prefix.len()..];
                failure.message = format!("{name}: {}", failure.message);
                failure
            }
            None => crash().unwrap_or_else(|| failures::unlocated(&ended.output)),
        }
    }

    fn push(&mut self, name: &str, outcome: Outcome, duration: Duration) {
        if self.done.insert(name.to_owned()) {
            let id = test_id(&self.binary.package, name);
            self.results.push(TestResult { id, outcome, duration });
        }
    }
}

fn named(binary: &Binary) -> String {
    format!("the test process of {}", binary.package.id)
}

pub(super) fn test_id(package: &Package, name: &str) -> TestId {
    TestId(format!("{}::{name}", package.id))
}

/// The names of those tests that are this package's.
pub(super) fn names_in(package: &Package, ids: &[TestId]) -> Vec<String> {
    ids.iter()
        .filter_map(|id| id.0.strip_prefix(package.id.as_str())?.strip_prefix("::"))
        .map(str::to_owned)
        .collect()
}

/// Test functions that hold these tests, each once.
fn tops(names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.iter().map(|name| top(name).to_owned()).filter(|name| seen.insert(name.clone())).collect()
}

/// What `-test.run` takes for exactly these test functions.
fn pattern(tops: &[String]) -> String {
    let names: Vec<String> = tops.iter().map(|name| escaped(name)).collect();
    format!("^({})$", names.join("|"))
}

/// A name as a regular expression.
pub(super) fn escaped(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_punctuation() && c != '_' {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
