//! Why a model or an adapter is not taken, or not used.

use std::io;
use std::path::PathBuf;

use greenlit_protocol::Evaluation;
use greenlit_serving::check::BadFile;

/// Why a model or an adapter is not taken, or not used.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// Its files cannot be used; the message names one and the remedy.
    #[error(transparent)]
    BadFile(#[from] BadFile),
    /// No name.
    #[error("`{name}` is no name: letters, digits, `-`, `_` and `.` are allowed")]
    Name {
        /// What was given.
        name: String,
    },
    /// Another one has the name.
    #[error("there is a {what} `{name}` already")]
    Taken {
        /// `model` or `adapter`
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// There is none.
    #[error("there is no {what} `{name}`; there are: {}", list(known))]
    Unknown {
        /// `language model` or `adapter`
        what: &'static str,
        /// What was given.
        name: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// Its files are not those that were checked.
    #[error("{} is not what it was when `{name}` was added", path.display())]
    Changed {
        /// Its name.
        name: String,
        /// The file or directory.
        path: PathBuf,
    },
    /// An adapter without its model cannot be checked.
    #[error("the adapter needs a model that it is for; there are: {}", list(known))]
    WhichModel {
        /// Those that exist.
        known: Vec<String>,
    },
    /// An adapter for other weights.
    #[error("the adapter `{adapter}` is for another `{model}` than the one that is here now")]
    OtherWeights {
        /// The adapter.
        adapter: String,
        /// Its model.
        model: String,
    },
    /// It was found to be worse than none.
    #[error(
        "with `{adapter}` its model mended {} of {} recorded faults of this workspace, and {} without",
        evaluation.with, evaluation.faults, evaluation.without
    )]
    Worse {
        /// The adapter.
        adapter: String,
        /// What was found.
        evaluation: Evaluation,
    },
    /// Somebody stopped it.
    #[error("cancelled")]
    Cancelled,
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written or removed.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ShelfError {
    /// What can be done, where the message does not say it.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Taken { what: "adapter", .. } => Some("give another `--version`"),
            Self::Taken { .. } => Some("give another `--name`, or remove that one first"),
            Self::Unknown { what: "adapter", .. } => Some("see `greenlit adapter list`"),
            Self::Unknown { .. } => {
                Some("see `greenlit model list`; `greenlit model add` and `pull` bring one")
            }
            Self::Changed { .. } => Some("remove it and add it again"),
            Self::WhichModel { .. } => Some("name it with `--model`"),
            Self::OtherWeights { .. } => Some("add the adapter again"),
            Self::Worse { .. } => Some("`--force` activates it nevertheless"),
            Self::BadFile(_) | Self::Name { .. } | Self::Cancelled => None,
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
