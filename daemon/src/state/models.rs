//! Requests about models: each runs on a thread of its own and can be cancelled.

use std::panic::{AssertUnwindSafe, catch_unwind};

use greenlit_protocol::{ErrorKind, Event as Told, ModelAction, RemoteError};
use greenlit_repair::Cancel;

use crate::models::{Asked, act};
use crate::state::jobs::shutting_down;
use crate::state::{Event, State};

impl State {
    pub(crate) fn model_action(&mut self, session: u64, request: u64, action: ModelAction) {
        if self.draining.is_some() {
            return self.answer(session, request, Err(shutting_down()));
        }
        let cancel = Cancel::default();
        self.modelling.insert((session, request), cancel.clone());
        let (models, dense, events) =
            (self.models.clone(), self.dense.clone(), self.events.clone());
        tokio::task::spawn_blocking(move || {
            let root = models.directory().to_owned();
            let mut progress = |stage| {
                let told = Told::Progress { root: root.clone(), request: Some(request), stage };
                // The receiver only goes away with the daemon.
                let _ = events.send(Event::ModelNews { session, told });
            };
            let asked = Asked { dense: &dense, cancel: &cancel, progress: &mut progress };
            let result = catch_unwind(AssertUnwindSafe(|| act(&models, &action, asked)));
            let result = result.unwrap_or_else(|_panic| {
                let message = "the request ended by a defect in Greenlit";
                Err(RemoteError::new(ErrorKind::Internal, message)
                    .hint("`greenlit logs` has more; please report it"))
            });
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
