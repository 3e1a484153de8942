//! Test suites as people write them for node.

use greenlit_runner::{RunState, detect};

use crate::support::{LONG, Workspace, ids, only, outcomes};

const PACKAGE: &str = r#"{ "scripts": { "test": "node --test" } }"#;

#[test]
fn generated_node_tests_belong_to_the_file_that_was_run() {
    let each = "const { test, describe } = require('node:test');\nexports.each = (rows, check) => {\n  for (const row of rows) test(`case ${row}`, () => check(row));\n  describe('made', () => { test('inner', () => check(1)); });\n};\n";
    let uses = "const assert = require('node:assert');\nconst { describe } = require('node:test');\nconst { each } = require('../each.js');\nconst ok = (n) => assert.ok(n < LIMIT);\neach([1, 2], ok);\ndescribe('s', () => each([1], ok));\n";
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        ("each.js", each),
        ("test/a.test.js", &uses.replace("LIMIT", "2")),
        ("test/b.test.js", &uses.replace("LIMIT", "3")),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed, "{run:?}");
    let mut outcomes = outcomes(&run);
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [
            ("test/a.test.js::case 1", "passed"),
            ("test/a.test.js::case 2", "failed"),
            ("test/a.test.js::made > inner", "passed"),
            ("test/a.test.js::s > case 1", "passed"),
            ("test/a.test.js::s > made > inner", "passed"),
            ("test/b.test.js::case 1", "passed"),
            ("test/b.test.js::case 2", "passed"),
            ("test/b.test.js::made > inner", "passed"),
            ("test/b.test.js::s > case 1", "passed"),
            ("test/b.test.js::s > made > inner", "passed"),
        ]
    );
    let run = workspace.run_with(&[], only(&["test/a.test.js::case 2"]));
    assert_eq!(crate::support::outcomes(&run), [("test/a.test.js::case 2", "failed")], "{run:?}");
}

#[test]
fn hooks_order_files_and_ports_work_for_node_tests() {
    let test = "const { test, before, after, beforeEach } = require('node:test');
const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
let server, count = 0;
before(async () => {
  server = http.createServer((_, answer) => answer.end('hello'));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
});
after(() => server.close());
beforeEach(() => { count += 1; });
test('port', async () => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`);
  assert.equal(await answer.text(), 'hello');
});
test('writes', () => { fs.writeFileSync('made.txt', 'x'); });
test('reads what the one before wrote', () => {
  assert.equal(fs.readFileSync('made.txt', 'utf8'), 'x');
  assert.equal(count, 3);
});
test('callback', (t, done) => setTimeout(done, 1));
";
    let workspace = Workspace::new(&[("package.json", PACKAGE), ("test/a.test.js", test)]);
    let run = workspace.run();
    assert_eq!(
        outcomes(&run),
        [
            ("test/a.test.js::port", "passed"),
            ("test/a.test.js::writes", "passed"),
            ("test/a.test.js::reads what the one before wrote", "passed"),
            ("test/a.test.js::callback", "passed"),
        ],
        "{run:?}"
    );
    assert!(!workspace.path("made.txt").exists());
}

/// Runs where node takes the types out by itself, and else says what is missing.
#[test]
fn typescript_tests_run_or_name_the_node_that_can() {
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        ("lib.ts", "export const twice = (n: number): number => n + n + 1;\n"),
        (
            "test/a.test.ts",
            "import { test } from 'node:test';\nimport assert from 'node:assert';\nimport { twice } from '../lib.ts';\ntest('typed', () => { const n: number = 2; assert.equal(twice(n), 4); });\n",
        ),
    ]);
    let detection = detect(&workspace.root, &workspace.environment);
    let Some(project) = detection.projects.first() else {
        let message = &detection.problems[0].message;
        assert!(message.contains("TypeScript") && message.contains("22.18"), "{message}");
        return;
    };
    let run = workspace.run();
    assert_eq!(outcomes(&run), [("test/a.test.ts::typed", "failed")], "{run:?}");
    let mut sandbox = workspace.sandbox(project);
    let tests = ids(&["test/a.test.ts::typed"]);
    let spectrum = project.spectrum(&mut sandbox, &tests, LONG).unwrap().unwrap();
    let lines: Vec<u32> = spectrum.lines[&workspace.path("lib.ts")].keys().copied().collect();
    assert_eq!(lines, [1]);
    let mut trials = project.trials(workspace.sandbox(project), &tests, LONG).unwrap();
    for (body, outcome) in [("n + n", "passed"), ("n - n", "failed"), ("2 * n", "passed")] {
        let text = format!("export const twice = (n: number): number => {body};\n");
        let run = trials.attempt(&workspace.writes(&[("lib.ts", &text)]), &tests, LONG).unwrap();
        assert_eq!(outcomes(&run), [("test/a.test.ts::typed", outcome)], "{run:?}");
    }
}
