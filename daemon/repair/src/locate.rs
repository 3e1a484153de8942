//! Localizes the faults behind a project's failing tests with the best method that works there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlit_runner::{FailureKind, Project, Spectrum, TestId};
use greenlit_sandbox::CacheMode;

use crate::baseline::{Baseline, ProjectBaseline};
use crate::causes::{Failures, split};
use crate::changes::Changes;
use crate::localize::{Suspicious, from_traces, ochiai, with_loaded};
use crate::neighbours::neighbours;
use crate::project_files::{code_files, files_by_suspicion, is_code};
use crate::retrieval::{Passage, Retrieved};
use crate::search::function_of;
use crate::verdict::BaselineOutcome;
use crate::workbench::{WorkError, Workbench};
use crate::{Localization, SourceFile};

/// Passing tests traced beside the failing ones. More sharpen the ranking and cost time.
const PASSING_TRACED: usize = 60;
/// Failing tests traced. Where more fail, a few causes are behind many.
pub(crate) const FAILING_TRACED: usize = 60;
/// How much slower a traced test may be.
const TRACED: u32 = 20;
/// Files in which candidates are looked for.
const FILES: usize = 12;
/// Files taken from what a search found.
const FOUND_FILES: usize = 6;
/// Source files read for the call graph.
const GRAPH_FILES: usize = 2000;

/// Failing tests with one cause, and where it may be.
pub(crate) struct Cause {
    pub(crate) failures: Failures,
    pub(crate) localization: Localization,
    /// Texts of the most suspicious files.
    pub(crate) files: Vec<SourceFile>,
    /// Texts of files that may lend code.
    pub(crate) neighbours: Vec<SourceFile>,
    /// What a search found in them.
    pub(crate) retrieved: Vec<Passage>,
    /// Passing tests that execute a suspicious file, where spectra tell.
    pub(crate) guards: Vec<TestId>,
    /// What tests execute, where it was measured.
    spectrum: Option<Arc<Spectrum>>,
}

impl Cause {
    /// Whether a failing test executes one of these lines (1-based, inclusive), or where none of them
    /// holds code, the one above them. Without spectra nothing is known and the answer is no.
    pub(crate) fn executes(&self, id: &TestId, path: &Path, (first, last): (u32, u32)) -> bool {
        let Some(spectrum) = &self.spectrum else { return false };
        let Some(lines) = spectrum.lines.get(path) else { return false };
        let above = lines.range(..first).next_back();
        let mut own = lines.range(first..=last).peekable();
        let above = if own.peek().is_none() { above } else { None };
        own.chain(above).any(|(line, _)| {
            reaches(spectrum, id, &Suspicious { path: path.to_owned(), line: *line, score: 0.0 })
        })
    }
}

impl Cause {
    /// Lets the files of found passages lend code as well, before the others.
    pub(crate) fn lend(&mut self, bench: &Workbench, project: &Project, found: &Retrieved) {
        let mut files: Vec<SourceFile> = Vec::new();
        for passage in &found.passages {
            let path = &passage.path;
            let known = self.files.iter().chain(&files).any(|file| file.path == *path);
            let foreign = !path.starts_with(&bench.subject.root) || project.is_test_file(path);
            if known || foreign || files.len() >= FOUND_FILES {
                continue;
            }
            files.extend(source(bench, path));
        }
        self.neighbours.retain(|file| files.iter().all(|found| found.path != file.path));
        files.append(&mut self.neighbours);
        self.neighbours = files;
        let lends = |passage: &&Passage| {
            self.files.iter().chain(&self.neighbours).any(|file| file.path == passage.path)
        };
        self.retrieved = found.passages.iter().filter(lends).cloned().collect();
    }
}

/// Line spectra where the runner has them, stack traces and the call graph where not.
pub(crate) fn locate(
    bench: &Workbench,
    baseline: &Baseline,
    project: &Project,
    failures: Failures,
    changes: Option<&Changes>,
    lenders: impl FnOnce() -> Vec<SourceFile>,
) -> Result<Vec<Cause>, WorkError> {
    let spectrum = spectrum(bench, baseline, project, &failures)?;
    let include = |path: &Path| project.is_source_file(path) && !project.is_test_file(path);
    let useful = spectrum.filter(|s| tells(s, &include)).map(Arc::new);
    // Where many fail, none of these may have been traced.
    let of = |failures: &Failures| {
        useful.as_ref().filter(|spectrum| tells(&without_others(spectrum, failures), &include))
    };
    let causes = |failures: Failures| match of(&failures) {
        _ if failures.is_empty() => Vec::new(),
        Some(spectrum) => {
            let mut localize = |some: &Failures| {
                let traces: Vec<_> = some.iter().map(|(id, f)| (id.clone(), f)).collect();
                ochiai(&without_others(spectrum, some), &traces, &include)
            };
            // Cases of one test function have one cause until proven otherwise.
            split(failures, &mut localize, &|id, line| reaches(spectrum, id, line))
        }
        None => {
            let localization = trace(bench, project, &failures);
            vec![(failures, localization)]
        }
    };
    // What failed before a change has another cause than what the change broke.
    let (broken, older) = match changes {
        Some(changes) => changes.divide(failures),
        None => (failures, Vec::new()),
    };
    let causes = causes(broken).into_iter().chain(causes(older));
    let lenders = lenders();
    let cause = |(failures, localization): (Failures, Localization)| {
        let localization = with_loaded(localization, &lenders);
        let localization = pointed(changes, &failures, localization);
        let files = suspicious_files(bench, &localization);
        let guards = useful.as_ref().map(|s| guards(s, &files)).unwrap_or_default();
        let neighbours = neighbours(&lenders, &files);
        let (retrieved, spectrum) = (Vec::new(), useful.clone());
        Cause { failures, localization, files, neighbours, retrieved, guards, spectrum }
    };
    Ok(causes.map(cause).collect())
}

/// Whether a failing test has a line where the fault may be. A runner may know the lines of the others
/// alone: of node's tests that run side by side nothing can be told.
fn tells(spectrum: &Spectrum, include: &dyn Fn(&Path) -> bool) -> bool {
    let failed = |index: &u32| spectrum.tests.get(*index as usize).is_some_and(|test| !test.1);
    let lines = spectrum.lines.iter().filter(|(path, _)| include(path));
    lines.flat_map(|(_, lines)| lines.values().flatten()).any(failed)
}

/// Stack traces and the call graph alone: nothing is run for them. All failures are one cause, and no
/// other file lends code.
pub(crate) fn locate_by_traces(
    bench: &Workbench,
    project: &Project,
    failures: Failures,
    changes: Option<&Changes>,
) -> Cause {
    let localization = trace(bench, project, &failures);
    let localization = pointed(changes, &failures, localization);
    let files = suspicious_files(bench, &localization);
    let (neighbours, retrieved, guards) = (Vec::new(), Vec::new(), Vec::new());
    Cause { failures, localization, files, neighbours, retrieved, guards, spectrum: None }
}

fn pointed(
    changes: Option<&Changes>,
    failures: &Failures,
    localization: Localization,
) -> Localization {
    match changes {
        Some(changes) => changes.point(failures, localization),
        None => localization,
    }
}

fn trace(bench: &Workbench, project: &Project, failures: &Failures) -> Localization {
    let files = graph_files(bench, project);
    let traces: Vec<_> = failures.iter().map(|(id, f)| (id.clone(), f)).collect();
    from_traces(&traces, &files, &|path| project.is_test_file(path))
}

fn suspicious_files(bench: &Workbench, localization: &Localization) -> Vec<SourceFile> {
    let free = |path: &&Path| !bench.subject.protected.covers(path);
    let paths = files_by_suspicion(localization).into_iter().filter(free);
    paths.filter_map(|path| source(bench, path)).take(FILES).collect()
}

fn spectrum(
    bench: &Workbench,
    baseline: &Baseline,
    project: &Project,
    failures: &Failures,
) -> Result<Option<Spectrum>, WorkError> {
    let failing: Vec<_> = failures.iter().map(|(id, _)| id.clone()).collect();
    let of_project = |run: &&ProjectBaseline| run.project.dir() == project.dir();
    let ahead = baseline.projects.iter().find(of_project).and_then(|run| run.ahead.as_ref());
    match ahead.and_then(|ahead| ahead.spectra(&failing)) {
        Some(Ok(measured)) => return Ok(measured.map(|found| without_flaky(found, baseline))),
        Some(Err(WorkError::Cancelled)) => return Err(WorkError::Cancelled),
        Some(Err(error)) => tracing::debug!(%error, "spectra are measured again"),
        None => {}
    }
    let passing = baseline
        .tests
        .iter()
        .filter(|(id, outcome)| **outcome == BaselineOutcome::Passed && project.owns(id));
    let tests = traced(failing, passing.map(|(id, _)| id.clone()).collect());
    let hangs = failures.iter().any(|(_, failure)| failure.kind == FailureKind::Timeout);
    let wall = if hangs { short_wall(bench, baseline, &tests) } else { bench.walls.tests };
    measure(bench, project, &tests, wall)
}

/// Runs tests traced.
pub(crate) fn measure(
    bench: &Workbench,
    project: &Project,
    tests: &[TestId],
    wall: Duration,
) -> Result<Option<Spectrum>, WorkError> {
    let started = Instant::now();
    let mut open = bench.open(project, CacheMode::Discard, &[])?;
    let spectrum = project.spectrum(&mut open.sandbox, tests, wall);
    tracing::debug!(ms = started.elapsed().as_millis(), tests = tests.len(), "measured spectra");
    spectrum.map_err(|error| bench.run_error(error))
}

/// Flaky tests tell nothing, whatever they did while they were traced.
fn without_flaky(mut spectrum: Spectrum, baseline: &Baseline) -> Spectrum {
    let Spectrum { tests, lines, .. } = &mut spectrum;
    let steady = |index: &u32| {
        let test = tests.get(*index as usize);
        test.is_some_and(|(id, _)| baseline.tests.get(id) != Some(&BaselineOutcome::Flaky))
    };
    lines.values_mut().flat_map(|lines| lines.values_mut()).for_each(|tests| tests.retain(steady));
    spectrum
}

/// Enough for tests that end, traced. One that hangs has shown its lines long before.
fn short_wall(bench: &Workbench, baseline: &Baseline, tests: &[TestId]) -> Duration {
    let passed = |id: &&TestId| baseline.tests.get(*id) == Some(&BaselineOutcome::Passed);
    let passing = tests.iter().filter(passed).filter_map(|id| baseline.durations.get(id));
    let slowest = passing.max().copied().unwrap_or_default();
    let each = (slowest * TRACED).max(Duration::from_millis(500));
    // A runner gives each test half of its even share.
    (each * 2 * u32::try_from(tests.len()).unwrap_or(u32::MAX)).min(bench.walls.tests)
}

/// The spectrum of some failing tests and all passing ones.
fn without_others(spectrum: &Spectrum, failures: &Failures) -> Spectrum {
    let wanted: BTreeSet<&TestId> = failures.iter().map(|(id, _)| id).collect();
    let kept = |index: &u32| {
        let test = spectrum.tests.get(*index as usize);
        test.is_some_and(|(id, passed)| *passed || wanted.contains(id))
    };
    let mut some = spectrum.clone();
    for tests in some.lines.values_mut().flat_map(|lines| lines.values_mut()) {
        tests.retain(kept);
    }
    // Indices stay; the tests that are left out are counted as passing nowhere.
    for (id, passed) in &mut some.tests {
        *passed |= !wanted.contains(id);
    }
    some
}

/// Whether a test, or another case of its test function, executed a line. Of a test that was not
/// traced nothing is known: it stays with the others.
fn reaches(spectrum: &Spectrum, id: &TestId, line: &Suspicious) -> bool {
    if !spectrum.tests.iter().any(|(traced, _)| traced == id) {
        return true;
    }
    let tests = spectrum.lines.get(&line.path).and_then(|lines| lines.get(&line.line));
    tests.into_iter().flatten().filter_map(|index| spectrum.tests.get(*index as usize)).any(
        |(other, passed)| other == id || (!passed && function_of(&other.0) == function_of(&id.0)),
    )
}

fn guards(spectrum: &Spectrum, files: &[SourceFile]) -> Vec<TestId> {
    let lines = files.iter().filter_map(|file| spectrum.lines.get(&file.path));
    let indices: BTreeSet<u32> =
        lines.flat_map(|lines| lines.values().flatten().copied()).collect();
    let tests = indices.into_iter().filter_map(|index| spectrum.tests.get(index as usize));
    tests.filter(|(_, passed)| *passed).map(|(id, _)| id.clone()).collect()
}

/// The tests that are traced: failing ones, and passing ones, those of the failing tests' own files
/// first: they share the most code.
pub(crate) fn traced(failing: Vec<TestId>, mut passing: Vec<TestId>) -> Vec<TestId> {
    let mut failing = of_each_function(failing);
    failing.truncate(FAILING_TRACED);
    let file = |id: &TestId| id.0.split("::").next().unwrap_or_default().to_owned();
    let near: BTreeSet<_> = failing.iter().map(file).collect();
    passing.sort_by_key(|id| !near.contains(&file(id)));
    passing.truncate(PASSING_TRACED);
    failing.extend(passing);
    failing
}

/// The first case of every test function, then the second of each, and so on: the functions differ more
/// than their cases.
fn of_each_function(failing: Vec<TestId>) -> Vec<TestId> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let numbered = failing.into_iter().map(|id| {
        let count = seen.entry(function_of(&id.0).to_owned()).or_default();
        *count += 1;
        (*count, id)
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered.into_iter().map(|(_, id)| id).collect()
}

fn graph_files(bench: &Workbench, project: &Project) -> Vec<SourceFile> {
    let mut paths: BTreeSet<PathBuf> = code_files(project, GRAPH_FILES).into_iter().collect();
    paths.extend(bench.subject.overlays.keys().filter(|path| is_code(project, path)).cloned());
    paths.iter().filter_map(|path| source(bench, path)).collect()
}

pub(crate) fn source(bench: &Workbench, path: &Path) -> Option<SourceFile> {
    let text = bench.subject.text(path)?;
    Some(SourceFile { path: path.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_failing_cases_every_function_is_traced() {
        let ids = |ids: &[&str]| ids.iter().map(|id| TestId((*id).into())).collect::<Vec<_>>();
        let failing = ids(&["t::a[1]", "t::a[2]", "t::a[3]", "t::b[1]", "t::c"]);
        let ordered = ids(&["t::a[1]", "t::b[1]", "t::c", "t::a[2]", "t::a[3]"]);
        assert_eq!(of_each_function(failing), ordered);
    }

    #[test]
    fn a_spectrum_without_a_line_of_a_failing_test_tells_nothing() {
        let test = |name: &str, passed| (TestId(name.into()), passed);
        let lines = BTreeMap::from([(7, vec![0]), (8, vec![1])]);
        let mut spectrum = Spectrum {
            measured_by: String::new(),
            tests: vec![test("a", true), test("b", false)],
            lines: BTreeMap::from([("/w/m.js".into(), lines)]),
        };
        assert!(tells(&spectrum, &|_| true));
        assert!(!tells(&spectrum, &|path| !path.ends_with("m.js")), "only lines of tests");
        spectrum.tests[1].1 = true;
        assert!(!tells(&spectrum, &|_| true), "the failing ones were not traced");
    }
}
