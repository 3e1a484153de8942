//! Verified downloads: resumed where they stopped, checked against a digest before they are used.
//!
//! This crate must not know what it downloads, nor ask anybody for consent.
//!
//! Bytes go to `NAME.part` beside the final name; `NAME.part.from` says where they came from. A later
//! call, in this process or another, asks the server for the rest only, and only of the same
//! content (`If-Range` with a strong `ETag`, or a digest that is known in advance).
//!
//! Invariant: a file appears under its final name only when its size and digest are right.
//! Invariant: one process at a time writes a partial file; it holds the file's lock.
//! Invariant: a client that is offline has nothing to ask with, whatever it is told to fetch. Whoever
//! else talks to the network gets the way there from here ([`way`]).
//! Invariant: never more bytes are kept than the caller allowed.

mod attempt;
mod client;
mod digest;
mod error;
mod hub;
mod part;
mod record;
mod way;

pub use client::{Client, Fetched, Options, Progress, Size, Wanted};
pub use digest::{Digest, DigestError};
pub use error::DownloadError;
pub use hub::{HUB, hub_listing_url, hub_url};
pub use record::{RecordFile, is_name};
pub use way::{is_loopback, way};
