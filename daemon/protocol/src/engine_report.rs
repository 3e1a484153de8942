//! How the engine is, what was measured on a model, and adapters: for people.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Evaluation;

/// How the process that runs language models is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineReport {
    /// In one word.
    pub state: EngineState,
    /// In a sentence.
    pub detail: String,
    /// What can be done, where something should be.
    pub remedy: Option<String>,
    /// Its executable.
    pub program: Option<PathBuf>,
    /// Its process id, while it runs.
    pub pid: Option<u32>,
    /// `cpu` or `cuda`, while it runs.
    pub device: Option<String>,
    /// Its log.
    pub log: PathBuf,
    /// How often in a row it ended by itself.
    pub crashes: u32,
    /// What is in memory, by name.
    pub models: Vec<ResidentModel>,
}

/// How the engine is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineState {
    /// There is no executable.
    Absent,
    /// It does not run; it is started when it is needed.
    Stopped,
    /// It runs and has not yet said who it is.
    Starting,
    /// It is loading a model or an adapter.
    Loading,
    /// It runs.
    Ready,
    /// It ended by itself, and is started again when it is needed.
    Crashed,
    /// It ended by itself again and again, and is not started any more.
    GivenUp,
    /// There is not enough memory for the model that was wanted last.
    OutOfMemory,
}

/// A model in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResidentModel {
    /// Its name.
    pub name: String,
    /// How weights are kept.
    pub precision: crate::engine::Precision,
    /// Longest prompt and answer together, in tokens.
    pub context: u32,
    /// What it takes, in bytes, as computed before it was loaded.
    pub bytes: u64,
    /// Adapters `name@version` in memory beside it.
    pub adapters: Vec<String>,
}

/// Whether a language model fits, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FitReport {
    /// Whether it does.
    pub fits: bool,
    /// How weights would be kept.
    pub precision: crate::engine::Precision,
    /// For weights.
    pub weights: u64,
    /// For keys and values of one sequence as long as the context.
    pub cache: u64,
    /// While loading, or computing.
    pub working: u64,
    /// All together.
    pub total: u64,
    /// What may be taken.
    pub limit: u64,
    /// The longest sequence that this is for, in tokens.
    pub context: u64,
}

/// What `greenlit model bench --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchReport {
    /// The model's name.
    pub model: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// How weights are kept.
    pub isq: crate::engine::Precision,
    /// How long it took to load, in milliseconds.
    pub load_ms: u64,
    /// Tokens of the prompt that was read.
    pub prompt_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
    /// Tokens of the prompt by the time to the first token, per second.
    pub prefill_tok_s: f64,
    /// Tokens after the first one, per second.
    pub decode_tok_s: f64,
    /// To the first token, in milliseconds.
    pub ttft_ms: f64,
    /// Resident memory of the engine afterwards, in bytes.
    pub memory_bytes: Option<u64>,
}

/// What is wanted of adapters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterAction {
    /// What there is.
    List {
        /// The workspace that is asked for; canonical.
        root: Option<PathBuf>,
    },
    /// Take one in from a PEFT directory; it is copied.
    Add {
        /// The directory, absolute.
        path: PathBuf,
        /// What it is called; `None` for the directory's name.
        name: Option<String>,
        /// Its version; `None` for the next number.
        version: Option<String>,
        /// The model that it is for; `None` where there is only one.
        model: Option<String>,
        /// What it is for.
        kind: AdapterKind,
    },
    /// Use one for a workspace.
    Activate {
        /// `name@version`; without a version the newest one.
        adapter: String,
        /// The workspace.
        root: PathBuf,
        /// Also where an evaluation says that the model is better without it.
        #[serde(default)]
        force: bool,
    },
    /// Use one no more for a workspace, or none.
    Deactivate {
        /// The workspace.
        root: PathBuf,
        /// `name@version`, or every version of a name; absent: all that are active.
        #[serde(default)]
        adapter: Option<String>,
    },
    /// Forget one and remove its files.
    Remove {
        /// `name@version`
        adapter: String,
    },
}

/// What an adapter is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdapterKind {
    /// It makes the model better at something.
    #[default]
    Functional,
    /// It keeps the model from something.
    Guardrail,
}

/// What `greenlit adapter list --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterReport {
    /// By name, then version.
    pub adapters: Vec<AdapterEntry>,
    /// The adapters that are used for the workspace that was asked for.
    pub active: Vec<String>,
    /// What else a person should know, such as that its model is not loaded.
    pub notes: Vec<String>,
}

/// An adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterEntry {
    /// `name@version`
    pub name: String,
    /// The model that it is for.
    pub model: String,
    /// What it is for.
    pub kind: AdapterKind,
    /// blake3 (hex) of its files.
    pub digest: String,
    /// Of its files.
    pub bytes: u64,
    /// Its rank.
    pub rank: u64,
    /// The linear layers that it changes.
    pub targets: Vec<String>,
    /// Whether it is in memory.
    pub resident: bool,
    /// Workspaces that use it.
    pub active_in: Vec<PathBuf>,
    /// What evaluations found, by workspace.
    #[serde(default)]
    pub evaluations: Vec<(PathBuf, Evaluation)>,
}
