//! When tests run without anybody asking: after saves, file events and on opening.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_protocol::{RootPhase, Tier};
use greenlit_workspace::{Config, chain};

use crate::jobs::Work;
use crate::state::State;
use crate::state::jobs::Pending;

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
        if !self.sessions.get(&session).is_some_and(|session| session.background) {
            return;
        }
        let (config, _) = self.config(session, path);
        let Some(root) = self.roots.get_mut(path) else { return };
        let known = root.known.entry(session).or_default();
        let wait = Duration::from_millis(config.run.debounce_ms);
        if config.run.on_save && known.opened {
            known.due = Some(Instant::now() + wait);
        }
        self.schedule_diagnostics(session, path, wait);
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
                continue;
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
