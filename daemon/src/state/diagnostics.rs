//! Diagnostics that an editor told of, and the fixes found for them.
//!
//! Nothing is looked for before somebody's cursor was there: the editor's server tells a diagnostic
//! when its code actions are asked for, and gets what is known at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_protocol::{ErrorKind, Finding, SeenDiagnostic};

use crate::jobs::{Answer, JobResult, Work};
use crate::state::State;
use crate::state::jobs::Pending;

/// Diagnostics that one session may have told of a root; more are left out.
const MOST: usize = 200;

/// What one session sees of a root's diagnostics.
#[derive(Default)]
pub(crate) struct Diagnosed {
    /// By document, for its text of now; whether a job looked at it.
    seen: BTreeMap<PathBuf, BTreeMap<SeenDiagnostic, bool>>,
    /// When a job is due.
    pub(crate) due: Option<Instant>,
    /// Something became due while a job ran.
    again: bool,
    /// What the latest job was given.
    given: Vec<(PathBuf, SeenDiagnostic)>,
    findings: Vec<Finding>,
    /// Digest of the inputs that they hold for.
    pub(crate) inputs: Option<blake3::Hash>,
    /// Whether the fixes are withheld because something changed.
    withdrawn: bool,
}

impl Diagnosed {
    /// What may be shown.
    pub(crate) fn offered(&self) -> &[Finding] {
        if self.withdrawn { &[] } else { &self.findings }
    }

    /// Takes the fixes back; gives whether that changes anything.
    pub(crate) fn withdraw(&mut self) -> bool {
        let changes = !self.offered().is_empty();
        self.withdrawn = true;
        changes
    }

    /// The text of a document is another one: nothing that was told of it holds.
    fn forget(&mut self, document: &Path) {
        self.seen.remove(document);
        self.findings.retain(|finding| finding.path != document);
    }

    fn add(&mut self, document: PathBuf, diagnostics: Vec<SeenDiagnostic>) -> bool {
        let mut room = MOST.saturating_sub(self.seen.values().map(BTreeMap::len).sum());
        let known = self.seen.entry(document).or_default();
        let mut added = false;
        for diagnostic in diagnostics {
            if room > 0 && !known.contains_key(&diagnostic) {
                known.insert(diagnostic, false);
                room -= 1;
                added = true;
            }
        }
        added
    }

    fn work(&mut self) -> Option<Work> {
        let (mut done, mut new) = (Vec::new(), Vec::new());
        for (document, diagnostics) in &self.seen {
            for (diagnostic, looked_at) in diagnostics {
                let list = if *looked_at { &mut done } else { &mut new };
                list.push((document.clone(), diagnostic.clone()));
            }
        }
        self.given.clone_from(&new);
        (!done.is_empty() || !new.is_empty()).then_some(Work::Diagnose { done, new })
    }

    fn learn(&mut self, finding: Finding) {
        self.findings.retain(|known| {
            let diagnostic = |finding: &Finding| {
                let fix = finding.fixes.first()?;
                fix.entry.evidence.diagnostic.as_ref().map(|mended| mended.seen.clone())
            };
            known.path != finding.path || diagnostic(known) != diagnostic(&finding)
        });
        self.findings.push(finding);
    }
}

impl State {
    pub(crate) fn diagnostics_seen(
        &mut self,
        session: u64,
        document: PathBuf,
        version: i32,
        diagnostics: Vec<SeenDiagnostic>,
    ) {
        let Some(path) = self.background_root(session, &document) else { return };
        if self.overlays.version(session, &document) != Some(version) {
            tracing::debug!(session, document = %document.display(), "stale diagnostics dropped");
            return;
        }
        if !self.mends_diagnostics(session, &path) {
            return;
        }
        let Some(root) = self.roots.get_mut(&path) else { return };
        let diagnosed = &mut root.known.entry(session).or_default().diagnosed;
        if diagnosed.add(document, diagnostics) {
            diagnosed.due = Some(Instant::now());
        }
    }

    fn mends_diagnostics(&self, session: u64, root: &Path) -> bool {
        let (config, _) = self.config(session, root);
        config.fix.automatic && config.fix.diagnostics
    }

    /// Files changed or were saved: what is known is looked at again when things are quiet.
    pub(crate) fn schedule_diagnostics(&mut self, session: u64, path: &PathBuf, wait: Duration) {
        let mends = self.mends_diagnostics(session, path);
        let Some(known) = self.roots.get_mut(path).and_then(|r| r.known.get_mut(&session)) else {
            return;
        };
        if mends && !known.diagnosed.seen.is_empty() {
            known.diagnosed.due = Some(Instant::now() + wait);
        }
    }

    /// A document's text changed.
    pub(crate) fn forget_diagnostics(&mut self, session: u64, path: &PathBuf, document: &Path) {
        let waiting = self.pending.len();
        self.pending.retain(|pending| {
            pending.session != session || pending.root != *path || !pending.is_diagnosis()
        });
        if let Some(known) = self.roots.get_mut(path).and_then(|r| r.known.get_mut(&session)) {
            let shown = known.diagnosed.offered().len();
            known.diagnosed.forget(document);
            let fewer = known.diagnosed.offered().len() < shown;
            if self.pending.len() < waiting {
                // As in [`Self::end_diagnosis`].
                known.diagnosed.due = Some(Instant::now());
            }
            if fewer {
                self.publish(session, path);
            }
        }
    }

    /// An edit is about to end a job: what it was to do for other documents is still to be done, once
    /// things are quiet.
    pub(crate) fn end_diagnosis(&mut self, session: u64, path: &PathBuf) {
        if self.diagnoses(session, path) {
            let (config, _) = self.config(session, path);
            let wait = Duration::from_millis(config.run.debounce_ms);
            self.schedule_diagnostics(session, path, wait);
        }
    }

    /// A job is about to be cancelled for the sake of another one.
    pub(crate) fn postpone_diagnostics(&mut self, session: u64, path: &PathBuf) {
        let runs = self.diagnoses(session, path);
        let known = self.roots.get_mut(path).and_then(|root| root.known.get_mut(&session));
        if let Some(known) = known.filter(|_| runs) {
            known.diagnosed.again = true;
        }
    }

    fn diagnoses(&self, session: u64, path: &PathBuf) -> bool {
        let runs = |job: &super::jobs::Running| {
            job.session == session && job.root == *path && job.diagnosis
        };
        self.running.values().any(runs)
    }

    pub(crate) fn start_due_diagnostics(&mut self) {
        if self.draining.is_some() {
            return;
        }
        let now = Instant::now();
        let mut due = Vec::new();
        for (path, root) in &mut self.roots {
            for (session, known) in &mut root.known {
                if known.diagnosed.due.is_some_and(|at| at <= now) {
                    known.diagnosed.due = None;
                    due.push((*session, path.clone()));
                }
            }
        }
        for (session, root) in due {
            let waits = |pending: &Pending| {
                pending.session == session && pending.root == root && pending.is_diagnosis()
            };
            self.pending.retain(|pending| !waits(pending));
            let runs = self.diagnoses(session, &root);
            let known = self.roots.get_mut(&root).and_then(|root| root.known.get_mut(&session));
            let Some(diagnosed) = known.map(|known| &mut known.diagnosed) else { continue };
            if runs {
                diagnosed.again = true;
            } else if let Some(work) = diagnosed.work() {
                self.pending.push_back(Pending { session, root, request: None, work });
            }
        }
    }

    pub(crate) fn diagnosis_found(&mut self, session: u64, path: &PathBuf, finding: Finding) {
        let Some(known) = self.known_mut(session, path) else { return };
        if !known.diagnosed.withdrawn {
            known.diagnosed.learn(finding);
            self.publish(session, path);
        }
    }

    /// Takes over what a job found.
    pub(crate) fn diagnosis_done(
        &mut self,
        session: u64,
        path: &PathBuf,
        revision: u64,
        cancelled: bool,
        result: JobResult,
    ) {
        let changed_since = self.changed_since(session, path, revision);
        let Some(known) = self.known_mut(session, path) else { return };
        let diagnosed = &mut known.diagnosed;
        if std::mem::take(&mut diagnosed.again) {
            diagnosed.due = Some(Instant::now());
        }
        if cancelled {
            return;
        }
        for (document, diagnostic) in std::mem::take(&mut diagnosed.given) {
            let known = diagnosed.seen.get_mut(&document);
            if let Some(looked_at) = known.and_then(|known| known.get_mut(&diagnostic)) {
                *looked_at = true;
            }
        }
        match result.answer {
            Ok(Answer::Diagnosed { findings, only_new }) => {
                if !only_new {
                    diagnosed.findings.clear();
                }
                findings.into_iter().for_each(|finding| diagnosed.learn(finding));
                diagnosed.inputs = result.inputs;
                diagnosed.withdrawn = changed_since;
            }
            Ok(_) => diagnosed.withdrawn = changed_since,
            Err(error) => {
                diagnosed.findings.clear();
                diagnosed.inputs = None;
                if error.kind != ErrorKind::Cancelled {
                    tracing::warn!(error = error.message, "no fixes of diagnostics");
                }
            }
        }
        self.publish(session, path);
    }
}

#[cfg(test)]
mod tests {
    use greenlit_protocol::DiagnosticTool;

    use super::*;

    fn seen(code: &str) -> SeenDiagnostic {
        SeenDiagnostic {
            tool: DiagnosticTool::Ruff,
            code: Some(code.to_owned()),
            message: String::new(),
            start: 0,
            end: 1,
        }
    }

    #[test]
    fn only_what_was_not_looked_at_is_new() {
        let mut diagnosed = Diagnosed::default();
        assert!(diagnosed.add("/w/a".into(), vec![seen("A"), seen("B")]));
        assert!(!diagnosed.add("/w/a".into(), vec![seen("A")]));
        diagnosed.seen.get_mut(Path::new("/w/a")).unwrap().insert(seen("A"), true);
        let one = |code| vec![(PathBuf::from("/w/a"), seen(code))];
        assert_eq!(diagnosed.work(), Some(Work::Diagnose { done: one("A"), new: one("B") }));
        diagnosed.forget(Path::new("/w/a"));
        assert_eq!(diagnosed.work(), None);
    }

    #[test]
    fn a_flood_of_diagnostics_is_bounded() {
        let mut diagnosed = Diagnosed::default();
        let many = (0..MOST * 2).map(|n| seen(&n.to_string())).collect();
        assert!(diagnosed.add("/w/a".into(), many));
        assert!(!diagnosed.add("/w/b".into(), vec![seen("x")]));
        assert_eq!(diagnosed.seen.values().map(BTreeMap::len).sum::<usize>(), MOST);
    }
}
