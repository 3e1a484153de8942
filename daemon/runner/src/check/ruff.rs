//! ruff: the person's own, with the project's configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{Command, ExitState, Sandbox, SandboxError};
use serde::Deserialize;

use super::position::{Lines, Unit};
use super::{
    Applicability, CheckDiagnostic, CheckRun, CheckState, MESSAGE_LIMIT, Severity, SuggestedEdit,
    Suggestion, state_of,
};
use crate::error::RunError;
use crate::host;
use crate::scope::Scope;
use crate::text::head;

/// Largest file that is checked.
const LARGEST: u64 = 4 << 20;

/// Codes of what fails when it is reached; the others are advice. As ruff's own language server
/// shows them.
const ERRORS: &[&str] = &["F821", "E902", "invalid-syntax", ""];

#[derive(Debug, Clone)]
pub(super) struct Ruff {
    pub(super) program: PathBuf,
    pub(super) env: BTreeMap<OsString, OsString>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    code: Option<String>,
    message: String,
    filename: PathBuf,
    location: Place,
    end_location: Place,
    fix: Option<Fix>,
    /// Only in notebooks, whose positions are those of a cell.
    cell: Option<u32>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Place {
    row: u32,
    column: u32,
}

#[derive(Debug, Deserialize)]
struct Fix {
    applicability: String,
    message: Option<String>,
    edits: Vec<Edit>,
}

#[derive(Debug, Deserialize)]
struct Edit {
    content: String,
    location: Place,
    end_location: Place,
}

impl Ruff {
    pub(super) fn readable(&self, root: &Path) -> Vec<PathBuf> {
        let mut readable = host::link_chain(&self.program);
        readable.retain(|path| path.exists() && !path.starts_with(root));
        readable
    }

    pub(super) fn run(
        &self,
        sandbox: &mut Sandbox,
        root: &Path,
        files: &[PathBuf],
        wall: Duration,
    ) -> Result<CheckRun, RunError> {
        let scope = Scope::new(sandbox, root);
        let mut argv: Vec<OsString> = vec![scope.inside(&self.program).into()];
        // The project's configuration may ask for fixes to be applied: not here.
        argv.extend(
            ["check", "--output-format=json", "--no-fix", "--no-cache", "--exit-zero", "--"]
                .map(OsString::from),
        );
        argv.extend(files.iter().map(|file| scope.inside(file).into()));
        let command = Command {
            argv,
            cwd: root.to_owned(),
            env: self.env.clone(),
            stdin: Vec::new(),
            wall,
            cpu: None,
        };
        let outcome = sandbox.exec(&command)?;
        if outcome.state != ExitState::Exited(0) {
            return Ok(CheckRun::without_report(state_of("ruff", &outcome), &outcome));
        }
        let Ok(entries) = serde_json::from_slice::<Vec<Entry>>(&outcome.stdout) else {
            let message = "ruff's report is not the JSON that was asked for".to_owned();
            return Ok(CheckRun::without_report(CheckState::Failed { message }, &outcome));
        };
        let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
        let mut diagnostics = Vec::new();
        for entry in entries {
            let Some(path) = scope.person(&entry.filename) else { continue };
            if !texts.contains_key(&path) {
                let text = match sandbox.read(&path, LARGEST) {
                    Ok(bytes) => String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default(),
                    Err(error @ (SandboxError::Cancelled | SandboxError::Died { .. })) => {
                        return Err(error.into());
                    }
                    Err(_) => String::new(),
                };
                texts.insert(path.clone(), text);
            }
            diagnostics.push(entry.diagnostic(&path, &texts[&path]));
        }
        Ok(CheckRun { state: CheckState::Completed, diagnostics, cpu: outcome.cpu })
    }
}

impl Entry {
    fn diagnostic(self, path: &Path, text: &str) -> CheckDiagnostic {
        let lines = Lines::new(text, false);
        let range = |from: Place, to: Place| {
            let start = lines.offset(from.row, from.column, Unit::Characters)?;
            let end = lines.offset(to.row, to.column, Unit::Characters)?;
            (start <= end).then_some((start, end))
        };
        let code = self.code.unwrap_or_default();
        let suggestion = self.fix.filter(|_| self.cell.is_none()).and_then(|fix| {
            let applicability = match fix.applicability.as_str() {
                "safe" => Applicability::Sure,
                "unsafe" => Applicability::Unsure,
                _ => return None,
            };
            let edit = |edit: Edit| {
                let (start, end) = range(edit.location, edit.end_location)?;
                Some(SuggestedEdit { path: path.to_owned(), start, end, new_text: edit.content })
            };
            let mut edits = fix.edits.into_iter().map(edit).collect::<Option<Vec<_>>>()?;
            edits.sort();
            Some(Suggestion { applicability, message: fix.message.unwrap_or_default(), edits })
        });
        let (start, end) = range(self.location, self.end_location).unwrap_or_default();
        CheckDiagnostic {
            path: path.to_owned(),
            start,
            end,
            lines: (self.location.row, self.end_location.row),
            severity: match ERRORS.contains(&code.as_str()) {
                true => Severity::Error,
                false => Severity::Warning,
            },
            code,
            message: head(&self.message, MESSAGE_LIMIT).to_owned(),
            suggestions: suggestion.into_iter().collect(),
        }
    }
}
