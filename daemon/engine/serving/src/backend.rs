//! What runs models. `greenlit-engine` implements it with mistralrs; tests with a script.

use std::sync::Arc;

use futures::future::BoxFuture;
use greenlit_protocol::engine::{
    EngineFailure, EngineFailureKind, Generate, Generated, Keep, Precision,
};
use tokio_util::sync::CancellationToken;

use crate::check::{Adapter, ModelFiles};

/// Loads models.
pub trait Backend: Send + Sync + 'static {
    /// Library and version, for people.
    fn name(&self) -> String;

    /// `cpu` or `cuda`.
    fn device(&self) -> &'static str;

    /// Makes a model resident. It is called on a thread of its own, which ends afterwards; it may take
    /// minutes, and may panic.
    fn load(&self, plan: &Plan) -> Result<Arc<dyn Runner>, EngineFailure>;
}

/// A model to make resident. Its files were checked, and it fits.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its files.
    pub files: Arc<ModelFiles>,
    /// How weights are kept; never [`Precision::Auto`].
    pub precision: Precision,
    /// Longest prompt and answer together, in tokens.
    pub context: u64,
    /// Adapters to load it with; their changes to the weights add up.
    pub adapters: Vec<Adapter>,
    /// What its weights take as they are kept, in bytes.
    pub weights: u64,
    /// Where quantized weights are kept, if they are.
    pub keep: Option<Keep>,
}

/// A resident model, with or without an adapter.
pub trait Runner: Send + Sync + 'static {
    /// How many tokens a text has.
    fn count(&self, text: &str) -> Result<u64, EngineFailure>;

    /// Writes a text. Pieces are not empty. Ends at the next token after `cancelled`.
    fn generate<'a>(
        &'a self,
        job: &'a Generate,
        cancelled: &'a CancellationToken,
        piece: &'a (dyn Fn(String) + Send + Sync),
    ) -> BoxFuture<'a, Result<Generated, EngineFailure>>;

    /// Gives the memory back and returns when that is done. Nothing is generated any more.
    fn close(&self);
}

/// A failure.
pub fn failure(kind: EngineFailureKind, message: impl Into<String>) -> EngineFailure {
    EngineFailure { kind, message: message.into() }
}

/// Somebody asked for it to stop.
pub fn cancelled() -> EngineFailure {
    failure(EngineFailureKind::Cancelled, "cancelled")
}
