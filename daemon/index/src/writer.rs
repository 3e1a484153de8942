//! The state behind the snapshots: files, records, and what is stored of them.
//!
//! Only the thread of an index touches it. An update costs as the change: files that did not change
//! are not read, and contents that were seen before are not cut into chunks again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use greenlit_lexical::Document;
use greenlit_workspace::{Ignored, ScanError, list_files};

use crate::catalogue::{Batch, Content, FileState};
use crate::changing::Changing;
use crate::file::{self, Read};
use crate::pages::Pages;
use crate::record::{Record, RecordId, document_id};
use crate::snapshot::{Snapshot, Totals};
use crate::storage::{Storage, StorageError};

/// Records of contents that no file has now (other branches, unsaved texts), at least.
const MIN_DEAD: u64 = 4096;

/// The state.
#[derive(Debug)]
pub(crate) struct Writer {
    root: Arc<Path>,
    storage: Storage,
    files: BTreeMap<Arc<str>, FileState>,
    records: Pages<Record>,
    live: roaring::RoaringBitmap,
    /// Records by path and content.
    known: HashMap<[u8; 32], RecordId>,
    /// Records that no file has now, by when they were last of use.
    dead: BTreeMap<u64, RecordId>,
    dead_since: HashMap<RecordId, u64>,
    /// So many of them are kept at least.
    min_dead: u64,
    clock: u64,
    next: RecordId,
    totals: Totals,
    ignored: Ignored,
    changing: Changing,
}

/// What was read and cut, and is not yet stored.
#[derive(Debug, Default)]
pub(crate) struct Change {
    batch: Batch,
    documents: Vec<Document>,
    /// Records from before that it needs.
    reused: HashSet<RecordId>,
    /// Bytes of the texts in `documents`.
    pub(crate) bytes: usize,
}

impl Change {
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.added.is_empty() && self.batch.files.is_empty()
    }
}

/// An unsaved buffer: path, text, blake3.
pub(crate) type Buffer = (Arc<str>, Arc<str>, [u8; 32]);

/// The unsaved buffers of a session as records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overlaid {
    /// Records of the files behind the buffers.
    pub(crate) hidden: Vec<RecordId>,
    /// Records of the buffers.
    pub(crate) shown: Vec<RecordId>,
}

impl Writer {
    /// Takes over what the storage knows.
    pub(crate) fn open(root: Arc<Path>, mut storage: Storage) -> Self {
        let loaded = std::mem::take(&mut storage.loaded);
        let mut writer = Self {
            ignored: Ignored::new(&root),
            root,
            storage,
            files: BTreeMap::new(),
            records: Pages::default(),
            live: roaring::RoaringBitmap::new(),
            known: HashMap::new(),
            dead: BTreeMap::new(),
            dead_since: HashMap::new(),
            min_dead: MIN_DEAD,
            clock: 0,
            next: 0,
            totals: Totals::default(),
            changing: Changing::default(),
        };
        for (number, record) in loaded.records {
            writer.insert(number, Arc::new(record));
        }
        for (path, state) in loaded.files {
            writer.set_file(path, Some(state));
        }
        writer
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Makes everything durable.
    pub(crate) fn flush(&mut self) -> Result<(), StorageError> {
        self.storage.flush()
    }

    /// The present moment.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            records: self.records.clone(),
            live: self.live.clone(),
            words: self.storage.words.clone(),
            totals: self.totals.clone(),
        }
    }

    /// Compares every file with what is known of it, by metadata. Gives the paths that have to be
    /// looked at, those that were written last first, and the removal of those that are gone or
    /// ignored now.
    pub(crate) fn scan(&mut self) -> Result<(Vec<Arc<str>>, Change), ScanError> {
        self.ignored.reload();
        let now = SystemTime::now();
        let mut differing = Vec::new();
        let mut seen = HashSet::new();
        for found in list_files(&self.root)? {
            // Names that are not UTF-8 cannot be told to anybody.
            let Some(path) = relative(&self.root, &found.path) else { continue };
            let state = self.files.get_key_value(&*path);
            let path = state.map_or(path, |(known, _)| known.clone());
            let stamp = file::short(&found.stamp, now);
            if stamp.is_none() || state.is_none_or(|(_, state)| state.stamp != stamp) {
                differing.push((Reverse(found.modified), path.clone()));
            }
            seen.insert(path);
        }
        differing.sort_unstable();
        let mut change = Change::default();
        let gone = self.files.keys().filter(|path| !seen.contains(*path));
        change.batch.files.extend(gone.map(|path| (path.clone(), None)));
        Ok((differing.into_iter().map(|(_, path)| path).collect(), change))
    }

    /// Whether a path that somebody names belongs into the index: what git ignores does not.
    pub(crate) fn admits(&mut self, path: &str) -> bool {
        self.files.contains_key(path) || !self.ignored.is_ignored(&self.root.join(path), false)
    }

    /// The record of a file as it is on disk.
    pub(crate) fn record_of(&self, path: &str) -> Option<RecordId> {
        match self.files.get(path)?.content {
            Content::Record(record) => Some(record),
            Content::Skipped(_) => None,
        }
    }

    /// Known files at or below a path.
    pub(crate) fn known_below(&self, path: &str) -> Vec<Arc<str>> {
        let prefix = format!("{path}/");
        let start: Arc<str> = prefix.as_str().into();
        let below = self.files.range(start..).map(|(known, _)| known);
        let below = below.take_while(|known| known.starts_with(&prefix)).cloned();
        let itself = self.files.get_key_value(path).map(|(known, _)| known.clone());
        itself.into_iter().chain(below).collect()
    }

    /// Looks at one path, relative to the root; gives paths to look at besides, for a directory.
    pub(crate) fn read(&mut self, path: &Arc<str>, change: &mut Change) -> Vec<Arc<str>> {
        let read = file::read(&self.root, path);
        if matches!(read, Read::Gone | Read::Directory) {
            let mut more = self.known_below(path);
            more.retain(|below| below != path);
            if self.files.contains_key(path) {
                change.batch.files.insert(path.clone(), None);
            }
            if matches!(read, Read::Gone) {
                return more;
            }
            let directory = self.root.join(&**path);
            if self.ignored.is_ignored(&directory, true) {
                // It was not when these were read: an environment was made here, for example.
                change.batch.files.extend(more.drain(..).map(|below| (below, None)));
                return more;
            }
            // It may have been moved here with all that it holds.
            let found = list_files(&directory).unwrap_or_default();
            more.extend(found.iter().filter_map(|file| relative(&self.root, &file.path)));
            return more;
        }
        let state = match read {
            Read::Skipped { reason, stamp } => {
                FileState { content: Content::Skipped(reason), stamp }
            }
            Read::Text { text, hash, stamp } => {
                let content = match self.record(path, &text, hash, change) {
                    Ok(record) => Content::Record(record),
                    Err(reason) => Content::Skipped(reason),
                };
                FileState { content, stamp }
            }
            Read::Gone | Read::Directory => return Vec::new(),
        };
        if self.files.get(path) != Some(&state) {
            change.batch.files.insert(path.clone(), Some(state));
        }
        Vec::new()
    }

    /// The record of a content, a new one if need be; or why the content is left out.
    fn record(
        &mut self,
        path: &Arc<str>,
        text: &str,
        hash: [u8; 32],
        change: &mut Change,
    ) -> Result<RecordId, Arc<str>> {
        if let Some(known) = self.known.get(&Record::key(path, &hash)) {
            let known = *known;
            change.reused.insert(known);
            self.touch(known);
            return Ok(known);
        }
        let before = self.changing.get(path);
        let (chunked, document) = file::chunk_changed(path, text, hash, before)?;
        // What is new will mostly stay as it is.
        if self.files.contains_key(path) {
            self.changing.keep(path, document);
        }
        self.totals.cut += 1;
        let number = self.next;
        self.next += 1;
        let record = chunked.record;
        for (ordinal, (text, chunk)) in chunked.texts.into_iter().zip(&record.chunks).enumerate() {
            change.bytes += text.text.len();
            change.documents.push(Document {
                id: document_id(number, ordinal),
                path: path.to_string(),
                symbol: text.symbol,
                names: text.names,
                text: text.text,
                language: record.language.to_string(),
                kind: chunk.kind.to_string(),
            });
        }
        change.batch.added.push((number, Arc::new(record)));
        Ok(number)
    }

    /// The records of unsaved buffers; their files' records are hidden.
    /// Says whether any record is new.
    pub(crate) fn overlay(&mut self, buffers: &[Buffer]) -> Result<(Overlaid, bool), StorageError> {
        let mut change = Change::default();
        let mut overlaid = Overlaid::default();
        for (path, text, hash) in buffers {
            overlaid.hidden.extend(self.record_of(path));
            // What would be left out on disk is left out here.
            if !self.admits(path) || file::before_reading(path, text.len() as u64).is_some() {
                continue;
            }
            if let Ok(record) = self.record(path, text, *hash, &mut change) {
                overlaid.shown.push(record);
            }
        }
        let is_new = !change.is_empty();
        self.store(change)?;
        Ok((overlaid, is_new))
    }

    /// Stores a change and makes it part of the state. On an error the state is as before.
    pub(crate) fn store(&mut self, mut change: Change) -> Result<(), StorageError> {
        if change.is_empty() {
            return Ok(());
        }
        change.batch.removed = self.superfluous(&change.reused);
        self.storage.store(&change.batch, change.documents)?;
        for (number, record) in change.batch.removed {
            self.forget(number, &record);
        }
        for (number, record) in change.batch.added {
            self.insert(number, record);
        }
        for (path, state) in change.batch.files {
            self.set_file(path, state);
        }
        Ok(())
    }

    /// Dead records beyond what is kept, longest unused first; without those that live again.
    fn superfluous(&self, reused: &HashSet<RecordId>) -> Vec<(RecordId, Arc<Record>)> {
        let kept = self.live.len().max(self.min_dead) as usize;
        let beyond = self.dead.len().saturating_sub(kept);
        let oldest = self.dead.values().take(beyond).filter(|number| !reused.contains(*number));
        oldest.filter_map(|number| Some((*number, self.records.get(*number)?.clone()))).collect()
    }

    fn insert(&mut self, number: RecordId, record: Arc<Record>) {
        self.next = self.next.max(number + 1);
        self.totals.bytes += record.bytes();
        self.known.insert(Record::key(&record.path, &record.hash), number);
        self.records.set(number, record);
        self.bury(number);
    }

    fn forget(&mut self, number: RecordId, record: &Record) {
        self.totals.bytes -= record.bytes();
        self.known.remove(&Record::key(&record.path, &record.hash));
        self.records.remove(number);
        self.unbury(number);
    }

    fn set_file(&mut self, path: Arc<str>, state: Option<FileState>) {
        let before = match &state {
            Some(state) => self.files.insert(path, state.clone()),
            None => self.files.remove(&path),
        };
        match before.map(|before| before.content) {
            Some(Content::Record(number)) if self.live.remove(number) => {
                self.totals.files -= 1;
                self.totals.chunks -= self.chunks_of(number);
                self.bury(number);
            }
            Some(Content::Skipped(reason)) => {
                if let Some(count) = self.totals.skipped.get_mut(&reason) {
                    *count -= 1;
                    if *count == 0 {
                        self.totals.skipped.remove(&reason);
                    }
                }
            }
            Some(Content::Record(_)) | None => {}
        }
        match state.map(|state| state.content) {
            Some(Content::Record(number)) => {
                if self.live.insert(number) {
                    self.totals.files += 1;
                    self.totals.chunks += self.chunks_of(number);
                }
                self.unbury(number);
            }
            Some(Content::Skipped(reason)) => {
                *self.totals.skipped.entry(reason).or_default() += 1;
            }
            None => {}
        }
    }

    fn chunks_of(&self, number: RecordId) -> u64 {
        self.records.get(number).map_or(0, |record| record.chunks.len() as u64)
    }

    /// A dead record was of use.
    fn touch(&mut self, number: RecordId) {
        if self.dead_since.contains_key(&number) {
            self.bury(number);
        }
    }

    fn bury(&mut self, number: RecordId) {
        self.unbury(number);
        self.clock += 1;
        self.dead.insert(self.clock, number);
        self.dead_since.insert(number, self.clock);
    }

    fn unbury(&mut self, number: RecordId) {
        if let Some(since) = self.dead_since.remove(&number) {
            self.dead.remove(&since);
        }
    }
}

/// A path relative to the root with forward slashes; `None` outside, and for names that are not
/// UTF-8.
pub(crate) fn relative(root: &Path, path: &Path) -> Option<Arc<str>> {
    let relative = path.strip_prefix(root).ok()?.to_str()?;
    if relative.is_empty() {
        return None;
    }
    Some(match std::path::MAIN_SEPARATOR {
        '/' => relative.into(),
        separator => relative.replace(separator, "/").into(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_record_that_lives_again_is_not_among_those_that_go() {
        let dir = tempfile::tempdir().unwrap();
        let many = 20;
        let name = |n: usize| -> Arc<str> { format!("{n}.py").into() };
        for n in 0..many {
            fs::write(dir.path().join(&*name(n)), format!("x = {n}\n")).unwrap();
        }
        let storage = Storage::in_memory().unwrap();
        let mut writer = Writer { min_dead: 16, ..Writer::open(dir.path().into(), storage) };
        let read_all = |writer: &mut Writer| {
            let mut change = Change::default();
            for n in 0..many {
                assert!(writer.read(&name(n), &mut change).is_empty());
            }
            writer.store(change).unwrap();
        };
        read_all(&mut writer);
        assert_eq!(writer.totals.chunks, many as u64);

        // Another branch, and back: one batch needs more of the dead than are kept.
        let mut gone = Change::default();
        gone.batch.files.extend((0..many).map(|n| (name(n), None)));
        writer.store(gone).unwrap();
        assert_eq!((writer.dead.len(), writer.totals.chunks), (many, 0));
        read_all(&mut writer);
        let snapshot = writer.snapshot();
        assert_eq!((snapshot.totals.cut, snapshot.totals.chunks), (many as u64, many as u64));
        assert!(snapshot.live.iter().all(|number| snapshot.records.get(number).is_some()));
        assert_eq!(snapshot.words.len(), many as u64);
    }
}
