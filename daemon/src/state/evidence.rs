//! Evidence of verified fixes, and what it says of the index: whether what was retrieved was of use.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_evidence::{Decision, Store};
use greenlit_protocol::{EvidenceReport, UseReport, UsedPassages};
use greenlit_workspace::{Change, Changed, chain};

use crate::jobs::Earlier;
use crate::state::State;

/// Offered fixes whose evidence is kept, newest last.
const KEPT: usize = 500;

/// What is kept of the fixes of all roots.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    reports: VecDeque<(PathBuf, EvidenceReport)>,
    /// Fixes that a person does not want to see any more, newest last.
    dismissed: VecDeque<String>,
}

impl Evidence {
    /// Whether a person said that they do not want a fix.
    pub(crate) fn is_dismissed(&self, fix: &str) -> bool {
        self.dismissed.iter().any(|dismissed| dismissed == fix)
    }

    /// The evidence of a fix.
    pub(crate) fn of(&self, fix: &str) -> Option<&EvidenceReport> {
        self.kept(fix).map(|(_, report)| report)
    }

    fn kept(&self, fix: &str) -> Option<&(PathBuf, EvidenceReport)> {
        self.reports.iter().find(|(_, report)| report.id == fix)
    }

    /// Fixes that nobody dismissed: who does not want one is to get another, not the same one moved.
    pub(crate) fn wanted(&self, root: &Path, earlier: &[Earlier]) -> Arc<[Earlier]> {
        let dismissed: Vec<_> = self.dismissed.iter().filter_map(|fix| self.kept(fix)).collect();
        let unwanted = |one: &Earlier| {
            dismissed.iter().any(|(of, report)| of == root && one.is_of(root, &report.entry))
        };
        earlier.iter().filter(|one| !unwanted(one)).cloned().collect()
    }

    /// Of those that were dismissed the newest are kept: older ones are of contents that nobody has any more.
    fn dismiss(&mut self, fix: String) {
        self.dismissed.retain(|dismissed| *dismissed != fix);
        self.dismissed.push_back(fix);
        if self.dismissed.len() > KEPT {
            self.dismissed.pop_front();
        }
    }

    /// Replaces what is known of the same fix; says whether nothing was.
    fn keep(&mut self, root: PathBuf, report: EvidenceReport) -> bool {
        let before = self.reports.len();
        self.reports.retain(|(_, kept)| kept.id != report.id);
        let is_new = self.reports.len() == before;
        self.reports.push_back((root, report));
        if self.reports.len() > KEPT {
            self.reports.pop_front();
        }
        is_new
    }
}

/// What a person dismissed, by the record: also what an earlier daemon was told. Blocks.
pub(crate) fn dismissed_before(attempts: &Store) -> Vec<String> {
    attempts.dismissed(KEPT).unwrap_or_else(|error| {
        tracing::warn!(error = chain(&error), "fixes that were dismissed may be shown again");
        Vec::new()
    })
}

impl State {
    /// Fixes that were dismissed before this daemon started, newest first.
    pub(crate) fn remember_dismissed(&mut self, fixes: Vec<String>) {
        let since = std::mem::take(&mut self.evidence.dismissed);
        fixes.into_iter().rev().chain(since).for_each(|fix| self.evidence.dismiss(fix));
    }

    /// A fix was verified, or more is known of one.
    pub(crate) fn verified(&mut self, root: PathBuf, report: EvidenceReport) {
        let used = used(&report);
        if self.evidence.keep(root.clone(), report)
            && let Some(uses) = self.uses_mut(&root)
        {
            add(&mut uses.verified, used);
        }
    }

    /// A person decided on a fix.
    pub(crate) fn decided(&mut self, session: u64, fix: &str, applied: bool) {
        if !applied {
            self.dismiss(session, fix);
            return;
        }
        self.attempts.decided(fix, Decision::Applied);
        self.evidence.dismissed.retain(|dismissed| dismissed != fix);
        let Some((root, report)) = self.evidence.kept(fix) else { return };
        let (root, used) = (root.clone(), used(report));
        if let Some(uses) = self.uses_mut(&root) {
            add(&mut uses.accepted, used);
        }
    }

    /// It is not shown again for the same contents.
    fn dismiss(&mut self, session: u64, fix: &str) {
        self.attempts.decided(fix, Decision::Dismissed);
        self.evidence.dismiss(fix.to_owned());
        let roots = self.roots.iter().filter(|(_, root)| root.known.contains_key(&session));
        let roots: Vec<_> = roots.map(|(path, _)| path.clone()).collect();
        roots.iter().for_each(|root| self.publish(session, root));
    }

    /// A file was saved, closed or changed by others: an applied fix may have been taken back.
    pub(crate) fn look_at(&self, root: &Path, path: &Path) {
        // What an editor has and has not saved is what counts.
        let open = |session: &u64| self.overlays.view(*session, root).overlay(path).is_some();
        if !self.attempts.watches(path) || self.sessions.keys().any(open) {
            return;
        }
        let branch = self.roots.get(root).and_then(|root| root.branch.clone());
        let (attempts, root, path) = (self.attempts.clone(), root.to_owned(), path.to_owned());
        tokio::task::spawn_blocking(move || {
            let text = std::fs::read_to_string(&path).ok().map(Into::into);
            attempts.looked(root, path, text, branch);
        });
    }

    /// What happened to applied fixes while nobody watched the root.
    pub(crate) fn look_at_root(&self, root: &Path) {
        for path in self.attempts.watched_below(root) {
            self.look_at(root, &path);
        }
    }

    /// Files of a root changed. Those of another branch say nothing.
    pub(crate) fn look_at_changed(&self, change: &Change) {
        if change.git_head {
            return;
        }
        match &change.paths {
            Changed::Paths(paths) => paths.iter().for_each(|path| self.look_at(&change.root, path)),
            Changed::Everything => self.look_at_root(&change.root),
        }
    }

    fn uses_mut(&mut self, root: &Path) -> Option<&mut UseReport> {
        self.indexes.get_mut(root).map(|indexed| &mut indexed.uses)
    }
}

/// Passages that a fix had, and those among them whose lines it changes.
fn used(report: &EvidenceReport) -> (u64, u64) {
    let passages = report.entry.evidence.retrieved.iter().flat_map(|found| &found.passages);
    passages.fold((0, 0), |(all, used), passage| (all + 1, used + u64::from(passage.used)))
}

/// A fix to which nothing was retrieved says nothing of it.
fn add(to: &mut UsedPassages, (passages, used): (u64, u64)) {
    if passages > 0 {
        to.fixes += 1;
        to.passages += passages;
        to.used += used;
    }
}
