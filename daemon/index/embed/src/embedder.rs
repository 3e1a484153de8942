//! What turns texts into vectors, and what it is called.

use std::time::Instant;

use crate::runtime::RuntimeError;

/// Turns texts into vectors of one space.
pub trait Embedder: Send + Sync {
    /// What the vectors depend on besides the text.
    fn identity(&self) -> &Identity;

    /// One vector of [`Identity::dims`] values and unit length for each text, in the same order. A text of
    /// more than [`Identity::max_tokens`] is read in parts, whose mean is its vector.
    ///
    /// # Errors
    /// When a text cannot be embedded; none of the batch is returned then.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError>;

    /// The vector of a question, to be compared with those of [`Embedder::embed`].
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError>;

    /// How many tokens a text has, those included that the model adds around each text.
    fn count_tokens(&self, text: &str) -> usize;

    /// When it was last needed, if it is in memory and can be let go.
    fn last_used(&self) -> Option<Instant> {
        None
    }

    /// Gives back its memory if nobody needed it since, nor does now; says whether it did.
    fn let_go(&self, _unused_since: Instant) -> bool {
        false
    }
}

/// What the vectors of an embedder depend on besides the text: equal identities, equal vectors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// For people
    pub name: String,
    /// Of the model, its tokenizer and how it is used
    pub model: [u8; 32],
    /// The runtime with its version and build, the device, the arithmetic
    pub backend: String,
    /// Values in a vector
    pub dims: usize,
    /// Tokens that are read at once
    pub max_tokens: usize,
}

/// Why texts have no vectors. `index` is the place of the text in the call.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The model computes something that is not a number.
    #[error("the model gives values that are not finite for text {index}")]
    NotFinite {
        /// Which text
        index: usize,
    },
    /// The model computes nothing: there is no direction to compare.
    #[error("the model gives a vector of length zero for text {index}")]
    NoDirection {
        /// Which text
        index: usize,
    },
    /// The model gives another number of values than before.
    #[error("the model gives {found} values for text {index} and not {dims}")]
    Shape {
        /// Which text
        index: usize,
        /// Values that there should be
        dims: usize,
        /// Values that there are
        found: usize,
    },
    /// The model was let go and is being loaded again.
    #[error("the embedding model is being loaded again: it is back in a moment")]
    Reloading,
    /// The model was let go and cannot be loaded again.
    #[error("the embedding model could not be loaded again: {reason}")]
    NotReloaded {
        /// What became of it
        reason: String,
    },
    /// The model gives another number of vectors than it got texts.
    #[error("the model gives {found} vectors for {texts} texts")]
    Count {
        /// Texts in the batch
        texts: usize,
        /// Vectors that came
        found: usize,
    },
    /// The model or its tokenizer cannot be used.
    #[error("the model cannot be used")]
    Failed(#[source] Box<fastembed::Error>),
    /// A child process that tried the model first did not get far.
    #[error("the model failed its trial: {reason}")]
    Trial {
        /// What became of it
        reason: String,
    },
    /// The model could not be tried.
    #[error("the model could not be tried")]
    NoTrial(#[source] RuntimeError),
    /// A fault of the runtime or its bindings.
    #[error("the runtime gave up: {0}")]
    Panicked(String),
    /// The model's vectors are not what its description says.
    #[error("the model gives {found} values and its description says {described}")]
    Described {
        /// By the description
        described: usize,
        /// By the model
        found: usize,
    },
}

impl EmbedError {
    /// What a person can do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoTrial(error) => error.remedy(),
            _ => "choose another model (`greenlit model list`) or another ONNX Runtime; `greenlit logs` \
                  has the details"
                .to_owned(),
        }
    }
}
