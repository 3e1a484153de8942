//! The state of a workspace as one session sees it: files on disk, unsaved buffers on top, the
//! git branch, what changed, and the configuration.
//!
//! This crate must not know sockets, tests, sandboxes or LSP: paths and bytes in, plain data out.
//!
//! Invariant: nothing here writes to a checkout.
//! Invariant: a [`View`] is immutable; edits make new views and never change old ones.
//! Invariant: a document whose edits cannot be trusted is ignored and says so, never guessed at.
//! Invariant: two equal [`Inputs`] digests mean equal contents of every file that was walked,
//! except files over [`inputs::MAX_HASHED_BYTES`], which are compared by their metadata.

mod chain;
pub mod config;
mod files;
mod git;
mod ignores;
pub mod inputs;
mod overlay;
mod stat;
mod view;
mod watch;

pub use chain::chain;
pub use config::{Config, ConfigError, Embedding, Network};
pub use files::{FoundFile, Ignored, list_files};
pub use git::{Head, git_branch, git_dir};
pub use inputs::{Inputs, ScanError};
pub use overlay::{ChangeError, Overlays, SessionId};
pub use stat::{Stamp, StatCache};
pub use view::{Overlay, View};
pub use watch::{Change, Changed, WatchError, Watcher};
