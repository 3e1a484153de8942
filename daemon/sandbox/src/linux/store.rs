//! Build caches: which layers a cache directory is made of, and who may write its store.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::view::is_plain_below;
use crate::spec::{BuildCache, CacheMode};
use crate::wire::Open;

/// A cache directory as it is to be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cache {
    /// Where it is seen, inside the checkout.
    pub(super) path: PathBuf,
    /// The user's own directory, if there is one: at the same path, or outside the checkout.
    pub(super) own: Option<PathBuf>,
    /// The store, holding `upper` and `work`.
    pub(super) store: Option<PathBuf>,
    /// Whether writes go to the store.
    pub(super) keep: bool,
}

/// Caches and the locks that keep them; dropping a lock lets others at the store.
#[derive(Debug, Default)]
pub(super) struct Caches {
    pub(super) caches: Vec<Cache>,
    pub(super) locks: Vec<File>,
    pub(super) notes: Vec<String>,
}

/// Takes what the specification asks for, as far as others leave it free. A store has one writer
/// or many readers: an overlay's lower layer must not change under it.
pub(super) fn take(open: &Open) -> Caches {
    let mut taken = Caches::default();
    for cache in &open.spec.caches {
        if !is_plain_below(&open.spec.root, &cache.path) {
            taken.notes.push(format!(
                "the build cache {} is not a plain directory and is left alone",
                cache.path.display()
            ));
            continue;
        }
        let base = cache.base.clone().filter(|base| base.is_dir());
        let own = base.or_else(|| cache.path.is_dir().then(|| cache.path.clone()));
        let (store, keep) = match lock(cache) {
            Ok((lock, keep)) => {
                taken.locks.push(lock);
                if !keep && cache.mode == CacheMode::Keep {
                    taken.notes.push(format!(
                        "the store of {} is in use: this sandbox does not add to it",
                        cache.path.display()
                    ));
                }
                (Some(cache.store.clone()), keep)
            }
            Err(error) => {
                taken
                    .notes
                    .push(format!("the store of {} cannot be used: {error}", cache.path.display()));
                (None, false)
            }
        };
        taken.caches.push(Cache { path: cache.path.clone(), own, store, keep });
    }
    taken
}

/// Locks the store, for writing where that is asked for and possible.
fn lock(cache: &BuildCache) -> io::Result<(File, bool)> {
    for part in ["upper", "work"] {
        fs::create_dir_all(cache.store.join(part))?;
    }
    let path = cache.store.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path)?;
    if cache.mode == CacheMode::Keep {
        match file.try_lock() {
            Ok(()) => return Ok((file, true)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    match file.try_lock_shared() {
        Ok(()) => Ok((file, false)),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another sandbox is adding to it")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

impl Cache {
    /// The store's upper layer.
    pub(super) fn store_upper(store: &Path) -> PathBuf {
        store.join("upper")
    }
}
