//! Systems without a tested isolation layer: everything is refused, and says so.
//!
//! macOS (`sandbox-exec` on a clone) and Windows (job object and restricted token) have mechanisms
//! for this; none is claimed before it has been tried on such a machine.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{OpenError, Refusal, SandboxError};
use crate::helper::Helper;
use crate::spec::{Command, ExecOutcome, FileWrite, Layer, LineOutcome, SandboxSpec};

/// Never exists on this system.
#[derive(Debug)]
pub struct Sandbox(Infallible);

/// Never exists on this system.
#[derive(Debug, Clone)]
pub struct Canceller(Infallible);

pub(crate) fn refusal(layer: Layer) -> Refusal {
    Refusal {
        layer,
        reason: format!("greenlit has no tested isolation on {}", std::env::consts::OS),
        remedy: Some("run greenlit on Linux, for example in a container or WSL 2".to_owned()),
    }
}

impl Sandbox {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn open(_: &SandboxSpec, _: &Helper) -> Result<Self, OpenError> {
        let layers = [Layer::Namespaces, Layer::Bubblewrap, Layer::Copy];
        Err(OpenError::NoLayer { refusals: layers.map(refusal).to_vec() })
    }

    /// Never called.
    #[must_use]
    pub fn layer(&self) -> Layer {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn inside(&self, _: &Path) -> PathBuf {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn write(&mut self, _: &[FileWrite]) -> Result<(), SandboxError> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn read(&mut self, _: &Path, _: u64) -> Result<Option<Vec<u8>>, SandboxError> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn exec(&mut self, _: &Command) -> Result<ExecOutcome, SandboxError> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn spawn(&mut self, _: &Command) -> Result<(), SandboxError> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn send_line(&mut self, _: &[u8]) -> Result<(), SandboxError> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn read_line(&mut self, _: Duration) -> Result<LineOutcome, SandboxError> {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Errors
    /// Never.
    pub fn stop(&mut self) -> Result<ExecOutcome, SandboxError> {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        match self.0 {}
    }
}

impl Canceller {
    /// Never called.
    pub fn cancel(&self) {
        match self.0 {}
    }
}
