//! What is kept about vectors: which of them count, and who needs them. An embedded database, small
//! enough to be read whole at the start; from then on it is only written.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use redb::{StorageError, TableError};
use roaring::RoaringBitmap;

use crate::files;
use crate::key::{Owner, SpaceId};

/// Digest → model, backend, dims, birth, generation, len, segments.
const SPACES: TableDefinition<&[u8; 32], Space> = TableDefinition::new("spaces");
type Space = (&'static [u8; 32], &'static str, u32, u64, u64, u32, &'static [u8]);
/// Digest of the space, repository, branch → last use, slots.
const OWNERS: TableDefinition<OwnerKey, (u64, &[u8])> = TableDefinition::new("owners");
type OwnerKey = (&'static [u8; 32], &'static str, &'static str);

/// Pages that the database holds in memory: it is read once and written a page or two at a time.
const CACHE_BYTES: usize = 1 << 20;

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LedgerError(#[from] Box<redb::Error>);

impl LedgerError {
    fn new(error: impl Into<redb::Error>) -> Self {
        Self(Box::new(error.into()))
    }

    pub(crate) fn damage(what: &str) -> Self {
        Self::new(StorageError::Corrupted(what.to_owned()))
    }

    pub(crate) fn from_io(error: io::Error) -> Self {
        Self::new(error)
    }

    /// Whether the file says something wrong, rather than nothing: then it is made anew.
    pub(crate) fn is_damage(&self) -> bool {
        match &*self.0 {
            redb::Error::Io(error) => {
                matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
            }
            redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::RepairAborted
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableIsMultimap(_) => true,
            _ => false,
        }
    }
}

/// What counts of a space.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpaceRow {
    pub(crate) id: SpaceId,
    pub(crate) birth: u64,
    pub(crate) generation: u64,
    /// One more than the last slot given out.
    pub(crate) len: u32,
    /// The numbers of the segments that hold records.
    pub(crate) segments: RoaringBitmap,
}

/// What an owner needs of a space.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct OwnerRow {
    /// Larger is later. A counter: clocks jump.
    pub(crate) last_use: u64,
    pub(crate) slots: RoaringBitmap,
}

/// A space with its owners.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) space: SpaceRow,
    pub(crate) owners: BTreeMap<Owner, OwnerRow>,
}

/// What one commit changes: all of it or nothing.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) space: SpaceRow,
    /// `None` forgets the owner.
    pub(crate) owners: Vec<(Owner, Option<OwnerRow>)>,
}

impl Change {
    /// What an entry is after this change.
    pub(crate) fn apply(self, entry: &mut Entry) {
        entry.space = self.space;
        for (owner, row) in self.owners {
            match row {
                Some(row) => entry.owners.insert(owner, row),
                None => entry.owners.remove(&owner),
            };
        }
    }
}

/// The open database.
#[derive(Debug)]
pub(crate) struct Ledger {
    database: Database,
}

impl Ledger {
    /// Opens or makes the file, and verifies every page of it.
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        let file = files::private_file(path).map_err(LedgerError::new)?;
        let backend = Backend(FileBackend::new(file).map_err(LedgerError::new)?);
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
            .map_err(LedgerError::new)?;
        Ok(Self { database })
    }

    /// Everything that was committed.
    pub(crate) fn load(&self) -> Result<Vec<Entry>, LedgerError> {
        let read = self.database.begin_read().map_err(LedgerError::new)?;
        let mut entries = BTreeMap::new();
        let spaces = match read.open_table(SPACES) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table.map_err(LedgerError::new)?,
        };
        for row in spaces.iter().map_err(LedgerError::new)? {
            let (digest, row) = row.map_err(LedgerError::new)?;
            let (model, backend, dims, birth, generation, len, segments) = row.value();
            let id = SpaceId { model: *model, backend: backend.to_owned(), dims };
            let segments = bitmap(segments)?;
            let space = SpaceRow { id, birth, generation, len, segments };
            entries.insert(*digest.value(), Entry { space, owners: BTreeMap::new() });
        }
        let owners = read.open_table(OWNERS).map_err(LedgerError::new)?;
        for row in owners.iter().map_err(LedgerError::new)? {
            let (key, row) = row.map_err(LedgerError::new)?;
            let (digest, repository, branch) = key.value();
            let (last_use, slots) = row.value();
            let owner = Owner { repository: repository.to_owned(), branch: branch.to_owned() };
            let row = OwnerRow { last_use, slots: bitmap(slots)? };
            if let Some(entry) = entries.get_mut(digest) {
                entry.owners.insert(owner, row);
            }
        }
        Ok(entries.into_values().collect())
    }

    /// Commits changes together; they are on disk when this returns.
    pub(crate) fn commit(&self, changes: &[&Change]) -> Result<(), LedgerError> {
        let write = self.database.begin_write().map_err(LedgerError::new)?;
        {
            let mut spaces = write.open_table(SPACES).map_err(LedgerError::new)?;
            let mut owners = write.open_table(OWNERS).map_err(LedgerError::new)?;
            for change in changes {
                let SpaceRow { id, birth, generation, len, segments } = &change.space;
                let SpaceId { model, backend, dims } = id;
                let digest = id.digest();
                let segments = bytes(segments);
                let row = (model, backend.as_str(), *dims, *birth, *generation, *len, &*segments);
                spaces.insert(&digest, row).map_err(LedgerError::new)?;
                for (Owner { repository, branch }, row) in &change.owners {
                    let key = (&digest, repository.as_str(), branch.as_str());
                    match row {
                        Some(OwnerRow { last_use, slots }) => {
                            owners.insert(key, (*last_use, &*bytes(slots)))
                        }
                        None => owners.remove(key),
                    }
                    .map_err(LedgerError::new)?;
                }
            }
        }
        write.commit().map_err(LedgerError::new)
    }
}

fn bytes(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("writing to memory does not fail");
    bytes
}

fn bitmap(bytes: &[u8]) -> Result<RoaringBitmap, LedgerError> {
    RoaringBitmap::deserialize_from(bytes).map_err(|error| LedgerError::damage(&error.to_string()))
}

/// The file, without redb's own locks: the whole store is locked, and a second lock on the same file
/// would only be a second thing to get wrong.
#[derive(Debug)]
struct Backend(FileBackend);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        files::disk_may_fail()?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        files::disk_may_fail()?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        files::disk_may_fail()?;
        self.0.write(offset, data)
    }
}
