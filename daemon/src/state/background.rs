//! When tests run without anybody asking: after saves, file events and on opening.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_protocol::{RootPhase, Tier};
use greenlit_workspace::{Config, chain};

use crate::jobs::{Work, inputs};
use crate::state::jobs::{Pending, Running};
use crate::state::{Event, State};

/// Runs in a row under which files change before a person is told.
const SPOILT: u32 = 2;

impl State {
    /// The configuration of a root as a session sees it; defaults, with the error, when invalid.
    pub(crate) fn config(&self, session: u64, root: &Path) -> (Config, Option<String>) {
        let settings = self.sessions.get(&session).and_then(|s| s.settings.as_deref());
        match Config::load(root, self.user_config.as_deref(), settings) {
            Ok(config) => (config, None),
            Err(error) => (Config::default(), Some(chain(&error))),
        }
    }

    pub(crate) fn first_document(&mut self, session: u64, document: &Path) {
        let Some(path) = self.background_root(session, document) else { return };
        let (config, _) = self.config(session, &path);
        let Some(root) = self.roots.get_mut(&path) else { return };
        let known = root.known.entry(session).or_default();
        if !known.opened {
            known.opened = true;
            if config.run.on_open {
                known.due = Some(Instant::now());
            }
        }
    }

    pub(crate) fn saved(&mut self, session: u64, document: &Path) {
        let Some(path) = self.background_root(session, document) else { return };
        if let Some(root) = self.roots.get_mut(&path) {
            root.revision += 1;
        }
        self.index_saved(&path, document);
        self.schedule(session, &path);
    }

    pub(crate) fn background_root(&self, session: u64, document: &Path) -> Option<PathBuf> {
        let session = self.sessions.get(&session).filter(|session| session.background)?;
        session.root_of(document).cloned()
    }

    /// Plans a background run once things have been quiet for the configured time.
    pub(crate) fn schedule(&mut self, session: u64, path: &PathBuf) {
        // What is due and never started would be due at once, for ever.
        if self.draining.is_some() {
            return;
        }
        if !self.sessions.get(&session).is_some_and(|session| session.background) {
            return;
        }
        let (config, _) = self.config(session, path);
        let Some(root) = self.roots.get_mut(path) else { return };
        let known = root.known.entry(session).or_default();
        let wait = Duration::from_millis(config.run.debounce_ms);
        if (config.run.on_save || known.owed) && known.opened {
            known.due = Some(Instant::now() + wait);
        }
        self.schedule_diagnostics(session, path, wait);
    }

    /// Plans another run where files changed under one. Usually the event that tells of it has done so
    /// already; it may have been missed. Gives whether it did: where it goes on and on, somebody has to
    /// be told.
    pub(crate) fn run_again(&mut self, session: u64, path: &PathBuf, spoilt: bool) -> bool {
        let Some(known) = self.known_mut(session, path) else { return false };
        known.spoilt = if spoilt { known.spoilt + 1 } else { 0 };
        if !spoilt || known.spoilt > SPOILT {
            return false;
        }
        known.owed = true;
        known.inputs = None;
        self.withdraw(session, path);
        self.enter(session, path, RootPhase::Idle);
        self.schedule(session, path);
        true
    }

    pub(crate) fn start_due_background(&mut self) {
        if self.draining.is_some() {
            return;
        }
        let now = Instant::now();
        let mut due = Vec::new();
        for (path, root) in &mut self.roots {
            for (session, known) in &mut root.known {
                if known.due.is_some_and(|at| at <= now) {
                    known.due = None;
                    due.push((*session, path.clone()));
                }
            }
        }
        for (session, path) in due {
            if !self.compare(session, &path) {
                self.run_background(session, path);
            }
        }
    }

    /// Finds out whether what runs works on the inputs that there are now, if anything runs. Much of
    /// what is written below a root is no input, and a save brings a file event as well.
    fn compare(&self, session: u64, path: &PathBuf) -> bool {
        let Some(root) = self.roots.get(path) else { return false };
        let running = self.running.iter().find(|(_, running)| {
            running.tests_in_background(session, path) && running.inputs.is_some()
        });
        let Some((&job, _)) = running else { return false };
        let (view, stat_cache) = (self.overlays.view(session, path), root.stat_cache.clone());
        let (events, root, revision) =
            (self.events.clone(), path.clone(), root.revision_for(session));
        tokio::task::spawn_blocking(move || {
            let inputs = inputs(&view, &stat_cache).map(|inputs| inputs.digest()).ok();
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::Compared { session, root, job, revision, inputs });
        });
        true
    }

    /// Lets the job go on, or starts another one.
    pub(crate) fn compared(
        &mut self,
        session: u64,
        path: PathBuf,
        job: u64,
        revision: u64,
        inputs: Option<blake3::Hash>,
    ) {
        let same = |running: &&mut Running| {
            !running.is_cancelled() && inputs.is_some() && running.inputs == inputs
        };
        let Some(running) = self.running.get_mut(&job).filter(same) else {
            return self.run_background(session, path);
        };
        tracing::debug!(job, "no input changed");
        running.revision = revision;
        let published = running.published;
        let Some(root) = self.roots.get_mut(&path) else { return };
        let current = root.revision_for(session) == revision;
        if let Some(known) = root.known.get_mut(&session)
            && current
            && published
            && known.withdrawn
        {
            known.revision = revision;
            known.withdrawn = false;
            self.publish(session, &path);
        }
    }

    fn run_background(&mut self, session: u64, path: PathBuf) {
        if self.draining.is_some() {
            return;
        }
        self.postpone_diagnostics(session, &path);
        // At most the running job and the latest pending one.
        self.cancel_jobs(|running| {
            running.session == session && running.root == path && running.request.is_none()
        });
        self.pending.retain(|pending| {
            pending.session != session
                || pending.root != path
                || pending.request.is_some()
                || pending.is_diagnosis()
        });
        let (config, problem) = self.config(session, &path);
        if let Some(message) = problem {
            let error = crate::jobs::configuration_error(message);
            self.enter(session, &path, RootPhase::Problem { error });
            return;
        }
        let work = if config.fix.automatic {
            Work::Fix {
                tests: Vec::new(),
                visible: Vec::new(),
                tier: Tier::Auto,
                budget_secs: None,
            }
        } else {
            Work::Test { tests: Vec::new() }
        };
        self.pending.push_back(Pending { session, root: path, request: None, work });
    }

    pub(crate) fn cancel_all_background(&mut self) {
        self.cancel_jobs(|running| running.request.is_none());
        self.pending.retain(|pending| pending.request.is_some());
        for known in self.roots.values_mut().flat_map(|root| root.known.values_mut()) {
            known.due = None;
            known.diagnosed.due = None;
        }
    }
}
