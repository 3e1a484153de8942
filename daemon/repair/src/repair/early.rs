//! What is tried before the spectra are known.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use greenlit_runner::Project;

use super::{Course, Repair, RepairEvent};
use crate::FaultContext;
use crate::candidate::earlier_first;
use crate::causes::Failures;
use crate::locate::locate_by_traces;
use crate::screen::Screen;
use crate::search::{SearchCounts, VerifiedFix, groups};
use crate::workbench::WorkError;

/// Suspected lines for which these are written: the best ones are for the first lines.
const LINES: usize = 40;
/// Candidates tried while spectra are measured: few enough for one build.
const EARLY: usize = 24;
/// Candidates tried before spectra are measured, where it is known what changed.
const EARLY_ON_CHANGE: usize = 60;
/// What they get of the time at most.
const SHARE_ON_CHANGE: u32 = 3;

/// What was tried before the spectra were known.
#[derive(Default)]
pub(super) struct Early<'p> {
    pub(super) screen: Option<Screen<'p>>,
    pub(super) fixes: Vec<VerifiedFix>,
    pub(super) counts: SearchCounts,
    pub(super) cpu: Duration,
}

impl Repair<'_> {
    /// Tries candidates where something changed since failing tests passed, if that is known, before
    /// anything is measured. What failed before the change is not looked at yet.
    pub(super) fn try_change<'p>(
        &'p self,
        project: &'p Project,
        failures: &Failures,
        deadline: Instant,
    ) -> Option<Result<Early<'p>, WorkError>> {
        let (broken, _) = self.changes?.divide(failures.clone());
        (!broken.is_empty()).then(|| {
            let left = deadline.saturating_duration_since(Instant::now());
            let until = Instant::now() + left / SHARE_ON_CHANGE;
            self.try_early(project, &broken, until, None)
        })
    }

    /// Opens a session, and tries the best candidates for what stack traces and calls tell; where spectra
    /// are measured meanwhile, until `localized`: that takes a build or a run of the tests, and the
    /// processors have room. A session that does not open is tried again by the search, which says why.
    pub(super) fn try_early<'p>(
        &'p self,
        project: &'p Project,
        failures: &Failures,
        deadline: Instant,
        localized: Option<&AtomicBool>,
    ) -> Result<Early<'p>, WorkError> {
        let targets: Vec<_> = failures.iter().map(|(id, _)| id.clone()).collect();
        let mut early = Early::default();
        match Screen::open(self.bench, self.baseline, project, &groups(&targets)) {
            Ok(screen) => early.screen = Some(screen),
            Err(error) => {
                tracing::debug!(%error, "no session for trials was opened");
                return Ok(early);
            }
        }
        if localized.is_some_and(|localized| localized.load(Ordering::Relaxed)) {
            return Ok(early);
        }
        let mut cause = locate_by_traces(self.bench, project, failures.clone(), self.changes);
        if cause.localization.changed {
            (self.on_event)(RepairEvent::Localized(cause.localization.clone()));
        }
        cause.localization.lines.truncate(LINES);
        let context = FaultContext {
            files: &cause.files,
            neighbours: &cause.neighbours,
            retrieved: &cause.retrieved,
            localization: &cause.localization,
        };
        let mut generated = self.generator.candidates(&context);
        generated.truncate(if cause.localization.changed { EARLY_ON_CHANGE } else { EARLY });
        let candidates = earlier_first(self.earlier, generated);
        let ahead = localized.is_none() && self.limits.jobs > 1;
        let course = Course { deadline, jobs: 1, ahead, ended: localized, found: Vec::new() };
        match self.search(project, &cause, candidates, course, &mut early.screen) {
            Ok(found) => {
                early.fixes = found.fixes;
                early.cpu = found.cpu;
                // The search after this one proposes them again.
                early.counts = SearchCounts { generated: 0, ..found.counts };
            }
            Err(error) if error.ends_all() => return Err(error),
            Err(error) => tracing::debug!(%error, "nothing was tried early"),
        }
        Ok(early)
    }
}
