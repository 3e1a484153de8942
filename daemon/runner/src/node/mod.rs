//! node: `node --test`, read through a reporter of our own.
//!
//! node's JUnit reporter leaves out the file and merges equal names, so that ids could not be told
//! apart; the reporter here writes the runner's own events. It runs in the process of
//! `node --test`, out of reach of the code under test.
//!
//! Selections run whole files and keep the selected results: what `--test-name-pattern` matches
//! differs between node versions.

mod events;
mod plan;
mod probe;
mod script;
mod spectrum;
mod trials;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use greenlit_sandbox::{Command, ExecOutcome, ExitState, FileWrite, Sandbox, SandboxError};

use crate::environment::Environment;
use crate::error::RunError;
use crate::host;
use crate::outcome::{Stopwatch, no_report, said};
use crate::project::TestList;
use crate::scope::{Scope, relative};
use crate::text::REPORT_LIMIT;
use crate::types::{RunRequest, RunState, Selection, TestId, TestRun};

pub(crate) use plan::{Plan, plan};

use events::Events;
use plan::{Arguments, expand};

const REPORTER: &str = include_str!("greenlit_reporter.mjs");
const COVERAGE: &str = include_str!("greenlit_coverage.cjs");
const STARTED: &str = include_str!("greenlit_started.cjs");

/// The first version whose test runner has suites and file destinations for reporters.
const OLDEST: u32 = 20;

/// The first version that runs TypeScript without an option: it takes the types out.
const TYPESCRIPT: (u32, u32) = (22, 18);

/// A package whose tests one `node --test` command runs.
#[derive(Debug, Clone)]
pub(crate) struct NodeProject {
    pub(crate) root: PathBuf,
    pub(crate) dir: PathBuf,
    arguments: Arguments,
    nested: Vec<PathBuf>,
    /// The real executable, not a version manager's shim.
    program: PathBuf,
    version: String,
    env: BTreeMap<OsString, OsString>,
}

/// How test files are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode<'a> {
    /// By `node --test`, which starts a process for each.
    Suite,
    /// One file in one process, which says what lines each test of these names executes.
    Traced(&'a [&'a str]),
    /// As `Suite`, and each process says what a watched function is called with.
    Watched,
}

/// What came of one command.
struct Executed {
    outcome: ExecOutcome,
    events: Events,
    /// What the coverage module wrote, or the recorder of arguments.
    lines: Vec<u8>,
}

impl NodeProject {
    /// `typescript` says that all test files are. The error is for people.
    pub(crate) fn new(
        root: &Path,
        dir: &Path,
        arguments: Arguments,
        nested: Vec<PathBuf>,
        typescript: bool,
        environment: &Environment,
    ) -> Result<Self, String> {
        let (program, version) = find_node(root, environment)?;
        if release(&version).0 < OLDEST {
            return Err(format!("node {version} is too old; node {OLDEST} or newer is needed"));
        }
        if typescript && arguments.flags.is_empty() && release(&version) < TYPESCRIPT {
            let (major, minor) = TYPESCRIPT;
            return Err(format!(
                "the tests are TypeScript, which node {version} cannot run by itself; node \
                 {major}.{minor} or newer can, or name a loader in the test script \
                 (`node --import tsx --test`)"
            ));
        }
        Ok(Self {
            root: root.to_owned(),
            dir: dir.to_owned(),
            arguments,
            nested,
            program,
            version,
            env: environment.allowed(),
        })
    }

    pub(crate) fn label(&self) -> String {
        format!("node --test (node {})", self.version)
    }

    pub(crate) fn readable(&self) -> Vec<PathBuf> {
        let mut readable = host::link_chain(&self.program);
        // An installation of its own (a version manager's) has its libraries beside `bin`.
        let prefix =
            self.program.parent().filter(|bin| bin.ends_with("bin")).and_then(Path::parent);
        readable.extend(prefix.filter(|prefix| prefix.parent().is_some()).map(Path::to_path_buf));
        readable.retain(|path| path.exists() && !path.starts_with(&self.root));
        readable
    }

    pub(crate) fn owns(&self, id: &TestId) -> bool {
        let Some((file, _)) = id.0.split_once("::") else { return false };
        let script = file.rsplit_once('.').is_some_and(|(_, extension)| {
            ["js", "mjs", "cjs", "ts", "mts", "cts"].contains(&extension)
        });
        let path = self.root.join(file);
        script
            && path.starts_with(&self.dir)
            && !self.nested.iter().any(|nested| path.starts_with(nested))
    }

    pub(crate) fn run(
        &self,
        sandbox: &mut Sandbox,
        request: &RunRequest,
    ) -> Result<TestRun, RunError> {
        let mut watch = Stopwatch::start();
        let selected: Option<BTreeSet<&TestId>> = match &request.selection {
            Selection::All => None,
            Selection::Only(ids) => Some(ids.iter().collect()),
        };
        let files = match &request.selection {
            Selection::All => self.all_files(),
            Selection::Only(ids) => self.files_of(ids),
        };
        if selected.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(watch.finish(RunState::NoTests, Vec::new()));
        }
        let Executed { outcome, mut events, .. } =
            self.execute(sandbox, Mode::Suite, &files, request.test_wall)?;
        watch.add(&outcome);
        let mut state = self.state(&outcome, &mut events);
        if let Some(selected) = selected {
            events.results.retain(|result| selected.contains(&result.id));
            if state == RunState::Completed && events.results.is_empty() {
                state = RunState::NoTests;
            }
        }
        Ok(watch.finish(state, events.results))
    }

    /// node cannot list tests; they are run.
    pub(crate) fn list(&self, sandbox: &mut Sandbox, wall: Duration) -> Result<TestList, RunError> {
        let request = RunRequest {
            selection: Selection::All,
            build_wall: wall,
            test_wall: wall,
            per_test: None,
        };
        let mut run = self.run(sandbox, &request)?;
        let results = std::mem::take(&mut run.results);
        Ok(TestList::from_run(run, results.into_iter().map(|result| result.id).collect()))
    }

    /// The positional arguments for a whole run; empty for node's own search.
    fn all_files(&self) -> Vec<PathBuf> {
        if self.arguments.patterns.is_empty() && self.nested.is_empty() {
            return Vec::new();
        }
        expand(&self.dir, &self.arguments.patterns, &self.nested)
    }

    fn files_of(&self, ids: &[TestId]) -> Vec<PathBuf> {
        let mut seen = BTreeSet::new();
        ids.iter()
            .filter_map(|id| id.0.split_once("::"))
            .filter(|(file, _)| seen.insert(*file))
            .map(|(file, _)| self.root.join(file))
            .collect()
    }

    fn execute(
        &self,
        sandbox: &mut Sandbox,
        mode: Mode<'_>,
        files: &[PathBuf],
        wall: Duration,
    ) -> Result<Executed, RunError> {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let scope = Scope::new(sandbox, &self.root);
        let directory = sandbox.scratch().join(format!("node-{run}"));
        let (reporter, started) =
            (directory.join("greenlit_reporter.mjs"), directory.join("greenlit_started.cjs"));
        let (report, starts) = (directory.join("events.jsonl"), directory.join("started.jsonl"));
        let lines = directory.join("lines.jsonl");
        sandbox.write(&[file(&reporter, REPORTER), file(&started, STARTED)])?;
        let mut argv: Vec<OsString> = vec![scope.inside(&self.program).into()];
        argv.extend(self.arguments.flags.iter().map(OsString::from));
        argv.extend(["--require".into(), started.into()]);
        argv.push(assignment("--test-reporter=", &reporter));
        argv.push(assignment("--test-reporter-destination=", &report));
        let mut env = self.env.clone();
        env.insert("GREENLIT_STARTED".into(), starts.clone().into());
        match mode {
            Mode::Suite => argv.push("--test".into()),
            Mode::Watched => {
                let (recorder, values) =
                    (directory.join("greenlit_record.cjs"), directory.join(probe::VALUES_NAME));
                sandbox.write(&[file(&recorder, probe::RECORD), file(&values, probe::VALUES)])?;
                env.insert("GREENLIT_SEEN".into(), lines.clone().into());
                argv.extend(["--require".into(), recorder.into(), "--test".into()]);
            }
            Mode::Traced(names) => {
                let coverage = directory.join("greenlit_coverage.cjs");
                let wanted = directory.join("wanted.json");
                let names = serde_json::to_string(names).map_err(RunError::Encode)?;
                sandbox.write(&[file(&coverage, COVERAGE), file(&wanted, &names)])?;
                env.insert("GREENLIT_WANTED".into(), wanted.into());
                argv.extend(["--require".into(), coverage.into()]);
                env.insert("GREENLIT_IN_PROCESS".into(), "1".into());
                env.insert("GREENLIT_LINES".into(), lines.clone().into());
                env.insert("GREENLIT_ROOT".into(), scope.inside(&self.root).into());
            }
        }
        for path in files {
            argv.push(match relative(&self.dir, path) {
                Some(inner) => inner.into(),
                None => scope.inside(path).into(),
            });
        }
        let command =
            Command { argv, cwd: self.dir.clone(), env, stdin: Vec::new(), wall, cpu: None };
        let outcome = sandbox.exec(&command)?;
        let report = read(sandbox, &report)?;
        let starts = read(sandbox, &starts)?;
        let lines = if mode == Mode::Suite { Vec::new() } else { read(sandbox, &lines)? };
        let events = events::parse(&report, &starts, &scope, &self.root, &self.dir);
        Ok(Executed { outcome, events, lines })
    }

    fn state(&self, outcome: &ExecOutcome, events: &mut Events) -> RunState {
        let tool = "node --test";
        match &outcome.state {
            ExitState::NotStarted(reason) => {
                let program = self.program.display();
                return RunState::ToolMissing {
                    message: format!("{program} could not be started: {reason}"),
                };
            }
            ExitState::TimedOut => {
                return RunState::Hung { running: std::mem::take(&mut events.running) };
            }
            ExitState::Exited(0 | 1) if events.ended => {}
            ExitState::Exited(_) if said(outcome).contains("bad option") => {
                return RunState::BuildFailed { diagnostics: Vec::new(), details: said(outcome) };
            }
            _ => return no_report(tool, outcome),
        }
        if let Some(broken) = events.broken.first() {
            if broken.details.is_empty() {
                return RunState::NoReport {
                    message: format!("{} ended early: {}", broken.file, broken.message),
                };
            }
            let diagnostics = events.broken.iter().flat_map(|b| b.diagnostics.clone()).collect();
            let details: Vec<&str> = events.broken.iter().map(|b| b.details.as_str()).collect();
            return RunState::BuildFailed {
                diagnostics,
                details: crate::text::tail(&details.join("\n")),
            };
        }
        if let Some(file) = events.cut_off.first() {
            return RunState::NoReport {
                message: format!("{file} exited before it had reported its tests"),
            };
        }
        if let Some(id) = events.unfinished.first() {
            return RunState::NoReport { message: format!("no result was reported for {id}") };
        }
        if events.results.is_empty() { RunState::NoTests } else { RunState::Completed }
    }
}

/// Major and minor version.
fn release(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// The real node executable, not a version manager's shim, and its version.
pub(crate) fn find_node(
    root: &Path,
    environment: &Environment,
) -> Result<(PathBuf, String), String> {
    let node = host::tool(environment, root, "node")
        .ok_or("node is not on PATH; to get it: https://nodejs.org")?;
    let mut command = process::Command::new(&node);
    command.args(["-p", "process.version+' '+process.execPath"]);
    command.env_clear().envs(environment.allowed());
    if let Some(home) = environment.home() {
        command.env("HOME", home);
    }
    let answer = host::ask(command, Duration::from_secs(20))
        .and_then(|answer| String::from_utf8(answer).ok())
        .ok_or_else(|| format!("{} does not work", node.display()))?;
    let (version, program) =
        answer.trim().split_once(' ').ok_or_else(|| format!("{} is not node", node.display()))?;
    Ok((program.into(), version.trim_start_matches('v').to_owned()))
}

fn read(sandbox: &mut Sandbox, path: &Path) -> Result<Vec<u8>, RunError> {
    match sandbox.read(path, REPORT_LIMIT as u64) {
        Ok(bytes) => Ok(bytes.unwrap_or_default()),
        Err(
            error @ (SandboxError::Cancelled
            | SandboxError::Died { .. }
            | SandboxError::Unresponsive),
        ) => Err(error.into()),
        // A report that was replaced by something unreadable is a missing report.
        Err(_) => Ok(Vec::new()),
    }
}

fn file(path: &Path, content: &str) -> FileWrite {
    FileWrite { path: path.to_owned(), content: Some(content.as_bytes().to_vec()) }
}

fn assignment(option: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(option);
    argument.push(path);
    argument
}
