//! Program repair: fault localization → candidate patches → verdicts → ranking.
//!
//! This crate must not know the language server protocol, sockets, models or configuration files.
//!
//! Invariant: only a candidate with a [`Verdict`](verdict) of plausible leaves this crate.
//! Invariant: a verdict names the exact content hashes that it holds for.

mod candidate;
mod localize;
mod reject;
mod templates;

pub use candidate::{Candidate, Edit, FaultContext, Generator, Source, SourceFile};
pub use localize::{Localization, Method, Suspicious};
pub use reject::{RejectReason, is_test_configuration, reject};
pub use templates::TemplateGenerator;
