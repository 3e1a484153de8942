//! What can go wrong, one type per operation.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use tantivy::TantivyError;
use thiserror::Error;

/// Why an index cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It must be built anew: see [`crate::Lexical::create`].
    #[error("the word index is damaged: {reason}")]
    Damaged {
        /// What was found.
        reason: String,
    },
    /// It was written by another version and must be built anew.
    #[error("the word index has version {found:?}, not {wanted}")]
    OtherVersion {
        /// Its version as written.
        found: String,
        /// The version of this program.
        wanted: u32,
    },
    /// Another process writes to it.
    #[error("another process writes the word index in {dir}")]
    Locked {
        /// Where it is.
        dir: PathBuf,
    },
    /// The file system refuses.
    #[error("cannot use {dir}")]
    Io {
        /// Where it is.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No memory or thread for the writer.
    #[error("cannot start the word index")]
    Start {
        /// What the library said.
        #[source]
        source: TantivyError,
    },
}

impl OpenError {
    /// Whether building the index anew is the remedy.
    pub fn wants_rebuild(&self) -> bool {
        matches!(self, OpenError::Damaged { .. } | OpenError::OtherVersion { .. })
    }
}

/// Why documents were not written. Nothing of the batch is in the index.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The library or the file system failed.
    #[error("cannot write the word index")]
    Write {
        /// What the library said.
        #[source]
        source: TantivyError,
    },
    /// An earlier failure left the writer unusable: open the index again.
    #[error("the writer of the word index has stopped")]
    Stopped,
    /// The library panicked.
    #[error("the word index is damaged: {reason}")]
    Damaged {
        /// What it said.
        reason: String,
    },
}

/// Why a search has no answer.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The library or the file system failed.
    #[error("cannot search the word index")]
    Read {
        /// What the library said.
        #[source]
        source: TantivyError,
    },
    /// A path pattern that is too complex.
    #[error("cannot use the path filter {pattern:?}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What the library said.
        #[source]
        source: TantivyError,
    },
    /// The library panicked.
    #[error("the word index is damaged: {reason}")]
    Damaged {
        /// What it said.
        reason: String,
    },
}

impl From<TantivyError> for SearchError {
    fn from(source: TantivyError) -> SearchError {
        SearchError::Read { source }
    }
}

/// Runs what reads files that may be damaged: the library panics on some.
pub(crate) fn guarded<T, E>(
    damaged: impl Fn(String) -> E,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(damaged(text.unwrap_or_else(|| "it cannot be read".to_owned())))
    })
}
