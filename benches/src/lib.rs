//! Benchmarks: see `benches/`. Each prints what it measured, against what, on what input.
//!
//! This crate must not be depended on by any other.
