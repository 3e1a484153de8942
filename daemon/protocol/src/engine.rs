//! What the daemon and an engine, the process that runs language models, say to each other.
//!
//! Frames as everywhere ([`crate::frame`]), over the engine's standard input and output. The engine
//! speaks first ([`FromEngine::Hello`]). Then each request has an id of the daemon's choice and ends
//! with exactly one [`FromEngine::Answer`] or [`FromEngine::Failed`]; pieces of text come before.
//!
//! Both executables are built from one source tree, so there is one version: another one is refused.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The version of these messages.
pub const ENGINE_VERSION: u32 = 2;

/// From the daemon to an engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToEngine {
    /// Does something.
    Request {
        /// Names it in every message about it; not one that is still being answered.
        id: u64,
        /// What is wanted.
        request: EngineRequest,
    },
    /// Nobody waits for that request any more. Unknown ids are ignored.
    Cancel {
        /// The request's.
        id: u64,
    },
}

/// What an engine can be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineRequest {
    /// Makes a model resident: [`EngineAnswer::Loaded`].
    Load(LoadModel),
    /// Forgets a model with its adapters, when what it is generating has ended: [`EngineAnswer::Unloaded`].
    Unload {
        /// As in [`LoadModel::model`].
        model: String,
    },
    /// Makes a model with an adapter, or several as one, resident beside the model: [`EngineAnswer::AdapterLoaded`].
    /// Meanwhile everything else is served as before.
    LoadAdapter {
        /// As in [`LoadModel::model`].
        model: String,
        /// What the adapter is called from now on.
        adapter: String,
        /// PEFT directories, absolute: their changes to the weights add up.
        directories: Vec<PathBuf>,
    },
    /// Forgets an adapter, when what it is generating has ended: [`EngineAnswer::Unloaded`].
    UnloadAdapter {
        /// As in [`LoadModel::model`].
        model: String,
        /// As in [`EngineRequest::LoadAdapter`].
        adapter: String,
    },
    /// Writes text: pieces, then [`EngineAnswer::Generated`].
    Generate(Generate),
    /// How many tokens texts have: [`EngineAnswer::Counted`].
    Count {
        /// As in [`LoadModel::model`].
        model: String,
        /// The texts, each counted alone, without what a chat template adds.
        texts: Vec<String>,
    },
    /// What is resident: [`EngineAnswer::Health`].
    Health,
    /// Refuses new work and answers [`EngineAnswer::Drained`] when all other requests have ended.
    Drain,
    /// As [`EngineRequest::Drain`]; then the process ends.
    Shutdown,
}

/// A model to load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadModel {
    /// What it is called from now on.
    pub model: String,
    /// A directory with `config.json`, `tokenizer.json` and safetensors, or a GGUF file; absolute.
    pub directory: PathBuf,
    /// How weights are kept.
    pub precision: Precision,
    /// Longest prompt and answer together, in tokens; `None` for the model's own limit.
    pub context: Option<u32>,
    /// Most memory that the model may take, in bytes; `None` for a share of what is free.
    pub memory: Option<u64>,
    /// Most memory that its adapters may take together, in bytes; `None` for a share of what is free.
    pub adapter_memory: Option<u64>,
    /// Where its quantized weights are kept for the next time; `None` where they are not.
    #[serde(default)]
    pub keep: Option<Keep>,
}

/// Where quantized weights are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Of this model alone, named by what its files hash to; those of other models lie beside it.
    pub directory: PathBuf,
    /// What all of them may take together.
    pub most_bytes: u64,
}

/// How weights are kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Eight bits where that fits easily, else four.
    Auto,
    /// Four bits per weight (Q4K).
    Four,
    /// Eight bits per weight (`Q8_0`).
    Eight,
    /// As in the files, widened to 32 bits on a CPU.
    Full,
    /// As in a file that is quantized already; never asked for.
    Stored,
}

/// Text to write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Generate {
    /// As in [`LoadModel::model`].
    pub model: String,
    /// A resident adapter; `None` for the model alone.
    pub adapter: Option<String>,
    /// What to continue or answer.
    pub prompt: Prompt,
    /// What the text must look like.
    pub constraint: Constraint,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

/// What a model is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prompt {
    /// Messages, which the model's own chat template turns into a text.
    Chat(Vec<Message>),
    /// A text as it is.
    Text(String),
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// Who says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Instructions.
    System,
    /// The question.
    User,
    /// The model.
    Assistant,
}

/// What generated text must look like; enforced while decoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// Anything.
    None,
    /// A JSON value of this schema, written without white space between tokens. The text of the schema.
    JsonSchema(String),
    /// A grammar in the Lark notation of llguidance.
    Lark(String),
    /// A regular expression for the whole text.
    Regex(String),
}

/// How tokens are chosen. There is no seed: the library has none per request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Zero: always the likeliest token. At most 10.
    pub temperature: f64,
    /// Only the likeliest tokens that have this probability together; above 0, at most 1.
    pub top_p: f64,
    /// Longest text, in tokens; at least 1.
    pub max_tokens: u32,
}

/// From an engine to the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromEngine {
    /// The first message.
    Hello(EngineHello),
    /// More text.
    Piece {
        /// The request's.
        id: u64,
        /// Not empty.
        text: String,
    },
    /// The request has ended well.
    Answer {
        /// The request's.
        id: u64,
        /// What came of it.
        answer: EngineAnswer,
    },
    /// The request has failed.
    Failed {
        /// The request's.
        id: u64,
        /// Why.
        failure: EngineFailure,
    },
}

/// Who an engine is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineHello {
    /// [`ENGINE_VERSION`].
    pub version: u32,
    /// [`crate::BUILD_ID`].
    pub build: String,
    /// What runs the models, for people: library and version.
    pub backend: String,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Which vector instructions the executable was compiled for, for people.
    pub instructions: String,
}

/// How a request ended well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineAnswer {
    /// The model is resident.
    Loaded(LoadedModel),
    /// The adapter is resident.
    AdapterLoaded(LoadedAdapter),
    /// It is not resident any more, and its memory was given back.
    Unloaded,
    /// The text was written.
    Generated(Generated),
    /// Tokens of each text, in order.
    Counted(Vec<u64>),
    /// What is resident.
    Health(EngineHealth),
    /// Nothing is going on any more.
    Drained,
}

/// A resident model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedModel {
    /// As in [`LoadModel::model`].
    pub model: String,
    /// From its configuration.
    pub architecture: String,
    /// How weights are kept; never [`Precision::Auto`].
    pub precision: Precision,
    /// Longest prompt and answer together, in tokens.
    pub context: u32,
    /// What it takes when it is used, in bytes, as computed before it was loaded.
    pub bytes: u64,
    /// How long loading took, in milliseconds.
    pub load_ms: u64,
}

/// A resident adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedAdapter {
    /// As in [`LoadModel::model`].
    pub model: String,
    /// As in [`EngineRequest::LoadAdapter`].
    pub adapter: String,
    /// What it takes, in bytes, as computed before it was loaded.
    pub bytes: u64,
    /// How long loading took, in milliseconds.
    pub load_ms: u64,
    /// Adapters that had to go because of the limit, by name.
    pub evicted: Vec<String>,
}

/// A text that was written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// Tokens read and written.
    pub usage: Usage,
    /// Why it ends.
    pub finish: Finish,
    /// From the request's arrival to its first token, in milliseconds.
    pub first_token_ms: f64,
    /// From the request's arrival to its end, in milliseconds.
    pub total_ms: f64,
}

/// Tokens read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// With what the chat template adds.
    pub prompt_tokens: u64,
    /// With the one that ends the text.
    pub completion_tokens: u64,
}

/// Why a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finish {
    /// The model, or the constraint, says that it is complete.
    Stop,
    /// [`Sampling::max_tokens`] were written, or the context is full.
    Length,
}

/// What is resident, and what it takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineHealth {
    /// Resident memory of the process, in bytes; `None` where the system does not say.
    pub resident_bytes: Option<u64>,
    /// Requests that are being answered, this one not counted.
    pub active: u64,
    /// By name.
    pub models: Vec<ModelHealth>,
}

/// A resident model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelHealth {
    /// What was said when it was loaded.
    pub loaded: LoadedModel,
    /// Its resident adapters, in the order of their last use, longest ago first.
    pub adapters: Vec<String>,
}

/// Why a request failed: what, why, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct EngineFailure {
    /// What kind of failure.
    pub kind: EngineFailureKind,
    /// For people; names the file and the remedy where there is one.
    pub message: String,
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineFailureKind {
    /// The request makes no sense.
    BadRequest,
    /// A model or adapter on disk cannot be used.
    BadFiles,
    /// There is not enough memory.
    DoesNotFit,
    /// The model or adapter is not resident.
    NotLoaded,
    /// The prompt leaves no room in the context.
    TooLong,
    /// The constraint is not valid, or nothing satisfies it.
    BadConstraint,
    /// The engine takes no new work.
    Draining,
    /// Somebody asked for it to stop.
    Cancelled,
    /// The library failed.
    Backend,
}
