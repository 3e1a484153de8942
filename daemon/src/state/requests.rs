//! What clients ask for.

use std::path::PathBuf;

use greenlit_protocol::{ErrorKind, RemoteError, Request, Response};

use crate::doctor;
use crate::jobs::{Work, index_check, shelf_check};
use crate::state::jobs::{Pending, shutting_down};
use crate::state::session::canonical_root;
use crate::state::status::completed;
use crate::state::trace::with_evidence;
use crate::state::{Event, State};

impl State {
    pub(crate) fn request(&mut self, session: u64, id: u64, request: Request) {
        match request {
            Request::Test { root, tests } => self.enqueue(session, id, root, Work::Test { tests }),
            Request::Fix { root, tests, visible, tier, budget_secs } => {
                if let Err(error) = self.tiers.check_tier(tier) {
                    self.answer(session, id, Err(error));
                    return;
                }
                self.enqueue(session, id, root, Work::Fix { tests, visible, tier, budget_secs });
            }
            Request::CancelBackground { root } => {
                let root = canonical_root(&root).unwrap_or(root);
                self.cancel_jobs(|running| {
                    running.session == session && running.root == root && running.request.is_none()
                });
                self.answer(session, id, Ok(Response::Done));
            }
            Request::Tests { root } => self.tests(session, id, &root),
            Request::Evidence { fix } => {
                let kept = self.evidence.of(&fix).cloned();
                let result = kept.map(Response::Evidence).ok_or_else(|| {
                    RemoteError::new(
                        ErrorKind::BadRequest,
                        format!("no evidence is kept for {fix}"),
                    )
                    .hint("look for fixes again")
                });
                self.answer(session, id, result);
            }
            Request::Search(asked) => self.search(session, id, asked),
            Request::Index { root, action } => self.index_action(session, id, &root, action),
            Request::Model(action) => self.model_action(session, id, action),
            Request::Trace(action) => self.trace(session, id, action),
            Request::Metrics => self.metrics(session, id),
            Request::Adapter(action) => self.adapter_action(session, id, action),
            Request::Learn(action) => self.learn(session, id, action),
            Request::Status => {
                let (status, indexes) = (self.status(), self.open_indexes());
                let (attempts, tiers) = (self.attempts.clone(), self.tiers.clone());
                self.ask_index(session, id, move || {
                    let status = with_evidence(completed(status, &indexes, &tiers), &attempts);
                    Ok(Response::Status(status))
                });
            }
            Request::Doctor { root } => self.doctor(session, id, root),
            Request::Stop { kill } => {
                self.answer(session, id, Ok(Response::Done));
                if kill {
                    self.cancel_jobs(|_| true);
                }
                self.drain("somebody asked for it".to_owned());
            }
        }
    }

    pub(crate) fn enqueue(&mut self, session: u64, id: u64, root: PathBuf, work: Work) {
        if self.draining.is_some() {
            self.answer(session, id, Err(shutting_down()));
            return;
        }
        match canonical_root(&root) {
            Ok(root) => {
                self.pending.push_back(Pending { session, root, request: Some(id), work });
            }
            Err(error) => self.answer(session, id, Err(error)),
        }
    }

    /// Probing sandboxes and runners takes a while: it happens elsewhere.
    fn doctor(&self, session: u64, request: u64, root: PathBuf) {
        let Some(owner) = self.sessions.get(&session) else { return };
        let environment = owner.environment.clone();
        let (config, problem) = self.config(session, &root);
        let watch = self.roots.get(&root).map(|root| root.degraded.clone());
        let index = self.open_index(&root).cloned();
        let (models, dense, shelf) = (self.models.clone(), self.dense.clone(), self.shelf.clone());
        let (events, tiers) = (self.events.clone(), self.tiers.clone());
        let attempts = self.attempts.clone();
        let local = self.local.clone();
        tokio::task::spawn_blocking(move || {
            let mut checks = doctor::checks(&root, &environment, &config, problem, watch.flatten());
            checks.push(index_check(index.as_ref()));
            checks.push(shelf_check(&shelf));
            checks.push(models.check(&dense));
            checks.extend(tiers.checks(&environment, &root));
            checks.push(local.check(tiers.want_the_engine()));
            checks.push(doctor::record(&attempts.status()));
            let result = Box::new(Ok(Response::Doctor(checks)));
            // The receiver only goes away with the daemon.
            let _ = events.send(Event::Answered { session, request, result });
        });
    }

    pub(crate) fn answer(&self, session: u64, id: u64, result: Result<Response, RemoteError>) {
        if let Some(session) = self.sessions.get(&session) {
            session.respond(id, result);
        }
    }
}
