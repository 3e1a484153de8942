//! Plain data that every adapter produces.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The name of one test, unique within a workspace and stable between runs.
///
/// - pytest: the node id relative to the workspace root, `tests/test_gcd.py::test_gcd[3-5]`
/// - cargo: nextest's binary id and the libtest path, `my-crate::integration::module::test_name`
///   (library unit tests: `my-crate::module::test_name`)
/// - go: the package's directory relative to the workspace root, always beginning with a dot, and the
///   name as `go test` prints it, `./price::TestTotal/no_items` (`.::TestTotal` in the root itself)
/// - node: file relative to the workspace root and the nested names, `test/gcd.test.js::suite > case`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TestId(pub String);

impl fmt::Display for TestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A supported test runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ecosystem {
    /// `cargo test`, read through libtest's JSON.
    Cargo,
    /// `pytest`, read through JUnit XML; runs unittest suites too.
    Pytest,
    /// `node --test`, read through a reporter of our own.
    Node,
    /// Test binaries of `go test -c`, read through the framed events of the `testing` package.
    Go,
}

/// Which tests to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every test that the project has.
    All,
    /// Exactly these.
    Only(Vec<TestId>),
}

/// Parameters of one run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Which tests.
    pub selection: Selection,
    /// Wall limit for the build step, where there is one.
    pub build_wall: Duration,
    /// Wall limit for running the tests.
    pub test_wall: Duration,
    /// Wall limit for one test, where the runner can interrupt one (pytest, go). Elsewhere a hanging
    /// test runs into `test_wall` and the run is [`RunState::Hung`].
    pub per_test: Option<Duration>,
}

/// Why a test failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// An assertion did not hold.
    Assertion,
    /// An uncaught exception, panic or crash.
    Error,
    /// It took longer than [`RunRequest::per_test`]: it hangs, as far as one can tell.
    Timeout,
}

/// One stack frame inside the workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// Absolute path as the person sees it.
    pub path: PathBuf,
    /// 1-based line.
    pub line: u32,
    /// Function name where the report gives one.
    pub function: Option<String>,
}

/// How a test failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Assertion or error.
    pub kind: FailureKind,
    /// The first informative line, for a diagnostic's message.
    pub message: String,
    /// The failing assertion or raise site nearest to the test, if it lies in the workspace.
    pub site: Option<Frame>,
    /// Frames in the workspace, outermost first.
    pub trace: Vec<Frame>,
    /// The runner's own text for people, bounded.
    pub details: String,
}

/// The result of one test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed(Failure),
    /// The runner skipped it (ignored, xfail, todo).
    Skipped,
}

/// A test with its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResult {
    /// Which test.
    pub id: TestId,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, as reported.
    pub duration: Duration,
}

/// A compiler or collection error with a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Absolute path.
    pub path: PathBuf,
    /// 1-based line.
    pub line: u32,
    /// First line of the message.
    pub message: String,
}

/// What became of a run as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum RunState {
    /// The runner finished and its report is complete. The only state with a verdict.
    Completed,
    /// The runner or its interpreter is not installed in the person's environment.
    ToolMissing {
        /// What is missing and how to get it.
        message: String,
    },
    /// The project does not build, or its tests cannot be collected.
    BuildFailed {
        /// Located errors.
        diagnostics: Vec<Diagnostic>,
        /// The tool's own text, bounded.
        details: String,
    },
    /// The project has a runner but no tests.
    NoTests,
    /// The time limit passed.
    Hung {
        /// Tests that had started and not ended, where that is known.
        running: Vec<TestId>,
    },
    /// The runner ended without a complete, valid report (killed, exited early, out of memory).
    NoReport {
        /// What happened.
        message: String,
    },
}

/// One run of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestRun {
    /// What became of the run.
    pub state: RunState,
    /// Results in the order run; for states other than `Completed` what was reported before it.
    pub results: Vec<TestResult>,
    /// Wall time including the build.
    pub wall: Duration,
    /// CPU time of the whole process tree.
    pub cpu: Duration,
}

/// Which lines each test executed (a program spectrum).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spectrum {
    /// By what means it was measured, for the evidence: `sys.monitoring`, `V8 coverage`,
    /// `go coverprofile`.
    pub measured_by: String,
    /// The tests, with whether each passed in the traced run.
    pub tests: Vec<(TestId, bool)>,
    /// For each (absolute path, 1-based line): indices into `tests` of those that executed it.
    pub lines: BTreeMap<PathBuf, BTreeMap<u32, Vec<u32>>>,
}

impl Spectrum {
    /// Adds a test that was traced; the index that [`Spectrum::hit`] takes. `None` when there are
    /// more tests than an index can tell.
    pub(crate) fn test(&mut self, id: TestId, passed: bool) -> Option<u32> {
        let index = u32::try_from(self.tests.len()).ok()?;
        self.tests.push((id, passed));
        Some(index)
    }

    /// Notes that the last test added executed these lines of a file.
    pub(crate) fn hit(&mut self, index: u32, path: PathBuf, lines: impl IntoIterator<Item = u32>) {
        let of_file = self.lines.entry(path).or_default();
        for line in lines {
            let of_line = of_file.entry(line).or_default();
            if of_line.last() != Some(&index) {
                of_line.push(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_named_once_for_each_line_however_often_it_is_hit() {
        let mut spectrum = Spectrum::default();
        let first = spectrum.test(TestId("a".into()), true).unwrap();
        spectrum.hit(first, "/w/m.py".into(), [1, 2, 1]);
        spectrum.hit(first, "/w/m.py".into(), [2]);
        let second = spectrum.test(TestId("b".into()), false).unwrap();
        spectrum.hit(second, "/w/m.py".into(), [2]);
        let lines = &spectrum.lines[std::path::Path::new("/w/m.py")];
        assert_eq!(*lines, BTreeMap::from([(1, vec![0]), (2, vec![0, 1])]));
    }
}
