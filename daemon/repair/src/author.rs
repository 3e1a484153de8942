//! Candidates that are written one at a time, by somebody who hears how each one ended.
//!
//! A [`crate::Generator`] proposes everything at once and learns nothing. An [`Author`] works beside the
//! search: what it hands in is refused, screened and verified as any other candidate while it writes
//! the next one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use greenlit_runner::{Failure, TestId};

use crate::{Candidate, FaultContext};

/// A fault, as its author sees it.
pub struct Fault<'a> {
    /// The checkout, canonical.
    pub root: &'a Path,
    /// Where the fault may be, and what may lend.
    pub context: FaultContext<'a>,
    /// The failing tests that share this cause.
    pub failures: &'a [(TestId, Failure)],
    /// The text of a file in the view under repair; `None` when it is missing, too large or not UTF-8.
    pub text: &'a (dyn Fn(&Path) -> Option<Arc<str>> + Sync),
    /// Whether a path holds tests: such a file may be read and not changed.
    pub is_test: &'a (dyn Fn(&Path) -> bool + Sync),
    /// Whether a path is code of the project itself, not of its environment or of others, and no test.
    pub is_source: &'a (dyn Fn(&Path) -> bool + Sync),
}

/// How a candidate that was handed in ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It passed the whole verification and mends every failing test of the cause.
    Verified,
    /// It passed, and other failing tests of the cause stay red.
    Partial,
    /// It fell.
    Fell {
        /// As [`crate::Fall::label`] says it.
        reason: String,
        /// The first line of the failure or build error that killed it.
        failure: Option<String>,
    },
    /// Nobody had time for it.
    Untried,
}

/// Where an author hands candidates in.
pub trait Desk {
    /// Hands one in. `false` when nobody takes it any more.
    fn submit(&self, candidate: Candidate) -> bool;

    /// How the next one ended, in the order in which they were handed in. Waits for it; `None` when
    /// there is none to wait for.
    fn wait(&self) -> Option<Fate>;

    /// As [`Desk::wait`], without waiting.
    fn look(&self) -> Option<Fate>;

    /// Time that is left; zero when the job was cancelled.
    fn left(&self) -> Duration;
}

/// Writes candidates one after the other. Implementations must be general: nothing about known test sets.
pub trait Author: Send + Sync {
    /// Who it is, for people: `small (qwen2.5-coder)`.
    fn name(&self) -> String;

    /// Writes for one cause. Returns soon after [`Desk::left`] is zero: the repair waits for it.
    fn write(&self, fault: &Fault<'_>, desk: &dyn Desk);
}
