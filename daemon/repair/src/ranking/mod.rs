//! Orders verified fixes. All of them pass the tests; the question is which one is right.
//!
//! What is known beyond the tests: how trustworthy the kind of edit is (the generator's score), how
//! natural the new code is for this repository, and how many independent candidates behave alike
//! on inputs that the tests do not use. Of fixes that behave alike only the best is shown.

mod agreement;
mod change;
mod naturalness;
mod partial;
mod strength;
mod weights;
mod withheld;

use std::collections::BTreeSet;
use std::time::Duration;

use greenlit_runner::{Project, TestId};
use greenlit_syntax::{FunctionItem, Language, parse};

use self::agreement::behaviours;
pub use self::change::Change;
use self::naturalness::Naturalness;
pub(crate) use self::partial::withhold_partial;
pub(crate) use self::strength::strength;
use self::weights::WEIGHTS;
pub(crate) use self::withheld::withhold;
pub use self::withheld::{Reason, Withheld};
use crate::baseline::Baseline;
use crate::locate::source;
use crate::patch::PatchedFile;
use crate::project_files::code_files;
use crate::search::VerifiedFix;
use crate::workbench::Workbench;

/// What is known of a fix beyond its verdict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// By how many bits per token the new code is more natural for the repository than the code that
    /// it replaces; `None` where there was no other fix to compare with.
    pub naturalness: Option<f64>,
    /// How much of the text it changes.
    pub change: Change,
    /// Candidates that were green on the target tests and behaved like this one on all probe
    /// inputs, itself included; 0 where behaviour was not compared.
    pub agreement: u32,
    /// How many different behaviours the green candidates had.
    pub behaviours: u32,
    /// Inputs on which behaviour was compared.
    pub probes: u32,
    /// How strong the tests are around the change.
    pub strength: Option<Strength>,
}

/// A sample of mutants of the fixed function, run against the tests around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strength {
    /// Small changes of the fixed function that were tried.
    pub mutants: u32,
    /// Those that no test noticed.
    pub survived: u32,
}

/// Inputs on which fixes have to behave alike to be taken for the same. On fewer, fixes that differ
/// may well look alike: both are shown, the second behind those that certainly differ.
const TELLING: u32 = 20;
/// Puts a fix behind all others; greater than any merit.
const BEHIND: f64 = 10.0;
/// Files that the language model of the repository is made of.
const MODEL_FILES: usize = 200;
/// Time for comparing behaviour, at least.
const PROBE_WALL: Duration = Duration::from_secs(5);
/// Candidates whose behaviour is compared.
const PROBED: usize = 24;

/// Orders `fixes`, best first, and keeps at most `keep`, of different behaviour where that is known.
pub(crate) fn rank(
    bench: &Workbench,
    baseline: &Baseline,
    project: &Project,
    targets: &[TestId],
    fixes: Vec<VerifiedFix>,
    promising: &[Vec<PatchedFile>],
    keep: usize,
) -> Vec<VerifiedFix> {
    let mut fixes = drop_subsets(fixes);
    for fix in &mut fixes {
        fix.standing.change = Change::of(&fix.files);
    }
    if fixes.len() > 1 {
        let wall = baseline.allowance(PROBE_WALL);
        let merits = merits(bench, wall, project, &mut fixes, targets, promising);
        let mut order: Vec<(f64, VerifiedFix)> = merits.into_iter().zip(fixes).collect();
        order.sort_by(|a, b| {
            let mends = |fix: &VerifiedFix| fix.plausible.red_to_green.len();
            mends(&b.1).cmp(&mends(&a.1)).then(b.0.total_cmp(&a.0))
        });
        fixes = order.into_iter().map(|(_, fix)| fix).collect();
    }
    cut(fixes, keep)
}

/// Drops fixes whose tests are a strict subset of another fix's.
fn drop_subsets(mut fixes: Vec<VerifiedFix>) -> Vec<VerifiedFix> {
    let mended: Vec<_> = fixes.iter().map(|fix| fix.plausible.red_to_green.clone()).collect();
    fixes.retain(|fix| {
        let own = &fix.plausible.red_to_green;
        !mended.iter().any(|other| other.len() > own.len() && own.is_subset(other))
    });
    fixes
}

/// A merit for each fix that is kept. Of fixes that behave alike the best one comes first, or alone.
fn merits(
    bench: &Workbench,
    wall: Duration,
    project: &Project,
    fixes: &mut Vec<VerifiedFix>,
    targets: &[TestId],
    promising: &[Vec<PatchedFile>],
) -> Vec<f64> {
    let texts = code_files(project, MODEL_FILES)
        .into_iter()
        .filter(|path| project.is_source_file(path))
        .filter_map(|path| source(bench, &path));
    let model = Naturalness::of(texts.map(|file| file.text));
    for fix in &mut *fixes {
        let natural = fix.files.iter().map(|f| model.gain(&f.before, &f.after)).sum();
        fix.standing.naturalness = Some(natural);
    }
    let merit = |fix: &VerifiedFix| {
        let natural = fix.standing.naturalness.unwrap_or_default();
        fix.candidate.score * (1.0 + WEIGHTS.naturalness.weight * natural.tanh())
    };
    let mut merits: Vec<f64> = fixes.iter().map(merit).collect();
    let candidates: Vec<&[PatchedFile]> = fixes
        .iter()
        .map(|fix| &*fix.files)
        .chain(promising.iter().map(|other| &**other))
        .take(PROBED.max(fixes.len()))
        .collect();
    let Some(found) = behaviours(bench, project, targets, &candidates, wall) else {
        return merits;
    };
    let kinds: BTreeSet<usize> = found.group.iter().flatten().copied().collect();
    let mut best_of_group: Vec<Option<usize>> = vec![None; candidates.len()];
    let mut doubles = BTreeSet::new();
    for index in 0..fixes.len() {
        let Some(group) = found.group[index] else { continue };
        let alike = found.group.iter().filter(|other| **other == Some(group)).count();
        let standing = &mut fixes[index].standing;
        standing.agreement = u32::try_from(alike).unwrap_or(u32::MAX);
        standing.behaviours = u32::try_from(kinds.len()).unwrap_or(u32::MAX);
        standing.probes = found.inputs;
        merits[index] += WEIGHTS.agreement.weight * (alike as f64).log2();
        let tests = |index: usize| &fixes[index].plausible.red_to_green;
        match best_of_group[group] {
            Some(best) if tests(best) == tests(index) && merits[index] > merits[best] => {
                doubles.insert(best);
                best_of_group[group] = Some(index);
            }
            Some(best) if tests(best) == tests(index) => drop(doubles.insert(index)),
            _ => best_of_group[group] = Some(index),
        }
    }
    for index in &doubles {
        merits[*index] -= BEHIND;
    }
    if found.inputs >= TELLING {
        let (mut of_fix, mut of_merit) = (0.., 0..);
        fixes.retain(|_| of_fix.next().is_some_and(|index| !doubles.contains(&index)));
        merits.retain(|_| of_merit.next().is_some_and(|index| !doubles.contains(&index)));
    }
    merits
}

/// Each failing test keeps at least its best fix when the list is cut.
fn cut(fixes: Vec<VerifiedFix>, keep: usize) -> Vec<VerifiedFix> {
    let mut covered = BTreeSet::new();
    let mut kept = Vec::new();
    let mut rest = Vec::new();
    for fix in fixes {
        let adds = fix.plausible.red_to_green.iter().any(|id| !covered.contains(id));
        covered.extend(fix.plausible.red_to_green.iter().cloned());
        if adds { kept.push(fix) } else { rest.push(fix) }
    }
    rest.truncate(keep.saturating_sub(kept.len()));
    kept.extend(rest);
    kept
}

/// The innermost named function of the unpatched text around all of a patch's changes.
pub(crate) fn changed_function(file: &PatchedFile) -> Option<ChangedFunction> {
    let around = functions_around(file)?;
    around.into_iter().min_by_key(|function| function.range.len()).map(ChangedFunction::from)
}

/// The outermost one: what is nested in it can be called through it only.
fn called_function(file: &PatchedFile) -> Option<ChangedFunction> {
    let around = functions_around(file)?;
    around.into_iter().max_by_key(|function| function.range.len()).map(ChangedFunction::from)
}

fn functions_around(file: &PatchedFile) -> Option<Vec<FunctionItem>> {
    let parsed = parse(Language::from_path(&file.path)?, file.before.clone()).ok()?;
    let start = common_prefix(&file.before, &file.after);
    let end = file.before.len() - common_suffix(&file.before[start..], &file.after[start..]);
    let mut functions = parsed.functions();
    functions
        .retain(|function| function.range.start <= start && end.max(start) <= function.range.end);
    Some(functions)
}

/// A function by its dotted name and its lines (1-based, inclusive) in the unpatched text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChangedFunction {
    pub(crate) name: String,
    pub(crate) start_line: u32,
    pub(crate) end_line: u32,
}

impl From<FunctionItem> for ChangedFunction {
    fn from(function: FunctionItem) -> Self {
        let name = match &function.class {
            Some(class) => format!("{class}.{}", function.name),
            None => function.name,
        };
        Self { name, start_line: function.start_line, end_line: function.end_line }
    }
}

fn common_prefix(a: &str, b: &str) -> usize {
    let equal = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    (0..=equal).rev().find(|at| a.is_char_boundary(*at) && b.is_char_boundary(*at)).unwrap_or(0)
}

fn common_suffix(a: &str, b: &str) -> usize {
    let equal = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    let fits = |n: &usize| a.is_char_boundary(a.len() - n) && b.is_char_boundary(b.len() - n);
    (0..=equal).rev().find(fits).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_functions_are_called_through_the_outermost_one() {
        let before = "def f(a):\n    def g(b):\n        return b + 1\n    return g(a)\n";
        let after = before.replace("b + 1", "b + 2");
        let file = PatchedFile { path: "/w/m.py".into(), before: before.into(), after };
        assert_eq!(changed_function(&file).map(|f| f.name).as_deref(), Some("g"));
        assert_eq!(called_function(&file).map(|f| f.name).as_deref(), Some("f"));
    }

    #[test]
    fn the_changed_function_is_the_innermost_around_every_change() {
        let before = "class A:\n    def f(self):\n        return 1\n\ndef g():\n    return 2\n";
        let file =
            |after: String| PatchedFile { path: "/w/m.py".into(), before: before.into(), after };
        let of = |from: &str, to: &str| {
            changed_function(&file(before.replace(from, to))).map(|function| function.name)
        };
        assert_eq!(of("return 1", "return 3").as_deref(), Some("A.f"));
        assert_eq!(of("return 2", "return 23").as_deref(), Some("g"));
        assert_eq!(of("return", "yield"), None, "two functions");
        assert_eq!(of("class A", "class B"), None, "outside");
    }
}
