//! Why a runner could not even try.

use greenlit_sandbox::SandboxError;
use thiserror::Error;

/// A run did not take place. What keeps a project's tests from running (no tool, a broken build,
/// a hang) is a [`crate::RunState`], not an error.
#[derive(Debug, Error)]
pub enum RunError {
    /// The sandbox failed or was cancelled.
    #[error("the sandbox failed: {0}")]
    Sandbox(#[from] SandboxError),
    /// A request for a helper inside the sandbox could not be encoded (a path that is not UTF-8).
    #[error("a request for the test runner cannot be encoded")]
    Encode(#[source] serde_json::Error),
    /// The warm session could not be started.
    #[error("the warm session did not start: {details}")]
    Session {
        /// What the tool said, bounded.
        details: String,
    },
}

impl RunError {
    /// Whether the run was cancelled by the caller.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Sandbox(SandboxError::Cancelled))
    }
}
