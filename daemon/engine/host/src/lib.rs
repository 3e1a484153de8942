//! The daemon's side of `greenlit-engine`: starts, watches and ends it, knows which models and adapters
//! are on this machine, and lets a repair ask one of them.
//!
//! This crate must not know any inference library, the language server protocol or sockets of ours.
//!
//! Invariant: at most one engine runs. It is started when somebody needs it, and not any more after
//! [`MOST_CRASHES`] ends in a row that nobody asked for.
//! Invariant: whatever becomes of the engine, each request of it ends: with an answer, or saying why not.
//! Invariant: only files that were checked are on the [`Shelf`], and none that changed since is loaded.
//! Invariant: an adapter is used only with the model that it was checked against.

mod end;
mod engine;
mod error;
mod idle;
mod launch;
mod model;
mod program;
mod pull;
mod recommended;
mod shelf;
mod state;

pub use engine::{Engine, InUse, Options};
pub use error::EngineError;
pub use model::LocalModel;
pub use program::{Absent, PROGRAM, Program};
pub use pull::{Listing, PullError, Puller};
pub use recommended::{Recommended, recommended};
pub use shelf::{AdapterAdd, AdapterRecord, ModelRecord, Origin, STACKED, Shelf, ShelfError};
pub use state::MOST_CRASHES;

use std::path::PathBuf;

/// What is to be in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The model's name.
    pub model: String,
    /// Where its files are.
    pub directory: PathBuf,
    /// What they hash to.
    pub digest: String,
    /// Adapter `name@version`, or several with ` + ` between them, and where their files are.
    pub adapter: Option<(String, Vec<PathBuf>)>,
}
