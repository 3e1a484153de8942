//! Suites that are hard on node's adapter: huge, slow, asynchronous.

use std::time::Duration;

use greenlit_runner::{RunState, Selection, TestId};

use crate::support::{LONG, Workspace, failure, outcomes};

const PACKAGE: &str = r#"{ "scripts": { "test": "node --test" } }"#;

#[test]
fn node_suites_of_5000_tests_are_run_and_selected() {
    let body = "const { test } = require('node:test');\nconst assert = require('node:assert');\nconst { f } = require('../lib.js');\nfor (let n = 0; n < 1000; n += 1) test(`case ${n}`, () => assert.equal(f(n), n));\n";
    let files: Vec<(String, &str)> = (0..5).map(|n| (format!("test/{n}.test.js"), body)).collect();
    let mut files: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.push(("package.json", PACKAGE));
    files.push(("lib.js", "exports.f = (n) => (n !== 500 ? n : 0);\n"));
    let workspace = Workspace::new(&files);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    assert_eq!(run.results.len(), 5000);
    let failed = outcomes(&run).into_iter().filter(|(_, word)| *word == "failed");
    let mut failed: Vec<_> = failed.map(|(id, _)| id).collect();
    failed.sort_unstable();
    assert_eq!(failed.len(), 5);
    assert_eq!(failed[0], "test/0.test.js::case 500");
    // All by name: longer than arguments of a process may be, were they arguments.
    let all: Vec<TestId> = run.results.iter().map(|result| result.id.clone()).collect();
    assert!(all.iter().map(|id| id.0.len()).sum::<usize>() > 100 << 10);
    let again = workspace.run_with(&[], Selection::Only(all.clone()));
    assert_eq!(again.results.len(), 5000, "{:?}", again.state);
    let project = workspace.project();
    let mut trials = project.trials(workspace.sandbox(&project), &all[..1], LONG).unwrap();
    let fixed = workspace.writes(&[("lib.js", "exports.f = (n) => n;\n")]);
    let target = [TestId("test/0.test.js::case 500".into())];
    let run = trials.attempt(&fixed, &target, LONG).unwrap();
    assert_eq!(outcomes(&run), [("test/0.test.js::case 500", "passed")]);
}

#[test]
fn a_node_suite_that_takes_longer_than_its_limit_is_no_verdict() {
    // Every test ends; all of them together do not in time.
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        (
            "test/slow.test.js",
            "const { test } = require('node:test');\nfor (let n = 0; n < 1000; n += 1) {\n  test(`slow ${n}`, () => new Promise((done) => setTimeout(done, 100)));\n}\n",
        ),
    ]);
    let run = workspace.run_within(Duration::from_secs(5));
    assert!(matches!(run.state, RunState::Hung { .. }), "{:?}", run.state);
    assert!(run.results.len() < 1000);
}

#[test]
fn node_promises_that_are_rejected_late_or_never_settle_are_failures() {
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        (
            "test/a.test.js",
            "const { test } = require('node:test');\nconst assert = require('node:assert');\ntest('resolved', async () => { await new Promise(setImmediate); });\ntest('rejected', async () => { await new Promise(setImmediate); assert.equal(1, 2); });\ntest('never', () => new Promise(() => {}));\n",
        ),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    assert_eq!(
        outcomes(&run),
        [
            ("test/a.test.js::resolved", "passed"),
            ("test/a.test.js::rejected", "failed"),
            ("test/a.test.js::never", "failed"),
        ]
    );
    assert!(failure(&run, "test/a.test.js::never").message.contains("pending"), "{run:?}");
}
