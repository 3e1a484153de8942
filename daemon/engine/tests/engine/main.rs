//! The real executable and real inference, on tiny models that are made on the spot. What does not
//! depend on inference is tested in `greenlit-serving`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adapters;
mod engine;
mod gguf;
mod kept;
mod texts;
mod trouble;
