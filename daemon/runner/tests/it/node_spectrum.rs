//! Which lines node tests execute.

use greenlit_runner::Spectrum;

use crate::support::{LONG, Workspace, ids};

const PACKAGE: &str = r#"{ "scripts": { "test": "node --test" } }"#;

fn spectrum(workspace: &Workspace, tests: &[&str]) -> Spectrum {
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    project.spectrum(&mut sandbox, &ids(tests), LONG).unwrap().expect("node can tell")
}

/// The lines of one file that one test executed.
fn lines(workspace: &Workspace, spectrum: &Spectrum, path: &str, test: &str) -> Vec<u32> {
    let index = spectrum.tests.iter().position(|(id, _)| id.0 == test).expect("it was traced");
    let index = u32::try_from(index).unwrap();
    let Some(of_file) = spectrum.lines.get(&workspace.path(path)) else { return Vec::new() };
    of_file.iter().filter(|(_, tests)| tests.contains(&index)).map(|(line, _)| *line).collect()
}

const LIB: &str = "// ä 😀 counts as two units
exports.pick = (x) => {
  if (x > 0) {
    return 'ö😀 yes';
  } else {
    return 'no';
  }
};

/* function not() {
     return code; } */
class Box {
  constructor(v) { this.v = v; }
  get() {
    return this.v
      + 1;
  }
}
exports.Box = Box;
exports.slow = async (x) => {
  await null;
  if (x) throw new Error('x');
  return x;
};
";

#[test]
fn each_node_test_has_the_lines_that_it_executed() {
    let test = "const { test, describe, it, beforeEach } = require('node:test');
const assert = require('node:assert');
const lib = require('../lib.js');
require('dep');
test('yes', () => { assert.equal(lib.pick(1), 'x'); });
test('no', () => { lib.pick(-1); });
describe('box', () => {
  let box;
  beforeEach(() => {
    box = new lib.Box(1);
  });
  it('get', () => { assert.equal(box.get(), 2); });
  it('slow', async () => { await lib.slow(0); });
});
test('outer', async (t) => {
  await t.test('inner', () => {
    lib.pick(1);
  });
});
";
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        ("lib.js", LIB),
        ("node_modules/dep/index.js", "module.exports = 1;\n"),
        ("test/a.test.js", test),
    ]);
    let names = ["yes", "no", "box > get", "box > slow", "outer > inner", "outer"];
    let tests: Vec<String> = names.iter().map(|name| format!("test/a.test.js::{name}")).collect();
    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
    let spectrum = spectrum(&workspace, &tests);
    assert_eq!(spectrum.measured_by, "V8 coverage");
    let passed: Vec<bool> = spectrum.tests.iter().map(|(_, passed)| *passed).collect();
    assert_eq!(passed, [false, true, true, true, true, true]);
    let of = |name: &str| {
        let id = format!("test/a.test.js::{name}");
        let loaded = [2, 12, 19, 20];
        let all = lines(&workspace, &spectrum, "lib.js", &id);
        assert!(loaded.iter().all(|line| all.contains(line)), "{name}: {all:?}");
        all.into_iter().filter(|line| !loaded.contains(line)).collect::<Vec<_>>()
    };
    assert_eq!(of("yes"), [3, 4]);
    assert_eq!(of("no"), [3, 5, 6]);
    assert_eq!(of("box > get"), [13, 14, 15, 16]);
    assert_eq!(of("box > slow"), [13, 21, 22, 23]);
    assert_eq!(of("outer > inner"), [3, 4]);
    assert_eq!(of("outer"), [3, 4]);
    let of_test = lines(&workspace, &spectrum, "test/a.test.js", "test/a.test.js::box > get");
    assert!(of_test.contains(&10) && !of_test.contains(&17), "{of_test:?}");
    let files: Vec<_> = spectrum.lines.keys().collect();
    assert_eq!(files, [&workspace.path("lib.js"), &workspace.path("test/a.test.js")]);
}

#[test]
fn es_modules_and_helpers_are_traced_by_node() {
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        ("lib.mjs", "export const sign = (n) => {\n  if (n < 0) return -1;\n  return 1;\n};\n"),
        (
            "each.mjs",
            "import { test } from 'node:test';\nexport const each = (rows, check) => {\n  for (const row of rows) test(`case ${row}`, () => check(row));\n};\n",
        ),
        (
            "test/a.test.mjs",
            "import { each } from '../each.mjs';\nimport { sign } from '../lib.mjs';\neach([1, -1], (n) => { if (sign(n) !== 1) throw new Error('x'); });\n",
        ),
    ]);
    let (one, other) = ("test/a.test.mjs::case 1", "test/a.test.mjs::case -1");
    let spectrum = spectrum(&workspace, &[one, other]);
    let passed: Vec<bool> = spectrum.tests.iter().map(|(_, passed)| *passed).collect();
    assert_eq!(passed, [true, false]);
    assert_eq!(lines(&workspace, &spectrum, "lib.mjs", one), [1, 2, 3]);
    assert_eq!(lines(&workspace, &spectrum, "lib.mjs", other), [1, 2]);
}

#[test]
fn node_tests_that_cannot_be_told_apart_are_left_out_of_the_spectrum() {
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        ("lib.js", LIB),
        (
            "test/a.test.js",
            "const { test, describe, it } = require('node:test');\nconst { slow } = require('../lib.js');\nconst pause = () => new Promise((done) => setTimeout(done, 5));\ndescribe('both', { concurrency: true }, () => {\n  it('one', async () => { await pause(); await slow(0); });\n  it('two', async () => { await pause(); });\n});\ntest.skip('same', () => {});\ntest('same', () => {});\ntest('twin', () => {});\ntest('twin', () => slow(0));\ntest('alone', () => {});\n",
        ),
    ]);
    let all = ["both > one", "both > two", "same", "same #2", "twin", "twin #2", "alone"];
    let tests: Vec<String> = all.iter().map(|name| format!("test/a.test.js::{name}")).collect();
    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
    let spectrum = spectrum(&workspace, &tests);
    let traced: Vec<&str> = spectrum.tests.iter().map(|(id, _)| id.0.as_str()).collect();
    assert_eq!(
        traced,
        ["test/a.test.js::twin", "test/a.test.js::twin #2", "test/a.test.js::alone"]
    );
    assert!(lines(&workspace, &spectrum, "lib.js", "test/a.test.js::twin #2").contains(&23));
    assert!(!lines(&workspace, &spectrum, "lib.js", "test/a.test.js::twin").contains(&23));
}

#[test]
fn only_the_node_tests_asked_for_are_traced_and_others_leave_no_lines() {
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        ("lib.js", LIB),
        (
            "test/a.test.js",
            "const { test } = require('node:test');\nconst lib = require('../lib.js');\ntest('other', () => { lib.pick(1); });\ntest('this', () => { lib.pick(-1); });\ntest('last', async () => { await lib.slow(0); });\n",
        ),
    ]);
    let id = "test/a.test.js::this";
    let spectrum = spectrum(&workspace, &[id]);
    assert_eq!(spectrum.tests, [(ids(&[id]).remove(0), true)]);
    let executed = lines(&workspace, &spectrum, "lib.js", id);
    assert!(executed.contains(&6) && !executed.contains(&4), "{executed:?}");
}

/// Counters of a function that ran before the first test must go on counting its blocks.
#[test]
fn functions_used_while_loading_keep_their_blocks_in_the_node_spectrum() {
    let workspace = Workspace::new(&[
        ("package.json", PACKAGE),
        ("lib.js", &format!("{LIB}exports.first = exports.pick(1);\n")),
        (
            "test/a.test.js",
            "const { test } = require('node:test');\nconst lib = require('../lib.js');\ntest('yes', () => { lib.pick(1); });\n",
        ),
    ]);
    let id = "test/a.test.js::yes";
    let spectrum = spectrum(&workspace, &[id]);
    let executed = lines(&workspace, &spectrum, "lib.js", id);
    assert!(executed.contains(&4) && !executed.contains(&6), "{executed:?}");
}
