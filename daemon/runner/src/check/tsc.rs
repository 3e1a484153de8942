//! tsc: the project's own compiler. It has no suggestions in machine-readable form.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{Command, ExecOutcome, ExitState, Sandbox};

use super::position::{Lines, Unit};
use super::{CheckDiagnostic, CheckRun, CheckState, MESSAGE_LIMIT, Severity, state_of};
use crate::error::RunError;
use crate::host;
use crate::scope::Scope;
use crate::text::head;

/// Largest file whose positions are translated.
const LARGEST: u64 = 4 << 20;

/// tsc's exit codes for diagnostics: outputs skipped, and outputs generated.
const WITH_DIAGNOSTICS: [i32; 2] = [1, 2];

#[derive(Debug, Clone)]
pub(super) struct Tsc {
    /// node itself, not a version manager's shim.
    pub(super) node: PathBuf,
    /// `node_modules/.bin/tsc`
    pub(super) script: PathBuf,
    /// The directory with `tsconfig.json`.
    pub(super) dir: PathBuf,
    pub(super) env: BTreeMap<OsString, OsString>,
}

/// One diagnostic as tsc prints it.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    /// Name, line and column; global diagnostics have none.
    place: Option<(String, u32, u32)>,
    code: String,
    message: String,
}

impl Tsc {
    pub(super) fn readable(&self, root: &Path) -> Vec<PathBuf> {
        let mut readable = host::link_chain(&self.node);
        let prefix = self.node.parent().filter(|bin| bin.ends_with("bin")).and_then(Path::parent);
        readable.extend(prefix.filter(|prefix| prefix.parent().is_some()).map(Path::to_path_buf));
        readable.retain(|path| path.exists() && !path.starts_with(root));
        readable
    }

    pub(super) fn run(
        &self,
        sandbox: &mut Sandbox,
        root: &Path,
        wall: Duration,
    ) -> Result<CheckRun, RunError> {
        let scope = Scope::new(sandbox, root);
        let mut argv: Vec<OsString> =
            vec![self.node.clone().into(), scope.inside(&self.script).into()];
        // A kept build information file could say that nothing changed.
        argv.extend(
            ["--noEmit", "--pretty", "false", "--incremental", "false", "--composite", "false"]
                .map(OsString::from),
        );
        argv.extend(["--locale", "en", "--project", "tsconfig.json"].map(OsString::from));
        let command = Command {
            argv,
            cwd: self.dir.clone(),
            env: self.env.clone(),
            stdin: Vec::new(),
            wall,
            cpu: None,
        };
        let outcome = sandbox.exec(&command)?;
        let printed = parse(&String::from_utf8_lossy(&outcome.stdout));
        let complete = match &outcome.state {
            ExitState::Exited(0) => printed.is_empty() && outcome.stderr.is_empty(),
            ExitState::Exited(code) => WITH_DIAGNOSTICS.contains(code) && !printed.is_empty(),
            _ => false,
        };
        if !complete {
            return Ok(CheckRun::without_report(state_of("tsc", &outcome), &outcome));
        }
        Ok(self.read(sandbox, &scope, printed, &outcome))
    }

    fn read(
        &self,
        sandbox: &mut Sandbox,
        scope: &Scope,
        printed: Vec<Printed>,
        outcome: &ExecOutcome,
    ) -> CheckRun {
        let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
        let mut diagnostics = Vec::new();
        for Printed { place, code, message } in printed {
            let own = place.and_then(|(name, line, column)| {
                let path = scope.person(&scope.inside(&self.dir).join(name))?;
                Some((path, line, column))
            });
            let (path, line, column) = own.unwrap_or_else(|| (self.dir.clone(), 0, 0));
            let text = texts.entry(path.clone()).or_insert_with(|| {
                // Without its text the place of a diagnostic is its line alone.
                let bytes = sandbox.read(&path, LARGEST).ok().flatten().unwrap_or_default();
                String::from_utf8(bytes).unwrap_or_default()
            });
            let at = Lines::new(text, true).offset(line, column, Unit::Utf16).unwrap_or(0);
            diagnostics.push(CheckDiagnostic {
                path,
                start: at,
                end: at,
                lines: (line, line),
                code,
                message: head(&message, MESSAGE_LIMIT).to_owned(),
                severity: Severity::Error,
                suggestions: Vec::new(),
            });
        }
        CheckRun { state: CheckState::Completed, diagnostics, cpu: outcome.cpu }
    }
}

/// `src/a.ts(3,7): error TS2322: Type …`, and `error TS18003: No inputs …` without a place; lines
/// that are indented belong to the message before them.
fn parse(output: &str) -> Vec<Printed> {
    let mut all: Vec<Printed> = Vec::new();
    for line in output.lines() {
        if line.starts_with(' ') {
            if let Some(last) = all.last_mut() {
                last.message.push('\n');
                last.message.push_str(line);
            }
            continue;
        }
        all.extend(parse_line(line));
    }
    all
}

fn parse_line(line: &str) -> Option<Printed> {
    let (before, after) = match line.strip_prefix("error TS") {
        Some(after) => ("", after),
        None => line.split_once(": error TS")?,
    };
    let (number, message) = after.split_once(": ")?;
    number.parse::<u32>().ok()?;
    let place = match before {
        "" => None,
        place => {
            let (name, at) = place.strip_suffix(')')?.rsplit_once('(')?;
            let (line, column) = at.split_once(',')?;
            Some((name.to_owned(), line.parse().ok()?, column.parse().ok()?))
        }
    };
    Some(Printed { place, code: format!("TS{number}"), message: message.to_owned() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printed_diagnostics_are_read_with_their_continuations() {
        let output = "src/a (1).ts(3,17): error TS2345: Argument: error of type.\n  Type 'x'.\n\
                      error TS18003: No inputs were found.\nsomething else\n";
        let read = parse(output);
        assert_eq!(
            read,
            [
                Printed {
                    place: Some(("src/a (1).ts".into(), 3, 17)),
                    code: "TS2345".into(),
                    message: "Argument: error of type.\n  Type 'x'.".into(),
                },
                Printed {
                    place: None,
                    code: "TS18003".into(),
                    message: "No inputs were found.".into(),
                },
            ]
        );
    }

    proptest! {
        #[test]
        fn any_output_is_read(output in "(\\PC|error TS1: |\\(1,2\\): |\n){0,12}") {
            parse(&output);
        }
    }
}
