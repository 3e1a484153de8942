//! Both methods on small projects.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_runner::{Failure, FailureKind, Frame, Spectrum, TestId};

use super::{Localization, from_traces, ochiai};
use crate::candidate::SourceFile;

fn id(name: &str) -> TestId {
    TestId(name.to_owned())
}

fn failure(kind: FailureKind, frames: &[(&str, u32)]) -> Failure {
    let frame =
        |(path, line): &(&str, u32)| Frame { path: path.into(), line: *line, function: None };
    let trace: Vec<_> = frames.iter().map(frame).collect();
    let site = trace.first().cloned();
    Failure { kind, message: String::new(), site, trace, details: String::new() }
}

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.into(), text: Arc::from(text) }
}

fn shown(localization: &Localization) -> Vec<String> {
    let line = |l: &super::Suspicious| format!("{}:{} {:.2}", l.path.display(), l.line, l.score);
    localization.lines.iter().map(line).collect()
}

fn spectrum() -> Spectrum {
    let source = BTreeMap::from([(1, vec![0, 1, 2]), (2, vec![0]), (3, vec![1, 2])]);
    let test = BTreeMap::from([(9, vec![0])]);
    Spectrum {
        measured_by: String::new(),
        tests: vec![(id("a"), false), (id("b"), true), (id("c"), true)],
        lines: BTreeMap::from([
            (PathBuf::from("/w/m.py"), source),
            (PathBuf::from("/w/test_m.py"), test),
        ]),
    }
}

fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().contains("test"))
}

#[test]
fn ochiai_prefers_lines_that_only_failing_tests_execute() {
    let found = ochiai(&spectrum(), &[], &|path| !is_test(path));
    assert_eq!(shown(&found), ["/w/m.py:2 1.00", "/w/m.py:1 0.58"]);
}

#[test]
fn the_line_that_raised_gets_a_bonus() {
    let raised = failure(FailureKind::Error, &[("/w/test_m.py", 9), ("/w/m.py", 1)]);
    let found = ochiai(&spectrum(), &[(id("a"), &raised)], &|path| !is_test(path));
    assert_eq!(shown(&found), ["/w/m.py:2 1.00", "/w/m.py:1 0.79"]);
    let asserted = failure(FailureKind::Assertion, &[("/w/test_m.py", 9), ("/w/m.py", 1)]);
    let found = ochiai(&spectrum(), &[(id("a"), &asserted)], &|path| !is_test(path));
    assert_eq!(shown(&found), ["/w/m.py:2 1.00", "/w/m.py:1 0.58"]);
}

#[test]
fn an_empty_spectrum_gives_nothing() {
    assert!(ochiai(&Spectrum::default(), &[], &|_| true).lines.is_empty());
}

#[test]
fn frames_come_before_the_rest_of_their_function() {
    let files =
        [file("/w/m.py", "def f(x):\n    y = x\n    return 1 / y\n\ndef g():\n    return 0\n")];
    let raised = failure(FailureKind::Error, &[("/w/test_m.py", 4), ("/w/m.py", 3)]);
    let found = from_traces(&[(id("test_m.py::test_f"), &raised)], &files, &is_test);
    assert_eq!(shown(&found), ["/w/m.py:3 1.00", "/w/m.py:2 0.60"]);
}

#[test]
fn what_the_failing_test_calls_is_suspected_by_distance() {
    let files = [
        file(
            "/w/m.py",
            "def f(x):\n    return h(x)\n\ndef g():\n    return 0\n\ndef h(x):\n    return x\n",
        ),
        file(
            "/w/test_m.py",
            "from m import f, g\n\ndef test_f():\n    assert f(1) == 2\n\ndef test_g():\n    assert g() == 0\n",
        ),
    ];
    let failed = failure(FailureKind::Assertion, &[("/w/test_m.py", 4)]);
    let found = from_traces(&[(id("test_m.py::test_f"), &failed)], &files, &is_test);
    assert_eq!(shown(&found), ["/w/m.py:2 1.00", "/w/m.py:8 0.75"]);
}

#[test]
fn tests_inside_rust_files_are_where_it_starts_and_never_suspected() {
    let files = [file(
        "/w/src/lib.rs",
        "pub fn f(x: u8) -> u8 {\n    let y = x;\n    y\n}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {\n        assert_eq!(super::f(1), 2);\n    }\n}\n",
    )];
    let failed = failure(FailureKind::Assertion, &[("/w/src/lib.rs", 10)]);
    let found = from_traces(&[(id("m::tests::t"), &failed)], &files, &|_| false);
    assert_eq!(shown(&found), ["/w/src/lib.rs:2 1.00", "/w/src/lib.rs:3 1.00"]);
}

#[test]
fn anonymous_javascript_tests_are_found_by_their_line() {
    let files = [
        file(
            "/w/m.js",
            "export function f(x) {\n  return x;\n}\nexport function g() {\n  return 1;\n}\n",
        ),
        file(
            "/w/m.test.js",
            "import { f, g } from './m.js';\ntest('a', () => {\n  assert.equal(f(1), 2);\n});\ntest('b', () => {\n  assert.equal(g(), 1);\n});\n",
        ),
    ];
    let failed = failure(FailureKind::Assertion, &[("/w/m.test.js", 3)]);
    let found = from_traces(&[(id("m.test.js::a"), &failed)], &files, &is_test);
    assert_eq!(shown(&found), ["/w/m.js:2 1.00"]);
}
