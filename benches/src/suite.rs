//! A package's own tests by their plain command: what a person would type, and the judge.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};

use crate::checkout::Checkout;
use crate::manifest::Ecosystem;
use crate::median;
use crate::process::{self, Finished};

/// One run of a suite.
#[derive(Debug, Clone)]
pub struct SuiteRun {
    /// Whether everything passed.
    pub green: bool,
    /// How many tests passed, as the runner counts them.
    pub passed: u64,
    /// The names of those, as the runner prints them, sorted; equal ones are there as often.
    pub names: Vec<String>,
    /// Whether the time limit ended it.
    pub timed_out: bool,
    /// Whether the code does not build.
    pub build_failed: bool,
    /// Wall time, build included.
    pub wall: Duration,
    /// The end of what it said.
    pub tail: String,
}

/// Runs the suite in a copy of the checkout.
///
/// # Errors
/// When it cannot be started.
pub fn run(checkout: &Checkout, dir: &Path, limit: Duration) -> Result<SuiteRun> {
    let mut command = command(checkout);
    command.current_dir(dir).envs(checkout.env(dir));
    let finished = process::run(&mut command, limit)?;
    Ok(SuiteRun {
        green: finished.success(),
        passed: passed(checkout.ecosystem, &finished),
        names: names(checkout.ecosystem, &finished),
        timed_out: finished.timed_out,
        build_failed: checkout.ecosystem == Ecosystem::Rust
            && finished.stderr.contains("could not compile"),
        wall: finished.wall,
        tail: finished.tail(),
    })
}

/// A green suite, and how long it takes.
#[derive(Debug, Clone)]
pub struct Bare {
    /// Tests that pass.
    pub passed: u64,
    /// Their names.
    pub names: Vec<String>,
    /// Median wall time of three runs, each after every source was touched: of a compiled language
    /// that is an incremental build with its tests.
    pub wall: Duration,
}

/// Runs the sound suite in the judge's copy.
///
/// # Errors
/// When it is not green every time, or other tests run from time to time.
pub fn bare(checkout: &Checkout, sources: &[(PathBuf, Arc<str>)]) -> Result<Bare> {
    const PATIENCE: Duration = Duration::from_secs(600);
    let first = run(checkout, &checkout.judge, PATIENCE)?;
    if !first.green || first.passed == 0 {
        bail!("its own suite is not green: {}", first.tail);
    }
    let mut walls = Vec::new();
    for _ in 0..3 {
        for (path, _) in sources {
            let file = fs::File::options().write(true).open(checkout.judge.join(path))?;
            file.set_modified(SystemTime::now())?;
        }
        let again = run(checkout, &checkout.judge, PATIENCE)?;
        if !again.green || again.passed != first.passed {
            bail!("its own suite is green only sometimes: {}", again.tail);
        }
        if let Some(name) = differing(&first.names, &again.names) {
            bail!("its test ids vary between two runs: {name}");
        }
        walls.push(again.wall.as_secs_f64());
    }
    if checkout.ecosystem == Ecosystem::Rust {
        // The person has built the project before: their build products are there.
        run(checkout, &checkout.work, PATIENCE)?;
    }
    let wall = Duration::from_secs_f64(median(walls).unwrap_or_default());
    Ok(Bare { passed: first.passed, names: first.names, wall })
}

/// A name that one run has and the other has not.
fn differing<'a>(one: &'a [String], other: &'a [String]) -> Option<&'a str> {
    let lacks = |names: &[String], name: &String| names.binary_search(name).is_err();
    let found = one.iter().find(|name| lacks(other, name));
    found.or_else(|| other.iter().find(|name| lacks(one, name))).map(String::as_str)
}

/// Why a fault whose suite ran like this cannot be measured with.
pub fn unfit(run: &SuiteRun) -> Option<&'static str> {
    if run.build_failed {
        Some("does not build")
    } else if run.timed_out {
        Some("the suite does not end")
    } else if run.green {
        Some("no test notices")
    } else {
        None
    }
}

/// The plain command.
pub fn command(checkout: &Checkout) -> Command {
    let mut command = match checkout.ecosystem {
        Ecosystem::Rust => {
            let mut cargo = process::command("cargo");
            cargo.args(["test", "--offline", "--tests", "--no-fail-fast"]);
            cargo.env("CARGO_TERM_COLOR", "never");
            cargo
        }
        Ecosystem::Python => {
            let python = checkout.python.as_deref().unwrap_or(Path::new("python3"));
            let mut python = process::command(python);
            python.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", "-rp"]);
            python
        }
        Ecosystem::JavaScript => {
            let mut node = process::command("node");
            node.args(["--test", "--test-reporter=tap"]);
            node
        }
    };
    command.args(&checkout.package.test_args);
    command
}

fn passed(ecosystem: Ecosystem, finished: &Finished) -> u64 {
    let lines = finished.stdout.lines();
    match ecosystem {
        Ecosystem::Rust => lines
            .filter(|line| line.starts_with("test result:"))
            .filter_map(|line| number_before(line, "passed"))
            .sum(),
        Ecosystem::Python => {
            lines.rev().find_map(|line| number_before(line, "passed")).unwrap_or_default()
        }
        Ecosystem::JavaScript => lines
            .rev()
            .find_map(|line| line.strip_prefix("# pass ")?.trim().parse().ok())
            .unwrap_or_default(),
    }
}

fn names(ecosystem: Ecosystem, finished: &Finished) -> Vec<String> {
    let name = |line: &str| match ecosystem {
        Ecosystem::Rust => line.strip_prefix("test ")?.strip_suffix(" ... ok").map(str::to_owned),
        Ecosystem::Python => line.strip_prefix("PASSED ").map(str::to_owned),
        Ecosystem::JavaScript => {
            let (number, name) = line.trim_start().strip_prefix("ok ")?.split_once(" - ")?;
            // Comments behind a name hold times.
            number.parse::<u32>().ok().map(|_| name.split(" # ").next().unwrap_or(name).to_owned())
        }
    };
    let mut names: Vec<_> = finished.stdout.lines().filter_map(name).collect();
    names.sort();
    names
}

/// 12 in `1 failed, 12 passed, 3 subtests passed`.
fn number_before(line: &str, word: &str) -> Option<u64> {
    let words: Vec<_> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    words.windows(2).find(|pair| pair[1] == word).and_then(|pair| pair[0].parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(stdout: &str) -> Finished {
        let (code, stderr) = (Some(0), String::new());
        Finished { code, timed_out: false, stdout: stdout.into(), stderr, wall: Duration::ZERO }
    }

    #[test]
    fn passed_tests_are_counted_as_each_runner_says_them() {
        let cargo = "test result: ok. 3 passed; 0 failed\nx\ntest result: ok. 4 passed; 0 failed\n";
        assert_eq!(passed(Ecosystem::Rust, &said(cargo)), 7);
        let pytest = "...\n1 failed, 465 passed, 24 subtests passed in 2.22s\n";
        assert_eq!(passed(Ecosystem::Python, &said(pytest)), 465);
        assert_eq!(passed(Ecosystem::JavaScript, &said("ok 1\n# tests 3\n# pass 2\n")), 2);
        assert_eq!(passed(Ecosystem::Python, &said("no tests ran in 0.01s\n")), 0);
    }

    #[test]
    fn names_are_read_as_each_runner_prints_them() {
        let cargo = "test b::c ... ok\ntest d ... FAILED\ntest a ... ok\ntest result: ok.\n";
        assert_eq!(names(Ecosystem::Rust, &said(cargo)), ["a", "b::c"]);
        let pytest = "..\nPASSED t.py::test_x[a b]\n2 passed in 0.1s\n";
        assert_eq!(names(Ecosystem::Python, &said(pytest)), ["t.py::test_x[a b]"]);
        let tap =
            "    ok 1 - inner\n  ---\n  duration_ms: 1\nok 1 - outer # time=3ms\nnot ok 2 - x\n";
        assert_eq!(names(Ecosystem::JavaScript, &said(tap)), ["inner", "outer"]);
    }

    #[test]
    fn a_test_with_another_name_in_the_next_run_is_told() {
        let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(differing(&list(&["a", "b 1"]), &list(&["a", "b 2"])), Some("b 1"));
        assert_eq!(differing(&list(&["a"]), &list(&["a", "c"])), Some("c"));
        assert_eq!(differing(&list(&["a"]), &list(&["a"])), None);
    }
}
