//! Why the engine did not do what was asked.

use std::path::PathBuf;

use greenlit_protocol::engine::{EngineFailure, EngineFailureKind as Kind};

use crate::program::Absent;

/// Why the engine did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// There is none.
    #[error(transparent)]
    Absent(#[from] Absent),
    /// It cannot be started.
    #[error("cannot start {}: {why}", program.display())]
    Start {
        /// Its executable.
        program: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It does not fit to this daemon, or to this machine.
    #[error("{0}")]
    Unusable(String),
    /// It ended again and again.
    #[error("the engine ended {crashes} times in a row and is not started any more: {last}")]
    GivenUp {
        /// How often.
        crashes: u32,
        /// How it ended last.
        last: String,
        /// Its log.
        log: PathBuf,
    },
    /// It ended, or somebody ended it, while it worked on this.
    #[error("{why}")]
    Ended {
        /// How.
        why: String,
        /// Its log.
        log: PathBuf,
    },
    /// It says itself why not.
    #[error(transparent)]
    Failed(#[from] EngineFailure),
}

impl EngineError {
    /// Whether asking again makes no sense before something is changed.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Absent(_) | Self::Start { .. } | Self::Unusable(_) | Self::GivenUp { .. } => true,
            Self::Ended { .. } => false,
            Self::Failed(failure) => matches!(
                failure.kind,
                Kind::BadRequest | Kind::BadFiles | Kind::DoesNotFit | Kind::BadConstraint
            ),
        }
    }

    /// What can be done.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Absent(absent) => Some(absent.remedy().to_owned()),
            Self::Start { .. } => Some("see whether `engine.program` is the right one".to_owned()),
            Self::Unusable(_) => Some("install the engine of this version of Greenlit".to_owned()),
            Self::GivenUp { log, .. } => {
                Some(format!("{} says more; `greenlit model load` tries again", log.display()))
            }
            Self::Ended { log, .. } => {
                Some(format!("it is started again when it is needed; {} says more", log.display()))
            }
            Self::Failed(_) => None,
        }
    }
}
