//! Candidate lists on small fixtures, and properties that hold for any text.

use std::path::PathBuf;
use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{TemplateGenerator, languages};
use crate::candidate::{Candidate, FaultContext, Generator, SourceFile};
use crate::localize::{Localization, Method, Suspicious};

/// Every line with a `$0` is suspected; the text is without the markers.
pub(super) fn candidates(name: &str, marked: &str) -> (String, Vec<Candidate>) {
    let path = PathBuf::from("/w").join(name);
    let lines = marked
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("$0"))
        .map(|(n, _)| Suspicious { path: path.clone(), line: n as u32 + 1, score: 1.0 })
        .collect();
    let text = marked.replace("$0", "");
    let files = [SourceFile { path, text: Arc::from(text.as_str()) }];
    let localization =
        Localization { method: Method::Spectrum, measured_by: None, changed: false, lines };
    let context = FaultContext {
        files: &files,
        neighbours: &[],
        retrieved: &[],
        localization: &localization,
    };
    (text, TemplateGenerator.candidates(&context))
}

pub(super) fn apply(text: &str, candidate: &Candidate) -> String {
    let mut patched = text.to_owned();
    for edit in candidate.edits.iter().rev() {
        patched.replace_range(edit.start..edit.end, &edit.new_text);
    }
    patched
}

fn first(name: &str, marked: &str, count: usize) -> String {
    let (_, found) = candidates(name, marked);
    let lines: Vec<_> =
        found.iter().take(count).map(|c| format!("{}: {}", c.source.rule, c.summary)).collect();
    lines.join("\n")
}

/// Whether some candidate turns the marked text into the expected one.
fn reaches(name: &str, marked: &str, expected: &str) {
    let (text, found) = candidates(name, marked);
    let reached = found.iter().any(|c| apply(&text, c) == expected);
    assert!(reached, "none of {} candidates leads to\n{expected}", found.len());
}

#[test]
fn a_bound_in_python() {
    let text = "def find(xs, x):\n    for i in range(len(xs)):\n$0        if xs[i] < x:\n            return i\n    return -1\n";
    assert_snapshot!(first("a.py", text, 12), @"
    comparison-operator: replace `<` by `<=`
    negate-condition: replace `xs[i] < x` by `xs[i] >= x`
    variable: replace `i` by `x`
    variable: replace `x` by `i`
    comparison-operator: replace `<` by `>`
    clause-addition: replace `xs[i] < x` by `not xs or xs[i] < x`
    off-by-one: replace `i` by `i + 1`
    clause-addition: replace `xs[i] < x` by `xs or xs[i] < x`
    off-by-one: replace `i` by `i - 1`
    clause-addition: replace `xs[i] < x` by `not xs and xs[i] < x`
    power: replace `x` by `x ** 2`
    clause-addition: replace `xs[i] < x` by `xs and xs[i] < x`
    ");
}

#[test]
fn a_sum_in_rust() {
    let text = "fn total(xs: &[i64], start: i64) -> i64 {\n    let mut sum = start;\n    for x in xs {\n$0        sum -= x;\n    }\n    sum\n}\n";
    assert_snapshot!(first("a.rs", text, 8), @"
    augmented-operator: replace `-=` by `+=`
    augmented-operator: replace `-=` by `*=`
    variable: replace `x` by `start`
    variable: replace `x` by `sum`
    augmented-operator: replace `-=` by `/=`
    off-by-one: replace `x` by `x + 1`
    off-by-one: replace `x` by `x - 1`
    assignment-kind: replace `-=` by `=`
    ");
}

#[test]
fn a_condition_in_javascript() {
    let text = "export function clamp(x, low, high) {\n$0  if (x < low && x > high) return low;\n  return x;\n}\n";
    assert_snapshot!(first("a.js", text, 8), @"
    boolean-connective: replace `&&` by `||`
    comparison-operator: replace `<` by `<=`
    negate-condition: replace `x < low && x > high` by `!(x < low && x > high)`
    comparison-operator: replace `>` by `>=`
    drop-clause: replace `x < low && x > high` by `x > high`
    negate-condition: replace `x < low` by `x >= low`
    variable: replace `x` by `low`
    comparison-operator: replace `<` by `>`
    ");
}

#[test]
fn missing_logic_is_reached() {
    // A set that is asked and never filled.
    reaches(
        "a.py",
        "def f(n, next):\n    seen = set()\n    while n not in seen:\n$0        n = next(n)\n    return n\n",
        "def f(n, next):\n    seen = set()\n    while n not in seen:\n        seen.add(n)\n        n = next(n)\n    return n\n",
    );
    // A base case.
    reaches(
        "a.py",
        "def f(xs):\n$0    return xs[0] + f(xs[1:])\n",
        "def f(xs):\n    if not xs:\n        return 0\n    return xs[0] + f(xs[1:])\n",
    );
    // An endless loop.
    reaches(
        "a.py",
        "def f(queue):\n$0    while True:\n        queue.pop()\n",
        "def f(queue):\n    while queue:\n        queue.pop()\n",
    );
    // What was done for one side, done for the other.
    reaches(
        "a.py",
        "def f(out, a, b, i, j):\n    while i < len(a) and j < len(b):\n        i += 1\n        j += 1\n    out.extend(a[i:])\n$0    return out\n",
        "def f(out, a, b, i, j):\n    while i < len(a) and j < len(b):\n        i += 1\n        j += 1\n    out.extend(a[i:])\n    out.extend(b[j:])\n    return out\n",
    );
    // A statement one step too deep.
    reaches(
        "a.py",
        "def f(xs):\n    for x in xs:\n        print(x)\n$0        return True\n    return False\n",
        "def f(xs):\n    for x in xs:\n        print(x)\n    return True\n    return False\n",
    );
}

#[test]
fn indentation_and_line_ends_are_kept() {
    reaches(
        "a.py",
        "def f(xs):\r\n\tfor x in xs:\r\n\t\ty = x\r\n$0\t\treturn y\r\n",
        "def f(xs):\r\n\tfor x in xs:\r\n\t\ty = x\r\n\treturn y\r\n",
    );
    reaches(
        "a.rs",
        "fn f(n: i64) -> i64 {\n\tlet mut t = 0;\n\tlet mut i = 0;\n\twhile i < n {\n$0\t\tt += i;\n\t}\n\tt\n}\n",
        "fn f(n: i64) -> i64 {\n\tlet mut t = 0;\n\tlet mut i = 0;\n\twhile i < n {\n\t\tt += i;\n\t\ti += 1;\n\t}\n\tt\n}\n",
    );
}

#[test]
fn tests_inside_rust_files_are_never_changed() {
    let text = "fn f() -> u8 { 1 }\n#[cfg(test)]\nmod tests {\n    #[test]\n$0    fn t() { assert_eq!(super::f() + 1, 2); }\n}\n";
    assert!(candidates("a.rs", text).1.is_empty());
}

#[test]
fn unknown_languages_and_unsuspected_lines_give_nothing() {
    assert!(candidates("a.txt", "$0x = 1\n").1.is_empty());
    assert!(candidates("a.py", "x = 1 + 2\n").1.is_empty());
}

#[test]
fn one_line_does_not_crowd_out_the_others() {
    let text = "def f(a, b, c, d, e, g):\n$0    x = a + b * c - d // e % g + a * b - c * d + e * g\n$0    return x > 0\n";
    let (text, found) = candidates("a.py", text);
    let second = text.find("return").expect("it is there");
    let among_first = found.iter().take(40).filter(|c| c.edits[0].start >= second).count();
    assert!(among_first >= 5, "{among_first}");
}

fn check(name: &str, marked: &str) {
    let (text, found) = candidates(name, marked);
    let mut seen = std::collections::HashSet::new();
    assert!(found.len() <= 2000);
    assert!(found.windows(2).all(|p| p[0].score >= p[1].score));
    for candidate in &found {
        for edit in &candidate.edits {
            assert!(text.get(edit.start..edit.end).is_some(), "{candidate:?}");
        }
        assert!(candidate.edits.windows(2).all(|p| p[0].end <= p[1].start), "{candidate:?}");
        let patched = apply(&text, candidate);
        assert_ne!(patched, text, "{candidate:?}");
        assert!(seen.insert(patched), "twice: {candidate:?}");
    }
}

const SAMPLES: [(&str, &str); 8] = [
    ("a.ts", languages::TYPESCRIPT),
    ("a.tsx", languages::TSX),
    ("a.go", languages::GO),
    ("A.java", languages::JAVA),
    ("a.cpp", languages::CPP),
    (
        "a.py",
        "import m\n\ndef f(xs, k=1):\n    best = None\n    for i, x in enumerate(xs[1:k]):\n        if x > best and not m.g(x, i):\n            best = [x, -i]\n        elif x in xs:\n            continue\n    return best if k else (yield x) + 'ä'\n",
    ),
    (
        "a.js",
        "const f = (xs, k) => {\n  let n = 0;\n  for (let i = 0; i <= xs.length; i++) {\n    if (xs[i] === k || !n) { n += g(i, 'é'); } else n--;\n  }\n  return n ? n : xs.slice(1);\n};\n",
    ),
    (
        "a.rs",
        "impl A {\n    fn f(&self, xs: &[u32], k: usize) -> Option<u32> {\n        let mut n = 0;\n        for i in 0..xs.len() {\n            if xs[i] > 3 && self.k != k { n += xs[i] - 1; } else { break; }\n        }\n        assert!(n > 0, \"ß\");\n        if n == 0 { None } else { Some(n.min(7)) }\n    }\n}\n",
    ),
];

#[test]
fn candidates_of_whole_files_are_distinct_and_in_bounds() {
    for (name, text) in SAMPLES {
        let marked: String = text.lines().map(|l| format!("$0{l}\n")).collect();
        check(name, &marked);
        assert!(candidates(name, &marked).1.len() > 100, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn mangled_text_never_panics_and_edits_stay_in_bounds(
        sample in 0usize..SAMPLES.len(),
        cut in 0usize..900,
        length in 0usize..40,
        noise in "[a-z(){}\\[\\]:=<+.,'\" \n\tä]{0,10}",
    ) {
        let (name, text) = SAMPLES[sample];
        let mut at = cut.min(text.len());
        while !text.is_char_boundary(at) { at -= 1; }
        let mut end = (at + length).min(text.len());
        while !text.is_char_boundary(end) { end += 1; }
        let mangled = format!("{}{noise}{}", &text[..at], &text[end..]);
        let marked: String = mangled.split_inclusive('\n').map(|l| format!("$0{l}")).collect();
        check(name, &marked);
    }
}

#[test]
fn values_outside_of_functions_are_changed_as_well() {
    reaches("a.rs", "$0const LIMIT: usize = 7;\n", "const LIMIT: usize = 8;\n");
    reaches("a.rs", "$0static LIMITS: [u8; 2] = [1, 2];\n", "static LIMITS: [u8; 2] = [1, 3];\n");
    reaches("a.go", "package a\n\n$0var limit = 7\n", "package a\n\nvar limit = 8\n");
    reaches("a.js", "const rates = {\n$0  low: 1,\n};\n", "const rates = {\n  low: 2,\n};\n");
    reaches("a.py", "RATES = [\n$0    (1, 2),\n]\n", "RATES = [\n    (1, 3),\n]\n");
}

#[test]
fn what_is_computed_and_dropped_is_returned() {
    let python = "def f(x):\n    \"\"\"Doc.\"\"\"\n$0    x if x else None\n";
    reaches("a.py", python, "def f(x):\n    \"\"\"Doc.\"\"\"\n    return x if x else None\n");
    reaches("a.js", "f = (x) => {\n$0  x.y\n}\n", "f = (x) => {\n  return x.y\n}\n");
    let rust = "fn f(x: u8) -> u8 {\n    if x > 3 {\n$0        x - 1;\n    }\n    x\n}\n";
    reaches("a.rs", rust, &rust.replace("$0        x", "        return x"));
    let first = |name: &str, marked: &str| {
        let (_, found) = candidates(name, marked);
        found.into_iter().next().map(|first| first.source.rule)
    };
    assert_eq!(first("a.py", "def f(x):\n$0    False\n").as_deref(), Some("missing-return"));
    let of_nothing = candidates("a.rs", "fn f(x: u8) {\n$0    x - 1;\n}\n").1;
    let documentation = candidates("a.py", "def f(x):\n$0    \"\"\"Doc.\"\"\"\n    return x\n").1;
    let mut others = of_nothing.iter().chain(&documentation);
    assert!(others.all(|other| other.source.rule != "missing-return"));
}
