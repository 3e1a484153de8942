//! `[engine]`: the process that runs local language models.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[engine]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Engine {
    /// The executable `greenlit-engine`, absolute. Absent: what lies beside `greenlitd`, else on `PATH`.
    pub program: Option<PathBuf>,
    /// How weights are kept in memory; those of GGUF files stay as they are. Default `"auto"`.
    pub precision: Precision,
    /// Tokens that a prompt and its reply may have together; memory for them is kept. Default 8192.
    pub context_tokens: u32,
    /// What a model may take. Absent: a share of what is free when it is loaded.
    pub memory_mb: Option<u64>,
    /// What the adapters of a model may take together. Absent: a share of what is free.
    pub adapter_memory_mb: Option<u64>,
    /// What quantized weights may take on disk, of all models and adapters: a model that is kept is loaded again in
    /// a fraction of the time. Those used longest ago go first. 0 keeps none. Default 16384.
    pub kept_mb: u64,
    /// After so long without a request a model leaves the memory, and the process ends with the last one;
    /// it is loaded again when it is needed. 0 keeps it. Default 300.
    pub idle_unload_secs: u64,
}

/// `[engine] precision`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Eight bits where that fits easily, else four.
    #[default]
    Auto,
    /// Four bits per weight.
    Four,
    /// Eight bits per weight.
    Eight,
    /// As in the files, widened to 32 bits on a processor.
    Full,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            program: None,
            precision: Precision::Auto,
            context_tokens: 8192,
            memory_mb: None,
            adapter_memory_mb: None,
            kept_mb: 16384,
            idle_unload_secs: 300,
        }
    }
}
