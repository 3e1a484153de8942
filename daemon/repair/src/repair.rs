//! The whole way from failing tests to verified fixes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_runner::{Failure, Project, Selection, TestId};
use greenlit_syntax::Language;

use crate::baseline::Baseline;
use crate::locate::locate;
use crate::search::{Search, SearchCounts, SearchEvent, SearchLimits, VerifiedFix};
use crate::verdict::BaselineOutcome;
use crate::verify::SandboxVerifier;
use crate::workbench::{WorkError, Workbench};
use crate::{FaultContext, Generator, Localization};

/// Bounds of a repair.
#[derive(Debug, Clone, Copy)]
pub struct RepairLimits {
    /// Time for localization and candidates.
    pub budget: Duration,
    /// Enough fixes.
    pub max_fixes: usize,
    /// Candidates tried at once.
    pub jobs: usize,
}

/// A repair of failing tests on one view.
pub struct Repair<'a> {
    /// Opens the sandboxes.
    pub bench: &'a Workbench,
    /// What fails.
    pub baseline: &'a Baseline,
    /// What the baseline ran: verification runs the same.
    pub selection: &'a Selection,
    /// Failing tests to turn green.
    pub targets: &'a [TestId],
    /// Proposes candidates.
    pub generator: &'a (dyn Generator + Sync),
    /// Bounds.
    pub limits: RepairLimits,
    /// Whether every input is still what the baseline saw.
    pub inputs_unchanged: &'a (dyn Fn() -> bool + Sync),
    /// Hears of progress; called from several threads.
    pub on_event: &'a (dyn Fn(RepairEvent) + Sync),
}

/// What a repair tells while it runs.
#[derive(Debug, Clone)]
pub enum RepairEvent {
    /// The suspicious lines are known.
    Localized(Localization),
    /// The search goes on.
    Search(SearchEvent),
}

/// What a repair found.
#[derive(Debug, Clone, Default)]
pub struct RepairOutcome {
    /// Best first.
    pub fixes: Vec<VerifiedFix>,
    /// The suspicious lines of every project with targets, merged.
    pub localization: Option<Localization>,
    /// Time to the suspicious lines.
    pub localized: Duration,
    /// What became of the candidates.
    pub counts: SearchCounts,
    /// CPU time of screening, and of the verification of what it found.
    pub cpu: Duration,
    /// Whether time ran out before the candidates did.
    pub out_of_time: bool,
}

impl Repair<'_> {
    /// Looks for fixes, project by project.
    ///
    /// # Errors
    /// When nothing could be tried at all.
    pub fn run(&self) -> Result<RepairOutcome, WorkError> {
        let started = Instant::now();
        let deadline = started + self.limits.budget;
        let mut outcome = RepairOutcome::default();
        for project in &self.baseline.projects {
            let failures = self.failures_of(&project.project);
            if failures.is_empty() {
                continue;
            }
            self.repair_project(&project.project, &failures, deadline, &mut outcome)?;
        }
        Ok(outcome)
    }

    fn failures_of(&self, project: &Project) -> Vec<(TestId, Failure)> {
        let targets = self.targets.iter().filter(|id| project.owns(id));
        targets
            .filter_map(|id| match self.baseline.tests.get(id) {
                Some(BaselineOutcome::Failed(failure)) => Some((id.clone(), failure.clone())),
                _ => None,
            })
            .collect()
    }

    fn repair_project(
        &self,
        project: &Project,
        failures: &[(TestId, Failure)],
        deadline: Instant,
        outcome: &mut RepairOutcome,
    ) -> Result<(), WorkError> {
        let started = Instant::now();
        let located = locate(self.bench, self.baseline, project, failures)?;
        outcome.localized += started.elapsed();
        (self.on_event)(RepairEvent::Localized(located.localization.clone()));
        let context = FaultContext {
            files: &located.files,
            neighbours: &[],
            localization: &located.localization,
        };
        let candidates = self.generator.candidates(&context);
        let targets: Vec<_> = failures.iter().map(|(id, _)| id.clone()).collect();
        let verifier = SandboxVerifier {
            bench: self.bench,
            baseline: self.baseline,
            selection: self.selection,
            inputs_unchanged: self.inputs_unchanged,
        };
        let search = Search {
            bench: self.bench,
            baseline: self.baseline,
            project,
            targets: &targets,
            verifier: &verifier,
            limits: SearchLimits {
                deadline,
                max_fixes: self.limits.max_fixes,
                jobs: self.limits.jobs,
            },
            on_event: &|event| (self.on_event)(RepairEvent::Search(event)),
        };
        let found = search.run(candidates)?;
        outcome.fixes.extend(found.fixes);
        merge(&mut outcome.counts, found.counts);
        outcome.cpu += found.cpu;
        outcome.out_of_time |= found.out_of_time;
        match &mut outcome.localization {
            Some(all) => all.lines.extend(located.localization.lines),
            none => *none = Some(located.localization),
        }
        Ok(())
    }
}

fn merge(all: &mut SearchCounts, more: SearchCounts) {
    all.generated += more.generated;
    all.rejected_static += more.rejected_static;
    all.built += more.built;
    all.run += more.run;
    all.verified += more.verified;
    for (reason, count) in more.fallen {
        *all.fallen.entry(reason).or_default() += count;
    }
}

/// Groups lines by file, in order of each file's most suspicious line.
pub(crate) fn files_by_suspicion(localization: &Localization) -> Vec<&Path> {
    let mut first = BTreeMap::new();
    for (index, line) in localization.lines.iter().enumerate() {
        first.entry(line.path.as_path()).or_insert(index);
    }
    let mut files: Vec<(&Path, usize)> = first.into_iter().collect();
    files.sort_by_key(|(_, index)| *index);
    files.into_iter().map(|(path, _)| path).collect()
}

/// Every file with code of a project, tests included, bounded.
pub(crate) fn code_files(project: &Project, limit: usize) -> Vec<PathBuf> {
    let walk = ignore::WalkBuilder::new(project.dir()).require_git(false).build();
    walk.filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(ignore::DirEntry::into_path)
        .filter(|path| is_code(project, path))
        .take(limit)
        .collect()
}

/// Whether a file has code of this project in a language that can be read.
pub(crate) fn is_code(project: &Project, path: &Path) -> bool {
    Language::from_path(path).is_some()
        && (project.is_source_file(path) || project.is_test_file(path))
}
