//! The store: one directory, one process, many spaces.

use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use roaring::RoaringBitmap;

use crate::error::{OpenError, SpaceError};
use crate::files;
use crate::header::MAX_BACKEND;
use crate::key::SpaceId;
use crate::layout::Layout;
use crate::ledger::{Entry, SpaceRow};
use crate::open;
use crate::snapshot::Snapshot;
use crate::space::Space;
use crate::writer::{State, View, Writer, lock};

/// The most values that a vector may have.
const MAX_DIMS: u32 = 8192;

/// How a store is kept.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What all files together may take on disk, in bytes. Appends leave room for one segment
    /// (1024 vectors), which a compaction may take for a moment.
    pub quota_bytes: u64,
}

/// What was not as it was left, when the store was opened. To be shown: it means that content is
/// embedded again.
#[derive(Debug, Default)]
pub struct Report {
    /// Files of another version of the store, moved here and counted until their room is needed.
    pub set_aside: Option<PathBuf>,
    /// Why the ledger had to be made anew from the vectors. Owners must say again what they need.
    pub rebuilt: Option<String>,
    /// Segments that could not be used, with all their vectors.
    pub lost: Vec<LostSegment>,
}

impl Report {
    /// Whether everything was as it was left.
    pub fn is_clean(&self) -> bool {
        self.set_aside.is_none() && self.rebuilt.is_none() && self.lost.is_empty()
    }
}

/// A file that could not be used.
#[derive(Debug)]
pub struct LostSegment {
    /// The space whose vectors it held.
    pub space: SpaceId,
    /// Its number.
    pub number: u32,
    /// What is wrong with it, in words.
    pub why: String,
}

/// The open store. Cheap to clone. It is closed when the last clone and the last [`Space`] of it are
/// gone; snapshots do not keep it open.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) writer: Mutex<Writer>,
    report: Report,
    /// Let go last, when everything above is closed.
    _lock: File,
}

impl Store {
    /// Opens the store in a directory, which is made when it is not there. One process at a time: the
    /// daemon is one per user, and a second reader would have to be told of every compaction.
    ///
    /// # Errors
    /// When another process has it open, or files cannot be read or written. Files that are damaged
    /// or of another version are no error, see [`Store::report`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: dir.to_owned(), source };
        files::private_dir(dir).map_err(io)?;
        let lock = files::private_file(&dir.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Held { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut report = Report::default();
        let writer = open::writer(dir, &mut report)?;
        let shared = Shared { options, writer: Mutex::new(writer), report, _lock: lock };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What was wrong when the store was opened.
    pub fn report(&self) -> &Report {
        &self.shared.report
    }

    /// A space, which is there once something was put into it.
    ///
    /// # Errors
    /// When no vectors like that can be kept.
    pub fn space(&self, id: &SpaceId) -> Result<Space, SpaceError> {
        if id.dims == 0 || id.dims > MAX_DIMS {
            return Err(SpaceError::Dims(id.dims));
        }
        if id.backend.len() > MAX_BACKEND {
            return Err(SpaceError::Backend);
        }
        let mut writer = lock(&self.shared.writer);
        let state = writer.spaces.entry(id.clone()).or_insert_with(|| new_space(id));
        Ok(Space { id: id.clone(), view: state.view.clone(), shared: self.shared.clone() })
    }

    /// All spaces that something was put into.
    pub fn spaces(&self) -> Vec<SpaceId> {
        let writer = lock(&self.shared.writer);
        let there = writer.spaces.iter().filter(|(_, state)| state.entry.space.len > 0);
        there.map(|(id, _)| id.clone()).collect()
    }

    /// What all files together take on disk, in bytes.
    pub fn used_bytes(&self) -> io::Result<u64> {
        lock(&self.shared.writer).used()
    }
}

fn new_space(id: &SpaceId) -> State {
    // The standard library's keys for hash maps are its only source of random numbers. The first bit
    // stays free, so that generations can be counted from here.
    let birth = RandomState::new().hash_one(id) >> 1;
    let segments = RoaringBitmap::new();
    let space = SpaceRow { id: id.clone(), birth, generation: birth, len: 0, segments };
    let snapshot = Snapshot::empty(id.clone(), birth);
    State {
        entry: Entry { space, owners: Default::default() },
        view: Arc::new(View::new(snapshot, Default::default())),
        tail: None,
    }
}

/// What appends leave free of the quota: the most that a step of a compaction takes for a moment.
pub(crate) fn reserve(space: &SpaceId) -> u64 {
    Layout::new(space.dims).total
}
