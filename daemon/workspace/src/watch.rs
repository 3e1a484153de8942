//! File events, coalesced: what changed under a root since the last time.
//!
//! On Linux every directory that is not ignored gets its own watch, because a recursive one would
//! spend the system's limit on build products. Elsewhere one recursive watch costs nothing more,
//! and ignored paths are dropped when they arrive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, Event, RecursiveMode, Watcher as _};

use crate::git::git_dir;
use crate::ignores::{self, IgnoreRules};

/// A change goes out at the latest after this many debounce times, however busy the disk is.
const PATIENCE: u32 = 10;
/// More changed paths than this at once are reported as [`Changed::Everything`].
const MAX_PATHS: usize = 1000;
const RECURSIVE: bool = !cfg!(target_os = "linux");

/// What happened under a root during a short time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The workspace root.
    pub root: PathBuf,
    /// Files and directories that were made, written, renamed or removed, ignored ones left out.
    pub paths: Changed,
    /// `HEAD` was written: the branch may be another one.
    pub git_head: bool,
}

/// Which paths changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These, and nothing else.
    Paths(BTreeSet<PathBuf>),
    /// Anything may have changed: events were lost, ignore rules changed, or there were too many.
    Everything,
}

/// Why changes are not reported.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WatchError {
    /// The system refuses more watches.
    #[error(
        "the system allows no more file watches (on Linux raise fs.inotify.max_user_watches); \
         changes made outside the editor are noticed only when tests run"
    )]
    TooManyWatches,
    /// Anything else.
    #[error("cannot watch {}", path.display())]
    Failed {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<notify::Error>,
    },
}

/// Watches one root until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    messages: Sender<Message>,
    degraded: Arc<Mutex<Option<WatchError>>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
enum Message {
    Event(notify::Result<Event>),
    Stop,
}

impl Watcher {
    /// Starts to watch; `sink` gets each change on a thread of the watcher's own, after the disk
    /// was quiet for `debounce`. Returns when the watches are in place: a change made afterwards
    /// is reported.
    ///
    /// Where only some directories can be watched, the others stay unwatched and
    /// [`Self::degraded`] says so.
    pub fn start(
        root: PathBuf,
        debounce: Duration,
        sink: impl FnMut(Change) + Send + 'static,
    ) -> Result<Self, WatchError> {
        let (messages, inbox) = mpsc::channel();
        let degraded = Arc::new(Mutex::new(None));
        let to_thread = messages.clone();
        let backend = notify::recommended_watcher(move |event| {
            // After the end nobody listens.
            let _ = to_thread.send(Message::Event(event));
        })
        .map_err(|error| watch_error(&root, error))?;
        let mut state = State {
            rules: IgnoreRules::new(&root),
            head: git_dir(&root).map(|dir| dir.join("HEAD")),
            root,
            backend,
            watched: BTreeSet::new(),
            degraded: degraded.clone(),
            sink,
        };
        state.watch_root().map_err(|error| watch_error(&state.root, error))?;
        let thread = thread::Builder::new()
            .name("watcher".to_owned())
            .spawn(move || state.run(&inbox, debounce))
            .map_err(|error| WatchError::Failed {
                path: PathBuf::new(),
                source: Arc::new(notify::Error::io(error)),
            })?;
        Ok(Self { messages, degraded, thread: Some(thread) })
    }

    /// Why some changes go unnoticed, if so. Callers then compare [`Inputs`](crate::Inputs)
    /// whenever they need to know.
    pub fn degraded(&self) -> Option<WatchError> {
        self.degraded.lock().ok()?.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            // The sink may drop the watcher: a thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn watch_error(path: &Path, error: notify::Error) -> WatchError {
    match error.kind {
        ErrorKind::MaxFilesWatch => WatchError::TooManyWatches,
        _ => WatchError::Failed { path: path.to_owned(), source: Arc::new(error) },
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

struct State<S> {
    root: PathBuf,
    rules: IgnoreRules,
    head: Option<PathBuf>,
    backend: notify::RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    degraded: Arc<Mutex<Option<WatchError>>>,
    sink: S,
}

#[derive(Default)]
struct Pending {
    paths: BTreeSet<PathBuf>,
    everything: bool,
    git_head: bool,
}

impl<S: FnMut(Change)> State<S> {
    fn watch_root(&mut self) -> notify::Result<()> {
        if RECURSIVE {
            self.backend.watch(&self.root, RecursiveMode::Recursive)?;
        } else {
            self.backend.watch(&self.root, RecursiveMode::NonRecursive)?;
            self.watched.insert(self.root.clone());
            self.watch_below(&self.root.clone());
        }
        // `HEAD` is replaced by renaming, so its directory is watched; it may lie elsewhere.
        if let Some(dir) = self.head.as_deref().and_then(Path::parent).map(Path::to_owned) {
            self.watch(&dir);
        }
        Ok(())
    }

    /// Watches every directory below one that is not ignored; gives the files met on the way.
    fn watch_below(&mut self, dir: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in ignores::walk(dir).build().filter_map(Result::ok) {
            if entry.file_type().is_some_and(|kind| kind.is_dir()) {
                self.watch(entry.path());
            } else {
                files.push(entry.into_path());
            }
        }
        files
    }

    fn watch(&mut self, dir: &Path) {
        if self.watched.contains(dir) {
            return;
        }
        match self.backend.watch(dir, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(dir.to_owned());
            }
            // A directory that vanished meanwhile needs no watch.
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                let error = watch_error(dir, error);
                if let Ok(mut degraded) = self.degraded.lock()
                    && degraded.is_none()
                {
                    tracing::warn!(%error, root = %self.root.display(), "watching is degraded");
                    *degraded = Some(error);
                }
            }
        }
    }

    fn run(mut self, inbox: &Receiver<Message>, debounce: Duration) {
        while let Ok(Message::Event(event)) = inbox.recv() {
            let mut pending = Pending::default();
            self.note(event, &mut pending);
            let latest = Instant::now() + debounce * PATIENCE;
            loop {
                let wait = debounce.min(latest.saturating_duration_since(Instant::now()));
                match inbox.recv_timeout(wait) {
                    Ok(Message::Event(event)) => self.note(event, &mut pending),
                    Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            self.send(pending);
        }
    }

    fn send(&mut self, pending: Pending) {
        if pending.everything {
            self.rules.reload();
            if !RECURSIVE {
                // Directories may have become visible, or been missed.
                self.watch_below(&self.root.clone());
            }
        }
        let paths = if pending.everything || pending.paths.len() > MAX_PATHS {
            Changed::Everything
        } else if pending.paths.is_empty() && !pending.git_head {
            return;
        } else {
            Changed::Paths(pending.paths)
        };
        (self.sink)(Change { root: self.root.clone(), paths, git_head: pending.git_head });
    }

    fn note(&mut self, event: notify::Result<Event>, pending: &mut Pending) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, root = %self.root.display(), "file events were lost");
                pending.everything = true;
                return;
            }
        };
        if event.need_rescan() {
            pending.everything = true;
            return;
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_) => {}
            EventKind::Access(_) | EventKind::Other => return,
        }
        for path in event.paths {
            self.note_path(path, event.kind, pending);
        }
    }

    fn note_path(&mut self, path: PathBuf, kind: EventKind, pending: &mut Pending) {
        if Some(&path) == self.head.as_ref() {
            pending.git_head = true;
            return;
        }
        if self.rules.is_rule(&path) {
            pending.everything = true;
        }
        // A removed directory looks like a file here; ignoring by either rule is close enough,
        // since its contents were reported one by one.
        let is_dir = path.is_dir();
        if path == self.root || self.rules.is_ignored(&path, is_dir) {
            return;
        }
        if is_dir {
            if matches!(kind, EventKind::Create(_) | EventKind::Modify(_)) && !RECURSIVE {
                // Files made before the watch was in place had no event.
                pending.paths.extend(self.watch_below(&path));
            }
        } else {
            // The system dropped the watch with the directory.
            self.watched.remove(&path);
        }
        pending.paths.insert(path);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Watched {
        dir: tempfile::TempDir,
        watcher: Watcher,
        changes: Receiver<Change>,
    }

    impl Watched {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (path, text) in files {
                write(&dir.path().join(path), text);
            }
            let (sender, changes) = mpsc::channel();
            let root = dir.path().canonicalize().unwrap();
            let watcher = Watcher::start(root, Duration::from_millis(20), move |change| {
                let _ = sender.send(change);
            })
            .unwrap();
            Self { dir, watcher, changes }
        }

        fn path(&self, path: &str) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join(path)
        }

        /// Waits until every path was reported, and gives all that was.
        fn expect(&self, paths: &[&str]) -> BTreeSet<PathBuf> {
            let mut all = BTreeSet::new();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !paths.iter().all(|path| all.contains(&self.path(path))) {
                let wait = deadline.saturating_duration_since(Instant::now());
                let change = self.changes.recv_timeout(wait).unwrap_or_else(|_| {
                    panic!("only {all:?} were reported of {paths:?}");
                });
                match change.paths {
                    Changed::Paths(paths) => all.extend(paths),
                    Changed::Everything => panic!("not everything changed"),
                }
            }
            all
        }
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn writes_renames_and_removals_are_seen_and_ignored_files_are_not() {
        let watched = Watched::new(&[
            (".gitignore", "out/\n*.log\n"),
            ("a.py", "1"),
            ("b/c.py", "1"),
            ("out/deep/x", ""),
        ]);
        assert!(watched.watcher.degraded().is_none());
        write(&watched.path("out/deep/x"), "2");
        write(&watched.path("x.log"), "2");
        write(&watched.path("a.py"), "2");
        let seen = watched.expect(&["a.py"]);
        fs::rename(watched.path("b/c.py"), watched.path("b/d.py")).unwrap();
        let renamed = watched.expect(&["b/c.py", "b/d.py"]);
        fs::remove_file(watched.path("a.py")).unwrap();
        let removed = watched.expect(&["a.py"]);
        for path in seen.iter().chain(&renamed).chain(&removed) {
            assert!(!path.starts_with(watched.path("out")), "{path:?}");
            assert_ne!(path, &watched.path("x.log"));
        }
    }

    #[test]
    fn new_directories_are_watched_with_what_they_already_hold() {
        let watched = Watched::new(&[("a.py", "1")]);
        write(&watched.path("new/deep/b.py"), "1");
        watched.expect(&["new/deep/b.py"]);
        write(&watched.path("new/deep/c.py"), "1");
        watched.expect(&["new/deep/c.py"]);
        // A directory that goes and comes back is watched again.
        fs::remove_dir_all(watched.path("new")).unwrap();
        watched.expect(&["new/deep/c.py"]);
        write(&watched.path("new/deep/d.py"), "1");
        watched.expect(&["new/deep/d.py"]);
        write(&watched.path("new/deep/e.py"), "1");
        watched.expect(&["new/deep/e.py"]);
    }

    #[test]
    fn a_branch_switch_is_told_apart() {
        let watched = Watched::new(&[(".git/HEAD", "ref: refs/heads/main\n"), ("a.py", "")]);
        write(&watched.path(".git/index.lock"), "noise");
        write(&watched.path(".git/HEAD.lock"), "ref: refs/heads/other\n");
        fs::rename(watched.path(".git/HEAD.lock"), watched.path(".git/HEAD")).unwrap();
        let change = watched.changes.recv_timeout(Duration::from_secs(20)).unwrap();
        assert!(change.git_head);
        assert_eq!(change.paths, Changed::Paths(BTreeSet::new()));
    }

    #[test]
    fn changed_ignore_rules_mean_everything() {
        let watched = Watched::new(&[(".gitignore", "out/\n"), ("out/x", "")]);
        write(&watched.path(".gitignore"), "\n");
        let change = watched.changes.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(change.paths, Changed::Everything);
        write(&watched.path("out/x"), "2");
        let all = |change: Change| change.paths == Changed::Everything;
        let mut next = watched.changes.recv_timeout(Duration::from_secs(20)).unwrap();
        while all(next.clone()) {
            next = watched.changes.recv_timeout(Duration::from_secs(20)).unwrap();
        }
        assert_eq!(next.paths, Changed::Paths([watched.path("out/x")].into()));
    }

    #[test]
    fn a_directory_that_becomes_a_cache_means_everything_and_is_silent_then() {
        let watched = Watched::new(&[(".gitignore", "target/\n"), ("a.py", "")]);
        write(&watched.path("env/lib/x.py"), "1");
        watched.expect(&["env/lib/x.py"]);
        write(&watched.path("env/pyvenv.cfg"), "");
        let change = watched.changes.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(change.paths, Changed::Everything);
        write(&watched.path("env/lib/x.py"), "2");
        // What is left out for another reason changes nothing.
        write(&watched.path("target/CACHEDIR.TAG"), "");
        write(&watched.path("a.py"), "2");
        let seen = watched.expect(&["a.py"]);
        assert!(!seen.contains(&watched.path("env/lib/x.py")), "{seen:?}");
    }

    #[test]
    fn lost_events_and_very_many_mean_everything() {
        let watched = Watched::new(&[("a.py", "")]);
        let next = || watched.changes.recv_timeout(Duration::from_secs(20)).unwrap().paths;
        // What the system says when its queue is full.
        let overflow = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        watched.watcher.messages.send(Message::Event(Ok(overflow))).unwrap();
        assert_eq!(next(), Changed::Everything);
        let failed = notify::Error::generic("no more");
        watched.watcher.messages.send(Message::Event(Err(failed))).unwrap();
        assert_eq!(next(), Changed::Everything);
        let mut many = Event::new(EventKind::Modify(notify::event::ModifyKind::Any));
        many.paths = (0..=MAX_PATHS).map(|n| watched.path(&format!("{n}.py"))).collect();
        watched.watcher.messages.send(Message::Event(Ok(many))).unwrap();
        assert_eq!(next(), Changed::Everything);
    }

    #[test]
    fn a_missing_root_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        Watcher::start(missing, Duration::from_millis(20), |_| {}).unwrap_err();
    }
}
