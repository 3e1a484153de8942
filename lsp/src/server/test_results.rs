//! Tests as editors show them: `greenlit/tests`, `greenlit/runTests`, `greenlit/testResults`.

use std::path::Path;

use greenlit_protocol::{TestEntry, TestOutcome, TestReport, TestsReport};
use lsp_types::Url;
use serde::{Deserialize, Serialize};

use super::roots::Roots;

/// How tests of a root ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TestResults {
    /// The root.
    pub(crate) root: Url,
    /// The workspace revision that they were run on.
    pub(crate) revision: u64,
    /// Whether these are all tests of the root: others of before are gone.
    pub(crate) complete: bool,
    /// Each once.
    pub(crate) tests: Vec<Test>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Test {
    pub(crate) id: String,
    pub(crate) outcome: TestOutcome,
    pub(crate) duration_ms: u64,
    /// One line for people, for a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// Where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<Place>,
    /// Where it is written; only in the answer to `greenlit/tests`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<Place>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) uri: Url,
    /// 0-based.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u32>,
}

impl TestResults {
    /// `None` when the root is not open any more.
    pub(crate) fn of_run(
        roots: &Roots,
        root: &Path,
        revision: u64,
        complete: bool,
        tests: Vec<TestEntry>,
    ) -> Option<Self> {
        if !roots.canonical().iter().any(|open| open == root) {
            return None;
        }
        let tests = tests.into_iter().map(|entry| test(roots, root, entry)).collect();
        Some(Self { root: roots.uri(root)?, revision, complete, tests })
    }

    /// The answer to a request to run tests; `all` says that no test was named.
    pub(crate) fn of_report(roots: &Roots, report: TestReport, all: bool) -> Option<Self> {
        let missing = report.notices.iter().any(|notice| notice.kind == "not-run");
        Self::of_run(roots, &report.root, report.revision, all && !missing, report.tests)
    }

    /// What is known, with the places.
    pub(crate) fn of_known(roots: &Roots, report: TestsReport) -> Option<Self> {
        let TestsReport { root, revision, tests, mut places } = report;
        let mut results = Self::of_run(roots, &root, revision, true, tests)?;
        for test in &mut results.tests {
            let known = places.remove(&test.id);
            test.place = known.and_then(|known| place(roots, &root, &known.path, known.line));
        }
        Some(results)
    }
}

fn test(roots: &Roots, root: &Path, entry: TestEntry) -> Test {
    let TestEntry { id, outcome, file, line, message, duration_ms } = entry;
    let failure = file.and_then(|file| place(roots, root, &file, line));
    Test { id, outcome, duration_ms, message, failure, place: None }
}

fn place(roots: &Roots, root: &Path, relative: &str, line: Option<u32>) -> Option<Place> {
    let line = line.map(|line| line.saturating_sub(1));
    Some(Place { uri: roots.uri(&root.join(relative))?, line })
}
