//! A diagnostic as an editor shows it, and which of a checker's own it is.

use std::path::PathBuf;

use greenlit_runner::CheckDiagnostic;

/// A diagnostic that somebody saw in an editor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenDiagnostic {
    /// Absolute path.
    pub path: PathBuf,
    /// Start in bytes of the text under repair.
    pub start: usize,
    /// End (exclusive) in bytes.
    pub end: usize,
    /// As the editor's server spells it: `F841`, `2322`, `needless_return`.
    pub code: Option<String>,
    /// The message; servers append notes to the tool's own first line.
    pub message: String,
}

impl SeenDiagnostic {
    /// The checker's diagnostic that this is: the same place, and the same code (else the same
    /// message). Of several the nearest.
    pub(super) fn find<'d>(&self, all: &'d [CheckDiagnostic]) -> Option<&'d CheckDiagnostic> {
        let same = all.iter().filter(|found| self.is(found));
        same.min_by_key(|found| {
            (
                first_line(&found.message) != first_line(&self.message),
                found.start.abs_diff(self.start),
            )
        })
    }

    fn is(&self, found: &CheckDiagnostic) -> bool {
        let touches = self.start <= found.end && found.start <= self.end;
        let same = match self.code.as_deref().filter(|code| !code.is_empty()) {
            Some(code) => plain(code) == plain(&found.code),
            None => first_line(&self.message) == first_line(&found.message),
        };
        self.path == found.path && touches && same
    }
}

/// Codes without what only one side writes: `clippy::` and `TS`.
fn plain(code: &str) -> &str {
    let code = code.strip_prefix("clippy::").unwrap_or(code);
    match code.strip_prefix("TS") {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => number,
        _ => code,
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use greenlit_runner::Severity;

    use super::*;

    fn found(start: usize, code: &str, message: &str) -> CheckDiagnostic {
        CheckDiagnostic {
            path: "/w/a".into(),
            start,
            end: start + 4,
            lines: (1, 1),
            code: code.into(),
            message: message.into(),
            severity: Severity::Warning,
            suggestions: Vec::new(),
        }
    }

    fn seen(start: usize, code: Option<&str>, message: &str) -> SeenDiagnostic {
        let code = code.map(str::to_owned);
        SeenDiagnostic { path: "/w/a".into(), start, end: start + 4, code, message: message.into() }
    }

    #[test]
    fn servers_spell_codes_and_messages_in_their_own_way() {
        let all = [
            found(0, "clippy::needless_return", "unneeded `return` statement"),
            found(10, "TS2322", "Type 'x'.\n  More."),
            found(20, "unused_mut", "variable does not need to be mutable"),
            found(40, "unused_mut", "variable does not need to be mutable"),
        ];
        let at = |seen: SeenDiagnostic| seen.find(&all).map(|found| found.start);
        assert_eq!(
            at(seen(0, Some("needless_return"), "unneeded `return` statement\nfor more")),
            Some(0)
        );
        assert_eq!(at(seen(10, Some("2322"), "Type 'x'.")), Some(10));
        assert_eq!(at(seen(40, Some("unused_mut"), "whatever")), Some(40));
        assert_eq!(at(seen(20, None, "variable does not need to be mutable\nnote")), Some(20));
        assert_eq!(at(seen(20, Some("E0001"), "variable does not need to be mutable")), None);
        assert_eq!(at(seen(60, Some("unused_mut"), "variable does not need to be mutable")), None);
    }
}
