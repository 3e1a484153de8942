//! Whether search by meaning works on this machine, for people.

use crate::embedder::{EmbedError, Identity};
use crate::model::ModelError;
use crate::runtime::RuntimeError;

/// Whether texts can be embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// With this model and runtime.
    Ready(Identity),
    /// Search is by words only.
    Degraded {
        /// What is missing or broken
        reason: String,
        /// What to do about it
        remedy: String,
    },
}

/// Why there is no embedder.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// No runtime
    #[error("ONNX Runtime is not available")]
    Runtime(#[from] RuntimeError),
    /// No model
    #[error("the embedding model is not available")]
    Model(#[from] ModelError),
    /// A runtime and a model that do not work together
    #[error("the embedding model does not work")]
    Embedder(#[from] EmbedError),
}

impl Unavailable {
    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Runtime(error) => error.remedy(),
            Self::Model(error) => error.remedy(),
            Self::Embedder(error) => error.remedy(),
        }
    }
}

impl From<&Unavailable> for Availability {
    fn from(error: &Unavailable) -> Self {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
        let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self::Degraded { reason, remedy: error.remedy() }
    }
}
