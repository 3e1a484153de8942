//! The only writer: what is committed, and what is on its way to it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use roaring::RoaringBitmap;

use crate::error::CommitError;
use crate::files;
use crate::header::Header;
use crate::key::{Key, SpaceId};
use crate::layout::RECORDS;
use crate::ledger::{Change, Entry, Ledger};
use crate::open;
use crate::segment::Segment;
use crate::snapshot::Snapshot;

/// The name of the ledger's file.
pub(crate) const LEDGER: &str = "ledger";

/// What readers of a space see. Replaced by the writer after each commit.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) snapshot: RwLock<Arc<Snapshot>>,
    pub(crate) slots: RwLock<HashMap<Key, u32>>,
}

impl View {
    pub(crate) fn new(snapshot: Snapshot, slots: HashMap<Key, u32>) -> Self {
        Self { snapshot: RwLock::new(Arc::new(snapshot)), slots: RwLock::new(slots) }
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the vectors of keys lie; those found damaged are unknown.
    pub(crate) fn lookup(&self, keys: &[Key]) -> Vec<Option<u32>> {
        let snapshot = self.snapshot();
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let slot = |key| slots.get(key).copied().filter(|&slot| !snapshot.is_known_damaged(slot));
        keys.iter().map(slot).collect()
    }

    /// Shows a new state: first the vectors, then the keys that lead to them.
    pub(crate) fn publish(&self, snapshot: Snapshot, keys: impl FnOnce(&mut HashMap<Key, u32>)) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        keys(&mut self.slots.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A space as the writer knows it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) entry: Entry,
    pub(crate) view: Arc<View>,
    /// The segment that was last written to, by number, open for more.
    pub(crate) tail: Option<(u32, Arc<Segment>, File)>,
}

impl State {
    /// Everything that some owner needs.
    pub(crate) fn live(&self) -> RoaringBitmap {
        self.entry.owners.values().fold(RoaringBitmap::new(), |all, row| all | &row.slots)
    }
}

/// Records that are on disk, and that nothing names yet.
pub(crate) struct Written {
    /// What the length of the space will be.
    pub(crate) len: u32,
    pub(crate) segments: Vec<(u32, Arc<Segment>)>,
}

impl Written {
    /// The snapshot with these records; how long it is stays to be set.
    pub(crate) fn added_to(self, mut snapshot: Snapshot) -> Snapshot {
        for (number, segment) in self.segments {
            let place = number as usize;
            if snapshot.segments.len() <= place {
                snapshot.segments.resize(place + 1, None);
            }
            snapshot.segments[place] = Some(segment);
        }
        snapshot.len = self.len;
        snapshot
    }
}

/// Owns what is committed.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) data: PathBuf,
    /// `None` after a failure that could not be resolved.
    pub(crate) ledger: Option<Ledger>,
    pub(crate) spaces: BTreeMap<SpaceId, State>,
    /// The last use of any owner.
    pub(crate) clock: u64,
    /// Files of another version.
    pub(crate) set_aside: PathBuf,
    pub(crate) set_aside_bytes: u64,
}

impl Writer {
    /// What the store takes on disk.
    pub(crate) fn used(&self) -> io::Result<u64> {
        let vectors: u64 = self.spaces.values().map(|state| state.view.snapshot().bytes()).sum();
        let ledger = std::fs::metadata(self.data.join(LEDGER))?.len();
        Ok(vectors + ledger + self.set_aside_bytes)
    }

    pub(crate) fn state(&mut self, space: &SpaceId) -> &mut State {
        self.spaces.get_mut(space).expect("a handle to a space is made after its state")
    }

    /// Writes records behind the last one of a space, on disk when this returns.
    pub(crate) fn write_tail(
        &mut self,
        space: &SpaceId,
        mut len: u32,
        mut records: &[(Key, &[f32])],
    ) -> io::Result<Written> {
        let dir = self.data.join(space.directory());
        let state = self.state(space);
        let mut segments = Vec::new();
        while !records.is_empty() {
            let number = len / RECORDS;
            let first = len % RECORDS;
            let room = (RECORDS - first) as usize;
            let (now, later) = records.split_at(records.len().min(room));
            if !matches!(&state.tail, Some((open, ..)) if *open == number) {
                state.tail = Some(open_tail(&dir, &state.entry, &state.view, number)?);
            }
            let (_, segment, file) = state.tail.as_ref().expect("was opened above");
            segment.write(file, first, now)?;
            segments.push((number, segment.clone()));
            len += now.len() as u32;
            records = later;
        }
        Ok(Written { len, segments })
    }

    /// Enters a change. When that fails it is looked up whether it is on disk all the same: a disk
    /// that fails while it confirms may have written.
    pub(crate) fn commit(&mut self, change: Change) -> Result<(), CommitError> {
        let ledger = self.ledger.take().ok_or(CommitError::Broken)?;
        let outcome = ledger.commit(&[&change]);
        let id = change.space.id.clone();
        let mut entry = self.state(&id).entry.clone();
        change.apply(&mut entry);
        if let Err(error) = outcome {
            tracing::warn!(%error, "the ledger of the store could not be written");
            drop(ledger);
            let (ledger, entries) =
                open::read_ledger(&self.data).map_err(|_| CommitError::Broken)?;
            let is_same = |found: &Entry| {
                self.spaces.get(&found.space.id).is_some_and(|state| state.entry == *found)
            };
            let (found, others): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|found| found.space.id == id);
            if !others.iter().all(is_same) {
                return Err(CommitError::Broken);
            }
            match found.first() {
                Some(found) if *found == entry => self.ledger = Some(ledger),
                found if found.is_none_or(is_same) => {
                    self.ledger = Some(ledger);
                    return Err(CommitError::Write(error));
                }
                _ => return Err(CommitError::Broken),
            }
        } else {
            self.ledger = Some(ledger);
        }
        let latest = entry.owners.values().map(|row| row.last_use).max();
        self.clock = self.clock.max(latest.unwrap_or(0));
        self.state(&id).entry = entry;
        Ok(())
    }
}

/// The segment that new records go to: the last one, when it has room, or a new one.
fn open_tail(
    dir: &Path,
    entry: &Entry,
    view: &View,
    number: u32,
) -> io::Result<(u32, Arc<Segment>, File)> {
    let path = segment_path(dir, number);
    let there = view.snapshot().segments.get(number as usize).cloned().flatten();
    if let Some(segment) = there {
        return Ok((number, segment, files::existing_file(&path)?));
    }
    files::private_dir(dir)?;
    if let Some(data) = dir.parent() {
        files::sync_names(data)?;
    }
    let row = &entry.space;
    let header =
        Header { space: row.id.clone(), birth: row.birth, generation: row.generation, number };
    let (segment, file) = Segment::create(&path, &header)?;
    Ok((number, Arc::new(segment), file))
}

pub(crate) fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}"))
}

pub(crate) fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}
