//! `[tier.*]`: the models that are asked where templates find nothing.

use serde::{Deserialize, Serialize};

/// `[tier.small]` and `[tier.large]`. Without a table a tier is off, and nothing is asked.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tiers {
    /// A small model, asked first.
    pub small: Option<TierModel>,
    /// A bigger one, asked when the small one found nothing.
    pub large: Option<TierModel>,
}

/// A model of a tier, and how it is asked.
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierModel {
    /// `"engine"`, `"openai"` or `"tgi"`.
    pub provider: Provider,
    /// Not for `"engine"`. What `/chat/completions` (`"http://127.0.0.1:8080/v1"`) or `/generate_stream` is put behind. Source code around a fault
    /// and the output of failing tests are sent there.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The model's name there, or of `greenlit model list`.
    pub model: String,
    /// The environment variable that holds the key. Absent: none is sent.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// A program with its arguments that prints the key, in place of a variable: an operating system's keyring, a
    /// password manager. It is asked once, when the model is first needed.
    #[serde(default)]
    pub api_key_command: Vec<String>,
    /// Tokens that a prompt and its reply may have together. Default 8192.
    #[serde(default = "defaults::context_tokens")]
    pub context_tokens: u32,
    /// Tokens of the longest reply. Default 1024.
    #[serde(default = "defaults::max_tokens")]
    pub max_tokens: u32,
    /// Replies per round. Default 4.
    #[serde(default = "defaults::samples")]
    pub samples: u32,
    /// Rounds; each hears what became of the ones before. Default 3.
    #[serde(default = "defaults::rounds")]
    pub rounds: u32,
    /// Ask for a plan first. Default `false`.
    #[serde(default)]
    pub plan: bool,
    /// Requests that the endpoint gets in any minute, at most; `0`: as many as there are. Default 0.
    #[serde(default)]
    pub requests_per_minute: u32,
    /// Tokens of the prompts that the endpoint gets and of its replies in any 24 hours, at most; `0`: as many as
    /// there are. When they are spent the tier is not asked, and a notice says so. Default 0.
    #[serde(default)]
    pub tokens_per_day: u64,
    /// The longest silence of the endpoint. Default 60.
    #[serde(default = "defaults::timeout_secs")]
    pub timeout_secs: u64,
}

impl TierModel {
    /// A model of Greenlit's own engine, asked in the usual way.
    #[must_use]
    pub fn local(model: &str) -> Self {
        Self {
            provider: Provider::Engine,
            endpoint: None,
            model: model.to_owned(),
            api_key_env: None,
            api_key_command: Vec::new(),
            context_tokens: defaults::context_tokens(),
            max_tokens: defaults::max_tokens(),
            samples: defaults::samples(),
            rounds: defaults::rounds(),
            plan: false,
            requests_per_minute: 0,
            tokens_per_day: 0,
            timeout_secs: defaults::timeout_secs(),
        }
    }
}

/// `[tier.*] provider`
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Greenlit's own engine, on this machine; nothing leaves it.
    Engine,
    /// OpenAI's chat completions: llama.cpp, vLLM, Ollama, LM Studio and others speak it as well.
    OpenAi,
    /// TGI's own `/generate_stream`, which knows no chat template; it speaks the other one as well.
    Tgi,
}

mod defaults {
    pub(super) fn context_tokens() -> u32 {
        8192
    }
    pub(super) fn max_tokens() -> u32 {
        1024
    }
    pub(super) fn samples() -> u32 {
        4
    }
    pub(super) fn rounds() -> u32 {
        3
    }
    pub(super) fn timeout_secs() -> u64 {
        60
    }
}
