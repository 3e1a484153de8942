//! Directories and files of this user alone, and writes that are on disk when they return.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Makes a directory that only this user may enter, with its parents. One that is there already is
/// closed to others.
pub(crate) fn private_dir(dir: &Path) -> io::Result<()> {
    disk_may_fail()?;
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    #[cfg(unix)]
    fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(())
}

/// Opens a file for reading and writing, and makes it, for this user alone, when it is not there.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    disk_may_fail()?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens a file that must be there for writing.
pub(crate) fn existing_file(path: &Path) -> io::Result<File> {
    disk_may_fail()?;
    OpenOptions::new().write(true).open(path)
}

/// Makes a file of a length, without giving it room on disk yet where the file system can do so.
pub(crate) fn sparse_file(path: &Path, length: u64) -> io::Result<File> {
    remove_file(path)?;
    let file = private_file(path)?;
    disk_may_fail()?;
    file.set_len(length)?;
    Ok(file)
}

pub(crate) fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    disk_may_fail()?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

pub(crate) fn read_start<const N: usize>(mut file: &File) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Returns when what was written to the file is on disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    disk_may_fail()?;
    file.sync_all()
}

/// Returns when the names in a directory are on disk. Windows does that on its own.
pub(crate) fn sync_names(dir: &Path) -> io::Result<()> {
    disk_may_fail()?;
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// Renames within one directory, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    disk_may_fail()?;
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync_names)
}

/// Removes a file that may not be there.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    gone_is_fine(fs::remove_file(path))
}

/// Removes a directory that may not be there.
pub(crate) fn remove_dir(path: &Path) -> io::Result<()> {
    gone_is_fine(fs::remove_dir_all(path))
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The sum of the lengths of all files below a directory that may not be there.
pub(crate) fn size_of(dir: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { size_of(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

/// Where tests fill the disk: passed before everything that takes room.
#[cfg(not(test))]
pub(crate) fn disk_may_fail() -> io::Result<()> {
    Ok(())
}
#[cfg(test)]
pub(crate) use tests::disk_may_fail;

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many writes of this thread succeed before the disk is full.
        static ROOM: Cell<u32> = const { Cell::new(u32::MAX) };
    }

    /// Lets so many writes of this thread succeed.
    pub(crate) fn room_for(writes: u32) {
        ROOM.set(writes);
    }

    pub(crate) fn disk_may_fail() -> io::Result<()> {
        match ROOM.get() {
            0 => Err(io::ErrorKind::StorageFull.into()),
            u32::MAX => Ok(()),
            room => {
                ROOM.set(room - 1);
                Ok(())
            }
        }
    }
}
