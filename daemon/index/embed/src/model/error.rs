//! Why there is no model.

use std::io;
use std::path::PathBuf;

use greenlit_download::DownloadError;

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It would have to be downloaded, and nobody agreed to that.
    #[error("{name} would be downloaded from {from}: {} MB, licence {licence}", bytes / 1_000_000)]
    ConsentNeeded {
        /// The model
        name: String,
        /// The repository
        from: String,
        /// What would be downloaded
        bytes: u64,
        /// What the model may be used for
        licence: String,
    },
    /// A download failed.
    #[error("cannot download {name}")]
    Download {
        /// The model
        name: String,
        /// Why
        #[source]
        source: DownloadError,
    },
    /// A file is missing or cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which
        path: PathBuf,
        /// Why
        #[source]
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{} is not as it should be: {reason}", path.display())]
    Format {
        /// Which
        path: PathBuf,
        /// What is wrong
        reason: String,
    },
    /// A catalogue cannot be read.
    #[error("the catalogue is not as it should be: {reason}")]
    Catalogue {
        /// What is wrong
        reason: String,
    },
    /// No model is called so.
    #[error("no model is called `{name}`; there are {}", known.join(", "))]
    Unknown {
        /// What was asked for
        name: String,
        /// What there is
        known: Vec<String>,
    },
    /// It is in the catalogue and not on this machine.
    #[error("the model `{name}` is not installed")]
    NotInstalled {
        /// The model
        name: String,
    },
    /// A name that cannot be given to a model.
    #[error("`{name}` cannot name a model: {reason}")]
    Name {
        /// The name
        name: String,
        /// Why not
        reason: &'static str,
    },
    /// Parts of the network are in files beside it.
    #[error("{} keeps its weights in a file of its own, which is not supported", path.display())]
    External {
        /// Which
        path: PathBuf,
    },
}

impl ModelError {
    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::ConsentNeeded { .. } => {
                "allow the download, or name a directory that has the model".to_owned()
            }
            Self::Download { source: DownloadError::Offline { .. }, .. } => {
                "allow the network in your configuration, or name a directory that has the model"
                    .to_owned()
            }
            Self::Unknown { .. } => "`greenlit model list` shows them".to_owned(),
            Self::NotInstalled { name } => format!("run `greenlit model pull {name}`"),
            Self::Name { .. } => "choose another name".to_owned(),
            Self::Catalogue { .. } => "correct `embedding.catalogue`".to_owned(),
            Self::Download { .. } => {
                "try again: the download goes on where it stopped; or name a mirror, or a directory \
                 that has the model"
                    .to_owned()
            }
            _ => "name a directory with model.onnx, tokenizer.json, tokenizer_config.json, \
                  special_tokens_map.json and config.json"
                .to_owned(),
        }
    }
}
