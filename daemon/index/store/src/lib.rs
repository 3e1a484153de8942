//! The store of vectors: content-addressed, append-only, shared by all branches and repositories.
//!
//! This crate must not know files of a workspace, branches, graphs, or how a vector is made.
//!
//! Invariant: a vector that is returned is the one that was put under that key, bit by bit.
//! Invariant: killed at any point, the store opens again with nothing lost but the unfinished batch.
mod error;
mod files;
mod header;
mod key;
mod layout;
mod ledger;
mod mapping;
mod open;
mod quantize;
mod rebuild;
mod room;
mod segment;
mod snapshot;
mod space;
mod store;
mod writer;

pub use error::{AppendError, CommitError, LedgerError, OpenError, RoomError, SpaceError};
pub use key::{Key, Owner, SpaceId};
pub use quantize::{quantize, signs};
pub use room::{Room, SlotMap};
pub use snapshot::Snapshot;
pub use space::Space;
pub use store::{LostSegment, Options, Report, Store};

#[cfg(test)]
mod tests;
