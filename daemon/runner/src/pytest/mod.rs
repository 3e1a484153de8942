//! pytest: detection facts, commands, and the state of a run.
//!
//! Two reports are asked for: JUnit XML from pytest itself and the event stream of our own plugin,
//! which has exact node ids, started tests and tracebacks. A verdict needs both, and both must
//! agree. Code under test runs in the same process and could forge either; forging both
//! consistently is what the caller's static checks on candidates are for.
//!
//! Parallel runs (pytest-xdist) and shuffling (pytest-randomly) are switched off: the order of tests
//! stays the same between runs.

mod agree;
mod events;
mod interpreter;
mod probe;
mod spectrum;
mod trials;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenlit_sandbox::{Command, ExecOutcome, ExitState, FileWrite, Sandbox};
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::error::RunError;
use crate::outcome::{Stopwatch, no_report, said};
use crate::project::TestList;
use crate::scope::{Scope, relative};
use crate::text::REPORT_LIMIT;
use crate::types::{Diagnostic, RunRequest, RunState, Selection, TestId, TestRun};

pub(crate) use interpreter::{Interpreter, find as find_interpreter};

use events::Events;

/// Our modules inside, by file name.
const PLUGIN: [(&str, &str); 4] = [
    ("greenlit_pytest.py", include_str!("greenlit_pytest.py")),
    ("greenlit_inputs.py", include_str!("greenlit_inputs.py")),
    ("greenlit_lines.py", include_str!("greenlit_lines.py")),
    ("greenlit_probe.py", include_str!("greenlit_probe.py")),
];

/// pytest's exit codes.
const OK: i32 = 0;
const TESTS_FAILED: i32 = 1;
const USAGE_ERROR: i32 = 4;
const NO_TESTS: i32 = 5;

/// A directory whose tests one pytest command runs.
#[derive(Debug, Clone)]
pub(crate) struct PytestProject {
    pub(crate) root: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) interpreter: Interpreter,
    pub(crate) env: BTreeMap<OsString, OsString>,
    /// Other Python projects below `dir`; their tests are not this one's.
    pub(crate) nested: Vec<PathBuf>,
}

/// What to ask of one pytest process.
#[derive(Debug, Clone, Default)]
struct Ask<'a> {
    only: Option<&'a [TestId]>,
    collect_only: bool,
    /// Leave out what is slow to make and only people read: output, the account of a failure.
    brief: bool,
    junit: bool,
    lines: bool,
    limit: Option<Duration>,
    /// What to record or to call instead of only running tests (`greenlit_pytest.py`).
    more: Option<(&'static str, Value)>,
}

/// What counts as the complete end of a pytest process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Every collected test has a result.
    Full,
    /// Collection has ended.
    List,
}

/// Files and arguments of one pytest process.
struct Prepared {
    request: PathBuf,
    events: PathBuf,
    junit: PathBuf,
    args: Vec<OsString>,
    files: Vec<OsString>,
}

impl PytestProject {
    pub(crate) fn label(&self) -> String {
        let Interpreter { pytest, origin, version, .. } = &self.interpreter;
        let space = if pytest.is_empty() { "" } else { " " };
        format!("pytest{space}{pytest} ({origin}, Python {version})")
    }

    /// What must be visible inside apart from the checkout.
    pub(crate) fn readable(&self, environment: &Environment) -> Vec<PathBuf> {
        let mut readable = self.interpreter.readable.clone();
        if let Some(path) = environment.get("PYTHONPATH") {
            readable.extend(std::env::split_paths(path).filter(|path| path.is_absolute()));
        }
        readable.retain(|path| path.exists() && !path.starts_with(&self.root));
        readable
    }

    pub(crate) fn owns(&self, id: &TestId) -> bool {
        let Some((file, _)) = id.0.split_once("::") else { return false };
        let path = Path::new(file);
        let text =
            path.extension().is_some_and(|e| ["py", "txt", "rst", "md"].iter().any(|x| e == *x));
        let path = self.root.join(path);
        text && path.starts_with(&self.dir)
            && !self.nested.iter().any(|nested| path.starts_with(nested))
    }

    pub(crate) fn run(
        &self,
        sandbox: &mut Sandbox,
        request: &RunRequest,
    ) -> Result<TestRun, RunError> {
        let mut watch = Stopwatch::start();
        let only = match &request.selection {
            Selection::All => None,
            Selection::Only(ids) if ids.is_empty() => {
                return Ok(watch.finish(RunState::NoTests, Vec::new()));
            }
            Selection::Only(ids) => Some(ids.as_slice()),
        };
        let ask = Ask { only, junit: true, limit: request.per_test, ..Ask::default() };
        let (outcome, events, junit) = self.execute(sandbox, &ask, request.test_wall)?;
        watch.add(&outcome);
        let scope = Scope::new(sandbox, &self.root);
        let state = self.state(&outcome, &events, &scope, Mode::Full);
        let state = match state {
            RunState::Completed => agree::check(&events, junit.as_deref()),
            other => other,
        };
        Ok(watch.finish(state, events.results))
    }

    pub(crate) fn list(&self, sandbox: &mut Sandbox, wall: Duration) -> Result<TestList, RunError> {
        let mut watch = Stopwatch::start();
        let ask = Ask { collect_only: true, ..Ask::default() };
        let (outcome, events, _) = self.execute(sandbox, &ask, wall)?;
        watch.add(&outcome);
        let scope = Scope::new(sandbox, &self.root);
        let state = self.state(&outcome, &events, &scope, Mode::List);
        let tests = events.collected.unwrap_or_default();
        Ok(TestList::from_run(watch.finish(state, Vec::new()), tests))
    }

    /// One pytest process from start to end: how it ended and both reports.
    fn execute(
        &self,
        sandbox: &mut Sandbox,
        ask: &Ask<'_>,
        wall: Duration,
    ) -> Result<(ExecOutcome, Events, Option<Vec<u8>>), RunError> {
        let prepared = self.prepare(sandbox, ask)?;
        let mut argv = vec![self.program(sandbox), "-m".into(), "pytest".into()];
        argv.extend(prepared.args.iter().chain(&prepared.files).cloned());
        let mut env = self.environment(sandbox);
        env.insert("GREENLIT_REQUEST".into(), prepared.request.clone().into());
        let outcome = sandbox.exec(&self.command(argv, env, wall))?;
        let events = self.read_events(sandbox, &prepared.events)?;
        let junit = if ask.junit {
            sandbox.read(&prepared.junit, REPORT_LIMIT as u64).unwrap_or_default()
        } else {
            None
        };
        Ok((outcome, events, junit))
    }

    fn read_events(&self, sandbox: &mut Sandbox, path: &Path) -> Result<Events, RunError> {
        let bytes = match sandbox.read(path, REPORT_LIMIT as u64) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(error) if is_fatal(&error) => return Err(error.into()),
            // A report that was replaced by something unreadable is a missing report.
            Err(_) => Vec::new(),
        };
        Ok(events::parse(&bytes, &Scope::new(sandbox, &self.root), &self.root))
    }

    fn command(
        &self,
        argv: Vec<OsString>,
        env: BTreeMap<OsString, OsString>,
        wall: Duration,
    ) -> Command {
        Command { argv, cwd: self.dir.clone(), env, stdin: Vec::new(), wall, cpu: None }
    }

    fn program(&self, sandbox: &Sandbox) -> OsString {
        Scope::new(sandbox, &self.root).inside(&self.interpreter.program).into()
    }

    fn environment(&self, sandbox: &Sandbox) -> BTreeMap<OsString, OsString> {
        let mut env = self.env.clone();
        let mut path = plugin_directory(sandbox).into_os_string();
        if let Some(theirs) = env.get(&OsString::from("PYTHONPATH")).filter(|path| !path.is_empty())
        {
            path.push(":");
            path.push(theirs);
        }
        env.insert("PYTHONPATH".into(), path);
        // The plugin keeps stale bytecode from being read; this keeps it from being written.
        env.insert("PYTHONDONTWRITEBYTECODE".into(), "1".into());
        env.insert("PYTHONHASHSEED".into(), "0".into());
        if let Some(base) = &self.interpreter.user_base {
            env.insert("PYTHONUSERBASE".into(), base.clone().into());
        }
        env
    }

    /// Writes the plugin and a request.
    fn prepare(&self, sandbox: &mut Sandbox, ask: &Ask<'_>) -> Result<Prepared, RunError> {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let scope = Scope::new(sandbox, &self.root);
        let directory = sandbox.scratch().join(format!("pytest-{run}"));
        let request = directory.join("request.json");
        let events = directory.join("events.jsonl");
        let junit = directory.join("junit.xml");
        let content = self.request(&scope, ask, &events)?;
        let modules = plugin_directory(sandbox);
        let mut files: Vec<FileWrite> =
            PLUGIN.iter().map(|(name, text)| file(&modules.join(name), text.as_bytes())).collect();
        files.push(file(&request, content.to_string().as_bytes()));
        sandbox.write(&files)?;
        let mut args: Vec<OsString> =
            ["-p", "greenlit_pytest", "-q", "--color=no"].into_iter().map(OsString::from).collect();
        // Later options win over those of the project's `addopts`.
        let cache = directory.join("cache");
        args.extend(["-o".into(), format!("cache_dir={}", utf8(&cache)?).into()]);
        args.push("--maxfail=0".into());
        args.push("--tb=native".into());
        if ask.brief {
            args.push("--capture=no".into());
        }
        if ask.junit {
            args.extend(["-o".into(), "junit_family=xunit1".into(), "--junit-prefix=".into()]);
            args.push(format!("--junitxml={}", utf8(&junit)?).into());
        }
        if ask.collect_only {
            args.push("--collect-only".into());
        }
        if self.interpreter.xdist {
            args.extend(["-n".into(), "0".into()]);
        }
        if self.interpreter.randomly {
            args.extend(["-p", "randomly", "--randomly-dont-reorganize"].map(OsString::from));
            args.push("--randomly-seed=0".into());
        }
        if self.interpreter.cov {
            args.push("--no-cov".into());
        }
        for nested in &self.nested {
            let mut ignore = OsString::from("--ignore=");
            ignore.push(scope.inside(nested));
            args.push(ignore);
        }
        let files = self.files(&scope, ask.only.unwrap_or_default());
        Ok(Prepared { request, events, junit, args, files })
    }

    /// What the plugin is told.
    fn request(&self, scope: &Scope, ask: &Ask<'_>, events: &Path) -> Result<Value, RunError> {
        let mut request = json!({
            "events": utf8(events)?,
            "root": utf8(&scope.inside(&self.root))?,
            "only": ask.only,
            "lines": ask.lines,
            "limit": ask.limit.map(|limit| limit.as_secs_f64()),
            "brief": ask.brief,
        });
        if let Some((name, value)) = &ask.more {
            request[*name] = value.clone();
        }
        Ok(request)
    }

    /// The test files of the ids, in order of first appearance. The plugin picks the tests: node
    /// ids on the command line are ambiguous when a parameter holds odd characters.
    fn files(&self, scope: &Scope, ids: &[TestId]) -> Vec<OsString> {
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for id in ids {
            let file = id.0.split("::").next().unwrap_or_default();
            if seen.insert(file) {
                let path = self.root.join(file);
                files.push(match relative(&self.dir, &path) {
                    Some(inner) => inner.into(),
                    None => scope.inside(&path).into(),
                });
            }
        }
        files
    }

    /// What became of one pytest process, before the JUnit report is compared.
    fn state(&self, outcome: &ExecOutcome, events: &Events, scope: &Scope, mode: Mode) -> RunState {
        if let ExitState::NotStarted(reason) = &outcome.state {
            let program = self.interpreter.program.display();
            return RunState::ToolMissing {
                message: format!("{program} could not be started: {reason}"),
            };
        }
        if outcome.state == ExitState::TimedOut {
            return RunState::Hung { running: events.running.clone() };
        }
        let ExitState::Exited(code) = outcome.state else { return no_report("pytest", outcome) };
        let said = said(outcome);
        if !events.session && said.contains("No module named pytest") {
            let program = self.interpreter.program.display();
            return RunState::ToolMissing {
                message: format!(
                    "pytest is not installed; to get it: {program} -m pip install pytest"
                ),
            };
        }
        if !events.collect_errors.is_empty() {
            let mut diagnostics = Vec::new();
            let mut details = String::new();
            for error in &events.collect_errors {
                diagnostics.extend(error.diagnostics.iter().cloned());
                details.push_str(&error.text);
                details.push('\n');
            }
            return RunState::BuildFailed { diagnostics, details: crate::text::tail(&details) };
        }
        let Some((status, stopped)) = &events.finish else {
            return self.broken_before_session(code, said, scope, outcome);
        };
        if let Some(text) = &events.internal_error {
            let message = format!("pytest failed internally: {}", crate::text::first_line(text));
            return RunState::NoReport { message };
        }
        if *status == NO_TESTS || events.collected.as_ref().is_some_and(Vec::is_empty) {
            return RunState::NoTests;
        }
        if ![OK, TESTS_FAILED].contains(status) || !stopped.is_empty() {
            let message = format!("pytest stopped early (status {status}): {stopped}");
            return RunState::NoReport { message };
        }
        let Some(collected) = &events.collected else {
            return RunState::NoReport { message: "pytest did not say what it collected".into() };
        };
        if mode != Mode::List {
            let ended: BTreeSet<_> = events.results.iter().map(|result| &result.id).collect();
            if let Some(missing) = collected.iter().find(|id| !ended.contains(id)) {
                return RunState::NoReport {
                    message: format!("no result was reported for {missing}"),
                };
            }
        }
        RunState::Completed
    }

    /// pytest ended before its session did.
    fn broken_before_session(
        &self,
        code: i32,
        said: String,
        scope: &Scope,
        outcome: &ExecOutcome,
    ) -> RunState {
        if let Some(arguments) = said.lines().find_map(|line| {
            line.split_once("unrecognized arguments:").map(|(_, rest)| rest.trim())
        }) {
            let plugin = if arguments.contains("--cov") {
                "pytest-cov"
            } else if arguments.contains("-n") || arguments.contains("--dist") {
                "pytest-xdist"
            } else {
                "the plugin that provides them"
            };
            let program = self.interpreter.program.display();
            return RunState::ToolMissing {
                message: format!(
                    "pytest does not know the arguments `{arguments}` of the project's own \
                     configuration; to get {plugin}: {program} -m pip install {plugin}"
                ),
            };
        }
        if code == USAGE_ERROR || said.contains("ConftestImportFailure") {
            // A conftest.py that cannot be imported, a broken configuration file.
            let diagnostics = located(&said, scope, &self.dir);
            return RunState::BuildFailed { diagnostics, details: said };
        }
        // A plugin that fails while pytest starts.
        if let Some(line) =
            said.lines().filter_map(|l| l.strip_prefix("INTERNALERROR> ")).next_back()
        {
            let message = format!("pytest failed internally: {}", crate::text::first_line(line));
            return RunState::NoReport { message };
        }
        no_report("pytest", outcome)
    }
}

/// Positions of the form `path:line: in function` in pytest's own text, innermost first.
fn located(said: &str, scope: &Scope, dir: &Path) -> Vec<Diagnostic> {
    let message = said
        .lines()
        .filter_map(|line| line.strip_prefix("E "))
        .next_back()
        .map_or_else(|| crate::text::first_line(said), crate::text::first_line);
    let mut diagnostics: Vec<Diagnostic> = said
        .lines()
        .filter_map(|line| {
            let (path, rest) = line.split_once(':')?;
            let (number, rest) = rest.split_once(':')?;
            if !rest.starts_with(" in ") {
                return None;
            }
            let path = scope.person(&scope.inside(dir).join(path))?;
            Some(Diagnostic { path, line: number.parse().ok()?, message: message.clone() })
        })
        .collect();
    diagnostics.reverse();
    diagnostics
}

/// Errors after which the sandbox is of no more use.
fn is_fatal(error: &greenlit_sandbox::SandboxError) -> bool {
    use greenlit_sandbox::SandboxError::{Cancelled, Died, Unresponsive};
    matches!(error, Cancelled | Died { .. } | Unresponsive)
}

fn plugin_directory(sandbox: &Sandbox) -> PathBuf {
    sandbox.scratch().join("greenlit-python")
}

fn file(path: &Path, content: &[u8]) -> FileWrite {
    FileWrite { path: path.to_owned(), content: Some(content.to_vec()) }
}

fn utf8(path: &Path) -> Result<&str, RunError> {
    path.to_str().ok_or_else(|| {
        RunError::Encode(serde::ser::Error::custom(format!("{} is not UTF-8", path.display())))
    })
}
