//! `node --test`, with the node on PATH.

use std::time::Duration;

use greenlit_runner::{FailureKind, RunState, Selection};

use crate::support::{Workspace, failure, ids, only, outcomes, site, trace};

const PACKAGE: &str = r#"{ "name": "x", "scripts": { "test": "node --test" } }"#;
const GCD: &str = "exports.gcd = (a, b) => {\n  if (b === 0) return a;\n  return exports.gcd(b, a % b) + 1;\n};\nexports.boom = () => {\n  throw new TypeError('boo');\n};\n";
const TEST: &str = "const { test, describe, it } = require('node:test');\nconst assert = require('node:assert');\nconst { gcd, boom } = require('../gcd.js');\ntest('plain', () => {\n  assert.strictEqual(gcd(4, 2), 2);\n});\ntest('zero', () => {\n  assert.strictEqual(gcd(4, 0), 4);\n});\n";

fn package(files: &[(&str, &str)]) -> Workspace {
    let mut all = vec![("package.json", PACKAGE), ("gcd.js", GCD)];
    all.extend(files);
    Workspace::new(&all)
}

#[test]
fn nested_and_equal_names_survive_the_round_trip() {
    let text = format!(
        "{TEST}test('same', () => {{}});\ntest('same', () => {{}});\ndescribe('suite', () => {{\n  it('case > x', () => {{ boom(); }});\n  describe('inner', () => {{\n    it.skip('sk', () => {{}});\n    it('todo', {{ todo: true }}, () => {{ throw 1; }});\n  }});\n}});\ntest('parent', async (t) => {{\n  await t.test('sub', () => {{}});\n}});\n"
    );
    let workspace = package(&[
        ("test/a.test.js", &text),
        ("test/b.test.mjs", "import { test } from 'node:test';\ntest('plain', () => {});\n"),
        ("test/helper.js", "exports.x = require('node:test');\n"),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    let mut outcomes = outcomes(&run);
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [
            ("test/a.test.js::parent", "passed"),
            ("test/a.test.js::parent > sub", "passed"),
            ("test/a.test.js::plain", "failed"),
            ("test/a.test.js::same", "passed"),
            ("test/a.test.js::same #2", "passed"),
            ("test/a.test.js::suite > case > x", "failed"),
            ("test/a.test.js::suite > inner > sk", "skipped"),
            ("test/a.test.js::suite > inner > todo", "skipped"),
            ("test/a.test.js::zero", "passed"),
            ("test/b.test.mjs::plain", "passed"),
        ]
    );
    assert_eq!(workspace.round_trip().len(), 10);
    let plain = failure(&run, "test/a.test.js::plain");
    assert_eq!(plain.kind, FailureKind::Assertion);
    assert_eq!(plain.message, "Expected values to be strictly equal: 3 !== 2");
    assert_eq!(site(&workspace, plain), "test/a.test.js:5");
    let boom = failure(&run, "test/a.test.js::suite > case > x");
    assert_eq!(boom.kind, FailureKind::Error);
    assert_eq!(trace(&workspace, boom), ["test/a.test.js:13", "gcd.js:6"]);
}

#[test]
fn a_file_that_cannot_be_loaded_is_a_broken_build() {
    let workspace = package(&[("test/a.test.js", TEST)]);
    let run = workspace
        .run_with(&[("gcd.js", "exports.gcd = (a, b) => {\n  return a +;\n};\n")], Selection::All);
    let RunState::BuildFailed { diagnostics, .. } = run.state else { panic!("{run:?}") };
    assert_eq!(diagnostics[0].path, workspace.path("gcd.js"), "{diagnostics:#?}");
    assert_eq!(diagnostics[0].line, 2);
    assert!(diagnostics[0].message.contains("SyntaxError"), "{diagnostics:#?}");
    let run = workspace.run_with(&[("gcd.js", "\nnull.x;\n")], Selection::All);
    let RunState::BuildFailed { diagnostics, .. } = run.state else { panic!("{run:?}") };
    assert_eq!((&diagnostics[0].path, diagnostics[0].line), (&workspace.path("gcd.js"), 2));
}

#[test]
fn an_early_exit_is_no_report() {
    let workspace = package(&[("test/a.test.js", TEST)]);
    for text in [
        "process.exit(0);\n",
        "exports.gcd = () => process.exit(0);\n",
        "exports.gcd = () => process.reallyExit(0);\n",
        "exports.gcd = () => process.kill(process.pid, 'SIGKILL');\n",
    ] {
        let run = workspace.run_with(&[("gcd.js", text)], Selection::All);
        assert!(matches!(run.state, RunState::NoReport { .. }), "{text}: {run:?}");
    }
}

#[test]
fn a_hanging_test_is_named() {
    let workspace = package(&[(
        "test/a.test.js",
        "const { test, describe } = require('node:test');\ntest('a', () => {});\ndescribe('s', () => {\n  test('loop', () => { for (;;) {} });\n});\n",
    )]);
    let run = workspace.run_within(Duration::from_secs(3));
    assert_eq!(run.state, RunState::Hung { running: ids(&["test/a.test.js::s > loop"]) });
}

#[test]
fn no_tests_is_a_state_of_its_own() {
    let workspace = package(&[("test/plain.test.js", "console.log('a plain script');\n")]);
    assert_eq!(workspace.run().state, RunState::NoTests);
    let workspace = package(&[("test/a.test.js", TEST)]);
    let run = workspace.run_with(&[], only(&["test/a.test.js::gone"]));
    assert_eq!(run.state, RunState::NoTests);
}

#[test]
fn patterns_of_the_script_are_expanded() {
    let workspace = Workspace::new(&[
        ("package.json", r#"{ "scripts": { "test": "node --test 'spec/**/*.js' unit.js" } }"#),
        ("spec/deep/a.js", "require('node:test').test('a', () => {});\n"),
        ("unit.js", "require('node:test').test('u', () => {});\n"),
        ("test/not.test.js", "require('node:test').test('n', () => {});\n"),
    ]);
    assert_eq!(workspace.round_trip(), ["spec/deep/a.js::a", "unit.js::u"]);
}
