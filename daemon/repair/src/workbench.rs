//! Opens sandboxes that show one fixed view of a checkout.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greenlit_runner::{Needs, Project, RunError};
use greenlit_sandbox::{
    CacheMode, FileWrite, Helper, Isolation, Limits, OpenError, Sandbox, SandboxError, SandboxSpec,
};

use crate::cancel::{Cancel, Registration};
use crate::patterns::PathPatterns;

/// The state under repair: a checkout and the unsaved texts that lie over it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The checkout: absolute and canonical.
    pub root: PathBuf,
    /// Absolute path to text, for documents that differ from the disk.
    pub overlays: BTreeMap<PathBuf, Arc<str>>,
    /// Files that no candidate may change.
    pub protected: PathPatterns,
}

impl Subject {
    /// The text of a file in this view; `None` when it is missing, too large or not UTF-8.
    pub fn text(&self, path: &Path) -> Option<Arc<str>> {
        if let Some(text) = self.overlays.get(path) {
            return Some(text.clone());
        }
        if self.is_too_large(path) {
            return None;
        }
        std::fs::read_to_string(path).ok().map(Into::into)
    }

    /// Whether a file on disk has more than [`MAX_SOURCE_BYTES`].
    pub fn is_too_large(&self, path: &Path) -> bool {
        let is_large = |file: std::fs::Metadata| file.len() > MAX_SOURCE_BYTES;
        !self.overlays.contains_key(path) && std::fs::metadata(path).is_ok_and(is_large)
    }
}

/// Source files above this size are not changed: 50,000 lines of 80 characters.
pub const MAX_SOURCE_BYTES: u64 = 4 << 20;

/// How sandboxes are to be opened.
#[derive(Clone)]
pub struct SandboxSettings {
    /// The helper executable.
    pub helper: Helper,
    /// Acceptable layers.
    pub isolation: Isolation,
    /// Bounds of each sandbox.
    pub limits: Limits,
    /// More paths to show read-only.
    pub readable: Vec<PathBuf>,
    /// Directory for kept build products of this checkout, outside it.
    pub store: PathBuf,
}

/// Time limits of single steps.
#[derive(Debug, Clone, Copy)]
pub struct Walls {
    /// One build.
    pub build: Duration,
    /// One complete run of the tests.
    pub tests: Duration,
    /// One test, where the runner can interrupt one.
    pub per_test: Duration,
}

/// Why a step could not be carried out at all.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// No sandbox could be opened.
    #[error("no sandbox could be opened")]
    Open(#[source] OpenError),
    /// The sandbox broke.
    #[error("the sandbox failed")]
    Sandbox(#[from] SandboxError),
    /// The test runner could not be driven.
    #[error("the test runner could not be driven")]
    Run(#[source] RunError),
    /// A target test was green on the unpatched view after it had been red twice.
    #[error("a failing test passed without any change: it is flaky")]
    Flaky,
    /// An input changed: no run tells anything of what was under repair.
    #[error("an input changed meanwhile")]
    InputsChanged,
    /// Somebody stopped the job.
    #[error("the job was cancelled")]
    Cancelled,
}

impl WorkError {
    /// Whether nothing that follows can succeed, whatever else is tried.
    pub(crate) fn ends_all(&self) -> bool {
        matches!(self, Self::InputsChanged | Self::Cancelled)
    }
}

/// Opens sandboxes for one subject and stops them all on cancellation.
#[derive(Clone)]
pub struct Workbench {
    /// What is under repair.
    pub subject: Subject,
    /// How sandboxes are opened.
    pub sandbox: SandboxSettings,
    /// Time limits.
    pub walls: Walls,
    /// Stops everything.
    pub cancel: Cancel,
}

/// An open sandbox that dies with its job.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) registration: Registration,
}

impl Workbench {
    /// Opens a sandbox that shows the subject with `patch` applied.
    pub(crate) fn open(
        &self,
        project: &Project,
        mode: CacheMode,
        patch: &[FileWrite],
    ) -> Result<Bench, WorkError> {
        self.open_with(project.needs(&self.sandbox.store, mode), patch)
    }

    /// As [`Self::open`], for anything that has needs.
    pub(crate) fn open_with(&self, needs: Needs, patch: &[FileWrite]) -> Result<Bench, WorkError> {
        self.check()?;
        let mut files: Vec<FileWrite> = self
            .subject
            .overlays
            .iter()
            .filter(|(path, _)| !patch.iter().any(|write| write.path == **path))
            .map(|(path, text)| FileWrite {
                path: path.clone(),
                content: Some(text.as_bytes().to_vec()),
            })
            .collect();
        files.extend_from_slice(patch);
        let spec = SandboxSpec {
            root: self.subject.root.clone(),
            files,
            caches: needs.caches,
            readable: [needs.readable, self.sandbox.readable.clone()].concat(),
            isolation: self.sandbox.isolation,
            limits: self.sandbox.limits.clone(),
        };
        let sandbox = Sandbox::open(&spec, &self.sandbox.helper).map_err(WorkError::Open)?;
        let registration = self.cancel.register(sandbox.canceller());
        Ok(Bench { sandbox, registration })
    }

    /// Fails when the job was cancelled.
    pub(crate) fn check(&self) -> Result<(), WorkError> {
        if self.cancel.is_cancelled() { Err(WorkError::Cancelled) } else { Ok(()) }
    }

    /// An error of a step, or the cancellation that caused it.
    pub(crate) fn run_error(&self, error: RunError) -> WorkError {
        if self.cancel.is_cancelled() { WorkError::Cancelled } else { WorkError::Run(error) }
    }
}
