//! Checkers: the compilers and linters whose diagnostics an editor shows, run again in a sandbox.
//!
//! A checker reads machine-readable output only. Which diagnostics a tool reports depends on its
//! configuration: the one that the checkout holds is used, the person's own outside of it is not
//! seen from inside.

mod detect;
mod position;
mod ruff;
mod rustc;
mod tsc;

use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlit_sandbox::{CacheMode, ExecOutcome, ExitState, Sandbox};

use crate::error::RunError;
use crate::outcome::{no_report, said};
use crate::project::{Needs, Project};
use crate::types::RunState;

/// More diagnostics than this are not compared: such a report counts as failed.
const MOST: usize = 20_000;

/// Bytes of a message that are kept and compared.
const MESSAGE_LIMIT: usize = 2000;

/// A compiler or linter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckTool {
    /// `cargo check`
    Rustc,
    /// `cargo clippy`
    Clippy,
    /// `ruff check`
    Ruff,
    /// `tsc --noEmit`
    Tsc,
}

/// A tool that was found for a file, with what it needs.
#[derive(Debug, Clone)]
pub struct Checker {
    tool: CheckTool,
    root: PathBuf,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// For rustc and clippy.
    Cargo(Project),
    Ruff(ruff::Ruff),
    Tsc(tsc::Tsc),
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckState {
    /// The report is complete. The only state from which anything follows.
    Completed,
    /// The tool is not installed in the person's environment, or could not be started.
    ToolMissing {
        /// What is missing.
        message: String,
    },
    /// The time limit passed.
    Hung,
    /// It ended without a complete report (broken configuration, missing dependency, crash).
    Failed {
        /// What it said, bounded.
        message: String,
    },
}

/// One run of a checker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    /// What became of it.
    pub state: CheckState,
    /// What was reported, without repetitions, in order of path and place. Empty unless completed.
    pub diagnostics: Vec<CheckDiagnostic>,
    /// CPU time of the whole process tree.
    pub cpu: Duration,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Code that runs and may be better.
    Warning,
    /// Code that does not compile, or fails when it is reached.
    Error,
}

/// One diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckDiagnostic {
    /// Absolute path as the person sees it. The project's directory for a diagnostic without a
    /// place in the workspace (a linker's, one inside a foreign macro).
    pub path: PathBuf,
    /// Start in bytes of the UTF-8 text that the sandbox holds; 0 without a place.
    pub start: usize,
    /// End (exclusive) in bytes; the start where the tool tells no end (tsc).
    pub end: usize,
    /// 1-based first and last line; 0 without a place.
    pub lines: (u32, u32),
    /// `E0609`, `unused_mut`, `clippy::needless_return`, `F841`, `TS2322`; empty when it has none.
    pub code: String,
    /// The tool's message, without notes, bounded.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
    /// What the tool proposes, the most certain first.
    pub suggestions: Vec<Suggestion>,
}

/// How sure a tool is of its suggestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Applicability {
    /// The tool would apply it by itself (rustc `MachineApplicable`, ruff `safe`).
    Sure,
    /// Complete, but it may mean something else (rustc `MaybeIncorrect`, ruff `unsafe`).
    Unsure,
}

/// A complete edit that the tool proposes. Those with gaps to fill in are left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suggestion {
    /// How sure the tool is.
    pub applicability: Applicability,
    /// What it does, for people.
    pub message: String,
    /// Replacements that belong together, in order of path and start.
    pub edits: Vec<SuggestedEdit>,
}

/// Replaces a byte range of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SuggestedEdit {
    /// Absolute path.
    pub path: PathBuf,
    /// Start in bytes of the UTF-8 text that the sandbox holds.
    pub start: usize,
    /// End (exclusive) in bytes.
    pub end: usize,
    /// What stands there afterwards.
    pub new_text: String,
}

impl Checker {
    /// Which tool.
    pub fn tool(&self) -> CheckTool {
        self.tool
    }

    /// What tells it from others of the same tool: the directory that it checks, or the program.
    pub fn place(&self) -> &Path {
        match &self.kind {
            Kind::Cargo(project) => project.dir(),
            Kind::Ruff(ruff) => &ruff.program,
            Kind::Tsc(tsc) => &tsc.dir,
        }
    }

    /// What the sandbox must show and keep, as [`Project::needs`].
    pub fn needs(&self, store: &Path, mode: CacheMode) -> Needs {
        match &self.kind {
            Kind::Cargo(project) => {
                project.cargo().map(|cargo| cargo.check_needs(store, mode)).unwrap_or_default()
            }
            Kind::Ruff(ruff) => Needs { readable: ruff.readable(&self.root), caches: Vec::new() },
            Kind::Tsc(tsc) => Needs { readable: tsc.readable(&self.root), caches: Vec::new() },
        }
    }

    /// Checks the state that the sandbox holds within `wall`. `files` are looked at by a tool that
    /// checks single files (ruff); the others check their whole project.
    ///
    /// # Errors
    /// Only when the sandbox is gone. What keeps the tool from reporting is in [`CheckRun::state`].
    pub fn run(
        &self,
        sandbox: &mut Sandbox,
        files: &[PathBuf],
        wall: Duration,
    ) -> Result<CheckRun, RunError> {
        let mut run = match &self.kind {
            Kind::Cargo(project) => {
                let cargo = project.cargo().expect("only cargo projects are kept here");
                let outcome = cargo.check(sandbox, self.tool == CheckTool::Clippy, wall)?;
                rustc::read(sandbox, &self.root, project.dir(), &outcome)
            }
            Kind::Ruff(ruff) => ruff.run(sandbox, &self.root, files, wall)?,
            Kind::Tsc(tsc) => tsc.run(sandbox, &self.root, wall)?,
        };
        // A crate is compiled once as a library and once for its tests: the same is said twice.
        run.diagnostics.sort();
        run.diagnostics.dedup();
        if run.diagnostics.len() > MOST {
            run.state = CheckState::Failed { message: format!("more than {MOST} diagnostics") };
        }
        if run.state != CheckState::Completed {
            run.diagnostics.clear();
        }
        Ok(run)
    }
}

impl CheckRun {
    fn without_report(state: CheckState, outcome: &ExecOutcome) -> Self {
        Self { state, diagnostics: Vec::new(), cpu: outcome.cpu }
    }
}

/// The state of a command that did not come to a report of its own.
fn state_of(tool: &str, outcome: &ExecOutcome) -> CheckState {
    match &outcome.state {
        ExitState::NotStarted(reason) => {
            CheckState::ToolMissing { message: format!("{tool} could not be started: {reason}") }
        }
        ExitState::TimedOut => CheckState::Hung,
        ExitState::Exited(_) => CheckState::Failed { message: said(outcome) },
        _ => match no_report(tool, outcome) {
            RunState::NoReport { message } => CheckState::Failed { message },
            _ => CheckState::Failed { message: said(outcome) },
        },
    }
}
