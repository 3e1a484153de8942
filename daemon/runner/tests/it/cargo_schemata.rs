//! Many variants in one build, with the toolchain on PATH.

use std::time::Duration;

use greenlit_runner::{Prepared, RunState, TestRun, Trials};
use greenlit_sandbox::FileWrite;

use crate::support::{LONG, Workspace, ids, outcomes};

const MANIFEST: &str = "[package]\nname = \"many\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";

/// Trials of a package on the tests with these names.
fn open(workspace: &Workspace, tests: &[&str]) -> Box<dyn Trials> {
    let project = workspace.project();
    project.trials(workspace.sandbox(&project), &ids(tests), LONG).unwrap()
}

/// The one word that became of a variant.
fn word(run: &TestRun) -> &'static str {
    match &run.state {
        RunState::Completed => outcomes(run)[0].1,
        RunState::Hung { .. } => "hung",
        other => panic!("{other:?}"),
    }
}

/// Each variant is `from` → `to` in `path`.
fn variants(
    workspace: &Workspace,
    path: &str,
    text: &str,
    changes: &[(&str, &str)],
) -> Vec<Vec<FileWrite>> {
    let changed = |(from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        workspace.writes(&[(path, &text.replacen(from, to, 1))])
    };
    changes.iter().map(changed).collect()
}

/// What became of each variant: of its build, or of the test.
fn judged(trials: &mut dyn Trials, variants: &[Vec<FileWrite>], test: &str) -> Vec<String> {
    let prepared = trials.prepare(variants).unwrap();
    prepared
        .iter()
        .enumerate()
        .map(|(index, prepared)| match prepared {
            Prepared::Ready => {
                word(&trials.attempt_prepared(index, &ids(&[test]), LONG).unwrap()).to_owned()
            }
            Prepared::Invalid(message) => message.clone(),
            Prepared::Alone => "alone".to_owned(),
        })
        .collect()
}

const LIB: &str = r#"#![deny(warnings, unused_qualifications, missing_docs, rust_2018_idioms)]
#![forbid(unsafe_code)]
//! A package whose lints are strict.

use std::fmt::Display;

/// A counter.
pub struct Counter {
    value: u32,
}

impl Counter {
    /// Starts.
    pub const fn new(value: u32) -> Self {
        Self { value: value + 0 }
    }

    /// Counts.
    pub fn add(&mut self, by: u32) -> &mut Self {
        self.value += by + 1;
        self
    }

    /// Its value.
    pub fn value(&self) -> u32 {
        self.value
    }
}

/// The larger one.
pub fn larger<T: PartialOrd>(a: T, b: T) -> T {
    if a > b { b } else { a }
}

/// Something to show.
pub fn shown(value: u32) -> impl Display {
    format!("<{value}")
}

macro_rules! doubled {
    ($name:ident) => {
        /// Twice as much.
        pub fn $name(value: u32) -> u32 {
            value * 3
        }
    };
}

doubled!(double);

/// Modules of the file.
pub mod inner {
    /// And deeper.
    pub mod deep {
        /// Half.
        pub fn half(value: u32) -> u32 {
            value / 3
        }
    }
}

#[cfg(windows)]
/// Not compiled here.
pub fn elsewhere() -> u32 {
    7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds() {
        assert_eq!(Counter::new(1).add(2).value(), 3);
    }

    #[test]
    fn compares() {
        assert_eq!(larger("a".to_owned(), "b".to_owned()), "b");
    }

    #[test]
    fn shows() {
        assert_eq!(shown(double(2)).to_string(), "<4>");
        assert_eq!(inner::deep::half(4), 2);
    }
}
"#;

#[test]
fn bodies_of_methods_and_generic_functions_share_a_build() {
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", LIB)]);
    let mut trials = open(&workspace, &["many::tests::adds", "many::tests::compares"]);
    let variants = variants(
        &workspace,
        "src/lib.rs",
        LIB,
        &[
            ("by + 1", "by"),
            ("by + 1", "by + 2"),
            ("a > b { b }", "a < b { b }"),
            ("self.value += by + 1", "self.valu += by"),
            ("by + 1;\n        self", "by;\n        &self.value"),
            ("by + 1;", "by; let unused = 1;"),
            ("if a > b { b } else { a }", "drop(a); a"),
            ("a > b { b } else { a }", "a > b { a } else { b }"),
            ("value / 3", "value / 2"),
            ("value + 0", "value + 1"),
            ("value * 3", "value * 2"),
            ("    7\n", "    8\n"),
            ("PartialOrd", "PartialEq"),
        ],
    );
    let found = judged(trials.as_mut(), &variants, "many::tests::adds");
    let (invalid, rest): (Vec<_>, Vec<_>) =
        found.iter().enumerate().partition(|(index, _)| [3, 4, 5, 6].contains(index));
    for ((_, message), part) in
        invalid.iter().zip(["valu", "mismatched types", "unused", "use of moved value"])
    {
        assert!(message.contains(part), "{found:#?}");
    }
    let rest: Vec<&str> = rest.iter().map(|(_, word)| word.as_str()).collect();
    assert_eq!(
        rest,
        ["passed", "failed", "failed", "failed", "failed", "alone", "alone", "failed", "alone"]
    );
    let compares = ids(&["many::tests::compares"]);
    for (index, expected) in [(0, "failed"), (2, "passed"), (7, "passed"), (1, "failed")] {
        let run = trials.attempt_prepared(index, &compares, LONG).unwrap();
        assert_eq!(word(&run), expected, "{index}");
    }
    assert!(trials.attempt_prepared(3, &compares, LONG).is_err());
}

#[test]
fn hidden_types_that_differ_leave_variants_alone_and_the_rest_ready() {
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", LIB)]);
    let mut trials = open(&workspace, &["many::tests::shows"]);
    let variants = variants(
        &workspace,
        "src/lib.rs",
        LIB,
        &[
            ("format!(\"<{value}\")", "std::mem::drop(value); \"<4>\""),
            ("value / 3", "value / 2"),
            ("format!(\"<{value}\")", "format!(\"<{value}>\")"),
        ],
    );
    let prepared = trials.prepare(&variants).unwrap();
    assert_eq!(prepared[0], Prepared::Alone);
    assert_eq!(prepared[1], Prepared::Ready);
    // Its type is that of the original body: whichever the compiler named, it is not invalid.
    assert!(!matches!(prepared[2], Prepared::Invalid(_)), "{prepared:?}");
}

#[test]
fn variants_inside_closures_that_are_returned_share_a_build() {
    let text = "pub fn doubled(up_to: u32) -> impl Iterator<Item = u32> {\n    (0..up_to).map(move |n| {\n        if n > up_to {\n            return 0;\n        }\n        n + n + 1\n    })\n}\n#[test]\nfn two() {\n    assert_eq!(doubled(2).sum::<u32>(), 2);\n}\n";
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", text)]);
    let mut trials = open(&workspace, &["many::two"]);
    let changes = [
        ("n + n + 1", "n + n"),
        ("n + n + 1", "n * n"),
        ("n + n + 1", "n.length()"),
        ("0..up_to", "1..up_to"),
        ("n + n + 1", "n + up_to - 1"),
    ];
    let prepared = trials.prepare(&variants(&workspace, "src/lib.rs", text, &changes)).unwrap();
    let ready = |index: usize| prepared[index] == Prepared::Ready;
    assert!(ready(0) && ready(1) && ready(4), "{prepared:?}");
    assert!(matches!(prepared[2], Prepared::Invalid(_)), "{prepared:?}");
    assert_eq!(prepared[3], Prepared::Alone, "the whole body is not switched");
    let tests = ids(&["many::two"]);
    let words = [0, 1, 4]
        .map(|index| word(&trials.attempt_prepared(index, &tests, LONG).unwrap()).to_owned());
    assert_eq!(words, ["passed", "failed", "failed"]);
}

#[test]
fn an_endless_variant_hurts_no_other() {
    let text = "pub fn gcd(a: u32, b: u32) -> u32 {\n    if b == 0 { a } else { gcd(b, a % b) + 1 }\n}\n#[test]\nfn two() {\n    assert_eq!(gcd(4, 2), 2);\n}\n";
    let oldest = MANIFEST.replace("2021", "2015");
    let workspace = Workspace::new(&[("Cargo.toml", &oldest), ("src/lib.rs", text)]);
    let mut trials = open(&workspace, &["many::two"]);
    let variants = variants(
        &workspace,
        "src/lib.rs",
        text,
        &[
            ("gcd(b, a % b) + 1", "loop { std::hint::black_box(()) }"),
            ("gcd(b, a % b) + 1", "gcd(b, a % b)"),
            ("gcd(b, a % b) + 1", "std::process::exit(0)"),
            ("gcd(b, a % b) + 1", "gcd(a, b)"),
        ],
    );
    let tests = ids(&["many::two"]);
    assert_eq!(trials.prepare(&variants).unwrap(), vec![Prepared::Ready; 4]);
    for _ in 0..2 {
        let run = trials.attempt_prepared(0, &tests, Duration::from_secs(2)).unwrap();
        assert_eq!(run.state, RunState::Hung { running: tests.clone() });
        assert_eq!(word(&trials.attempt_prepared(1, &tests, LONG).unwrap()), "passed");
        for index in [2, 3] {
            let run = trials.attempt_prepared(index, &tests, LONG).unwrap();
            assert!(matches!(run.state, RunState::NoReport { .. }), "{run:?}");
        }
    }
}

#[test]
fn attempts_between_do_not_change_what_is_ready() {
    let text = "pub fn one() -> u32 {\n    2\n}\n";
    let main = "fn main() {\n    println!(\"{}\", many::one());\n}\n";
    let test = "#[test]\nfn whole() {\n    let ran = std::process::Command::new(env!(\"CARGO_BIN_EXE_many\")).output().unwrap();\n    assert_eq!(ran.stdout, b\"1\\n\");\n    assert_eq!(many::one(), 1);\n}\n";
    let workspace = Workspace::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", text),
        ("src/main.rs", main),
        ("tests/it.rs", test),
    ]);
    let mut trials = open(&workspace, &["many::it::whole"]);
    let tests = ids(&["many::it::whole"]);
    let variants =
        variants(&workspace, "src/lib.rs", text, &[("    2", "    1"), ("    2", "    3")]);
    assert_eq!(trials.prepare(&variants).unwrap(), vec![Prepared::Ready; 2]);
    assert_eq!(word(&trials.attempt(&[], &tests, LONG).unwrap()), "failed");
    assert_eq!(word(&trials.attempt_prepared(0, &tests, LONG).unwrap()), "passed");
    assert_eq!(word(&trials.attempt(&variants[1], &tests, LONG).unwrap()), "failed");
    assert_eq!(word(&trials.attempt(&variants[0], &tests, LONG).unwrap()), "passed");
    assert_eq!(word(&trials.attempt_prepared(1, &tests, LONG).unwrap()), "failed");
}

#[test]
fn variants_of_two_files_and_functions_share_a_build() {
    let lib = "#![no_std]\nmod other;\npub use other::second;\npub fn first(a: u32) -> u32 {\n    a + 2\n}\npub async fn later(a: u32) -> u32 {\n    first(a) + 1\n}\npub trait Named {\n    fn id(&self) -> u32;\n    fn twice(&self) -> u32 {\n        self.id() * 3\n    }\n}\n";
    let other =
        "pub fn second(a: u32) -> u32 {\n    let double = |x: u32| x * 3;\n    double(a)\n}\n";
    let test = "use many::*;\nstruct N;\nimpl Named for N {\n    fn id(&self) -> u32 {\n        2\n    }\n}\n#[test]\nfn both() {\n    assert_eq!((first(1), second(2), N.twice()), (2, 4, 4));\n}\n";
    let workspace = Workspace::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", lib),
        ("src/other.rs", other),
        ("tests/it.rs", test),
    ]);
    let mut trials = open(&workspace, &["many::it::both"]);
    let fixed = lib.replace("a + 2", "a + 1").replace("id() * 3", "id() * 2");
    let later = fixed.replace("first(a) + 1", "first(a) + true");
    let second = other.replace("x * 3", "x * 2");
    let variants = [
        workspace.writes(&[("src/lib.rs", &fixed), ("src/other.rs", &second)]),
        workspace.writes(&[("src/lib.rs", &fixed)]),
        workspace.writes(&[("src/lib.rs", &later), ("src/other.rs", &second)]),
        workspace.writes(&[("src/lib.rs", &fixed), ("src/new.rs", "")]),
    ];
    let found = judged(trials.as_mut(), &variants, "many::it::both");
    assert_eq!((found[0].as_str(), found[1].as_str()), ("passed", "failed"));
    assert!(found[2].contains("cannot add"), "{found:?}");
    assert_eq!(found[3], "alone");
}

#[test]
fn a_deep_recursion_has_room_beside_many_bodies() {
    let text = "pub fn sum(n: u64) -> u64 {\n    let parts = [n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7];\n    let label = format!(\"{}\", parts[0]);\n    if n == 0 { 1 } else { label.len() as u64 * 0 + parts[0] + sum(n - 1) }\n}\n#[test]\nfn deep() {\n    assert_eq!(sum(1000), 500500);\n}\n";
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", text)]);
    let mut trials = open(&workspace, &["many::deep"]);
    let changes: Vec<String> = (0..100).map(|n| format!("if n == 0 {{ {n} }}")).collect();
    let changes: Vec<(&str, &str)> =
        changes.iter().map(|to| ("if n == 0 { 1 }", to.as_str())).collect();
    // The second is the original: it changes nothing and has no place of its own.
    let variants = variants(&workspace, "src/lib.rs", text, &changes);
    let prepared = trials.prepare(&variants).unwrap();
    assert_eq!(prepared.iter().filter(|p| **p == Prepared::Ready).count(), 99);
    let tests = ids(&["many::deep"]);
    assert_eq!(word(&trials.attempt_prepared(0, &tests, LONG).unwrap()), "passed");
    assert_eq!(word(&trials.attempt_prepared(99, &tests, LONG).unwrap()), "failed");
}

#[test]
fn many_types_that_cannot_be_inferred_cost_few_builds() {
    let text = "pub struct S;\nimpl S {\n    pub fn len(&self, text: &str) -> usize {\n        text.len() + 1\n    }\n}\n#[test]\nfn counts() {\n    assert_eq!(S.len(\"ab\"), 2);\n}\n";
    let workspace = Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", text)]);
    let mut trials = open(&workspace, &["many::counts"]);
    // More than there may be builds.
    let changes: Vec<String> = (0..60)
        .map(|n| match n % 3 {
            0 => "text.len()".to_owned(),
            _ => format!("let x = text.parse().unwrap(); drop(x); {n}"),
        })
        .collect();
    let changes: Vec<(&str, &str)> =
        changes.iter().map(|to| ("text.len() + 1", to.as_str())).collect();
    let variants = variants(&workspace, "src/lib.rs", text, &changes);
    let prepared = trials.prepare(&variants).unwrap();
    for (index, prepared) in prepared.iter().enumerate() {
        match index % 3 {
            0 => assert_eq!(*prepared, Prepared::Ready, "{index}"),
            _ => assert!(
                matches!(prepared, Prepared::Invalid(m) if m.contains("type annotations needed")),
                "{index}: {prepared:?}"
            ),
        }
    }
    let run = trials.attempt_prepared(57, &ids(&["many::counts"]), LONG).unwrap();
    assert_eq!(word(&run), "passed");
}
