//! The store of vectors: content-addressed, append-only, shared by all branches and repositories.
//!
//! This crate must not know files of a workspace, branches, or how a vector is made. Of `greenlit-graph`
//! it has the rule for codes and signs, and the trait that its snapshots are read through.
//!
//! Invariant: a vector that is returned is the one that was put under that key, bit by bit.
//! Invariant: killed at any point, the store opens again with nothing lost but the unfinished batch.
//! Invariant: a slot never holds a second vector: it holds the one that it was given to, or nothing.
//! Invariant: what was committed is never written again, so that snapshots may view it in place.
//! Full vectors, four fifths of a segment, are read and not viewed: what is viewed stays in memory.
//!
//! # Files
//!
//! ```text
//! lock          held by the process that has the store open
//! set-aside/    files of another version; they go when their room is needed
//! data/format   the version, as text
//! data/ledger   an embedded database: how long each space is, which segments it has, what each owner
//!               needs and when it was used last
//! data/<space>/ segments: a page that says what the file is, then columns of 1024 keys, checksums,
//!               scales, signs, codes and full vectors
//! ```
//!
//! Vectors are on disk before the ledger is told of them, and files are removed after it forgot them.
//! The key of a vector lies beside it and not in the ledger: it has one place, costs 32 bytes, and the
//! ledger can be made anew from the segments. A map of all keys (about 50 bytes each) is made in memory
//! when the store is opened.
//!
//! # What is checked when
//!
//! Opening reads headers, lengths, keys and the ledger, all of which is verified but the keys. A record
//! has two checksums, for what a scan reads and for the full vector, and each is verified when that part
//! is first read, about a microsecond each. They cover the key, the place and the segment. Damage reads
//! as zeros, is reported, and makes the key unknown, so that it is embedded again.
//! [`Snapshot::verify`] does the same ahead of time.
mod error;
mod files;
mod header;
mod key;
mod layout;
mod ledger;
mod mapping;
mod open;
mod reader;
mod rebuild;
mod room;
mod segment;
mod snapshot;
mod space;
mod store;
mod unit;
mod writer;

pub use error::{AppendError, CommitError, LedgerError, OpenError, RoomError, SpaceError};
pub use key::{Key, Owner, SpaceId};
pub use room::{Room, SlotMap};
pub use snapshot::Snapshot;
pub use space::Space;
pub use store::{LostSegment, Options, Report, Store};

#[cfg(test)]
mod tests;
