//! Test runners: detect a project's own runner, list and run its tests, read its reports.
//!
//! An adapter turns cargo, pytest, node or go into the same plain data ([`TestRun`]). A [`Checker`] does
//! so with the diagnostics of rustc, clippy, ruff or tsc ([`CheckRun`]). Everything runs
//! inside a [`greenlit_sandbox::Sandbox`] and with the tools of the person's own environment.
//! Outside of it only an interpreter that lies outside the checkout is asked where it lives.
//!
//! This crate must not know candidate patches, fault localization, sockets or editors.
//!
//! Invariant: an exit code is never a verdict; results come only from a machine-readable report
//! that names each test id.
//! Invariant: whatever keeps tests from being run is a distinct [`RunState`], never a result.
//! Invariant: a build never reuses what was compiled from other source text than the sandbox holds.
//! Invariant: rewritten sources (switches, counters) only screen and localize; they are written into
//! sandboxes that keep nothing, and no [`TestRun`] of [`Project::run`] comes from them.
//! Invariant: commands see a fixed list of the person's variables, never the whole environment.

mod any_report;
mod cargo;
mod check;
mod detect;
mod environment;
mod error;
mod go;
mod host;
mod junit;
mod node;
mod outcome;
mod overlay;
mod patterns;
mod probing;
mod project;
mod pytest;
mod scope;
mod text;
mod types;

pub use any_report::read_any_report;
pub use check::{
    Applicability, CheckDiagnostic, CheckRun, CheckState, CheckTool, Checker, Severity,
    SuggestedEdit, Suggestion,
};
pub use detect::{Detection, Problem, ProblemKind, detect};
pub use environment::Environment;
pub use error::RunError;
pub use project::{Needs, Prepared, ProbeTarget, Probes, Project, TestList, Trials};
pub use types::{
    Diagnostic, Ecosystem, Failure, FailureKind, Frame, Outcome, RunRequest, RunState, Selection,
    Spectrum, TestId, TestResult, TestRun,
};
