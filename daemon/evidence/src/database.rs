//! Opening the database: migrations, and what becomes of files that are none of ours.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// `PRAGMA user_version` is the number of migrations that were applied.
const MIGRATIONS: &[&str] = &[include_str!("migrations/1.sql")];
/// `PRAGMA application_id`: "GLev".
const APPLICATION: i64 = 0x474c_6576;
/// How long to wait for another process that has the database locked.
const BUSY: Duration = Duration::from_secs(5);

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A newer version wrote it.
    #[error(
        "{} was written by a newer Greenlit (schema {found}, this one knows up to {})",
        path.display(), MIGRATIONS.len()
    )]
    Future {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// It is no database, or a damaged one.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// It cannot be opened or written.
    #[error("cannot use {}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A damaged one is in the way.
    #[error("cannot move {} aside", path.display())]
    MoveAside {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Whether an error says that the file itself is broken.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// The connection that writes. Makes the database, or brings it up to date.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    let failed = |source: rusqlite::Error| {
        let path = path.to_owned();
        match is_damage(&source) {
            true => OpenError::Damaged { path, source },
            false => OpenError::Sqlite { path, source },
        }
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    let found: i64 =
        connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
    let known = i64::try_from(MIGRATIONS.len()).expect("a handful of migrations");
    if found > known {
        return Err(OpenError::Future { path: path.to_owned(), found });
    }
    prepare(&mut connection, found).map_err(failed)?;
    Ok(connection)
}

fn prepare(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    if found == 0 {
        // Only a database without tables takes this.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // The end of the process loses nothing that was committed; a power cut may lose the last moments.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        let version = i64::try_from(index).expect("a handful of migrations") + 1;
        if version <= found {
            continue;
        }
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.commit()?;
    }
    // A file with our version and other tables is none of ours.
    let tables: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table'
         AND name IN ('root', 'search', 'attempt', 'text', 'quote', 'total')",
        [],
        |row| row.get(0),
    )?;
    if tables < 6 {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_NOTADB);
        let message = "its tables are not those of this version".to_owned();
        return Err(rusqlite::Error::SqliteFailure(code, Some(message)));
    }
    Ok(())
}

/// A connection that only reads.
pub(crate) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// The files of a database: itself, its log and the log's index.
pub(crate) fn files(path: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

/// Renames a damaged database and what belongs to it; gives its new name. Nothing is deleted.
pub(crate) fn move_aside(path: &Path) -> Result<PathBuf, OpenError> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{seconds}"));
        if number > 0 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    let taken = |new: &PathBuf| files(new).iter().any(|file| file.symlink_metadata().is_ok());
    let new = (0..).map(named).find(|new| !taken(new)).expect("some number is free");
    for (from, to) in files(path).iter().zip(files(&new)) {
        match fs::rename(from, to) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(OpenError::MoveAside { path: from.clone(), source }),
        }
    }
    Ok(new)
}
