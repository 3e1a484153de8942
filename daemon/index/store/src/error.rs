//! Why an operation failed.

use std::io;
use std::path::PathBuf;

pub use crate::ledger::LedgerError;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("the store of vectors in {} is in use by another process", path.display())]
    Held {
        /// The directory of the store.
        path: PathBuf,
    },
    /// A file or directory cannot be read or written. What is merely wrong in it is no error: it is
    /// in the [report](crate::Report).
    #[error("cannot open the store of vectors in {}", path.display())]
    Io {
        /// The directory of the store.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ledger cannot be read or written, though nothing is wrong in it.
    #[error("cannot open the ledger of the store in {}", path.display())]
    Ledger {
        /// The directory of the store.
        path: PathBuf,
        /// Why.
        #[source]
        source: LedgerError,
    },
}

/// Why a space cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError {
    /// Vectors must have 1 to 8192 values.
    #[error("vectors of {0} values cannot be kept")]
    Dims(u32),
    /// The name of the backend is longer than 512 bytes.
    #[error("the name of the backend is longer than 512 bytes")]
    Backend,
}

/// Why vectors could not be added. None of the batch was.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A vector has another number of values than those of the space.
    #[error("vector {index} has {found} values, not {expected}")]
    Dims {
        /// Which of the batch.
        index: usize,
        /// Its values.
        found: usize,
        /// Those of the space.
        expected: usize,
    },
    /// A vector has a value that is not finite, or its length is not one. It is not put right here:
    /// what is returned is what was put, and a model that does this is broken.
    #[error("vector {index} is not finite or not of length one")]
    NotUnit {
        /// Which of the batch.
        index: usize,
    },
    /// There is no room: [`Store::make_room`](crate::Store::make_room) may find some.
    #[error("{needed} more bytes do not fit: {used} of {quota} are used")]
    Quota {
        /// What the batch needs.
        needed: u64,
        /// What the store takes.
        used: u64,
        /// What it may take.
        quota: u64,
    },
    /// Four billion vectors were put into this space over its life.
    #[error("the space has no slots left")]
    Full,
    /// The vectors could not be written, for example because the disk is full.
    #[error("cannot write vectors")]
    Write(#[source] io::Error),
    /// They were written, and then could not be entered.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a change could not be entered into the ledger. It was not.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The ledger could not be written, for example because the disk is full.
    #[error("cannot write the ledger of the store")]
    Write(#[source] LedgerError),
    /// An earlier failure left the ledger unreadable. The store still reads; it writes again once it
    /// was closed and opened.
    #[error("the ledger of the store failed earlier, and the store must be opened again")]
    Broken,
}

/// Why no room could be made.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// Everything that may go has gone.
    #[error("{needed} more bytes do not fit beside what is in use: {used} of {quota}")]
    Quota {
        /// What was asked for.
        needed: u64,
        /// What the store takes.
        used: u64,
        /// What it may take.
        quota: u64,
    },
    /// Vectors could not be moved or files not be measured.
    #[error("cannot rewrite vectors")]
    Write(#[source] io::Error),
    /// The move could not be entered.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
