//! Text to vectors: finding ONNX Runtime and a model, probing both, and embedding batches.
//!
//! This crate must not know chunks, branches or where vectors are kept.
//!
//! Invariant: no vector with a value that is not finite leaves this crate.
//! Invariant: nothing is downloaded without consent that the caller states.
