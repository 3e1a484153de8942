//! Localizes the fault of a project's failing tests with the best method that works there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use greenlit_runner::{Failure, Project, TestId};
use greenlit_sandbox::CacheMode;

use crate::baseline::Baseline;
use crate::localize::{from_traces, ochiai};
use crate::repair::{code_files, files_by_suspicion, is_code};
use crate::verdict::BaselineOutcome;
use crate::workbench::{WorkError, Workbench};
use crate::{Localization, SourceFile};

/// Passing tests traced beside the failing ones. More sharpen the ranking and cost time.
const PASSING_TRACED: usize = 60;
/// Files in which candidates are looked for.
const FILES: usize = 12;
/// Source files read for the call graph.
const GRAPH_FILES: usize = 2000;

/// Where the fault may be.
pub(crate) struct Located {
    pub(crate) localization: Localization,
    /// Texts of the most suspicious files.
    pub(crate) files: Vec<SourceFile>,
}

/// Line spectra where the runner has them, stack traces and the call graph where not.
pub(crate) fn locate(
    bench: &Workbench,
    baseline: &Baseline,
    project: &Project,
    failures: &[(TestId, Failure)],
) -> Result<Located, WorkError> {
    let localization = match spectrum(bench, baseline, project, failures)? {
        Some(localization) if !localization.lines.is_empty() => localization,
        _ => traces(bench, project, failures),
    };
    let paths = files_by_suspicion(&localization);
    let files = paths.into_iter().filter_map(|path| source(bench, path)).take(FILES).collect();
    Ok(Located { localization, files })
}

fn spectrum(
    bench: &Workbench,
    baseline: &Baseline,
    project: &Project,
    failures: &[(TestId, Failure)],
) -> Result<Option<Localization>, WorkError> {
    let failing: Vec<_> = failures.iter().map(|(id, _)| id.clone()).collect();
    let mut open = bench.open(project, CacheMode::Discard, &[])?;
    let tests: Vec<_> =
        failing.iter().cloned().chain(passing_near(baseline, project, &failing)).collect();
    let spectrum = project
        .spectrum(&mut open.sandbox, &tests, bench.walls.tests)
        .map_err(|error| bench.run_error(error))?;
    let include = |path: &Path| project.is_source_file(path) && !project.is_test_file(path);
    Ok(spectrum.map(|spectrum| {
        let traces: Vec<_> = failures.iter().map(|(id, failure)| (id.clone(), failure)).collect();
        ochiai(&spectrum, &traces, &include)
    }))
}

/// Passing tests of the failing tests' own files first: they share the most code.
fn passing_near(baseline: &Baseline, project: &Project, failing: &[TestId]) -> Vec<TestId> {
    let file = |id: &TestId| id.0.split("::").next().unwrap_or_default().to_owned();
    let near: BTreeSet<_> = failing.iter().map(file).collect();
    let passing = baseline
        .tests
        .iter()
        .filter(|(id, outcome)| **outcome == BaselineOutcome::Passed && project.owns(id));
    let mut passing: Vec<_> = passing.map(|(id, _)| id.clone()).collect();
    passing.sort_by_key(|id| !near.contains(&file(id)));
    passing.truncate(PASSING_TRACED);
    passing
}

fn traces(bench: &Workbench, project: &Project, failures: &[(TestId, Failure)]) -> Localization {
    let mut paths: BTreeSet<PathBuf> = code_files(project, GRAPH_FILES).into_iter().collect();
    paths.extend(bench.subject.overlays.keys().filter(|path| is_code(project, path)).cloned());
    let files: Vec<_> = paths.iter().filter_map(|path| source(bench, path)).collect();
    let traces: Vec<_> = failures.iter().map(|(id, failure)| (id.clone(), failure)).collect();
    from_traces(&traces, &files, &|path| project.is_test_file(path))
}

fn source(bench: &Workbench, path: &Path) -> Option<SourceFile> {
    let text = bench.subject.text(path)?;
    Some(SourceFile { path: path.to_owned(), text })
}
