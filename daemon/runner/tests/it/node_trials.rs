//! Attempts in warm node processes.

use std::collections::BTreeSet;
use std::time::Duration;

use greenlit_runner::{Outcome, RunState, TestId, TestRun, Trials};

use crate::support::{LONG, Workspace, ids, outcomes};

const PACKAGE: &str = r#"{ "name": "x", "scripts": { "test": "node --test" } }"#;
const GCD: &str = "exports.gcd = (a, b) => {\n  if (b === 0) return a;\n  return exports.gcd(b, a % b) + 1;\n};\n";
const TEST: &str = "const { test } = require('node:test');\nconst assert = require('node:assert');\nconst { gcd } = require('../gcd.js');\ntest('plain', () => {\n  assert.strictEqual(gcd(4, 2), 2);\n});\ntest('zero', () => {\n  assert.strictEqual(gcd(4, 0), 4);\n});\n";

struct Session {
    workspace: Workspace,
    tests: Vec<TestId>,
    trials: Box<dyn Trials>,
}

impl Session {
    fn new(files: &[(&str, &str)], tests: &[&str]) -> Self {
        let workspace = Workspace::new(files);
        let project = workspace.project();
        let tests = ids(tests);
        let trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
        Self { workspace, tests, trials }
    }

    fn attempt(&mut self, files: &[(&str, &str)], wall: Duration) -> TestRun {
        let writes = self.workspace.writes(files);
        self.trials.attempt(&writes, &self.tests, wall).unwrap()
    }
}

#[test]
fn trials_see_each_candidate_and_only_that() {
    let files = [("package.json", PACKAGE), ("gcd.js", GCD), ("test/a.test.js", TEST)];
    let mut session = Session::new(&files, &["test/a.test.js::plain"]);
    let fixed = GCD.replace(" + 1", "");
    let run = session.attempt(&[("gcd.js", &fixed)], LONG);
    assert_eq!(outcomes(&run), [("test/a.test.js::plain", "passed")], "{run:?}");
    let run = session.attempt(&[], LONG);
    assert_eq!(outcomes(&run), [("test/a.test.js::plain", "failed")]);
    let exit = "exports.gcd = () => process.exit(0);\n";
    let run = session.attempt(&[("gcd.js", exit)], LONG);
    assert!(matches!(run.state, RunState::NoReport { .. }), "{run:?}");
    let endless = "exports.gcd = () => { for (;;) {} };\n";
    let run = session.attempt(&[("gcd.js", endless)], Duration::from_secs(2));
    assert_eq!(run.state, RunState::Hung { running: session.tests.clone() });
    let run = session.attempt(&[("gcd.js", "exports.gcd = (a =>;\n")], LONG);
    assert!(matches!(run.state, RunState::BuildFailed { .. }), "{run:?}");
    let run = session.attempt(&[("gcd.js", &fixed)], LONG);
    assert_eq!(outcomes(&run), [("test/a.test.js::plain", "passed")]);
}

#[test]
fn imported_modules_are_replaced_in_node_trials() {
    let module = |body: &str| format!("export const twice = (n) => {body};\n");
    let test = "import { test, describe, before } from 'node:test';\nimport assert from 'node:assert';\nimport { go } from '../middle.js';\nlet n;\nbefore(() => { n = 4; });\ndescribe('s', () => {\n  test('async', async () => { await null; assert.equal(go(2), n); });\n});\n";
    let files = [
        ("package.json", r#"{ "type": "module", "scripts": { "test": "node --test" } }"#),
        ("deep.js", &module("n + n + 1")),
        ("middle.js", "import { twice } from './deep.js';\nexport const go = (n) => twice(n);\n"),
        ("test/a.test.js", test),
    ];
    let id = "test/a.test.js::s > async";
    let mut session = Session::new(&files, &[id]);
    for (body, outcome) in [
        ("n + n + 1", "failed"),
        ("n + n", "passed"),
        ("n - n", "failed"),
        ("n * 2", "passed"),
        ("n * n", "passed"),
    ] {
        let run = session.attempt(&[("deep.js", &module(body))], LONG);
        assert_eq!(outcomes(&run), [(id, outcome)], "{body}: {run:?}");
    }
    assert_eq!(outcomes(&session.attempt(&[], LONG)), [(id, "failed")]);
}

/// What an attempt leaves behind must not decide the next one.
#[test]
fn leftovers_of_an_attempt_do_not_reach_the_next_node_trial() {
    let test = "const { test } = require('node:test');\nconst assert = require('node:assert');\nconst net = require('node:net');\nconst lib = require('../lib.js');\ntest('clean', async () => {\n  assert.equal(globalThis.leak, undefined);\n  assert.equal(process.env.LEAK, undefined);\n  assert.equal(process.listenerCount('leak'), 0);\n  assert.equal(process.cwd(), lib.cwd);\n  const server = net.createServer();\n  await new Promise((done, failed) => server.listen(47123, '127.0.0.1', done).on('error', failed));\n  server.close();\n  assert.equal(lib.one(), 1);\n});\n";
    let base = "exports.cwd = process.cwd();\nexports.one = () => 2;\n";
    let files = [("package.json", PACKAGE), ("lib.js", base), ("test/a.test.js", test)];
    let id = "test/a.test.js::clean";
    let mut session = Session::new(&files, &[id]);
    let fixed = base.replace('2', "1");
    for dirt in [
        "globalThis.leak = 1;",
        "process.env.LEAK = '1';",
        "process.on('leak', () => {});",
        "process.chdir('/');",
        "require('net').createServer().listen(47123, '127.0.0.1');",
        "setInterval(() => {}, 1000);",
        "Promise.reject(new Error('nobody looks'));",
        "setTimeout(() => { throw new Error('late'); }, 0);",
        "process.kill(process.pid, 'SIGKILL');",
    ] {
        session.attempt(&[("lib.js", &format!("{base}{dirt}\n"))], Duration::from_secs(20));
        let run = session.attempt(&[("lib.js", &fixed)], LONG);
        assert_eq!(outcomes(&run), [(id, "passed")], "after {dirt}: {run:?}");
    }
}

/// The second load in one process would fail; a new process for each attempt must be taken then.
#[test]
fn tests_that_depend_on_a_new_process_get_one_in_node_trials() {
    let once = "if (Object.prototype.seen) throw new Error('loaded twice');\nObject.prototype.seen = true;\n";
    let test = format!("{once}{TEST}");
    let files = [("package.json", PACKAGE), ("gcd.js", GCD), ("test/a.test.js", &test)];
    let mut session = Session::new(&files, &["test/a.test.js::plain"]);
    let fixed = GCD.replace(" + 1", "");
    for _ in 0..3 {
        let run = session.attempt(&[("gcd.js", &fixed)], LONG);
        assert_eq!(outcomes(&run), [("test/a.test.js::plain", "passed")], "{run:?}");
        let run = session.attempt(&[], LONG);
        assert_eq!(outcomes(&run), [("test/a.test.js::plain", "failed")], "{run:?}");
    }
}

/// The process is what costs: it must survive an answer that came before the last test.
#[test]
fn a_process_that_answered_early_serves_the_next_node_trial() {
    let wanted = "const { test } = require('node:test');\nconst { fail } = require('../lib.js');\nconst sleep = (ms) => new Promise((done) => setTimeout(done, ms));\ntest('first', () => fail());\ntest('second', () => fail());\n";
    let others: String = (0..20).map(|n| format!("test('t{n}', () => sleep(30));\n")).collect();
    let lib = "exports.fail = () => { throw new Error(`process ${process.pid}`); };\n";
    let test = format!("{wanted}{others}");
    let files = [("package.json", PACKAGE), ("lib.js", lib), ("test/a.test.js", &test)];
    let mut session = Session::new(&files, &["test/a.test.js::first", "test/a.test.js::second"]);
    let mut processes = BTreeSet::new();
    for n in 0..3 {
        let run = session.attempt(&[("lib.js", &format!("{lib}// {n}\n"))], LONG);
        assert_eq!(run.results.len(), 2, "both failures come in one attempt: {run:?}");
        for result in run.results {
            let Outcome::Failed(failure) = result.outcome else { panic!("{result:?}") };
            processes.insert(failure.message);
        }
    }
    assert_eq!(processes.len(), 1, "{processes:?}");
}

#[test]
fn a_node_trial_ends_with_its_last_target() {
    let test = format!("{TEST}test('endless', () => {{ for (;;) {{}} }});\n");
    let files = [("package.json", PACKAGE), ("gcd.js", GCD), ("test/a.test.js", &test)];
    let mut session = Session::new(&files, &["test/a.test.js::plain"]);
    let run = session.attempt(&[], Duration::from_secs(30));
    assert_eq!(outcomes(&run), [("test/a.test.js::plain", "failed")], "{run:?}");
    let run = session.attempt(&[("gcd.js", &GCD.replace(" + 1", ""))], Duration::from_secs(30));
    assert_eq!(outcomes(&run), [("test/a.test.js::plain", "passed")], "{run:?}");
}

/// Also the known weakness: what is changed in node's own modules stays until the process ends. It
/// is why nothing is offered on the word of a trial.
#[test]
fn one_node_process_serves_many_trials() {
    let test = "const { test } = require('node:test');\nconst lib = require('../lib.js');\ntest('t', () => { if (lib.one() !== 1) throw new Error('x'); });\n";
    let base = "exports.one = () => 2;\n";
    let files = [
        ("package.json", PACKAGE),
        ("lib.js", base),
        ("never.js", "exports.x = 1;\n"),
        ("test/a.test.js", test),
    ];
    let id = "test/a.test.js::t";
    let mut session = Session::new(&files, &[id]);
    let count = "const path = require('node:path');\npath.count = (path.count ?? 0) + 1;\n";
    let third = format!("{count}exports.one = () => (path.count === 3 ? 1 : 2);\n");
    for outcome in ["failed", "failed", "passed", "failed"] {
        let run = session.attempt(&[("lib.js", &third)], LONG);
        assert_eq!(outcomes(&run), [(id, outcome)], "{run:?}");
    }
    // No test is seen to load this file, so that it cannot be known whether a change of it counts.
    let run = session.attempt(&[("lib.js", &third), ("never.js", "")], LONG);
    assert_eq!(outcomes(&run), [(id, "failed")], "{run:?}");
}

/// Nothing is left that could settle the promise: no limit has to pass for that.
#[test]
fn a_node_trial_of_a_promise_that_never_settles_ends_at_once() {
    let test = "const { test } = require('node:test');\nconst { go } = require('../lib.js');\ntest('waits', async () => { await go(); });\ntest('later', () => {});\n";
    let base = "exports.go = async () => { throw new Error('red'); };\n";
    let files = [("package.json", PACKAGE), ("lib.js", base), ("test/a.test.js", test)];
    let id = "test/a.test.js::waits";
    let mut session = Session::new(&files, &[id]);
    for _ in 0..2 {
        let run =
            session.attempt(&[("lib.js", "exports.go = () => new Promise(() => {});\n")], LONG);
        assert_eq!(outcomes(&run), [(id, "failed")], "{run:?}");
        assert_eq!(run.state, RunState::Completed);
        let run = session.attempt(&[("lib.js", "exports.go = async () => {};\n")], LONG);
        assert_eq!(outcomes(&run), [(id, "passed")], "{run:?}");
    }
}
