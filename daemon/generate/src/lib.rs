//! Candidates that language models write: prompt, contract, loop, providers.
//!
//! This crate must not know the language server protocol, sockets of ours, or the daemon's state.
//!
//! Invariant: no reply, however mangled or hostile, makes a function of this crate panic.
//! Invariant: a [`greenlit_repair::Candidate`] that leaves this crate changes files inside the
//! workspace only, by the names that they have there, and neither tests (unless allowed) nor what says
//! how tests run. It has still to pass everything that any candidate has to pass.
//! Invariant: what files and tests say reaches a model as quoted data, and what a model says is data.
//! Invariant: no other machine is asked for anything that the owner of the network does not allow
//! ([`greenlit_download::way`]).

mod author;
pub mod contract;
mod demonstrate;
mod hidden;
mod model;
mod prompt;
mod record;
mod remote;
mod secrets;

pub use author::{ModelAuthor, Settings};
pub use demonstrate::{Demonstrator, Estimate, Example, Unfit};
pub use hidden::Hidden;
pub use model::{
    Completion, Constraint, Finish, Identity, Message, Model, ModelError, Request, Role, Sampling,
    Usage,
};
pub use record::{Attempt, Ending, Record};
pub use remote::{
    AskKey, Endpoint, EndpointError, Key, KeySource, Limits, Protocol, Remote, Standing,
};
