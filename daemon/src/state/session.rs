//! One connected editor or command.

use std::path::{Path, PathBuf};

use greenlit_protocol::{ErrorKind, RemoteError, Response, ServerFrame, SessionParams};
use greenlit_runner::Environment;

use crate::lifecycle::Outgoing;
use crate::state::State;

pub(crate) struct Session {
    pub(crate) client: String,
    /// Canonical roots.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) settings: Option<String>,
    /// Whether saving and opening starts test runs.
    pub(crate) background: bool,
    pub(crate) out: Outgoing,
}

impl Session {
    pub(crate) fn respond(&self, id: u64, result: Result<Response, RemoteError>) {
        self.out.send(ServerFrame::Response { id, result });
    }

    /// The innermost of the session's roots that holds `path`.
    pub(crate) fn root_of(&self, path: &Path) -> Option<&PathBuf> {
        let around = self.roots.iter().filter(|root| path.starts_with(root));
        around.max_by_key(|root| root.as_os_str().len())
    }
}

impl State {
    pub(crate) fn connected(&mut self, id: u64, params: SessionParams, out: Outgoing) {
        tracing::info!(session = id, client = params.client, roots = ?params.roots, "connected");
        let session = Session {
            client: params.client,
            roots: canonical(&params.roots),
            environment: Environment { vars: params.env },
            settings: params.settings,
            background: params.background,
            out,
        };
        let (roots, background) = (session.roots.clone(), session.background);
        self.sessions.insert(id, session);
        for root in &roots {
            self.ensure_root(root);
        }
        if background {
            self.index_roots(&roots);
        }
        self.tell_indexing(id, &roots, true);
    }

    pub(crate) fn disconnected(&mut self, id: u64) {
        let Some(session) = self.sessions.remove(&id) else { return };
        tracing::info!(session = id, client = session.client, "disconnected");
        self.cancel_jobs(|running| running.session == id);
        self.cancel_modelling(id, None);
        self.pending.retain(|pending| pending.session != id);
        self.overlays.drop_session(id);
        for root in self.roots.values_mut() {
            root.forget_session(id);
        }
        self.drop_unused_roots();
    }

    pub(crate) fn roots_changed(&mut self, id: u64, roots: &[PathBuf]) {
        let roots = canonical(roots);
        let (mut background, mut before) = (false, Vec::new());
        if let Some(session) = self.sessions.get_mut(&id) {
            before = std::mem::replace(&mut session.roots, roots.clone());
            background = session.background;
        }
        for root in &roots {
            self.ensure_root(root);
        }
        if background {
            self.index_roots(&roots);
        }
        before.retain(|root| {
            let stays = roots.contains(root);
            if !stays {
                self.tell_indexing(id, std::slice::from_ref(root), false);
            }
            stays
        });
        let new: Vec<_> = roots.into_iter().filter(|root| !before.contains(root)).collect();
        self.tell_indexing(id, &new, true);
        self.drop_unused_roots();
    }

    fn drop_unused_roots(&mut self) {
        let sessions = &self.sessions;
        let running = &self.running;
        self.roots.retain(|path, _| {
            sessions.values().any(|session| session.roots.contains(path))
                || running.values().any(|job| job.root == *path)
        });
    }
}

/// The canonical form of each path that is a directory; others are left out and logged.
fn canonical(roots: &[PathBuf]) -> Vec<PathBuf> {
    roots.iter().filter_map(|root| canonical_root(root).ok()).collect()
}

/// The canonical form of a root.
pub(crate) fn canonical_root(root: &Path) -> Result<PathBuf, RemoteError> {
    let refuse = |why: String| {
        RemoteError::new(ErrorKind::BadRequest, format!("{}: {why}", root.display()))
            .hint("name an existing directory")
    };
    let path = root.canonicalize().map_err(|error| refuse(error.to_string()))?;
    if path.is_dir() { Ok(path) } else { Err(refuse("not a directory".to_owned())) }
}
