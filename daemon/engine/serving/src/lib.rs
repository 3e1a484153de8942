//! Serves language models over a pair of pipes, whatever runs them.
//!
//! [`serve`] reads requests and answers them; a [`Backend`] does the inference. What can be decided
//! without inference is decided here: whether files can be used ([`check`]), whether a model fits into
//! memory ([`fit`]), what is resident and who is asked.
//!
//! This crate must not know any inference library, repositories, prompts or patches.
//!
//! Invariant: a backend sees only files that were checked and models that fit.
//! Invariant: every request is answered exactly once.
//! Invariant: one load at a time, each on a thread that ends with it: the inference library keeps
//! adapters and quantization settings per thread and never clears them.
//! Invariant: nothing is closed while it is used, and nothing is routed to what is being closed; so a
//! swap of adapters loses and delays no request.

mod backend;
pub mod check;
mod client;
pub mod fit;
pub mod keep;
mod memory;
mod models;
mod serve;
#[cfg(feature = "test-util")]
pub mod tiny;

pub use backend::{Backend, Plan, Runner, cancelled, failure};
pub use client::{Call, CallError, Client, ConnectError};
pub use memory::free;
pub use serve::{ServeError, serve};
