//! Models on this machine, and those that can be downloaded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{EngineReport, FitReport};

/// What is wanted of the models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelAction {
    /// What there is.
    List,
    /// Download one and use it.
    Pull(PullRequest),
    /// Use one that is in a directory of this machine.
    Add {
        /// The directory, absolute.
        path: PathBuf,
        /// What it is called; `None` for the directory's name.
        name: Option<String>,
    },
    /// Remove one that was downloaded, forget one that was added.
    Remove {
        /// Its name.
        name: String,
    },
    /// The person wants none, and no more questions about it.
    Decline,
    /// Bring a language model into memory.
    Load {
        /// Its name.
        name: String,
    },
    /// Take a language model out of memory, when what it writes is written.
    Unload {
        /// Its name; `None` for all, with the engine.
        name: Option<String>,
        /// End the engine at once, whatever it does.
        kill: bool,
    },
    /// Measure a language model.
    Bench {
        /// Its name.
        name: String,
    },
}

/// A download. Progress comes as [`Event::Progress`](crate::Event::Progress) of the request, on the
/// directory of the models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// A model's name, or `onnxruntime` for the library alone; `None` for the preferred model.
    pub name: Option<String>,
    /// The model hub; `None` for the public one.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The file host of the Python registry; `None` for the public one.
    #[serde(default)]
    pub packages: Option<String>,
    /// Whether a person agreed to what [`Response::PullPlan`](crate::Response::PullPlan) says.
    /// Without that nothing is downloaded.
    #[serde(default)]
    pub agreed: bool,
}

impl PullRequest {
    /// Names ONNX Runtime among the models.
    pub const RUNTIME: &str = "onnxruntime";
}

/// What a pull would download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullPlan {
    /// Each file set; never empty.
    pub items: Vec<PullItem>,
    /// Of all, in bytes.
    pub bytes: u64,
    /// The directory of the models.
    pub directory: PathBuf,
}

/// One thing to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullItem {
    /// For people.
    pub name: String,
    /// `embedding`, `language` or `runtime`.
    pub kind: String,
    /// Where it comes from.
    pub from: String,
    /// SPDX expression.
    pub licence: String,
    /// What is not here yet, in bytes.
    pub bytes: u64,
}

/// What `greenlit model list --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Those of the catalogue, then those that were added; ONNX Runtime last.
    pub models: Vec<ModelEntry>,
    /// The embedding model that is used, by its name.
    pub in_use: Option<String>,
    /// The person's configuration names the model that is used.
    pub configured: bool,
    /// Why the model in use does not work, or something is not as it was configured.
    pub degraded: Option<String>,
    /// Whether a person said that none is wanted.
    pub declined: bool,
    /// Whether the configuration forbids downloads.
    pub offline: bool,
    /// The directory of the models.
    pub directory: PathBuf,
    /// How the engine is, which runs language models.
    #[serde(default)]
    pub engine: Option<EngineReport>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// What a person writes.
    pub name: String,
    /// `embedding`, `language` or `runtime`.
    pub kind: String,
    /// What it is good for.
    pub about: String,
    /// SPDX expression; `None` where nobody knows.
    pub licence: Option<String>,
    /// Of all its files, in bytes; `None` for one that was added.
    pub bytes: Option<u64>,
    /// Whether its files are here.
    pub installed: bool,
    /// Whether it is used, or will be when it is needed.
    pub in_use: bool,
    /// Where it is.
    pub path: Option<PathBuf>,
    /// Whether a language model fits into memory; `None` for others, and where its files cannot be used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fit: Option<FitReport>,
    /// What is wrong with its files.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}
