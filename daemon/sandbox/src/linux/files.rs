//! Files that the trusted side writes and reads, next to hostile ones.
//!
//! Every component is opened on its own and none may be a symbolic link, so a path means the same
//! to us as it does to the caller, whatever the sandboxed processes have planted.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, fstatat, mkdirat,
};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, unlinkat};

use super::serve::Places;
use crate::error::SandboxError;

const DIRECTORY: OFlag =
    OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// Replaced by renaming, so that no reader ever sees half a file.
const TEMPORARY: &str = ".greenlit-sandbox.tmp";

/// Replaces, creates or (without content) deletes one file.
pub(super) fn write(
    places: &Places,
    path: &Path,
    content: Option<&[u8]>,
) -> Result<(), SandboxError> {
    let failed = |error: Errno| file_error(path, error);
    let (base, relative) = places.resolve(path)?;
    let Some((parents, name)) = split(&relative) else {
        return Err(SandboxError::Outside { path: path.to_owned() });
    };
    let make = content.is_some().then_some(places.owner);
    let Some(directory) = walk(path, &base, &parents, make)? else {
        return Ok(());
    };
    let _writable = Writable::make(&directory).map_err(failed)?;
    let existing = look(&directory, name).map_err(failed)?;
    let kind = existing.map(|stat| kind(&stat));
    if kind == Some(SFlag::S_IFLNK) {
        return Err(SandboxError::Symlink { path: path.to_owned() });
    }
    if kind == Some(SFlag::S_IFDIR) {
        return Err(failed(Errno::EISDIR));
    }
    let Some(content) = content else {
        return match unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(failed(error)),
        };
    };
    let mode = match existing {
        Some(stat) if kind == Some(SFlag::S_IFREG) => {
            Mode::from_bits_truncate(stat.st_mode & 0o777)
        }
        _ => Mode::from_bits_truncate(0o644),
    };
    // One that a killed process of ours left, or that somebody planted.
    let _ = unlinkat(&directory, TEMPORARY, UnlinkatFlags::NoRemoveDir);
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&directory, TEMPORARY, flags, Mode::from_bits_truncate(0o600));
    let mut file = File::from(file.map_err(failed)?);
    let finish = |file: &mut File| -> Result<(), SandboxError> {
        file.write_all(content).map_err(|error| SandboxError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        give(&directory, Path::new(TEMPORARY), places.owner).map_err(failed)?;
        fchmod(&*file, mode).map_err(failed)?;
        renameat(&directory, TEMPORARY, &directory, name).map_err(failed)
    };
    let result = finish(&mut file);
    if result.is_err() {
        // The first error is the one to report.
        let _ = unlinkat(&directory, TEMPORARY, UnlinkatFlags::NoRemoveDir);
    }
    result
}

/// A directory of a read-only checkout, writable in the throw-away layer while this lives.
struct Writable<'d> {
    directory: &'d OwnedFd,
    /// The mode to restore; `None` when nothing was changed.
    mode: Option<Mode>,
}

impl<'d> Writable<'d> {
    fn make(directory: &'d OwnedFd) -> nix::Result<Self> {
        let mode = Mode::from_bits_truncate(fstat(directory)?.st_mode & 0o7777);
        let needed = Mode::S_IWUSR | Mode::S_IXUSR;
        if mode.contains(needed) {
            return Ok(Self { directory, mode: None });
        }
        match fchmodat(directory, ".", mode | needed, FchmodatFlags::FollowSymlink) {
            Ok(()) => Ok(Self { directory, mode: Some(mode) }),
            // Somebody else's: writing itself says what is wrong.
            Err(_) => Ok(Self { directory, mode: None }),
        }
    }
}

impl Drop for Writable<'_> {
    fn drop(&mut self) {
        if let Some(mode) = self.mode {
            // It was just changed by us; a sandboxed process that did it again is no concern.
            let _ = fchmodat(self.directory, ".", mode, FchmodatFlags::FollowSymlink);
        }
    }
}

/// Reads a regular file of at most `max_bytes`.
pub(super) fn read(
    places: &Places,
    path: &Path,
    max_bytes: u64,
) -> Result<Option<Vec<u8>>, SandboxError> {
    let failed = |error: Errno| file_error(path, error);
    let (base, relative) = places.resolve(path)?;
    let Some((parents, name)) = split(&relative) else {
        return Err(SandboxError::Outside { path: path.to_owned() });
    };
    let Some(directory) = walk(path, &base, &parents, None)? else {
        return Ok(None);
    };
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_NOCTTY
        | OFlag::O_CLOEXEC;
    let file = match openat(&directory, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(None),
        Err(Errno::ELOOP) => {
            return Err(SandboxError::Symlink { path: path.to_owned() });
        }
        Err(error) => return Err(failed(error)),
    };
    if kind(&fstat(&file).map_err(failed)?) != SFlag::S_IFREG {
        let reason = "not a regular file".to_owned();
        return Err(SandboxError::File { path: path.to_owned(), reason });
    }
    let mut content = Vec::new();
    let limit = max_bytes.saturating_add(1);
    file.take(limit)
        .read_to_end(&mut content)
        .map_err(|error| SandboxError::File { path: path.to_owned(), reason: error.to_string() })?;
    if content.len() as u64 > max_bytes {
        return Err(SandboxError::TooLarge { path: path.to_owned(), max_bytes });
    }
    Ok(Some(content))
}

/// The directories on the way and the name at its end.
fn split(relative: &Path) -> Option<(Vec<&Path>, &Path)> {
    let mut names: Vec<&Path> = relative.iter().map(Path::new).collect();
    let name = names.pop()?;
    Some((names, name))
}

/// Opens the directory that a chain of names leads to; `None` when it is missing and `make` does not
/// say to create it (and for whom).
fn walk(
    path: &Path,
    base: &Path,
    names: &[&Path],
    make: Option<Option<u32>>,
) -> Result<Option<OwnedFd>, SandboxError> {
    let failed = |error: Errno| file_error(path, error);
    let mut current = open(base, DIRECTORY, Mode::empty()).map_err(failed)?;
    for &name in names {
        if let Some(owner) = make {
            match mkdirat(&current, name, Mode::from_bits_truncate(0o755)) {
                Ok(()) => give(&current, name, owner).map_err(failed)?,
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        current = match openat(&current, name, DIRECTORY, Mode::empty()) {
            Ok(next) => next,
            Err(Errno::ENOENT) if make.is_none() => return Ok(None),
            Err(Errno::ELOOP) => {
                return Err(SandboxError::Symlink { path: path.to_owned() });
            }
            Err(Errno::ENOTDIR) => {
                let link = look(&current, name).map_err(failed)?;
                if link.is_some_and(|stat| kind(&stat) == SFlag::S_IFLNK) {
                    return Err(SandboxError::Symlink { path: path.to_owned() });
                }
                if make.is_some() {
                    return Err(failed(Errno::ENOTDIR));
                }
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
    }
    Ok(Some(current))
}

fn give(directory: &impl AsFd, name: &Path, owner: Option<u32>) -> nix::Result<()> {
    let Some(owner) = owner else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(owner), Gid::from_raw(owner));
    fchownat(directory, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)
}

fn look(directory: &impl AsFd, name: &Path) -> nix::Result<Option<FileStat>> {
    match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn file_error(path: &Path, error: Errno) -> SandboxError {
    SandboxError::File { path: path.to_owned(), reason: error.desc().to_owned() }
}

/// Whether a path consists of plain names only.
pub(super) fn is_plain(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::RootDir))
}

/// The longest of `prefixes` that `path` lies under, and the rest.
pub(super) fn under<'a>(
    path: &Path,
    prefixes: &'a [(PathBuf, PathBuf)],
) -> Option<(&'a Path, PathBuf)> {
    prefixes
        .iter()
        .filter_map(|(seen, real)| Some((seen, real, path.strip_prefix(seen).ok()?)))
        .max_by_key(|(seen, _, _)| seen.components().count())
        .map(|(_, real, rest)| (real.as_path(), rest.to_owned()))
}
