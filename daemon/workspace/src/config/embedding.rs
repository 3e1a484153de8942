//! `[embedding]`: the model behind search by meaning.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[embedding]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Embedding {
    /// The name of a model (`greenlit model list`), or the absolute path of a directory with
    /// `model.onnx`, `tokenizer.json` and what lies beside them. Absent: the one that was pulled or
    /// added last; without one there is no search by meaning.
    pub model: Option<String>,
    /// ONNX Runtime: the library or its directory, absolute. Absent: `GREENLIT_ONNXRUNTIME`, else what
    /// `greenlit model pull` got, else what lies beside `greenlitd`, else the system's.
    pub onnxruntime: Option<PathBuf>,
    /// A file with more models that can be pulled, absolute, in the form of Greenlit's own
    /// `catalogue.toml`. Absent: none.
    pub catalogue: Option<PathBuf>,
    /// Compute on a graphics processor where one works. Default `true`.
    pub gpu: bool,
    /// What the vectors of all workspaces may take on disk. Default 2048.
    pub store_mb: u64,
    /// After so long without a text or a question the model leaves the memory; it is loaded again when it
    /// is needed. 0 keeps it. Default 300.
    pub idle_unload_secs: u64,
}

impl Default for Embedding {
    fn default() -> Self {
        Self {
            model: None,
            onnxruntime: None,
            catalogue: None,
            gpu: true,
            store_mb: 2048,
            idle_unload_secs: 300,
        }
    }
}
