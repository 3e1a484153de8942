//! Program repair: fault localization → candidate patches → verdicts → ranking.
//!
//! This crate must not know the language server protocol, sockets, models or configuration files.
//!
//! Invariant: only a candidate whose [`Verdict`] is plausible, or for a diagnostic one that was
//! [`Checked`], leaves this crate as a fix.
//! Invariant: a verdict names the exact content hashes that it holds for.

mod ahead;
mod author;
mod baseline;
mod cancel;
mod candidate;
mod causes;
mod changes;
mod compose;
mod diagnostic;
mod known;
mod localize;
mod locate;
mod neighbours;
mod patch;
mod patterns;
mod project_files;
mod provenance;
mod ranking;
mod rebase;
mod reject;
mod repair;
mod retrieval;
mod screen;
mod search;
mod templates;
mod verdict;
mod verify;
mod workbench;

pub use author::{Author, Desk, Fate, Fault};
pub use baseline::{Baseline, ProjectBaseline, ProjectProblem, Purpose, baseline};
pub use cancel::Cancel;
pub use candidate::{Candidate, Edit, FaultContext, Generator, Source, SourceFile};
pub use changes::Changes;
pub use diagnostic::{
    Checked, DiagnosticFall, DiagnosticFix, DiagnosticOutcome, DiagnosticRepair, SeenDiagnostic,
    TargetOutcome,
};
pub use known::KnownFalls;
pub use localize::{Localization, Method, Suspicious, from_traces, ochiai};
pub use patch::{ApplyError, PatchedFile, apply, relative, unified_diff};
pub use patterns::{PathPatterns, PatternError};
pub use ranking::{Change, Reason as WithheldReason, Standing, Strength, Withheld};
pub use rebase::rebase;
pub use reject::{RejectReason, is_test_configuration, reject};
pub use repair::{Repair, RepairEvent, RepairLimits, RepairOutcome};
pub use retrieval::{Passage, Question, Retrieved, Retriever};
pub use search::{
    Search, SearchCounts, SearchEvent, SearchLimits, SearchOutcome, VerifiedFix, function_of,
};
pub use templates::TemplateGenerator;
pub use verdict::{BaselineOutcome, BaselineTests, Fall, RunComparison, compare};
pub use verify::{Plausible, SandboxVerifier, Verdict, Verifier};
pub use workbench::{MAX_SOURCE_BYTES, SandboxSettings, Subject, Walls, WorkError, Workbench};
