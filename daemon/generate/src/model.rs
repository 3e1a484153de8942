//! What a model is to the rest: messages in, pieces of text out.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What holds for the whole conversation.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// As every protocol of chats has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// Its text.
    pub content: String,
}

/// What a reply has to look like. A model that cannot be held to it ignores it: replies are validated
/// in any case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Constraint {
    /// Anything.
    #[default]
    Free,
    /// One JSON value of this schema.
    JsonSchema(String),
    /// A text of this grammar, in llguidance's dialect of Lark.
    Lark(String),
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0 always takes the likeliest.
    pub temperature: f32,
    /// Only the likeliest tokens that make up this share are taken.
    pub top_p: f32,
    /// The reply ends after so many tokens.
    pub max_tokens: u32,
    /// Makes a reply repeatable where the model can.
    pub seed: u64,
}

/// One call.
pub struct Request<'a> {
    /// In order.
    pub messages: &'a [Message],
    /// What the reply has to look like.
    pub constraint: &'a Constraint,
    /// How it is sampled.
    pub sampling: Sampling,
    /// Asked often, also while nothing comes: whether nobody wants the rest any more.
    pub stop: &'a dyn Fn() -> bool,
}

/// What a call took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the messages.
    pub prompt_tokens: u64,
    /// Tokens of the reply.
    pub completion_tokens: u64,
    /// The model did not say: these are estimates.
    pub estimated: bool,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// It reached the limit of tokens.
    Length,
    /// Nobody wanted the rest.
    Cancelled,
}

/// The end of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// What it took.
    pub usage: Usage,
    /// Why it ended.
    pub finish: Finish,
    /// How long it took until the first token; `None` where there was none, or nobody says.
    pub first_token: Option<Duration>,
}

/// Which model it is; part of the evidence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// What its weights hash to, where that is known. An endpoint does not tell.
    pub digest: Option<String>,
    /// Adapter `name@version` that is applied.
    pub adapter: Option<String>,
}

/// Why a call brought no complete reply.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// It would never fit.
    #[error("the prompt and its reply take {tokens} tokens, and the context has {context}")]
    TooLong {
        /// Of the prompt and the longest reply.
        tokens: usize,
        /// Of the model.
        context: usize,
    },
    /// The model cannot be used.
    #[error("{model} cannot be used")]
    Unavailable {
        /// Its name.
        model: String,
        /// Whether asking again within the same job makes no sense.
        lasting: bool,
        /// Whether it may have read the messages all the same, and counts them.
        read: bool,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// A language model.
pub trait Model: Send + Sync {
    /// Which one.
    fn identity(&self) -> Identity;

    /// Tokens that messages and reply may have together.
    fn context_tokens(&self) -> usize;

    /// How many tokens a text has; may err towards more.
    fn count_tokens(&self, text: &str) -> usize;

    /// It is about to be asked, perhaps: what takes long may begin. Does not block.
    fn prepare(&self) {}

    /// Asks, and hands over the reply piece by piece; `Break` ends it. Blocks.
    ///
    /// # Errors
    /// When the reply is not complete for any other reason than that nobody wants the rest.
    fn generate(
        &self,
        request: &Request<'_>,
        piece: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion, ModelError>;
}
