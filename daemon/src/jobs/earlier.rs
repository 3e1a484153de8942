//! Fixes of earlier jobs, moved to the texts of now, and where a fix comes from.

use std::path::Path;

use greenlit_protocol::{FixEntry, GenerationReport};
use greenlit_repair::{Candidate, PatchedFile, VerifiedFix, Workbench, rebase};
use greenlit_runner::TestId;

use super::run::Job;
use super::{JobInput, reports};
use crate::tiers::Asked;

/// A fix that was verified, with what a model was asked for it.
#[derive(Debug, Clone)]
pub(crate) struct Earlier {
    fix: VerifiedFix,
    generation: Option<GenerationReport>,
}

impl Earlier {
    /// Whether it is what was offered as this entry.
    pub(crate) fn is_of(&self, root: &Path, entry: &FixEntry) -> bool {
        reports::file_edits(root, &self.fix.candidate) == entry.edits
    }
}

/// Where fixes can come from.
#[derive(Clone, Copy)]
pub(super) struct Origins<'a> {
    pub(super) input: &'a JobInput,
    /// Who was asked in this job.
    pub(super) asked: &'a Asked,
    /// What was offered before.
    pub(super) rebased: &'a [Rebased],
}

/// A fix that was offered before, as a candidate for the texts of now.
pub(super) struct Rebased {
    pub(super) candidate: Candidate,
    /// Whether those were other texts.
    pub(super) moved: bool,
    /// What a model was asked for it then.
    pub(super) generation: Option<GenerationReport>,
}

impl Origins<'_> {
    /// The same fix as it was offered before.
    pub(super) fn before(&self, fix: &VerifiedFix) -> Option<&Rebased> {
        self.rebased.iter().find(|before| before.candidate.edits == fix.candidate.edits)
    }

    /// What a model was asked for a fix, in this job or when it was offered before.
    pub(super) fn generation(&self, fix: &VerifiedFix) -> Option<GenerationReport> {
        let before = self.before(fix).and_then(|before| before.generation.clone());
        before.or_else(|| {
            let mut records = self.asked.authors.iter().map(|author| author.record());
            let own = records.find(|record| record.tier == fix.candidate.source.tier);
            own.as_ref().map(reports::generation)
        })
    }
}

impl Job<'_> {
    /// Fixes that were offered for earlier texts and mended these tests.
    pub(super) fn rebase(&self, bench: &Workbench, targets: &[TestId]) -> Vec<Rebased> {
        let moved = |Earlier { fix, generation }: &Earlier| {
            fix.plausible.red_to_green.iter().find(|mended| targets.contains(mended))?;
            let text_of = |path: &Path| bench.subject.text(path);
            let candidate = rebase(fix, &text_of)?;
            let differs =
                |file: &PatchedFile| text_of(&file.path).is_none_or(|text| text != file.before);
            let moved = fix.files.iter().any(differs);
            Some(Rebased { candidate, moved, generation: generation.clone() })
        };
        self.input.earlier.iter().filter_map(moved).collect()
    }

    /// Verified fixes for the jobs that come.
    pub(super) fn kept(&self, fixes: Vec<VerifiedFix>) -> Vec<Earlier> {
        let keep = |fix| Earlier { generation: self.origins().generation(&fix), fix };
        fixes.into_iter().map(keep).collect()
    }

    pub(super) fn origins(&self) -> Origins<'_> {
        let rebased = self.rebased.get().map_or(&[][..], Vec::as_slice);
        Origins { input: self.input, asked: &self.asked, rebased }
    }
}
