//! One workspace root: its watcher, branch, revision, and what is known per session.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlit_protocol::{Event as Told, Finding, RootPhase, ServerFrame};
use greenlit_workspace::{Change, StatCache, WatchError, Watcher, git_branch};

use crate::jobs::{Earlier, Green};
use crate::state::diagnostics::Diagnosed;
use crate::state::tests_run::KnownTests;
use crate::state::{Event, State};

/// File events closer together than this are one change.
const SETTLE: Duration = Duration::from_millis(50);

pub(crate) struct Root {
    /// Kept for its effect: dropping it ends the watch.
    watcher: Option<Watcher>,
    pub(crate) degraded: Option<String>,
    pub(crate) branch: Option<String>,
    /// Grows with every change of a file. What a session sees also depends on its own edits:
    /// [`Root::revision_for`].
    pub(crate) revision: u64,
    pub(crate) stat_cache: Arc<Mutex<StatCache>>,
    /// The sandbox layer that tests ran in last.
    pub(crate) layer: Option<&'static str>,
    pub(crate) known: BTreeMap<u64, Known>,
}

/// What one session sees of a root.
#[derive(Default)]
pub(crate) struct Known {
    /// When background work is due.
    pub(crate) due: Option<Instant>,
    /// Changes of this session's documents; those of other sessions are nothing to it.
    edits: u64,
    /// Whether an edit ended a background run that is still to be made up for.
    pub(crate) owed: bool,
    /// Runs in a row under which files changed.
    pub(crate) spoilt: u32,
    /// Whether this session's first document was opened.
    pub(crate) opened: bool,
    pub(crate) phase: Option<RootPhase>,
    /// The phase in which the last complete run ended.
    pub(crate) settled: Option<RootPhase>,
    /// The last result.
    pub(crate) findings: Vec<Finding>,
    /// The revision that it was computed from.
    pub(crate) revision: u64,
    /// Digest of the inputs of the last complete run.
    pub(crate) inputs: Option<blake3::Hash>,
    /// What was verified last, until the tests pass.
    pub(crate) earlier: Arc<[Earlier]>,
    /// Whether the fixes are withheld because something changed.
    pub(crate) withdrawn: bool,
    /// The tests as they ended last.
    pub(crate) tests: KnownTests,
    /// The state on which they passed last.
    pub(crate) green: Option<Arc<Green>>,
    /// What the editor told of other tools' diagnostics.
    pub(crate) diagnosed: Diagnosed,
}

impl Root {
    fn new(path: &Path) -> Self {
        Self {
            watcher: None,
            degraded: None,
            branch: branch_name(path),
            revision: 1,
            stat_cache: Arc::default(),
            layer: None,
            known: BTreeMap::new(),
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.known.values().flat_map(|known| [known.due, known.diagnosed.due]).flatten().min()
    }

    /// Grows with every change of what a session sees.
    pub(crate) fn revision_for(&self, session: u64) -> u64 {
        self.revision + self.known.get(&session).map_or(0, |known| known.edits)
    }

    /// A document of a session changed.
    pub(crate) fn edited_by(&mut self, session: u64) -> &mut Known {
        let known = self.known.entry(session).or_default();
        known.edits += 1;
        known
    }

    pub(crate) fn forget_session(&mut self, session: u64) {
        self.known.remove(&session);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watcher.is_some()
    }
}

impl State {
    /// Starts to know a root, and to watch it.
    pub(crate) fn ensure_root(&mut self, path: &Path) {
        if self.roots.contains_key(path) {
            return;
        }
        self.roots.insert(path.to_owned(), Root::new(path));
        let (events, root) = (self.events.clone(), path.to_owned());
        // Registering thousands of directories takes a while.
        tokio::task::spawn_blocking(move || {
            let changes = events.clone();
            let result = Watcher::start(root.clone(), SETTLE, move |change| {
                // The receiver only goes away with the daemon.
                let _ = changes.send(Event::Disk(change));
            });
            let _ = events.send(Event::Watching { root, result });
        });
    }

    pub(crate) fn watching(&mut self, path: &PathBuf, result: Result<Watcher, WatchError>) {
        let Some(root) = self.roots.get_mut(path) else { return };
        match result {
            Ok(watcher) => {
                root.degraded = watcher.degraded().map(|error| error.to_string());
                root.watcher = Some(watcher);
            }
            Err(error) => root.degraded = Some(error.to_string()),
        }
        if let Some(why) = &root.degraded {
            tracing::warn!(root = %path.display(), why, "file events are incomplete");
        }
        self.index_watched(path);
        // Nobody told of what was written while the watch was being set up.
        for session in self.sessions_of(path) {
            if self.has_begun(session, path) {
                self.schedule(session, path);
            }
        }
    }

    pub(crate) fn disk_changed(&mut self, change: Change) {
        tracing::debug!(?change, "files changed");
        self.index_changed(&change);
        self.look_at_changed(&change);
        let Some(root) = self.roots.get_mut(&change.root) else { return };
        root.revision += 1;
        if change.git_head {
            root.branch = branch_name(&change.root);
        }
        let sessions = self.sessions_of(&change.root);
        for session in &sessions {
            self.withdraw(*session, &change.root);
        }
        for session in sessions {
            self.schedule(session, &change.root);
        }
    }

    /// Whether tests were run in the background: what was seen then may be another now.
    pub(crate) fn has_begun(&self, session: u64, root: &Path) -> bool {
        let known = self.roots.get(root).and_then(|root| root.known.get(&session));
        known.is_some_and(|known| known.phase.is_some())
    }

    fn sessions_of(&self, root: &PathBuf) -> Vec<u64> {
        let of_root = self.sessions.iter().filter(|(_, session)| session.roots.contains(root));
        of_root.map(|(id, _)| *id).collect()
    }

    /// Takes fixes back because their inputs changed; the diagnostics stay.
    pub(crate) fn withdraw(&mut self, session: u64, path: &PathBuf) {
        let Some(root) = self.roots.get_mut(path) else { return };
        let Some(known) = root.known.get_mut(&session) else { return };
        let has_fixes = known.findings.iter().any(|finding| !finding.fixes.is_empty());
        let withheld = known.diagnosed.withdraw();
        if (!known.withdrawn && has_fixes) || withheld {
            known.withdrawn |= has_fixes;
            self.publish(session, path);
        }
    }

    /// Sends a session what is known about a root.
    pub(crate) fn publish(&self, session: u64, path: &PathBuf) {
        let Some(known) = self.roots.get(path).and_then(|root| root.known.get(&session)) else {
            return;
        };
        let mut findings = known.findings.clone();
        if known.withdrawn {
            for finding in &mut findings {
                finding.fixes.clear();
            }
        }
        findings.extend_from_slice(known.diagnosed.offered());
        for finding in &mut findings {
            finding.fixes.retain(|fix| !self.evidence.is_dismissed(&fix.id));
        }
        let told = Told::Findings { root: path.clone(), revision: known.revision, findings };
        if let Some(session) = self.sessions.get(&session) {
            session.out.send(ServerFrame::Event(told));
        }
    }

    /// Enters a phase and tells the session.
    pub(crate) fn enter(&mut self, session: u64, path: &PathBuf, phase: RootPhase) {
        let Some(root) = self.roots.get_mut(path) else { return };
        root.known.entry(session).or_default().phase = Some(phase.clone());
        if let Some(session) = self.sessions.get(&session) {
            let told = Told::Root { root: path.clone(), phase };
            session.out.send(ServerFrame::Event(told));
        }
    }
}

fn branch_name(root: &Path) -> Option<String> {
    git_branch(root).map(|head| head.name().to_owned())
}
