//! Which lines each test executes, by counters in the sources. The toolchain is that on PATH.

use std::collections::BTreeMap;
use std::time::Duration;

use greenlit_runner::Spectrum;

use crate::support::{LONG, Workspace, ids};

const MANIFEST: &str = "[package]\nname = \"lines\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";

fn spectrum(workspace: &Workspace, tests: &[&str], wall: Duration) -> Spectrum {
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    project.spectrum(&mut sandbox, &ids(tests), wall).unwrap().expect("a spectrum")
}

/// Each test's verdict and the lines of one file that it executed.
fn of(
    workspace: &Workspace,
    spectrum: &Spectrum,
    path: &str,
) -> BTreeMap<String, (bool, Vec<u32>)> {
    let lines = spectrum.lines.get(&workspace.path(path));
    let tests = spectrum.tests.iter().enumerate().map(|(index, (id, passed))| {
        let index = u32::try_from(index).unwrap();
        let all = lines.into_iter().flatten();
        let mine = all.filter(|(_, tests)| tests.contains(&index)).map(|(line, _)| *line);
        (id.0.clone(), (*passed, mine.collect()))
    });
    tests.collect()
}

const LIB: &str = r"#![no_std]
#![deny(warnings, missing_docs, rust_2018_idioms, unused_qualifications, let_underscore_drop)]
//! Lines.

mod other;

/// Signs.
pub fn sign(n: i32) -> i32 {
    if n < 0 {
        -1
    } else if n == 0 {
        0
    } else {
        match n {
            1 => 1,
            _ => other::big(
                n,
            ),
        }
    }
}

/// Ready at once.
pub async fn later(n: i32) -> i32 {
    #[cfg(windows)]
    let n = n + 1;
    sign(n)
}

/// Computed by the compiler.
pub const fn fixed() -> i32 {
    7
}

/// Panics.
pub fn boom(n: i32) -> i32 {
    let fine = n + 1;
    assert!(fine < 3);
    fine
}

/// Never ends.
pub fn endless(mut n: i32) -> i32 {
    loop {
        n = n.wrapping_add(fixed());
    }
}

#[cfg(test)]
mod tests {
    macro_rules! signs {
        ($($name:ident: $n:expr => $to:expr,)*) => {
            $(#[test]
            fn $name() {
                assert_eq!(super::sign($n), $to);
            })*
        };
    }
    signs! {
        negative: -5 => -1,
        zero: 0 => 0,
        one: 1 => 2,
    }
}
";

const OTHER: &str = "//! More.\n\npub fn big(n: i32) -> i32 {\n    let double = |x: i32| x * 2;\n    double(n)\n}\n";

const TEST: &str = r#"use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[test]
fn waits() {
    let future = pin!(lines::later(9));
    let Poll::Ready(value) = future.poll(&mut Context::from_waker(Waker::noop())) else { panic!() };
    assert_eq!(value, 18);
}

#[test]
fn panics() {
    lines::boom(5);
}

#[test]
fn hangs() {
    lines::endless(1);
}
"#;

fn workspace() -> Workspace {
    Workspace::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", LIB),
        ("src/other.rs", OTHER),
        ("tests/it.rs", TEST),
    ])
}

#[test]
fn tests_that_a_macro_wrote_are_traced() {
    let workspace = workspace();
    let tests = ["lines::tests::negative", "lines::tests::zero", "lines::tests::one"];
    let spectrum = spectrum(&workspace, &tests, LONG);
    assert_eq!(spectrum.measured_by, "inserted counters");
    let found = of(&workspace, &spectrum, "src/lib.rs");
    assert_eq!(found[tests[0]], (true, vec![9, 10]));
    assert_eq!(found[tests[1]], (true, vec![9, 11, 12]));
    assert_eq!(found[tests[2]], (false, vec![9, 11, 14, 15]));
}

#[test]
fn integration_tests_are_traced_even_where_they_panic_or_hang() {
    let workspace = workspace();
    let tests = ["lines::it::waits", "lines::it::panics", "lines::it::hangs"];
    let spectrum = spectrum(&workspace, &tests, Duration::from_secs(40));
    let found = of(&workspace, &spectrum, "src/lib.rs");
    assert_eq!(found[tests[0]], (true, vec![9, 11, 14, 15, 16, 17, 27]));
    assert_eq!(found[tests[1]], (false, vec![37, 38]));
    assert_eq!(found[tests[2]], (false, vec![44, 45]));
    assert_eq!(of(&workspace, &spectrum, "src/other.rs")[tests[0]], (true, vec![4, 5]));
    let kept = std::fs::read_to_string(workspace.path("src/lib.rs")).unwrap();
    assert_eq!(kept, LIB, "the checkout is not written");
}

#[test]
fn a_file_that_does_not_build_with_counters_is_left_out() {
    let workspace = workspace();
    // A lint that counters offend and that nothing in the file may allow.
    let strict = OTHER.replace("//! More.", "#![forbid(unused_extern_crates)]");
    workspace.save("src/other.rs", &strict);
    let spectrum = spectrum(&workspace, &["lines::it::waits"], LONG);
    assert_eq!(spectrum.measured_by, "inserted counters, 1 of 2 files left out");
    assert_eq!(spectrum.lines.keys().collect::<Vec<_>>(), [&workspace.path("src/lib.rs")]);
}

#[test]
fn tests_that_do_not_exist_or_build_have_no_spectrum() {
    let workspace = workspace();
    let project = workspace.project();
    let mut sandbox = workspace.sandbox(&project);
    let none = project.spectrum(&mut sandbox, &ids(&["nothing::here"]), LONG).unwrap();
    assert_eq!(none, None);
    let mut sandbox = workspace.sandbox(&project);
    sandbox.write(&workspace.writes(&[("src/other.rs", "fn")])).unwrap();
    let none = project.spectrum(&mut sandbox, &ids(&["lines::it::waits"]), LONG).unwrap();
    assert_eq!(none, None);
}
