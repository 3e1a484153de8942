//! Which jobs wait, which run, and what becomes of what they report.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use greenlit_protocol::{
    ErrorKind, Event as Told, ProgressStage, RemoteError, Response, RootPhase, ServerFrame,
};
use greenlit_repair::Cancel;

use crate::jobs::{self, Answer, JobInput, JobNews, JobResult, Work};
use crate::state::index::Indexed;
use crate::state::{Event, State};

/// A job that waits for its turn.
pub(crate) struct Pending {
    pub(crate) session: u64,
    pub(crate) root: PathBuf,
    /// The request that it answers; `None` for background work.
    pub(crate) request: Option<u64>,
    pub(crate) work: Work,
}

impl Pending {
    /// Whether it is about diagnostics, not about tests.
    pub(crate) fn is_diagnosis(&self) -> bool {
        matches!(self.work, Work::Diagnose { .. })
    }
}

/// A job that runs.
pub(crate) struct Running {
    pub(crate) session: u64,
    pub(crate) root: PathBuf,
    pub(crate) request: Option<u64>,
    /// The revision that it works on.
    pub(crate) revision: u64,
    /// Digest of the inputs that it works on, once it told.
    pub(crate) inputs: Option<blake3::Hash>,
    /// Whether it is about diagnostics, not about tests.
    pub(crate) diagnosis: bool,
    /// Whether somebody gets the tests' outcomes as an answer.
    answers_tests: bool,
    cancel: Cancel,
    /// Whether a progress display was begun and must be ended.
    in_progress: bool,
    /// Whether what editors show is its own.
    pub(crate) published: bool,
}

impl Running {
    /// Whether it looks after the tests of a session's root with nobody asking.
    pub(crate) fn tests_in_background(&self, session: u64, root: &Path) -> bool {
        let background = self.request.is_none() && !self.diagnosis;
        background && self.session == session && self.root == root
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Background work that does nothing.
    #[cfg(test)]
    pub(crate) fn idle(session: u64, root: PathBuf, revision: u64, diagnosis: bool) -> Self {
        Self {
            session,
            root,
            request: None,
            revision,
            inputs: None,
            diagnosis,
            answers_tests: false,
            cancel: Cancel::default(),
            in_progress: false,
            published: false,
        }
    }
}

impl State {
    /// Starts what may start: requests before background work, one job per root.
    pub(crate) fn start_jobs(&mut self) {
        let mut waiting: Vec<Pending> = self.pending.drain(..).collect();
        waiting.sort_by_key(|pending| pending.request.is_none());
        for pending in waiting {
            let occupied = self.running.values().any(|running| running.root == pending.root);
            if !occupied {
                self.start(pending);
                continue;
            }
            if pending.request.is_some() {
                self.give_way(&pending.root);
            }
            self.pending.push_back(pending);
        }
    }

    /// Background work makes room for a person who waits, and is planned again.
    fn give_way(&mut self, root: &PathBuf) {
        let mut diagnosing = Vec::new();
        for running in self.running.values() {
            if running.root == *root && running.request.is_none() && !running.cancel.is_cancelled()
            {
                running.cancel.cancel();
                if running.diagnosis {
                    diagnosing.push(running.session);
                    continue;
                }
                let known = self.roots.get_mut(root).map(|root| &mut root.known);
                if let Some(known) = known.and_then(|known| known.get_mut(&running.session)) {
                    known.due = Some(std::time::Instant::now());
                }
            }
        }
        diagnosing.into_iter().for_each(|session| self.postpone_diagnostics(session, root));
    }

    fn start(&mut self, pending: Pending) {
        let diagnosis = pending.is_diagnosis();
        let answers_tests = pending.request.is_some() && matches!(pending.work, Work::Test { .. });
        let Pending { session, root: path, request, work } = pending;
        let (config, problem) = self.config(session, &path);
        let Some(owner) = self.sessions.get(&session) else { return };
        if let Some(message) = problem {
            // What it may have forbidden is not known.
            match request {
                Some(request) => owner.respond(request, Err(jobs::configuration_error(message))),
                None => tracing::warn!(session, message, "a job was not started"),
            }
            return;
        }
        self.ensure_root(&path);
        self.look_at_root(&path);
        let Some((root, owner)) = self.roots.get_mut(&path).zip(self.sessions.get(&session)) else {
            return;
        };
        let index = self.indexes.get(&path).map(Indexed::handle);
        let revision = root.revision_for(session);
        let known = root.known.entry(session).or_default();
        known.owed &= request.is_some() || diagnosis;
        let cancel = Cancel::default();
        let input = JobInput {
            work,
            view: self.overlays.view(session, &path),
            revision,
            environment: owner.environment.clone(),
            config,
            store: jobs::store_of(&self.context.paths.cache_dir, &path),
            stat_cache: root.stat_cache.clone(),
            index,
            green: known.green.clone(),
            earlier: self.evidence.wanted(&path, &known.earlier),
            tiers: self.tiers.clone(),
            attempts: self.attempts.clone(),
            cancel: cancel.clone(),
            waited_for: request.is_some(),
            unless: match request {
                Some(_) => None,
                None if diagnosis => known.diagnosed.inputs,
                None => known.inputs,
            },
        };
        let job = self.next_job;
        self.next_job += 1;
        let running = Running {
            session,
            root: path.clone(),
            request,
            revision: input.revision,
            inputs: None,
            diagnosis,
            answers_tests,
            cancel,
            in_progress: false,
            published: false,
        };
        self.running.insert(job, running);
        if request.is_none() && !diagnosis {
            self.enter(session, &path, RootPhase::Testing);
        }
        let events = self.events.clone();
        tokio::task::spawn_blocking(move || {
            let news = |news| {
                // The receiver only goes away with the daemon.
                let _ = events.send(Event::News { job, news });
            };
            let result = catch_unwind(AssertUnwindSafe(|| jobs::run(&input, &news)));
            let result = result.unwrap_or_else(|_| JobResult::panicked());
            let _ = events.send(Event::Done { job, result: Box::new(result) });
        });
    }

    pub(crate) fn job_news(&mut self, job: u64, news: JobNews) {
        let Some(running) = self.running.get_mut(&job) else { return };
        let (session, path) = (running.session, running.root.clone());
        if running.cancel.is_cancelled() {
            return;
        }
        match news {
            JobNews::Inputs(inputs) => running.inputs = Some(inputs),
            JobNews::Progress(stage) => {
                running.in_progress |= matches!(stage, ProgressStage::Begin { .. });
                let request = running.request;
                self.tell(session, Told::Progress { root: path, request, stage });
            }
            JobNews::Findings(findings) => {
                let revision = running.revision;
                running.published = true;
                // Until it ends, what is shown is of no complete run.
                if let Some(known) = self.known_mut(session, &path) {
                    known.inputs = None;
                }
                self.found(session, &path, revision, findings);
            }
            JobNews::Tests(run) => {
                let (revision, answered) = (running.revision, running.answers_tests);
                if let Some(root) = self.roots.get_mut(&path) {
                    root.layer = Some(run.layer);
                }
                self.tests_run(session, &path, revision, run, !answered);
            }
            JobNews::Diagnosed(finding) => self.diagnosis_found(session, &path, finding),
            JobNews::Suspected(paths) => self.index_first(&path, &paths),
            JobNews::Fixing { failing, asking } => {
                self.enter(session, &path, RootPhase::Fixing { failing, asking });
            }
            JobNews::Evidence(report) => {
                self.verified(path, *report);
            }
        }
    }

    pub(crate) fn job_done(&mut self, job: u64, result: JobResult) {
        let Some(running) = self.running.remove(&job) else { return };
        let Running {
            session, root: path, request, revision, diagnosis, in_progress, cancel, ..
        } = running;
        let no_failures = matches!(result.answer, Ok(Answer::Fix { .. })) && result.failing == 0;
        if let Some(known) = self.known_mut(session, &path)
            && (no_failures || !result.earlier.is_empty())
        {
            known.earlier = result.earlier.iter().cloned().collect();
        }
        if in_progress {
            let stage = ProgressStage::End { message: result.words() };
            self.tell(session, Told::Progress { root: path.clone(), request, stage });
        }
        if let Some(request) = request
            && let Some(owner) = self.sessions.get(&session)
        {
            owner.respond(request, result.answer.clone().map(response));
        }
        if diagnosis {
            self.diagnosis_done(session, &path, revision, cancel.is_cancelled(), result);
        } else if cancel.is_cancelled() {
            self.leave(session, &path);
        } else {
            self.settle(session, &path, revision, request.is_none(), result);
        }
    }

    /// A job that was cancelled is over. What the last complete run found stays: one that somebody asked
    /// for and cancelled has entered no phase.
    fn leave(&mut self, session: u64, path: &PathBuf) {
        let known = self.roots.get(path).and_then(|root| root.known.get(&session));
        let phase = known.and_then(|known| known.phase.as_ref());
        if matches!(phase, Some(RootPhase::Testing | RootPhase::Fixing { .. })) {
            self.enter(session, path, RootPhase::Idle);
        }
    }

    /// Takes over what a job found, if an editor is there to see it and nothing has changed since.
    fn settle(
        &mut self,
        session: u64,
        path: &PathBuf,
        revision: u64,
        background: bool,
        result: JobResult,
    ) {
        if background && self.run_again(session, path, result.inputs_changed()) {
            return;
        }
        let unchanged = matches!(result.answer, Ok(Answer::Unchanged));
        let changed_since = self.changed_since(session, path, revision);
        let Some(known) = self.known_mut(session, path) else { return };
        if unchanged {
            known.withdrawn = changed_since;
        } else {
            // A request may have done less than background work does: that is not skipped for it.
            known.inputs = result.inputs.filter(|_| background);
        }
        if let Some(findings) = result.findings {
            self.found(session, path, revision, findings);
        } else {
            self.publish(session, path);
        }
        let Some(known) = self.known_mut(session, path) else { return };
        let fixes = known.findings.iter().flat_map(|finding| &finding.fixes);
        let fixes = fixes.map(|fix| &fix.id).collect::<std::collections::BTreeSet<_>>().len();
        let phase = match result.answer {
            // They say nothing of the tests of now.
            Ok(
                Answer::Unchanged
                | Answer::Diagnosed { .. }
                | Answer::Replayed(_)
                | Answer::Dataset(_)
                | Answer::Evaluated(_),
            ) => known.settled.clone().unwrap_or(RootPhase::Idle),
            Err(error) => RootPhase::Problem { error },
            Ok(Answer::Test(_) | Answer::Fix { .. }) => RootPhase::Settled {
                passed: result.passed,
                failing: result.failing,
                fixes: u32::try_from(fixes).unwrap_or(u32::MAX),
            },
        };
        known.settled = Some(phase.clone());
        self.enter(session, path, phase);
    }

    /// Whether what the session sees is no longer what it was at a revision.
    pub(crate) fn changed_since(&self, session: u64, path: &Path, revision: u64) -> bool {
        self.roots.get(path).is_some_and(|root| root.revision_for(session) != revision)
    }

    pub(crate) fn known_mut(
        &mut self,
        session: u64,
        path: &PathBuf,
    ) -> Option<&mut super::root::Known> {
        let background = self.sessions.get(&session).is_some_and(|session| session.background);
        let root = self.roots.get_mut(path).filter(|_| background)?;
        Some(root.known.entry(session).or_default())
    }

    fn found(
        &mut self,
        session: u64,
        path: &PathBuf,
        revision: u64,
        findings: Vec<greenlit_protocol::Finding>,
    ) {
        let changed_since = self.changed_since(session, path, revision);
        let Some(known) = self.known_mut(session, path) else { return };
        known.findings = findings;
        known.revision = revision;
        known.withdrawn = changed_since;
        self.publish(session, path);
    }

    pub(crate) fn tell(&self, session: u64, told: Told) {
        if let Some(session) = self.sessions.get(&session) {
            session.out.send(ServerFrame::Event(told));
        }
    }

    pub(crate) fn cancel_jobs(&self, which: impl Fn(&Running) -> bool) {
        for running in self.running.values().filter(|running| which(running)) {
            running.cancel.cancel();
        }
    }

    pub(crate) fn cancel_request(&mut self, session: u64, request: u64) {
        self.cancel_modelling(session, Some(request));
        self.cancel_jobs(|running| running.session == session && running.request == Some(request));
        let waiting = self
            .pending
            .iter()
            .position(|pending| pending.session == session && pending.request == Some(request));
        if let Some(index) = waiting {
            self.pending.remove(index);
            if let Some(owner) = self.sessions.get(&session) {
                let error = RemoteError::new(ErrorKind::Cancelled, "the request was cancelled");
                owner.respond(request, Err(error));
            }
        }
    }

    pub(crate) fn refuse_pending(&mut self) {
        for pending in self.pending.drain(..) {
            if let (Some(request), Some(owner)) =
                (pending.request, self.sessions.get(&pending.session))
            {
                owner.respond(request, Err(shutting_down()));
            }
        }
    }
}

pub(crate) fn shutting_down() -> RemoteError {
    RemoteError::new(ErrorKind::ShuttingDown, "the daemon is shutting down").hint("try again")
}

fn response(answer: Answer) -> Response {
    match answer {
        Answer::Unchanged | Answer::Diagnosed { .. } => Response::Done,
        Answer::Test(report) => Response::Test(report),
        Answer::Replayed(report) => Response::Replayed(report),
        Answer::Dataset(page) => Response::Dataset(page),
        Answer::Evaluated(report) => Response::Evaluated(report),
        Answer::Fix { report, offered, notices } => Response::Fix { report, offered, notices },
    }
}
