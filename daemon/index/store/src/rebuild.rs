//! A ledger from the vectors themselves: each segment says whose it is, each record what it holds.
//! What is lost is who needs them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use roaring::RoaringBitmap;

use crate::layout::RECORDS;
use crate::ledger::{Entry, SpaceRow};
use crate::segment::{Segment, SegmentError};

/// One entry per directory in which a sound segment lies.
pub(crate) fn entries(data: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in fs::read_dir(data)? {
        let found = found?;
        if found.file_type()?.is_dir() {
            entries.extend(entry(&found.path())?);
        }
    }
    Ok(entries)
}

/// The space of which most segments are here: others do not belong here.
fn entry(dir: &Path) -> io::Result<Option<Entry>> {
    let mut spaces: BTreeMap<_, SpaceRow> = BTreeMap::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        let (segment, header) = match Segment::open(&path) {
            Ok(opened) => opened,
            Err(SegmentError::Damaged(_)) => continue,
            Err(SegmentError::Io(error)) => return Err(error),
        };
        let here = dir.ends_with(header.space.directory())
            && path == crate::writer::segment_path(dir, header.number);
        let is_used = Segment::records().any(|record| segment.verified(record).is_some());
        if !here || !is_used {
            continue;
        }
        let row = spaces.entry((header.space.clone(), header.birth)).or_insert_with(|| SpaceRow {
            id: header.space.clone(),
            birth: header.birth,
            generation: 0,
            len: 0,
            segments: RoaringBitmap::new(),
        });
        // Which of the places behind the last record were ever given out is not known.
        row.len = row.len.max(header.number.saturating_add(1).saturating_mul(RECORDS));
        row.generation = row.generation.max(header.generation + 1);
        row.segments.insert(header.number);
    }
    let space = spaces.into_values().max_by_key(|row| row.segments.len());
    Ok(space.map(|space| Entry { space, owners: BTreeMap::new() }))
}
