//! rustc's and clippy's diagnostics, from cargo's stream of messages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use greenlit_sandbox::{ExecOutcome, ExitState, Sandbox};
use serde::Deserialize;

use super::{
    Applicability, CheckDiagnostic, CheckRun, CheckState, MESSAGE_LIMIT, Severity, SuggestedEdit,
    Suggestion, state_of,
};
use crate::outcome::said;
use crate::scope::Scope;
use crate::text::{first_line, head};

#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Line {
    CompilerMessage {
        message: Message,
    },
    BuildFinished {
        success: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Message {
    level: String,
    message: String,
    code: Option<Code>,
    #[serde(default)]
    spans: Vec<Span>,
    #[serde(default)]
    children: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Code {
    code: String,
}

#[derive(Debug, Clone, Deserialize)]
struct Span {
    file_name: PathBuf,
    byte_start: usize,
    byte_end: usize,
    line_start: u32,
    line_end: u32,
    is_primary: bool,
    suggested_replacement: Option<String>,
    suggestion_applicability: Option<String>,
    expansion: Option<Box<Expansion>>,
}

#[derive(Debug, Clone, Deserialize)]
struct Expansion {
    span: Span,
}

/// `dir` is where cargo ran: its file names are relative to it.
pub(super) fn read(sandbox: &Sandbox, root: &Path, dir: &Path, outcome: &ExecOutcome) -> CheckRun {
    let reader = Reader { scope: Scope::new(sandbox, root), dir };
    let mut finished = None;
    let mut diagnostics = Vec::new();
    for line in outcome.stdout.split(|byte| *byte == b'\n') {
        // What is no message is a build script's own output.
        match serde_json::from_slice(line) {
            Ok(Line::CompilerMessage { message }) => diagnostics.extend(reader.diagnostic(message)),
            Ok(Line::BuildFinished { success }) => finished = Some(success),
            Ok(Line::Other) | Err(_) => {}
        }
    }
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    let state = match (&outcome.state, finished) {
        (ExitState::Exited(0), Some(true)) => CheckState::Completed,
        (ExitState::Exited(_), Some(false)) if failed => CheckState::Completed,
        (ExitState::Exited(_), _) if is_missing(outcome) => {
            CheckState::ToolMissing { message: first_line(&said(outcome)) }
        }
        (ExitState::Exited(_), _) => {
            CheckState::Failed { message: String::from_utf8_lossy(&outcome.stderr).into_owned() }
        }
        _ => state_of("cargo", outcome),
    };
    CheckRun { state, diagnostics, cpu: outcome.cpu }
}

fn is_missing(outcome: &ExecOutcome) -> bool {
    let stderr = String::from_utf8_lossy(&outcome.stderr);
    stderr.contains("no such command")
        || (stderr.contains("is not installed") && stderr.contains("toolchain"))
}

/// New texts by path, start and end.
type Edits = BTreeMap<(PathBuf, usize, usize), String>;

struct Reader<'a> {
    scope: Scope,
    dir: &'a Path,
}

impl Reader<'_> {
    fn diagnostic(&self, message: Message) -> Option<CheckDiagnostic> {
        let severity = match message.level.as_str() {
            "error" => Severity::Error,
            level if level.starts_with("error:") => Severity::Error,
            "warning" => Severity::Warning,
            _ => return None,
        };
        if message.spans.is_empty() && message.code.is_none() && is_summary(&message.message) {
            return None;
        }
        let place = message.spans.iter().find(|span| span.is_primary).and_then(|s| self.own(s));
        let (path, start, end, lines) = match place {
            Some((path, span)) => {
                (path, span.byte_start, span.byte_end, (span.line_start, span.line_end))
            }
            None => (self.dir.to_owned(), 0, 0, (0, 0)),
        };
        let mut suggestions = Vec::new();
        for child in [&message].into_iter().chain(&message.children) {
            suggestions.extend(self.suggestions(child));
        }
        suggestions.sort_by_key(|suggestion| suggestion.applicability);
        Some(CheckDiagnostic {
            path,
            start,
            end,
            lines,
            code: message.code.map(|code| code.code).unwrap_or_default(),
            message: head(&message.message, MESSAGE_LIMIT).to_owned(),
            severity,
            suggestions,
        })
    }

    /// Where a span lies in the workspace: itself, or where the macro was called that it is in.
    fn own(&self, span: &Span) -> Option<(PathBuf, Span)> {
        let mut span = span.clone();
        loop {
            let outer = span.expansion.take();
            if let Some(path) = self.path(&span)
                && outer.is_none()
            {
                return Some((path, span));
            }
            span = outer?.span;
        }
    }

    fn path(&self, span: &Span) -> Option<PathBuf> {
        self.scope.person(&self.scope.inside(self.dir).join(&span.file_name))
    }

    /// One help message is one suggestion, or several for the same place to choose from.
    fn suggestions(&self, message: &Message) -> Vec<Suggestion> {
        let mut alternatives: Vec<(Applicability, Edits)> =
            vec![(Applicability::Sure, BTreeMap::new())];
        for span in &message.spans {
            let Some(new_text) = &span.suggested_replacement else { continue };
            let applicability = match span.suggestion_applicability.as_deref() {
                Some("MachineApplicable") => Applicability::Sure,
                Some("MaybeIncorrect") => Applicability::Unsure,
                _ => return Vec::new(),
            };
            // An edit inside of a macro's definition changes every use of it.
            let Some(path) = self.path(span).filter(|_| span.expansion.is_none()) else {
                return Vec::new();
            };
            let key = (path, span.byte_start, span.byte_end);
            let free = alternatives.iter().position(|(_, edits)| !edits.contains_key(&key));
            let at = free.unwrap_or_else(|| {
                alternatives.push((Applicability::Sure, BTreeMap::new()));
                alternatives.len() - 1
            });
            let (worst, edits) = &mut alternatives[at];
            *worst = (*worst).max(applicability);
            edits.insert(key, new_text.clone());
        }
        let suggestion = |(applicability, edits): (Applicability, Edits)| {
            let edits = edits.into_iter().map(|((path, start, end), new_text)| SuggestedEdit {
                path,
                start,
                end,
                new_text,
            });
            Suggestion {
                applicability,
                message: first_line(&message.message),
                edits: edits.collect(),
            }
        };
        let given = alternatives.into_iter().filter(|(_, edits)| !edits.is_empty());
        given.map(suggestion).collect()
    }
}

/// `aborting due to 2 previous errors`, `3 warnings emitted`: they follow from the others.
fn is_summary(message: &str) -> bool {
    message.starts_with("aborting due to")
        || message.ends_with("warning emitted")
        || message.ends_with("warnings emitted")
}
