//! Runs test executables and puts their reports together.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use greenlit_sandbox::{ExecOutcome, ExitState, Sandbox};

use crate::cargo::build::{Binary, Built};
use crate::cargo::fresh::Sources;
use crate::cargo::libtest::{self, Ended, Report, Status};
use crate::cargo::metadata::Metadata;
use crate::cargo::panics::{self, Places};
use crate::cargo::{CargoProject, Executables};
use crate::error::RunError;
use crate::outcome::{Stopwatch, no_report, said};
use crate::project::TestList;
use crate::scope::Scope;
use crate::text::batches;
use crate::types::{
    Failure, FailureKind, Outcome, RunRequest, RunState, Selection, TestId, TestResult, TestRun,
};

/// Exit code of libtest when a test failed.
const TESTS_FAILED: i32 = 101;

/// How thoroughly to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Care {
    /// Backtraces, and a process of its own for each test where one of them crashes its process.
    Full,
    /// As `Full`, without backtraces: to write one takes longer than many a suite.
    Untraced,
    /// As fast as it goes.
    Quick,
}

/// The tests of one run.
pub(super) struct Session<'a> {
    pub(super) project: &'a CargoProject,
    pub(super) scope: Scope,
    pub(super) built: &'a Built,
    pub(super) metadata: Metadata,
    pub(super) libraries: Option<PathBuf>,
    pub(super) care: Care,
    pub(super) deadline: Instant,
    /// Variables beyond those that cargo gives to a test.
    pub(super) extra: BTreeMap<OsString, OsString>,
    pub(super) results: Vec<TestResult>,
}

impl CargoProject {
    pub(crate) fn run(
        &self,
        sandbox: &mut Sandbox,
        request: &RunRequest,
    ) -> Result<TestRun, RunError> {
        let mut watch = Stopwatch::start();
        let built = match self.fresh_build(sandbox, request.build_wall, &mut watch)? {
            Ok(built) => built,
            Err(state) => return Ok(watch.finish(state, Vec::new())),
        };
        self.run_request(sandbox, &built, request, Care::Full, watch)
    }

    /// Builds once, runs without backtraces, and runs what `again` asks for on the same executables,
    /// with them.
    pub(crate) fn run_twice(
        &self,
        sandbox: &mut Sandbox,
        request: &RunRequest,
        again: &mut dyn FnMut(&TestRun) -> Option<RunRequest>,
    ) -> Result<(TestRun, Option<TestRun>), RunError> {
        let mut watch = Stopwatch::start();
        let built = match self.fresh_build(sandbox, request.build_wall, &mut watch)? {
            Ok(built) => built,
            Err(state) => return Ok((watch.finish(state, Vec::new()), None)),
        };
        let first = self.run_request(sandbox, &built, request, Care::Untraced, watch)?;
        let Some(request) = again(&first) else { return Ok((first, None)) };
        let watch = Stopwatch::start();
        let second = self.run_request(sandbox, &built, &request, Care::Full, watch)?;
        Ok((first, Some(second)))
    }

    fn run_request(
        &self,
        sandbox: &mut Sandbox,
        built: &Built,
        request: &RunRequest,
        care: Care,
        mut watch: Stopwatch,
    ) -> Result<TestRun, RunError> {
        let only = match &request.selection {
            Selection::All => None,
            Selection::Only(ids) => Some(ids.as_slice()),
        };
        let (state, results) =
            self.run_built(sandbox, built, only, care, request.test_wall, &mut watch)?;
        Ok(watch.finish(state, results))
    }

    pub(crate) fn list(&self, sandbox: &mut Sandbox, wall: Duration) -> Result<TestList, RunError> {
        let mut watch = Stopwatch::start();
        let built = match self.fresh_build(sandbox, wall, &mut watch)? {
            Ok(built) => built,
            Err(state) => {
                return Ok(TestList::from_run(watch.finish(state, Vec::new()), Vec::new()));
            }
        };
        let deadline = Instant::now() + wall;
        let mut session = self.session(sandbox, &built, Care::Full, deadline, &mut watch)?;
        let mut tests = Vec::new();
        let mut state = RunState::Completed;
        for binary in &built.binaries {
            match session.names(sandbox, binary, &mut watch)? {
                Ok(names) => tests.extend(names.iter().map(|name| test_id(binary, name))),
                Err(broken) => state = broken,
            }
        }
        if state == RunState::Completed && tests.is_empty() {
            state = RunState::NoTests;
        }
        Ok(TestList::from_run(watch.finish(state, Vec::new()), tests))
    }

    /// Builds everything, from the source text that the sandbox holds.
    pub(super) fn fresh_build(
        &self,
        sandbox: &mut Sandbox,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Built, RunState>, RunError> {
        let sources = self.freshen(sandbox, &self.target)?;
        self.build_all(sandbox, &sources, wall, watch)
    }

    fn build_all(
        &self,
        sandbox: &mut Sandbox,
        sources: &Sources,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Built, RunState>, RunError> {
        let built = self.build(sandbox, &self.all_targets(), wall, watch)?;
        if let Ok(built) = &built {
            sources.built(sandbox)?;
            let (layout, binaries) = (sources.layout(), built.binaries.clone());
            let mut known = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(Executables { layout, binaries });
        }
        Ok(built)
    }

    /// The test executables of a complete build, which takes place only where none before says which
    /// there are. They need not exist in this sandbox; its sources are as [`Self::freshen`] leaves them.
    pub(super) fn executables(
        &self,
        sandbox: &mut Sandbox,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<Binary>, RunState>, RunError> {
        let sources = self.freshen(sandbox, &self.target)?;
        let layout = sources.layout();
        let known = self.executables.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(known) if known.layout == layout => Ok(Ok(known.binaries)),
            _ => {
                let built = self.build_all(sandbox, &sources, wall, watch)?;
                Ok(built.map(|built| built.binaries))
            }
        }
    }

    pub(super) fn session<'a>(
        &'a self,
        sandbox: &mut Sandbox,
        built: &'a Built,
        care: Care,
        deadline: Instant,
        watch: &mut Stopwatch,
    ) -> Result<Session<'a>, RunError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let scope = Scope::new(sandbox, &self.root);
        let metadata = self.metadata(sandbox, &built.binaries, left, watch)?;
        let mut libraries = None;
        if built.binaries.iter().any(|binary| binary.dynamic) {
            let rustc = self.cargo.with_file_name("rustc");
            let argv = vec![rustc.into(), "--print".into(), "target-libdir".into()];
            let env = self.build_env(&scope);
            let outcome = sandbox.exec(&self.command(argv, self.dir.clone(), env, left))?;
            watch.add(&outcome);
            let text = String::from_utf8_lossy(&outcome.stdout);
            libraries = Some(PathBuf::from(text.trim())).filter(|path| path.is_absolute());
        }
        Ok(self.session_with(sandbox, built, care, deadline, (metadata, libraries)))
    }

    /// A session whose facts are known already: about packages, and where the compiler's own
    /// libraries are.
    pub(super) fn session_with<'a>(
        &'a self,
        sandbox: &Sandbox,
        built: &'a Built,
        care: Care,
        deadline: Instant,
        (metadata, libraries): (Metadata, Option<PathBuf>),
    ) -> Session<'a> {
        let scope = Scope::new(sandbox, &self.root);
        let (extra, results) = (BTreeMap::new(), Vec::new());
        let project = self;
        Session { project, scope, built, metadata, libraries, care, deadline, extra, results }
    }

    /// Runs the tests of executables that are built.
    pub(super) fn run_built(
        &self,
        sandbox: &mut Sandbox,
        built: &Built,
        only: Option<&[TestId]>,
        care: Care,
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<(RunState, Vec<TestResult>), RunError> {
        let deadline = Instant::now() + wall;
        let mut session = self.session(sandbox, built, care, deadline, watch)?;
        let state = session.run_all(sandbox, only, watch)?;
        Ok((state, session.results))
    }
}

impl Session<'_> {
    /// Runs the executables that hold `only`, or all.
    pub(super) fn run_all(
        &mut self,
        sandbox: &mut Sandbox,
        only: Option<&[TestId]>,
        watch: &mut Stopwatch,
    ) -> Result<RunState, RunError> {
        for binary in &self.built.binaries {
            let names = only.map(|ids| names_in(binary, ids));
            if names.as_ref().is_some_and(Vec::is_empty) {
                continue;
            }
            let state = self.run(sandbox, binary, names, watch)?;
            if state != RunState::Completed {
                return Ok(state);
            }
        }
        Ok(if self.results.is_empty() { RunState::NoTests } else { RunState::Completed })
    }

    /// Runs one executable; `Completed` when each of its tests has a result.
    pub(super) fn run(
        &mut self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        names: Option<Vec<String>>,
        watch: &mut Stopwatch,
    ) -> Result<RunState, RunError> {
        let Some(names) = names else { return self.batch(sandbox, binary, None, watch) };
        for batch in batches(&names) {
            let state = self.batch(sandbox, binary, Some(batch), watch)?;
            if state != RunState::Completed {
                return Ok(state);
            }
        }
        Ok(RunState::Completed)
    }

    fn batch(
        &mut self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        names: Option<&[String]>,
        watch: &mut Stopwatch,
    ) -> Result<RunState, RunError> {
        let outcome = self.execute(sandbox, binary, &arguments(names), watch)?;
        let report = libtest::parse(&outcome.stdout);
        for ended in &report.ended {
            self.keep(binary, ended);
        }
        let state = judge(binary, &outcome, &report);
        let crashed = matches!(outcome.state, ExitState::Signaled(_) | ExitState::Exited(_))
            && report.suite
            && report.failed.is_none()
            && report.fault.is_none();
        if state == RunState::Completed || !crashed || self.care == Care::Quick {
            return Ok(state);
        }
        // One test took the others down with it: give each of the rest a process of its own.
        let all = match names {
            Some(names) => names.to_vec(),
            None => match self.names(sandbox, binary, watch)? {
                Ok(names) => names,
                Err(state) => return Ok(state),
            },
        };
        let done: BTreeSet<&str> = report.ended.iter().map(|ended| ended.name.as_str()).collect();
        for name in all.iter().filter(|name| !done.contains(name.as_str())) {
            let state = self.alone(sandbox, binary, name, watch)?;
            if state != RunState::Completed {
                return Ok(state);
            }
        }
        Ok(RunState::Completed)
    }

    /// Runs one test in its own process. Death by a signal is then its failure; a plain exit
    /// proves nothing and stays without a report.
    fn alone(
        &mut self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        name: &String,
        watch: &mut Stopwatch,
    ) -> Result<RunState, RunError> {
        let names = std::slice::from_ref(name);
        let outcome = self.execute(sandbox, binary, &arguments(Some(names)), watch)?;
        let report = libtest::parse(&outcome.stdout);
        for ended in &report.ended {
            self.keep(binary, ended);
        }
        if let ExitState::Signaled(signal) = outcome.state
            && report.failed.is_none()
        {
            let said = said_by_test(&outcome);
            let overflow = said.lines().find(|line| line.contains("overflowed its stack"));
            let message = match overflow {
                Some(line) => line.trim().to_owned(),
                None => format!("the test process was killed by signal {signal}"),
            };
            let failure = Failure {
                kind: FailureKind::Error,
                message,
                site: None,
                trace: Vec::new(),
                details: said,
            };
            self.results.push(TestResult {
                id: test_id(binary, name),
                outcome: Outcome::Failed(failure),
                duration: outcome.wall,
            });
            return Ok(RunState::Completed);
        }
        Ok(judge(binary, &outcome, &report))
    }

    /// The tests of one executable, or why it does not tell them.
    fn names(
        &mut self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        watch: &mut Stopwatch,
    ) -> Result<Result<Vec<String>, RunState>, RunError> {
        let arguments = ["--list", "--format", "terse"].map(OsString::from);
        let outcome = self.execute(sandbox, binary, &arguments, watch)?;
        Ok(match outcome.state {
            ExitState::Exited(0) => Ok(libtest::parse_list(&outcome.stdout)),
            ExitState::TimedOut => Err(RunState::Hung { running: Vec::new() }),
            _ => Err(no_report(&binary.id, &outcome)),
        })
    }

    fn execute(
        &mut self,
        sandbox: &mut Sandbox,
        binary: &Binary,
        arguments: &[OsString],
        watch: &mut Stopwatch,
    ) -> Result<ExecOutcome, RunError> {
        let mut argv: Vec<OsString> = vec![binary.executable.clone().into()];
        argv.extend(arguments.iter().cloned());
        let mut env = self.project.test_env(
            &self.scope,
            self.built,
            binary,
            &self.metadata,
            self.libraries.as_deref(),
        );
        // Lets a stable libtest write JSON. Set here only: in a build it would change the compiler.
        env.insert("RUSTC_BOOTSTRAP".into(), "1".into());
        let backtrace = if self.care == Care::Full { "1" } else { "0" };
        env.insert("RUST_BACKTRACE".into(), backtrace.into());
        env.extend(self.extra.clone());
        let left = self.deadline.saturating_duration_since(Instant::now());
        // cargo runs tests in the directory of their package.
        let cwd = self.person_dir(&binary.package_dir);
        let outcome = sandbox.exec(&self.project.command(argv, cwd, env, left))?;
        watch.add(&outcome);
        Ok(outcome)
    }

    fn person_dir(&self, inside: &Path) -> PathBuf {
        self.scope.person(inside).unwrap_or_else(|| self.project.root.clone())
    }

    fn keep(&mut self, binary: &Binary, ended: &Ended) {
        let outcome = match ended.status {
            Status::Ok => Outcome::Passed,
            Status::Ignored => Outcome::Skipped,
            Status::Failed => {
                let workspace = self.scope.inside(&self.project.dir);
                let places = Places { workspace: &workspace, package: &binary.package_dir };
                Outcome::Failed(panics::failure(&self.scope, &places, ended))
            }
        };
        let id = test_id(binary, &ended.name);
        self.results.push(TestResult { id, outcome, duration: ended.duration });
    }
}

/// What an executable's end and its report say together.
fn judge(binary: &Binary, outcome: &ExecOutcome, report: &Report) -> RunState {
    if outcome.state == ExitState::TimedOut {
        let running = report.running.iter().map(|name| test_id(binary, name)).collect();
        return RunState::Hung { running };
    }
    if let Some(fault) = &report.fault {
        return RunState::NoReport { message: format!("{}: {fault}", binary.id) };
    }
    match (&outcome.state, report.failed) {
        (ExitState::Exited(0), Some(false)) => RunState::Completed,
        (ExitState::Exited(TESTS_FAILED), Some(true)) => RunState::Completed,
        _ => match (no_report(&binary.id, outcome), report.running.first()) {
            (RunState::NoReport { message }, Some(name)) => RunState::NoReport {
                message: format!("{message}; {} was running", test_id(binary, name)),
            },
            (state, _) => state,
        },
    }
}

/// What a test process wrote, without its report.
fn said_by_test(outcome: &ExecOutcome) -> String {
    let text = said(outcome);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("{ \"type\"")).collect();
    lines.join("\n")
}

fn arguments(names: Option<&[String]>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        ["-Z", "unstable-options", "--format", "json", "--report-time"].map(OsString::from).into();
    if let Some(names) = names {
        arguments.push("--exact".into());
        arguments.extend(names.iter().map(OsString::from));
    }
    arguments
}

pub(super) fn test_id(binary: &Binary, name: &str) -> TestId {
    TestId(format!("{}::{name}", binary.id))
}

/// The names under which an executable would know the ids. A library's id is a prefix of its
/// package's other ones, so a name may be none of its tests; libtest then runs nothing for it.
pub(super) fn names_in(binary: &Binary, ids: &[TestId]) -> Vec<String> {
    ids.iter()
        .filter_map(|id| id.0.strip_prefix(binary.id.as_str())?.strip_prefix("::"))
        .map(str::to_owned)
        .collect()
}
