//! Whether a diagnostic is gone and none is new.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use greenlit_runner::{CheckDiagnostic, CheckTool, Severity};
use similar::{ChangeTag, TextDiff};

use super::verify::DiagnosticFall;
use crate::patch::PatchedFile;

/// Places may shift; everything else must be the same.
type Key<'a> = (&'a Path, &'a str, &'a str);

fn key(diagnostic: &CheckDiagnostic) -> Key<'_> {
    (&diagnostic.path, &diagnostic.code, &diagnostic.message)
}

/// Compares two complete reports as multisets; gives how many warnings the target had hidden.
///
/// An error that ends the tool early hides what it would have said later. Warnings that are first
/// seen once such an error is gone are counted apart, unless they are on lines that the patch wrote.
pub(super) fn compare(
    tool: CheckTool,
    before: &[CheckDiagnostic],
    target: &CheckDiagnostic,
    files: &[PatchedFile],
    after: &[CheckDiagnostic],
) -> Result<u32, DiagnosticFall> {
    let mut left: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    for diagnostic in before {
        *left.entry(key(diagnostic)).or_default() += 1;
    }
    let remaining = after.iter().filter(|diagnostic| key(diagnostic) == key(target)).count();
    if remaining >= left.get(&key(target)).copied().unwrap_or_default() {
        return Err(DiagnosticFall::NotGone);
    }
    let hides = hides(tool, target);
    let written = if hides { written_lines(files) } else { BTreeSet::new() };
    let mut revealed = 0;
    for diagnostic in after {
        match left.get_mut(&key(diagnostic)) {
            Some(count) if *count > 0 => *count -= 1,
            _ if hides
                && diagnostic.severity == Severity::Warning
                && !touches(diagnostic, &written) =>
            {
                revealed += 1;
            }
            _ => return Err(DiagnosticFall::NewDiagnostic(diagnostic.code.clone())),
        }
    }
    Ok(revealed)
}

fn hides(tool: CheckTool, target: &CheckDiagnostic) -> bool {
    match tool {
        CheckTool::Rustc | CheckTool::Clippy => target.severity == Severity::Error,
        CheckTool::Ruff => target.code == "invalid-syntax",
        // All that it reports are errors.
        CheckTool::Tsc => false,
    }
}

/// 1-based lines of the patched texts that the patch wrote.
fn written_lines(files: &[PatchedFile]) -> BTreeSet<(&Path, u32)> {
    let mut lines = BTreeSet::new();
    for file in files {
        let diff = TextDiff::from_lines(&*file.before, file.after.as_str());
        let inserted = diff.iter_all_changes().filter(|change| change.tag() == ChangeTag::Insert);
        let numbers = inserted.filter_map(|change| u32::try_from(change.new_index()? + 1).ok());
        lines.extend(numbers.map(|line| (file.path.as_path(), line)));
    }
    lines
}

fn touches(diagnostic: &CheckDiagnostic, written: &BTreeSet<(&Path, u32)>) -> bool {
    let (first, last) = diagnostic.lines;
    let path = diagnostic.path.as_path();
    written.range((path, first)..=(path, last.max(first))).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diagnostic(line: u32, code: &str, severity: Severity) -> CheckDiagnostic {
        CheckDiagnostic {
            path: "/w/a.rs".into(),
            start: line as usize * 10,
            end: line as usize * 10,
            lines: (line, line),
            code: code.into(),
            message: format!("message of {code}"),
            severity,
            suggestions: Vec::new(),
        }
    }

    fn error(line: u32, code: &str) -> CheckDiagnostic {
        diagnostic(line, code, Severity::Error)
    }

    fn warning(line: u32, code: &str) -> CheckDiagnostic {
        diagnostic(line, code, Severity::Warning)
    }

    fn rustc(before: &[CheckDiagnostic], after: &[CheckDiagnostic]) -> Result<u32, DiagnosticFall> {
        let file = PatchedFile {
            path: "/w/a.rs".into(),
            before: "a\nb\nc\n".into(),
            after: "a\nB\nc\n".into(),
        };
        compare(CheckTool::Rustc, before, &before[0], &[file], after)
    }

    #[test]
    fn places_may_shift_and_counts_may_not_grow() {
        let (w, other) = (warning(1, "w"), warning(3, "v"));
        assert_eq!(rustc(&[w.clone(), other.clone()], &[warning(9, "v")]), Ok(0));
        assert_eq!(rustc(&[w.clone(), warning(3, "w")], &[warning(7, "w")]), Ok(0));
        let moved = rustc(std::slice::from_ref(&w), &[warning(2, "w")]);
        assert_eq!(moved, Err(DiagnosticFall::NotGone));
        let more = rustc(&[w, other.clone()], &[other.clone(), other]);
        assert_eq!(more, Err(DiagnosticFall::NewDiagnostic("v".into())));
    }

    #[test]
    fn only_an_error_hides_warnings_and_none_that_the_patch_wrote() {
        let new = [warning(3, "hidden")];
        assert_eq!(rustc(&[error(2, "E")], &new), Ok(1));
        let fallen = Err(DiagnosticFall::NewDiagnostic("hidden".into()));
        assert_eq!(rustc(&[warning(2, "w")], &new), fallen);
        assert_eq!(rustc(&[error(2, "E")], &[warning(2, "hidden")]), fallen);
        assert_eq!(rustc(&[error(2, "E")], &[error(3, "hidden")]), fallen);
    }
}
