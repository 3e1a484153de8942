//! Search by words and by symbol names, aware of how identifiers are written.
//!
//! This crate must not know vectors, branches or sockets.
//!
//! Invariant: no text of a person is query syntax: every query is words, and none is an error.
//! Invariant: an index on disk is verified before a byte of it is used; a damaged one is an error
//! that says so, never a wrong answer. It can always be built anew from the files.
//! Invariant: what [`Lexical::apply`] or [`Lexical::hold`] wrote is found by the next search, what they
//! removed is not, and scores are those of one index, wherever its documents lie.
//! Invariant: what is only in memory was said to be: whoever calls [`Lexical::hold`] knows how to make
//! it again.
//! Invariant: one writer with a bounded memory.

mod apply;
mod document;
mod error;
mod filter;
mod held;
mod lexical;
mod schema;
mod scores;
mod search;
mod symbols;
mod tokens;
mod verify;

pub use document::Document;
pub use error::{ApplyError, OpenError, SearchError};
pub use filter::{Filter, path_matches};
pub use lexical::Lexical;
pub use schema::SCHEMA_VERSION;
pub use search::{Query, Scored, is_stop_word};
