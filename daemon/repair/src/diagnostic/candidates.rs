//! What could mend a diagnostic.

use greenlit_runner::{Applicability, CheckDiagnostic, CheckTool};

use crate::localize::{Localization, Method, Suspicious};
use crate::workbench::Workbench;
use crate::{Candidate, Edit, FaultContext, Generator, Source, SourceFile};

/// Tier of what a checker suggests itself.
pub(super) const CHECKER: &str = "checker";

/// The checker's own suggestions, the most certain first.
pub(super) fn suggested(tool: CheckTool, found: &CheckDiagnostic) -> Vec<Candidate> {
    let rule = match tool {
        CheckTool::Rustc => "rustc-suggestion",
        CheckTool::Clippy => "clippy-suggestion",
        CheckTool::Ruff => "ruff-fix",
        CheckTool::Tsc => "tsc-suggestion",
    };
    let candidate = |suggestion: &greenlit_runner::Suggestion| Candidate {
        edits: suggestion
            .edits
            .iter()
            .map(|edit| Edit {
                path: edit.path.clone(),
                start: edit.start,
                end: edit.end,
                new_text: edit.new_text.clone(),
            })
            .collect(),
        source: Source { tier: CHECKER.into(), rule: rule.into(), adapter: None },
        summary: suggestion.message.clone(),
        score: match suggestion.applicability {
            Applicability::Sure => 1.0,
            Applicability::Unsure => 0.5,
        },
    };
    found.suggestions.iter().map(candidate).collect()
}

/// What templates propose on the diagnostic's lines, without those that only take code away.
pub(super) fn proposed(
    bench: &Workbench,
    generator: &dyn Generator,
    found: &CheckDiagnostic,
) -> Vec<Candidate> {
    let Some(text) = bench.subject.text(&found.path) else { return Vec::new() };
    let (first, last) = found.lines;
    let lines = (first.max(1)..=last.max(first).min(first.saturating_add(MOST_LINES)))
        .map(|line| Suspicious { path: found.path.clone(), line, score: 1.0 });
    let localization = Localization {
        method: Method::Diagnostic,
        measured_by: None,
        changed: false,
        lines: lines.collect(),
    };
    let file = SourceFile { path: found.path.clone(), text: text.clone() };
    let context = FaultContext {
        files: &[file],
        neighbours: &[],
        retrieved: &[],
        localization: &localization,
    };
    let mut candidates = generator.candidates(&context);
    candidates.retain(|candidate| !candidate.edits.iter().any(|edit| deletes(&text, edit)));
    candidates
}

/// A diagnostic of more lines than this is about a whole item, not about a line of it.
const MOST_LINES: u32 = 20;

/// Whether an edit takes a whole line of code away and puts nothing in its place: a complaint about
/// code that is not there any more is gone, and nothing is mended.
fn deletes(text: &str, edit: &Edit) -> bool {
    let nothing = edit.new_text.lines().all(|line| matches!(line.trim(), "" | "pass" | ";"));
    let Some(old) = text.get(edit.start..edit.end).filter(|_| nothing) else { return false };
    let start = text[..edit.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[edit.end..].find('\n').map_or(text.len(), |at| edit.end + at);
    let before = text[start..edit.start].trim().is_empty();
    let after = old.ends_with('\n') || text[edit.end..end].trim().is_empty();
    !old.trim().is_empty() && (old.trim().contains('\n') || (before && after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taking_a_whole_line_away_is_no_fix() {
        let text = "def f(a):\n    total = a + b\n    return total\n";
        let edit = |old: &str, new: &str| {
            let start = text.find(old).unwrap();
            let (end, new_text) = (start + old.len(), new.to_owned());
            Edit { path: "/w/a.py".into(), start, end, new_text }
        };
        assert!(deletes(text, &edit("    total = a + b\n", "")));
        assert!(deletes(text, &edit("total = a + b", "pass")));
        assert!(deletes(text, &edit("total = a + b\n    return total", "")));
        assert!(!deletes(text, &edit(" + b", "")));
        assert!(!deletes(text, &edit("total = a + b", "total = a")));
        assert!(!deletes(text, &edit("b", "a")));
    }
}
