//! Text to vectors: finding ONNX Runtime and a model, probing both, and embedding batches.
//!
//! This crate must not know chunks, branches or where vectors are kept.
//!
//! The way to an [`Embedder`]: [`find`] a runtime (each candidate is loaded in a child process first; a
//! [`Wheel`] has one for who has none), take a model from the [`Shelf`] or fetch a [`Recommended`] one
//! through the [`Hub`], [`Installed::open`] it, let it pass its [`Trials`], [`Runtime::load`], then
//! [`OnnxEmbedder::load`]; [`OnDemand`] lets it go while nobody needs it. Each step's error says what can be done about it; [`Availability`] is what a
//! person is shown.
//!
//! Invariant: no vector with a value that is not finite leaves this crate; all have unit length.
//! Invariant: nothing is downloaded without consent that the caller states.
//! Invariant: a vector depends on its text and the [`Identity`] only, not on the texts beside it.
//! (Activations of dynamically quantized models are scaled over a whole batch: those get batches of
//! one. With float models the padding of a batch changes the last bits.)
//! Invariant: a library or a model that crashes when it is loaded takes a child process down, not this one.
//! Invariant: no part of a text is left out: one that is longer than the model's window is read in parts.
//! Invariant: ONNX Runtime is asked for no telemetry.

mod availability;
mod embedder;
mod model;
mod on_demand;
mod onnx;
mod runtime;
mod tiny;
mod trial;

#[cfg(any(test, feature = "test-util"))]
pub mod test_util;

pub use availability::{Availability, Unavailable};
pub use embedder::{EmbedError, Embedder, Identity};
pub use model::{
    Catalogue, Consent, Hub, Installed, Model, ModelError, ModelKind, Overrides, Pooling,
    Quantization, Recommended, Shelf,
};
pub use on_demand::{OnDemand, Reload};
pub use onnx::OnnxEmbedder;
pub use runtime::{
    Accelerator, Device, Found, ONNXRUNTIME_VARIABLE, PACKAGES, Packages, Prober, Runtime,
    RuntimeError, Search, Wheel, WheelError, find, probe_child,
};
pub use trial::{Trials, trial_child};
