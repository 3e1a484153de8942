//! Opening: what is there is taken as it is, set aside when it is of another version, and made anew
//! from the vectors when the ledger is damaged.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::error::{LedgerError, OpenError};
use crate::files;
use crate::header::VERSION;
use crate::key::Key;
use crate::layout::RECORDS;
use crate::ledger::{Change, Entry, Ledger};
use crate::rebuild;
use crate::segment::{Segment, SegmentError};
use crate::snapshot::Snapshot;
use crate::store::{LostSegment, Report};
use crate::writer::{LEDGER, State, View, Writer, segment_path};

/// Says in plain text which version wrote the files beside it.
const FORMAT: &str = "format";

fn format() -> String {
    format!("greenlit store of vectors, version {VERSION}\n")
}

/// Opens everything below `dir`, whose lock is held.
pub(crate) fn writer(dir: &Path, report: &mut Report) -> Result<Writer, OpenError> {
    let io = |source| OpenError::Io { path: dir.to_owned(), source };
    let ledger = |source| OpenError::Ledger { path: dir.to_owned(), source };
    let data = dir.join("data");
    let set_aside = dir.join("set-aside");
    if data.try_exists().map_err(io)? && !is_current(&data).map_err(io)? {
        files::remove_dir(&set_aside).map_err(io)?;
        files::rename(&data, &set_aside).map_err(io)?;
        tracing::warn!(to = %set_aside.display(), "set vectors of another version aside");
        report.set_aside = Some(set_aside.clone());
    }
    if !data.try_exists().map_err(io)? {
        create(dir, &data).map_err(|error| error.at(dir))?;
    }
    let (open, entries) = match read_ledger(&data) {
        Ok(read) => read,
        Err(error) if error.is_damage() => {
            tracing::warn!(%error, "the ledger of the store is damaged and is made anew");
            report.rebuilt = Some(error.to_string());
            let entries = rebuild::entries(&data).map_err(io)?;
            write_ledger(&data, &entries).map_err(|error| error.at(dir))?;
            read_ledger(&data).map_err(ledger)?
        }
        Err(error) => return Err(ledger(error)),
    };
    remove_strays(&data, &entries).map_err(io)?;
    let mut spaces = BTreeMap::new();
    let mut clock = 0;
    for entry in entries {
        clock = entry.owners.values().map(|row| row.last_use).fold(clock, u64::max);
        let as_left = entry.clone();
        let state = space(&data, entry, report).map_err(io)?;
        if state.entry != as_left {
            let Entry { space, owners } = state.entry.clone();
            let owners = owners.into_iter().map(|(owner, row)| (owner, Some(row))).collect();
            open.commit(&[&Change { space, owners }]).map_err(ledger)?;
        }
        spaces.insert(state.entry.space.id.clone(), state);
    }
    let set_aside_bytes = files::size_of(&set_aside).map_err(io)?;
    Ok(Writer { data, ledger: Some(open), spaces, clock, set_aside, set_aside_bytes })
}

fn is_current(data: &Path) -> io::Result<bool> {
    match fs::read(data.join(FORMAT)) {
        Ok(found) => Ok(found == format().as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes the files of an empty store aside and gives them their name when they are complete.
fn create(dir: &Path, data: &Path) -> Result<(), WriteError> {
    let new = dir.join("data.new");
    files::remove_dir(&new)?;
    files::private_dir(&new)?;
    let format_file = files::private_file(&new.join(FORMAT))?;
    files::write_at(&format_file, 0, format().as_bytes())?;
    files::sync(&format_file)?;
    write_ledger(&new, &[])?;
    files::rename(&new, data)?;
    Ok(())
}

pub(crate) fn read_ledger(data: &Path) -> Result<(Ledger, Vec<Entry>), LedgerError> {
    let path = data.join(LEDGER);
    // An empty file would be taken for a new ledger, and all vectors for nobody's.
    match fs::metadata(&path) {
        Ok(meta) if meta.len() > 0 => {}
        Ok(_) => return Err(LedgerError::damage("the ledger is empty")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(LedgerError::damage("the ledger is missing"));
        }
        Err(error) => return Err(LedgerError::from_io(error)),
    }
    let ledger = Ledger::open(&path)?;
    let entries = ledger.load()?;
    Ok((ledger, entries))
}

/// Writes a ledger aside and puts it in place.
fn write_ledger(data: &Path, entries: &[Entry]) -> Result<(), WriteError> {
    let new = data.join("ledger.new");
    files::remove_file(&new)?;
    let changes: Vec<Change> = entries
        .iter()
        .map(|entry| Change { space: entry.space.clone(), owners: Vec::new() })
        .collect();
    Ledger::open(&new)?.commit(&changes.iter().collect::<Vec<_>>())?;
    files::rename(&new, &data.join(LEDGER))?;
    Ok(())
}

enum WriteError {
    Io(io::Error),
    Ledger(LedgerError),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LedgerError> for WriteError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl WriteError {
    fn at(self, dir: &Path) -> OpenError {
        let path = dir.to_owned();
        match self {
            Self::Io(source) => OpenError::Io { path, source },
            Self::Ledger(source) => OpenError::Ledger { path, source },
        }
    }
}

/// Removes what a killed process left behind: files that were to be entered next, and those that a
/// compaction had given up already.
fn remove_strays(data: &Path, entries: &[Entry]) -> io::Result<()> {
    for found in fs::read_dir(data)? {
        let found = found?;
        let name = found.file_name();
        if name == FORMAT || name == LEDGER {
            continue;
        }
        let dir = found.path();
        match entries.iter().find(|entry| *name == *entry.space.id.directory()) {
            None if found.file_type()?.is_dir() => files::remove_dir(&dir)?,
            None => files::remove_file(&dir)?,
            Some(entry) => {
                let segments = entry.space.segments.iter();
                let known: HashSet<_> = segments.map(|number| segment_path(&dir, number)).collect();
                for file in fs::read_dir(&dir)? {
                    let path = file?.path();
                    if !known.contains(&path) {
                        files::remove_file(&path)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Maps the segments of a space and reads their keys. Segments that cannot be used are left out.
fn space(data: &Path, mut entry: Entry, report: &mut Report) -> io::Result<State> {
    let row = &mut entry.space;
    let dir = data.join(row.id.directory());
    let mut snapshot = Snapshot::empty(row.id.clone(), row.generation);
    snapshot.len = row.len;
    snapshot.segments = vec![None; row.len.div_ceil(RECORDS) as usize];
    for number in row.segments.clone() {
        let why = match Segment::open(&segment_path(&dir, number)) {
            Ok((segment, header))
                if header.space == row.id
                    && header.birth == row.birth
                    && header.number == number =>
            {
                match snapshot.segments.get_mut(number as usize) {
                    Some(place) => {
                        *place = Some(Arc::new(segment));
                        continue;
                    }
                    None => "lies beyond the end".to_owned(),
                }
            }
            Ok(_) => "is another segment's".to_owned(),
            Err(SegmentError::Damaged(why)) => why.to_owned(),
            Err(SegmentError::Io(error)) => return Err(error),
        };
        tracing::warn!(number, why, "a file of vectors is lost, they will be made again");
        row.segments.remove(number);
        if row.len / RECORDS == number {
            row.len = row.len.next_multiple_of(RECORDS);
            snapshot.len = row.len;
        }
        report.lost.push(LostSegment { space: row.id.clone(), number, why });
    }
    for owner in entry.owners.values_mut() {
        owner.slots = snapshot.held(&owner.slots);
    }
    let mut slots: HashMap<Key, u32> = HashMap::with_capacity(snapshot.slots().count());
    slots.extend(snapshot.slots().filter_map(|slot| Some((snapshot.key(slot)?, slot))));
    Ok(State { entry, view: Arc::new(View::new(snapshot, slots)), tail: None })
}
