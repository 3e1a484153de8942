//! One unit that a test runner is invoked for, whatever its ecosystem.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greenlit_sandbox::{BuildCache, CacheMode, FileWrite, Sandbox};

use crate::cargo::{CargoProject, doctests};
use crate::environment::Environment;
use crate::error::RunError;
use crate::go::GoProject;
use crate::node::NodeProject;
use crate::patterns;
use crate::pytest::PytestProject;
use crate::types::{Ecosystem, RunRequest, RunState, Spectrum, TestId, TestRun};

/// What a sandbox must show and keep for a project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Existing paths outside the checkout: interpreters, toolchains, registries. Credentials are
    /// never among them.
    pub readable: Vec<PathBuf>,
    /// Build directories whose content is kept in the daemon's store.
    pub caches: Vec<BuildCache>,
}

/// The tests of a project, or why they cannot be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestList {
    /// `Completed` when `tests` is the whole list; else what kept it from being made.
    pub state: RunState,
    /// The tests in the order the runner would run them.
    pub tests: Vec<TestId>,
    /// Wall time including the build.
    pub wall: Duration,
    /// CPU time of the whole process tree.
    pub cpu: Duration,
}

impl TestList {
    pub(crate) fn from_run(run: TestRun, tests: Vec<TestId>) -> Self {
        Self { state: run.state, tests, wall: run.wall, cpu: run.cpu }
    }
}

/// A warm session that runs tests again and again on changed files, as a cheap prefilter. Its
/// results are never the final verdict: state may leak between attempts, the run may stop at the
/// first failure, and only one report is read.
pub trait Trials: Send {
    /// Replaces `files`, runs `tests` within `wall` (a build before that has the limit that the
    /// session was opened with), and leaves everything ready for the next
    /// attempt. Files that an earlier attempt replaced are as they were at the start, unless
    /// `files` names them again. Ids that no longer exist are absent from the results.
    ///
    /// # Errors
    /// When the sandbox is gone, a file cannot be written, or the session cannot be restarted.
    fn attempt(
        &mut self,
        files: &[FileWrite],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError>;

    /// How many variants are worth preparing together; 1 where [`Trials::prepare`] gains nothing.
    fn batch(&self) -> usize {
        1
    }

    /// Makes `variants` (each the files that one candidate replaces) ready together, so that
    /// [`Trials::attempt_prepared`] on each is cheaper than an attempt: for a compiled language one
    /// build that holds them all behind a switch. Says for each what became of it, in order.
    /// Forgets what was prepared before. A session with nothing to gain from it answers
    /// [`Prepared::Alone`] for all.
    ///
    /// # Errors
    /// When the sandbox is gone or a file cannot be written.
    fn prepare(&mut self, variants: &[Vec<FileWrite>]) -> Result<Vec<Prepared>, RunError> {
        Ok(vec![Prepared::Alone; variants.len()])
    }

    /// Runs `tests` on the variant with this index of the last [`Trials::prepare`], which said
    /// [`Prepared::Ready`] of it. Else as [`Trials::attempt`].
    ///
    /// # Errors
    /// As [`Trials::attempt`], and when the variant is not ready.
    fn attempt_prepared(
        &mut self,
        variant: usize,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let (_, _) = (tests, wall);
        Err(RunError::Session { details: format!("variant {variant} was not prepared") })
    }
}

/// What became of a variant when it was made ready together with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// [`Trials::attempt_prepared`] runs it.
    Ready,
    /// It does not compile; the compiler's message.
    Invalid(String),
    /// It cannot share a build with others: [`Trials::attempt`] runs it.
    Alone,
}

/// A function whose behaviour is to be compared between variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Absolute path of its file.
    pub path: PathBuf,
    /// Its dotted name within the file: `gcd`, `Stack.push`.
    pub function: String,
}

/// How variants of a function behave on inputs beyond the tests' own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probes {
    /// Inputs that every variant was run on: arguments seen in the tests, and mutations of them.
    pub inputs: u32,
    /// For each variant, in order: one outcome per input (a digest of the result, the arguments
    /// afterwards, or the error's type; or that it took too long). `None` where it could not be run.
    pub outcomes: Vec<Option<Vec<String>>>,
}

#[derive(Debug)]
pub(crate) enum Adapter {
    Cargo(CargoProject),
    Pytest(PytestProject),
    Node(NodeProject),
    Go(GoProject),
}

/// One runner invocation unit: a cargo workspace, a Python project, a node package, a Go module.
#[derive(Debug, Clone)]
pub struct Project {
    adapter: Arc<Adapter>,
    environment: Arc<Environment>,
}

impl Project {
    pub(crate) fn new(adapter: Adapter, environment: &Arc<Environment>) -> Self {
        Self { adapter: Arc::new(adapter), environment: Arc::clone(environment) }
    }

    /// The cargo workspace, if it is one.
    pub(crate) fn cargo(&self) -> Option<&CargoProject> {
        match &*self.adapter {
            Adapter::Cargo(project) => Some(project),
            Adapter::Pytest(_) | Adapter::Node(_) | Adapter::Go(_) => None,
        }
    }

    /// Which runner it uses.
    pub fn ecosystem(&self) -> Ecosystem {
        match &*self.adapter {
            Adapter::Cargo(_) => Ecosystem::Cargo,
            Adapter::Pytest(_) => Ecosystem::Pytest,
            Adapter::Node(_) => Ecosystem::Node,
            Adapter::Go(_) => Ecosystem::Go,
        }
    }

    /// The workspace root that test ids are relative to.
    pub fn root(&self) -> &Path {
        match &*self.adapter {
            Adapter::Cargo(project) => &project.root,
            Adapter::Pytest(project) => &project.root,
            Adapter::Node(project) => &project.root,
            Adapter::Go(project) => &project.root,
        }
    }

    /// The project's own directory, at or below the root.
    pub fn dir(&self) -> &Path {
        match &*self.adapter {
            Adapter::Cargo(project) => &project.dir,
            Adapter::Pytest(project) => &project.dir,
            Adapter::Node(project) => &project.dir,
            Adapter::Go(project) => &project.dir,
        }
    }

    /// Runner, version and origin for people: `pytest 8.3 (.venv, Python 3.11)`.
    pub fn label(&self) -> String {
        match &*self.adapter {
            Adapter::Cargo(project) => project.label(),
            Adapter::Pytest(project) => project.label(),
            Adapter::Node(project) => project.label(),
            Adapter::Go(project) => project.label(),
        }
    }

    /// What the sandbox must show and keep. `store` is a directory of the daemon's for this
    /// workspace, outside the checkout; `mode` says whether this sandbox may add to it.
    pub fn needs(&self, store: &Path, mode: CacheMode) -> Needs {
        match &*self.adapter {
            Adapter::Cargo(project) => project.needs(&self.environment, store, mode),
            Adapter::Pytest(project) => {
                Needs { readable: project.readable(&self.environment), caches: Vec::new() }
            }
            Adapter::Node(project) => Needs { readable: project.readable(), caches: Vec::new() },
            Adapter::Go(project) => project.needs(store, mode),
        }
    }

    /// Whether a path holds tests or decides which tests run and how. Candidate patches may not
    /// touch these.
    pub fn is_test_file(&self, path: &Path) -> bool {
        let Some(inner) = self.inner(path) else { return false };
        match &*self.adapter {
            Adapter::Cargo(_) => patterns::is_cargo_test_file(inner),
            Adapter::Pytest(_) => patterns::is_python_test_file(inner),
            Adapter::Node(_) => patterns::is_node_test_file(inner),
            Adapter::Go(_) => patterns::is_go_test_file(inner),
        }
    }

    /// Whether a path is source code of this project that a candidate patch may change.
    pub fn is_source_file(&self, path: &Path) -> bool {
        let Some(inner) = self.inner(path) else { return false };
        let extensions: &[&str] = match &*self.adapter {
            Adapter::Cargo(_) => &["rs"],
            Adapter::Pytest(_) => &["py"],
            Adapter::Node(_) => &["js", "mjs", "cjs", "ts", "mts", "cts"],
            Adapter::Go(_) => &["go"],
        };
        let source = inner.extension().is_some_and(|e| extensions.iter().any(|known| e == *known));
        source && !patterns::is_foreign(inner) && !self.is_test_file(path)
    }

    /// How many examples in the documentation of a file the ecosystem's own command would run as
    /// tests, and this does not.
    pub fn unrun_examples(&self, path: &Path, text: &str) -> usize {
        match &*self.adapter {
            Adapter::Cargo(_) if self.is_source_file(path) => doctests::count(text),
            Adapter::Cargo(_) | Adapter::Pytest(_) | Adapter::Node(_) | Adapter::Go(_) => 0,
        }
    }

    fn inner<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        path.strip_prefix(self.dir()).ok()
    }

    /// Whether a test id is one of this project's, by its form.
    pub fn owns(&self, id: &TestId) -> bool {
        match &*self.adapter {
            Adapter::Cargo(project) => project.owns(id),
            Adapter::Pytest(project) => project.owns(id),
            Adapter::Node(project) => project.owns(id),
            Adapter::Go(project) => project.owns(id),
        }
    }

    /// Runs tests and reads the runner's report.
    ///
    /// Selected ids that no longer exist are absent from the results; whether that matters is the
    /// caller's to judge.
    ///
    /// # Errors
    /// Only when the sandbox is gone. What keeps tests from running is in [`TestRun::state`].
    pub fn run(&self, sandbox: &mut Sandbox, request: &RunRequest) -> Result<TestRun, RunError> {
        match &*self.adapter {
            Adapter::Cargo(project) => project.run(sandbox, request),
            Adapter::Pytest(project) => project.run(sandbox, request),
            Adapter::Node(project) => project.run(sandbox, request),
            Adapter::Go(project) => project.run(sandbox, request),
        }
    }

    /// As [`Self::run`], and then what `again` asks for when it saw the first run: on what was built for
    /// that, where the runner builds, but in processes of its own. The second request's limit for
    /// builds does not count. Where traces of failures cost time (cargo), only the second run's
    /// failures have them.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_twice(
        &self,
        sandbox: &mut Sandbox,
        request: &RunRequest,
        again: &mut dyn FnMut(&TestRun) -> Option<RunRequest>,
    ) -> Result<(TestRun, Option<TestRun>), RunError> {
        if let Adapter::Cargo(project) = &*self.adapter {
            return project.run_twice(sandbox, request, again);
        }
        let first = self.run(sandbox, request)?;
        let second = match again(&first) {
            Some(request) => Some(self.run(sandbox, &request)?),
            None => None,
        };
        Ok((first, second))
    }

    /// Lists the tests within `wall`, building them where needed. node can only tell its tests by
    /// running them.
    ///
    /// # Errors
    /// Only when the sandbox is gone.
    pub fn list(&self, sandbox: &mut Sandbox, wall: Duration) -> Result<TestList, RunError> {
        match &*self.adapter {
            Adapter::Cargo(project) => project.list(sandbox, wall),
            Adapter::Pytest(project) => project.list(sandbox, wall),
            Adapter::Node(project) => project.list(sandbox, wall),
            Adapter::Go(project) => project.list(sandbox, wall),
        }
    }

    /// Which lines each of `tests` executes; `None` when the sources with counters do not build
    /// (cargo). Lines of test files are included (not for cargo and go). Tests that could not be traced
    /// are left out. The sandbox is of no use afterwards, and must be one that keeps nothing: cargo's sources
    /// hold counters then.
    ///
    /// # Errors
    /// Only when the sandbox is gone.
    pub fn spectrum(
        &self,
        sandbox: &mut Sandbox,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Spectrum>, RunError> {
        match &*self.adapter {
            Adapter::Cargo(project) => project.spectrum(sandbox, tests, wall),
            Adapter::Pytest(project) => project.spectrum(sandbox, tests, wall),
            Adapter::Node(project) => project.spectrum(sandbox, tests, wall),
            Adapter::Go(project) => project.spectrum(sandbox, tests, wall),
        }
    }

    /// Runs `target` as each of `variants` (the files that one candidate replaces) has it on inputs
    /// derived from what `tests` call it with; `None` when this ecosystem cannot. A hint for ranking
    /// and never a verdict. It takes the sandbox for itself.
    ///
    /// # Errors
    /// Only when the sandbox is gone.
    pub fn probe(
        &self,
        sandbox: Sandbox,
        target: &ProbeTarget,
        variants: &[Vec<FileWrite>],
        tests: &[TestId],
        wall: Duration,
    ) -> Result<Option<Probes>, RunError> {
        match &*self.adapter {
            Adapter::Cargo(_) | Adapter::Go(_) => Ok(None),
            Adapter::Pytest(project) => project.probe(sandbox, target, variants, tests, wall),
            Adapter::Node(project) => project.probe(sandbox, target, variants, tests, wall),
        }
    }

    /// Opens a warm session for attempts at `tests`. It takes the sandbox for itself; dropping the
    /// session ends it.
    ///
    /// # Errors
    /// When the sandbox is gone or the session does not start within `setup_wall`.
    pub fn trials(
        &self,
        sandbox: Sandbox,
        tests: &[TestId],
        setup_wall: Duration,
    ) -> Result<Box<dyn Trials>, RunError> {
        Ok(match &*self.adapter {
            Adapter::Cargo(project) => Box::new(project.trials(sandbox, tests, setup_wall)?),
            Adapter::Pytest(project) => Box::new(project.trials(sandbox, tests, setup_wall)?),
            Adapter::Node(project) => Box::new(project.trials(sandbox, setup_wall)?),
            Adapter::Go(project) => Box::new(project.trials(sandbox, tests, setup_wall)?),
        })
    }
}
