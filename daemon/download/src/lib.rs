//! Verified downloads: resumed where they stopped, checked against a digest before they are used.
//!
//! This crate must not know what it downloads, nor ask anybody for consent.
//!
//! Invariant: a file appears under its final name only when its size and digest are right.
