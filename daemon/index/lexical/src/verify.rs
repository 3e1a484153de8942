//! Looks at the files of an index before they are used.
//!
//! Every file of a segment ends with a checksum, which the library writes and does not check by
//! itself. What holds the list of segments has none: what it says is compared with the segments.

use std::io;
use std::path::Path;

use tantivy::{Directory, Index, SegmentReader, TantivyError};

use crate::error::OpenError;

const VERSION_FILE: &str = "version";

/// Whether a directory holds an index of this version; `false` when it holds none.
pub(crate) fn has_index(dir: &Path, wanted: u32) -> Result<bool, OpenError> {
    let failed = |source| OpenError::Io { dir: dir.to_owned(), source };
    let found = match std::fs::read(dir.join(VERSION_FILE)) {
        Ok(found) => String::from_utf8_lossy(&found[..found.len().min(32)]).trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut entries = match std::fs::read_dir(dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(failed(error)),
            };
            if entries.next().is_none() {
                return Ok(false);
            }
            return Err(OpenError::Damaged { reason: "it has no version".to_owned() });
        }
        Err(error) => return Err(failed(error)),
    };
    if found != wanted.to_string() {
        return Err(OpenError::OtherVersion { found, wanted });
    }
    Ok(true)
}

pub(crate) fn write_version(dir: &Path, version: u32) -> io::Result<()> {
    std::fs::write(dir.join(VERSION_FILE), format!("{version}\n"))
}

/// Checks every file that searches read.
pub(crate) fn files(index: &Index, dir: &Path) -> Result<(), OpenError> {
    let damaged = |reason: String| OpenError::Damaged { reason };
    let library = |error: TantivyError| damaged(error.to_string());
    let segments = index.searchable_segments().map_err(library)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| damaged(e.to_string()))? {
        let entry = entry.map_err(|e| damaged(e.to_string()))?;
        names.extend(entry.file_name().into_string());
    }
    for segment in segments {
        let id = segment.id().uuid_string();
        for name in names.iter().filter(|name| name.starts_with(&id)) {
            let path = Path::new(name);
            if !index.directory().exists(path).map_err(|e| damaged(e.to_string()))? {
                continue;
            }
            let sound = index.directory().validate_checksum(path);
            if !sound.map_err(|e| damaged(e.to_string()))? {
                return Err(damaged(format!("the checksum of {name} is wrong")));
            }
        }
        let reader = SegmentReader::open(&segment).map_err(library)?;
        // Files that are gone are noticed when their fields are opened.
        for (field, _) in index.schema().fields() {
            reader.inverted_index(field).map_err(library)?;
        }
        let documents = reader.fast_fields().u64("id").map_err(library)?.num_docs();
        if documents != reader.max_doc() {
            let reason = format!("{id} has {documents} documents, not {}", reader.max_doc());
            return Err(damaged(reason));
        }
        let alive = reader
            .alive_bitset()
            .map_or(documents, |alive| u32::try_from(alive.num_alive_docs()).unwrap_or(u32::MAX));
        if alive != segment.meta().num_docs() {
            return Err(damaged(format!("{id} has {alive} documents left")));
        }
    }
    Ok(())
}
