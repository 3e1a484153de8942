//! Serving, with a backend that follows a script instead of a model. What depends on real inference
//! is tested in `greenlit-engine`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adapters;
mod files;
mod gguf;
mod requests;
mod script;
