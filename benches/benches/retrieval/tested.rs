//! A test asks for what it tests: of the functions that it runs, those that the fewest tests run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use greenlit_benches::checkout::Checkout;
use greenlit_benches::manifest::Ecosystem;
use greenlit_benches::process;
use serde::Deserialize;

use crate::corpus::{Corpus, Place, Question, definitions, innermost, is_function};
use crate::packages::{Chosen, sources};

/// A function that more tests run is not what one of them is for.
const MAX_TESTS: usize = 5;
/// A test that asks for more functions asks for none in particular.
const MAX_RIGHT: usize = 3;
/// A package's tests.
const PATIENCE: Duration = Duration::from_secs(900);

/// What `coverage json --show-contexts` writes.
#[derive(Deserialize)]
struct Report {
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    /// Tests by line, from 1.
    #[serde(default)]
    contexts: BTreeMap<u32, Vec<String>>,
}

pub(crate) fn corpus(chosen: &Chosen<'_>) -> Result<Corpus> {
    let mut corpus = Corpus::new()?;
    for checkout in chosen.of(Ecosystem::Python)? {
        let files = sources(&checkout)?;
        for (path, text) in &files {
            corpus.write(path, text)?;
        }
        ask(&mut corpus, &checkout, &files)?;
    }
    Ok(corpus)
}

fn ask(corpus: &mut Corpus, checkout: &Checkout, files: &[(String, Arc<str>)]) -> Result<()> {
    let report = coverage(checkout)?;
    let below = format!("{}/{}/", checkout.ecosystem.name(), checkout.package.directory());
    // Functions by test, tests by function.
    let mut runs: BTreeMap<String, BTreeSet<Place>> = BTreeMap::new();
    let mut run_by: BTreeMap<Place, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in files {
        let Some(file) = path.strip_prefix(&below).and_then(|own| report.files.get(own)) else {
            continue;
        };
        let symbols = definitions(Path::new(path), text);
        for (line, contexts) in &file.contexts {
            let Some(function) = innermost(&symbols, line - 1).filter(|s| is_function(s)) else {
                continue;
            };
            let place = Place::new(path, &function.lines);
            for test in contexts.iter().filter_map(|context| context.strip_suffix("|run")) {
                // All values of a parameter are one test.
                let test = test.split('[').next().unwrap_or(test).to_owned();
                run_by.entry(place.clone()).or_default().insert(test.clone());
                runs.entry(test).or_default().insert(place.clone());
            }
        }
    }
    let mut asked = BTreeSet::new();
    for (test, functions) in runs {
        let tests = |place: &Place| run_by.get(place).map_or(0, BTreeSet::len);
        let fewest = functions.iter().map(tests).min().unwrap_or_default();
        let right: Vec<Place> = functions.into_iter().filter(|p| tests(p) == fewest).collect();
        if fewest > MAX_TESTS || right.len() > MAX_RIGHT {
            corpus.leave_out("tests of nothing in particular");
            continue;
        }
        if !asked.insert(right.clone()) {
            corpus.leave_out("tests of what another one asked for");
            continue;
        }
        let Some((file, source)) = source(&checkout.judge, &test) else {
            corpus.leave_out("tests that were not found");
            continue;
        };
        let name = test.rsplit("::").next().unwrap_or(&test);
        let name = name.trim_start_matches("test").replace('_', " ").trim().to_owned();
        let near = vec![checkout.judge.join(file)];
        for (kind, text) in [("test name", name), ("test source", source)] {
            let (package, right, near) = (checkout.label(), right.clone(), near.clone());
            corpus.questions.push(Question { kind, package, text, right, near });
        }
    }
    Ok(())
}

/// The file and the text of a test by its id.
fn source<'a>(root: &Path, test: &'a str) -> Option<(&'a str, String)> {
    let mut parts = test.split("::");
    let file = parts.next()?;
    let path: Vec<&str> = parts.collect();
    let text: Arc<str> = std::fs::read_to_string(root.join(file)).ok()?.into();
    let symbols = definitions(Path::new(file), &text);
    let symbol = symbols.iter().find(|symbol| symbol.path == path)?;
    Some((file, text.get(symbol.bytes.clone())?.to_owned()))
}

/// Runs the tests in the judge's copy; which test ran which line.
fn coverage(checkout: &Checkout) -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let python = checkout.python.as_deref().context("Python packages have an interpreter")?;
    let command = |words: &[&str]| {
        let mut command = process::command(python);
        command.arg("-m").args(words).current_dir(&checkout.judge);
        command.envs(checkout.env(&checkout.judge)).env("COVERAGE_FILE", dir.path().join("data"));
        command
    };
    let mut tests = command(&["pytest", "-q", "-p", "no:cacheprovider"]);
    tests
        .args(["--cov=.", "--cov-context=test", "--cov-report="])
        .args(&checkout.package.test_args);
    let ran = process::run(&mut tests, PATIENCE)?;
    // 1: some tests fail; what they ran is known all the same.
    if !matches!(ran.code, Some(0 | 1)) {
        bail!("the tests of {} do not run: {}", checkout.label(), ran.tail());
    }
    let file = dir.path().join("report.json");
    let mut report = command(&["coverage", "json", "--show-contexts", "-q", "-o"]);
    let made = process::run(report.arg(&file), PATIENCE)?;
    if !made.success() {
        bail!("no coverage of {}: {}", checkout.label(), made.tail());
    }
    serde_json::from_slice(&std::fs::read(file)?).context("not what coverage writes")
}
