//! Evidence of verified fixes, and what it says of the index: whether what was retrieved was of use.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use greenlit_protocol::{EvidenceReport, UseReport, UsedPassages};

use crate::state::State;

/// Offered fixes whose evidence is kept, newest last.
const KEPT: usize = 500;

/// What is kept of the fixes of all roots.
#[derive(Debug, Default)]
pub(crate) struct Evidence(VecDeque<(PathBuf, EvidenceReport)>);

impl Evidence {
    /// The evidence of a fix.
    pub(crate) fn of(&self, fix: &str) -> Option<&EvidenceReport> {
        self.kept(fix).map(|(_, report)| report)
    }

    fn kept(&self, fix: &str) -> Option<&(PathBuf, EvidenceReport)> {
        self.0.iter().find(|(_, report)| report.id == fix)
    }

    /// Replaces what is known of the same fix; says whether nothing was.
    fn keep(&mut self, root: PathBuf, report: EvidenceReport) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, kept)| kept.id != report.id);
        let is_new = self.0.len() == before;
        self.0.push_back((root, report));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
        is_new
    }
}

impl State {
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
    pub(crate) fn decided(&mut self, fix: &str, applied: bool) {
        let Some((root, report)) = self.evidence.kept(fix).filter(|_| applied) else { return };
        let (root, used) = (root.clone(), used(report));
        if let Some(uses) = self.uses_mut(&root) {
            add(&mut uses.accepted, used);
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
