//! Requests about models: each runs on a thread of its own and can be cancelled.

use std::panic::{AssertUnwindSafe, catch_unwind};

use greenlit_protocol::{
    AdapterAction, ErrorKind, Event as Told, ModelAction, RemoteError, Response,
};
use greenlit_repair::Cancel;

use crate::engine::act_on_adapters;
use crate::models::{Asked, act};
use crate::state::jobs::shutting_down;
use crate::state::session::canonical_root;
use crate::state::{Event, State};

impl State {
    pub(crate) fn model_action(&mut self, session: u64, request: u64, action: ModelAction) {
        let (models, dense, local) = (self.models.clone(), self.dense.clone(), self.local.clone());
        let events = self.events.clone();
        self.beside(session, request, move |cancel| {
            let root = models.directory().to_owned();
            let mut progress = |stage| {
                let told = Told::Progress { root: root.clone(), request: Some(request), stage };
                // The receiver only goes away with the daemon.
                let _ = events.send(Event::ModelNews { session, told });
            };
            let local = &local;
            let asked = Asked { dense: &dense, local, cancel, progress: &mut progress };
            act(&models, &action, asked)
        });
    }

    pub(crate) fn adapter_action(&mut self, session: u64, request: u64, mut action: AdapterAction) {
        let root = match &mut action {
            AdapterAction::List { root } => root.as_mut(),
            AdapterAction::Activate { root, .. } | AdapterAction::Deactivate { root, .. } => {
                Some(root)
            }
            AdapterAction::Add { .. } | AdapterAction::Remove { .. } => None,
        };
        if let Some(root) = root {
            match canonical_root(root) {
                Ok(canonical) => *root = canonical,
                Err(error) => return self.answer(session, request, Err(error)),
            }
        }
        let local = self.local.clone();
        self.beside(session, request, move |cancel| act_on_adapters(&local, &action, cancel));
    }

    /// Runs a request on a thread of its own, which may block.
    fn beside(
        &mut self,
        session: u64,
        request: u64,
        work: impl FnOnce(&Cancel) -> Result<Response, RemoteError> + Send + 'static,
    ) {
        if self.draining.is_some() {
            return self.answer(session, request, Err(shutting_down()));
        }
        let cancel = Cancel::default();
        self.modelling.insert((session, request), cancel.clone());
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let result = catch_unwind(AssertUnwindSafe(|| work(&cancel)));
            let result = result.unwrap_or_else(|_panic| {
                let message = "the request ended by a defect in Greenlit";
                Err(RemoteError::new(ErrorKind::Internal, message)
                    .hint("`greenlit logs` has more; please report it"))
            });
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::Answered { session, request, result: Box::new(result) });
        });
    }

    /// Stops what a session, or one request of it, has under way.
    pub(crate) fn cancel_modelling(&self, session: u64, request: Option<u64>) {
        for ((of, id), cancel) in &self.modelling {
            if *of == session && request.is_none_or(|request| request == *id) {
                cancel.cancel();
            }
        }
    }
}
