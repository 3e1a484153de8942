//! One error type per operation.

use std::fmt;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::spec::Layer;

/// Why one layer cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The layer that was tried.
    pub layer: Layer,
    /// What went wrong, for people.
    pub reason: String,
    /// What would enable it, when that is known.
    pub remedy: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.layer.name(), self.reason)?;
        match &self.remedy {
            Some(remedy) => write!(out, " (to enable it: {remedy})"),
            None => Ok(()),
        }
    }
}

/// The helper executable could not be found.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// It is neither next to this executable nor in `PATH`.
    #[error("the helper `greenlit-sandbox` was not found next to {} nor in PATH", near.display())]
    NotFound {
        /// The executable that was looked next to.
        near: PathBuf,
    },
    /// `GREENLIT_SANDBOX_HELPER` names something that is no file.
    #[error("GREENLIT_SANDBOX_HELPER names {}, which is not a file", path.display())]
    NotAFile {
        /// Its value.
        path: PathBuf,
    },
    /// The running executable's own path is unknown.
    #[error("the path of the running executable is unknown")]
    CurrentExe(#[source] io::Error),
}

/// A sandbox could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The checkout or another path of the specification cannot be used.
    #[error("{} cannot be used: {reason}", path.display())]
    BadPath {
        /// The path as given.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No acceptable layer works on this machine.
    #[error("no isolation layer works here: {}", list(refusals))]
    NoLayer {
        /// One entry for each layer that was tried, strongest first.
        refusals: Vec<Refusal>,
    },
    /// The overlay state could not be written into the throw-away layer.
    #[error("the initial files could not be written")]
    Files(#[source] SandboxError),
}

fn list(refusals: &[Refusal]) -> String {
    let texts: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    texts.join("; ")
}

/// An operation on an open sandbox failed. Unless said otherwise the sandbox can still be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum SandboxError {
    /// [`crate::Canceller::cancel`] was called; the sandbox is gone.
    #[error("the sandbox was cancelled")]
    Cancelled,
    /// The helper died; the sandbox is gone.
    #[error("the sandbox helper died: {detail}")]
    Died {
        /// Whatever it still said.
        detail: String,
    },
    /// The helper did not answer in time and was killed; the sandbox is gone.
    #[error("the sandbox helper did not answer in time")]
    Unresponsive,
    /// A request cannot be carried (for example a path that is not UTF-8).
    #[error("the request cannot be sent: {detail}")]
    Unsendable {
        /// What about it.
        detail: String,
    },
    /// The path is neither in the checkout nor in the sandbox's temporary directory.
    #[error("{} is outside the checkout and the temporary directory", path.display())]
    Outside {
        /// The path as given.
        path: PathBuf,
    },
    /// A component of the path is a symbolic link; following it could lead out.
    #[error("{} goes through a symbolic link", path.display())]
    Symlink {
        /// The path as given.
        path: PathBuf,
    },
    /// The file holds more than the caller allowed.
    #[error("{} holds more than {max_bytes} bytes", path.display())]
    TooLarge {
        /// The path as given.
        path: PathBuf,
        /// The caller's limit.
        max_bytes: u64,
    },
    /// The file could not be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The path as given.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// A child started by `spawn` is alive; stop it first.
    #[error("a spawned child is still alive")]
    Busy,
    /// No child started by `spawn` is alive.
    #[error("no spawned child is alive")]
    NoChild,
    /// The child has not read what was sent before; it was given no more.
    #[error("the spawned child does not read its input")]
    Backlog,
    /// The spawned program could not be started.
    #[error("the program could not be started: {reason}")]
    NotStarted {
        /// The system's reason.
        reason: String,
    },
}
