//! How strong the tests around a fix are: mutants of the fixed function that no test notices.
//!
//! Mutation analysis (DeMillo et al., 1978) on a sample. Some mutants are equivalent to the
//! original; the figure is a hint for a reviewer, not a score.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlit_runner::{Prepared, Project, TestId};

use super::{Strength, changed_function};
use crate::SourceFile;
use crate::baseline::Baseline;
use crate::candidate::{Candidate, FaultContext, Generator};
use crate::localize::{Localization, Method, Suspicious};
use crate::patch::{PatchedFile, apply};
use crate::reject::{Author, Rejector};
use crate::screen::{Limit, Screen};
use crate::search::VerifiedFix;
use crate::workbench::{Subject, WorkError, Workbench};

/// Mutants tried.
const MUTANTS: usize = 16;
/// Time for all of them, at least.
const WALL: Duration = Duration::from_secs(6);
/// Passing tests run on each mutant beside the mended ones.
const GUARDS: usize = 30;

/// Runs mutants of the function that `fix` changes against the mended tests and the first of
/// `guards`. `None` where the function is not known or no mutant can be run.
pub(crate) fn strength(
    bench: &Workbench,
    baseline: &Baseline,
    project: &Project,
    generator: &dyn Generator,
    fix: &VerifiedFix,
    guards: &[TestId],
) -> Result<Option<Strength>, WorkError> {
    let [file] = &*fix.files else { return Ok(None) };
    let mutants = mutants(project, &bench.subject, generator, file);
    if mutants.is_empty() {
        return Ok(None);
    }
    let wall = baseline.allowance(WALL);
    let stop = Instant::now() + wall;
    let mended: Vec<TestId> = fix.plausible.red_to_green.iter().cloned().collect();
    let tests: Vec<TestId> = mended.iter().chain(guards.iter().take(GUARDS)).cloned().collect();
    let mut screen = Screen::open(bench, baseline, project, std::slice::from_ref(&tests))?;
    // What the fixed view itself does not pass in a warm session cannot judge its mutants.
    if !screen.is_green(&fix.files, None, &tests, Limit::Patient, wall)? {
        return Ok(None);
    }
    let prepared = if screen.batch() > 1 {
        screen.prepare(mutants.iter().map(std::slice::from_ref))?
    } else {
        vec![Prepared::Alone; mutants.len()]
    };
    let batched = screen.batch() > 1;
    let mut strength = Strength { mutants: 0, survived: 0 };
    for (index, (mutant, prepared)) in mutants.iter().zip(prepared).enumerate() {
        let left = stop.saturating_duration_since(Instant::now());
        let variant = match prepared {
            _ if left.is_zero() => break,
            Prepared::Ready => Some(index),
            Prepared::Alone if !batched => None,
            Prepared::Alone | Prepared::Invalid(_) => continue,
        };
        strength.mutants += 1;
        let green =
            screen.is_green(std::slice::from_ref(mutant), variant, &tests, Limit::Quick, left)?;
        strength.survived += u32::from(green);
    }
    Ok((strength.mutants > 0).then_some(strength))
}

/// Patched files whose text is a mutant of the fixed text, spread over lines and kinds of edit.
fn mutants(
    project: &Project,
    subject: &Subject,
    generator: &dyn Generator,
    file: &PatchedFile,
) -> Vec<PatchedFile> {
    let Some(function) = changed_function(file) else { return Vec::new() };
    let fixed: Arc<str> = file.after.as_str().into();
    let grown = fixed.lines().count() as i64 - file.before.lines().count() as i64;
    let end = u32::try_from(i64::from(function.end_line) + grown).unwrap_or(function.end_line);
    let lines = (function.start_line..=end).map(|line| Suspicious {
        path: file.path.clone(),
        line,
        score: 1.0,
    });
    let localization = Localization {
        method: Method::Trace,
        measured_by: None,
        changed: false,
        lines: lines.collect(),
    };
    let files = [SourceFile { path: file.path.clone(), text: fixed.clone() }];
    let context = FaultContext {
        files: &files,
        neighbours: &[],
        retrieved: &[],
        localization: &localization,
    };
    let mut rejector = Rejector::default();
    let is_test = |path: &Path| project.is_test_file(path);
    let text_of = |_: &Path| Some(fixed.clone());
    spread(generator.candidates(&context), &fixed)
        .into_iter()
        .filter_map(|candidate| {
            let mut patched = apply(&candidate.edits, &text_of).ok()?;
            let refused = rejector.reject(subject, &patched, &is_test, Author::Search).is_some();
            let mutant = patched.pop().filter(|_| !refused)?;
            // The same text as before the fix is no mutant: it is known to be noticed.
            (mutant.after != *file.before)
                .then(|| PatchedFile { before: file.before.clone(), ..mutant })
        })
        .take(MUTANTS)
        .collect()
}

/// The first candidate of each line and rule, then the second ones, and so on.
fn spread(candidates: Vec<Candidate>, text: &str) -> Vec<Candidate> {
    let mut seen: HashMap<(usize, String), usize> = HashMap::new();
    let mut ranked: Vec<(usize, Candidate)> = candidates
        .into_iter()
        .map(|candidate| {
            let start = candidate.edits.first().map_or(0, |edit| edit.start);
            let line = text[..start.min(text.len())].matches('\n').count();
            let turn = seen.entry((line, candidate.source.rule.clone())).or_insert(0);
            *turn += 1;
            (*turn, candidate)
        })
        .collect();
    ranked.sort_by_key(|(turn, _)| *turn);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}
