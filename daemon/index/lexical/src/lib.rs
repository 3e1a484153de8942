//! Search by words and by symbol names, aware of how identifiers are written.
//!
//! This crate must not know vectors, branches or sockets.
