//! Errors that cross the socket and reach people.

use serde::{Deserialize, Serialize};

/// What kind of thing went wrong; each is a distinct state, never a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The request itself makes no sense.
    BadRequest,
    /// The configuration is invalid.
    BadConfiguration,
    /// No test runner was detected in the workspace.
    NoRunner,
    /// The runner or its interpreter is not installed.
    ToolMissing,
    /// The project does not build, or its tests cannot be collected.
    BuildFailed,
    /// There is a runner, and it has no tests.
    NoTests,
    /// The tests did not end in time.
    Hung,
    /// A failing test turned out to be flaky while fixes were looked for.
    Flaky,
    /// The runner ended without a valid report.
    NoReport,
    /// No sandbox layer works on this machine, and none was waived.
    SandboxUnavailable,
    /// Files changed while they were being tested.
    InputsChanged,
    /// Somebody asked for it to stop.
    Cancelled,
    /// The daemon is shutting down.
    ShuttingDown,
    /// A defect in Greenlit; the log has more.
    Internal,
}

/// An error as one end reports it to the other: what failed, why, what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// What failed and why.
    pub message: String,
    /// What the person can do next.
    pub hint: Option<String>,
    /// Longer text of the tool that failed, bounded.
    pub details: Option<String>,
}

impl RemoteError {
    /// An error without hint or details.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, details: None }
    }

    /// Adds what the person can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the longer text of the tool that failed.
    #[must_use]
    pub fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }
}
