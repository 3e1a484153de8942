//! Diagnostics as targets: a patch that makes one go away, adds none, and leaves the tests as green
//! as they were.
//!
//! The checker's own suggestions are tried first. Templates follow for errors only: a warning that
//! goes away because a template changed what untested code does is worse than the warning.
//!
//! Invariant: only a patch that was checked from scratch in a fresh sandbox leaves here as a fix,
//! and what was not run on it is counted nowhere.

mod candidates;
mod compare;
mod seen;
mod verify;

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_runner::{
    CheckDiagnostic, CheckRun, CheckState, Checker, Project, Selection, Severity,
};
use greenlit_sandbox::{CacheMode, FileWrite};

pub use seen::SeenDiagnostic;
pub use verify::{Checked, DiagnosticFall};

use crate::baseline::{Baseline, Purpose, baseline};
use crate::patch::{self, PatchedFile};
use crate::reject::{Author, Rejector};
use crate::search::SearchCounts;
use crate::verify::writes;
use crate::workbench::{Bench, WorkError, Workbench};
use crate::{Candidate, Generator};

use compare::compare;
use verify::Verification;

/// Looks for fixes of diagnostics that one checker reports.
pub struct DiagnosticRepair<'a> {
    /// Opens the sandboxes.
    pub bench: &'a Workbench,
    /// Reports the diagnostics.
    pub checker: &'a Checker,
    /// Every project of the root: their tests decide too.
    pub projects: &'a [Project],
    /// What was seen, all of this checker.
    pub seen: &'a [SeenDiagnostic],
    /// Proposes candidates where the checker has no suggestion.
    pub generator: &'a (dyn Generator + Sync),
    /// Time for candidates.
    pub budget: Duration,
    /// Enough fixes of one diagnostic.
    pub max_fixes: usize,
    /// Whether a fix may be offered although no test could be run on it.
    pub without_tests: bool,
    /// Whether every input is still what it was at the start.
    pub inputs_unchanged: &'a dyn Fn() -> bool,
    /// Hears of each fix as it is found, with the index of its diagnostic in `seen`.
    pub on_found: &'a dyn Fn(usize, &DiagnosticFix),
}

/// A patch that passed.
#[derive(Debug, Clone)]
pub struct DiagnosticFix {
    /// The changed files.
    pub files: Vec<PatchedFile>,
    /// The edits.
    pub candidate: Candidate,
    /// What was run on it.
    pub checked: Checked,
}

/// What became of one diagnostic.
#[derive(Debug, Clone, Default)]
pub struct TargetOutcome {
    /// As the checker reports it now; `None` when it does not.
    pub found: Option<CheckDiagnostic>,
    /// Best first.
    pub fixes: Vec<DiagnosticFix>,
    /// What became of the candidates.
    pub counts: SearchCounts,
}

/// What a repair found.
#[derive(Debug, Clone)]
pub struct DiagnosticOutcome {
    /// Whether the checker could report at all; else there are no targets.
    pub state: CheckState,
    /// One for each of `seen`, in that order.
    pub targets: Vec<TargetOutcome>,
    /// CPU time of checks and tests.
    pub cpu: Duration,
    /// Whether time ran out before the candidates did.
    pub out_of_time: bool,
}

/// What the work on all targets shares.
struct Search<'a> {
    repair: &'a DiagnosticRepair<'a>,
    before: Vec<CheckDiagnostic>,
    /// Looked at by a checker of single files, before and after a patch.
    files: Vec<PathBuf>,
    /// The sandbox in which candidates are screened.
    screen: Bench,
    baseline: OnceCell<Baseline>,
    rejector: Rejector,
    deadline: Instant,
    cpu: Duration,
    out_of_time: bool,
    inputs_changed: bool,
}

impl DiagnosticRepair<'_> {
    /// Looks for fixes of every seen diagnostic that the checker reports too.
    ///
    /// # Errors
    /// When a sandbox or a tool could not be driven at all.
    pub fn run(&self) -> Result<DiagnosticOutcome, WorkError> {
        let deadline = Instant::now() + self.budget;
        let mut screen = self.open(CacheMode::Keep, &[])?;
        let files: BTreeSet<PathBuf> = self.seen.iter().map(|seen| seen.path.clone()).collect();
        let files: Vec<PathBuf> = files.into_iter().collect();
        let run = self.check(&mut screen, &files)?;
        let mut outcome = DiagnosticOutcome {
            state: run.state,
            targets: vec![TargetOutcome::default(); self.seen.len()],
            cpu: run.cpu,
            out_of_time: false,
        };
        if outcome.state != CheckState::Completed {
            return Ok(outcome);
        }
        // What a candidate leaves behind must not be kept.
        drop(screen);
        let mut search = Search {
            repair: self,
            before: run.diagnostics,
            files,
            screen: self.open(CacheMode::Discard, &[])?,
            baseline: OnceCell::new(),
            rejector: Rejector::default(),
            deadline,
            cpu: Duration::ZERO,
            out_of_time: false,
            inputs_changed: false,
        };
        for (seen, target) in self.seen.iter().zip(&mut outcome.targets) {
            target.found = seen.find(&search.before).cloned();
        }
        for (index, target) in outcome.targets.iter_mut().enumerate() {
            let Some(found) = target.found.clone() else { continue };
            let tool = self.checker.tool();
            search.try_all(index, &found, candidates::suggested(tool, &found), target)?;
        }
        for (index, target) in outcome.targets.iter_mut().enumerate() {
            let Some(found) = target.found.clone() else { continue };
            if target.fixes.is_empty() && found.severity == Severity::Error {
                let proposed = candidates::proposed(self.bench, self.generator, &found);
                search.try_all(index, &found, proposed, target)?;
            }
        }
        outcome.cpu += search.cpu + search.baseline.get().map(|b| b.cpu).unwrap_or_default();
        outcome.out_of_time = search.out_of_time;
        if search.inputs_changed {
            outcome.targets.iter_mut().for_each(|target| target.fixes.clear());
        }
        Ok(outcome)
    }

    fn open(&self, mode: CacheMode, patch: &[FileWrite]) -> Result<Bench, WorkError> {
        self.bench.open_with(self.checker.needs(&self.bench.sandbox.store, mode), patch)
    }

    fn check(&self, open: &mut Bench, files: &[PathBuf]) -> Result<CheckRun, WorkError> {
        let wall = self.bench.walls.build;
        let run = self.checker.run(&mut open.sandbox, files, wall);
        run.map_err(|error| self.bench.run_error(error))
    }
}

impl Search<'_> {
    fn try_all(
        &mut self,
        index: usize,
        found: &CheckDiagnostic,
        candidates: Vec<Candidate>,
        target: &mut TargetOutcome,
    ) -> Result<(), WorkError> {
        let mut tried = BTreeSet::new();
        for candidate in candidates {
            self.repair.bench.check()?;
            if target.fixes.len() >= self.repair.max_fixes || self.inputs_changed {
                return Ok(());
            }
            if Instant::now() >= self.deadline {
                self.out_of_time = true;
                return Ok(());
            }
            let text_of = |path: &Path| self.repair.bench.subject.text(path);
            target.counts.generated += 1;
            let Ok(files) = patch::apply(&candidate.edits, &text_of) else {
                refuse(&mut target.counts, "rejected: edits do not fit");
                continue;
            };
            let after: Vec<_> = files.iter().map(|f| (f.path.clone(), f.after.clone())).collect();
            if !tried.insert(after) {
                target.counts.generated -= 1;
                continue;
            }
            let author = match candidate.source.tier.as_str() {
                candidates::CHECKER => Author::Checker,
                _ => Author::Search,
            };
            if let Some(reason) = self.reject(&files, author) {
                refuse(&mut target.counts, &format!("rejected: {reason}"));
                continue;
            }
            target.counts.built += 1;
            target.counts.run += 1;
            let checked = match self.screen(found, &files)? {
                Ok(()) => self.verify(found, &files)?,
                Err(fall) => Err(fall),
            };
            match checked {
                Ok(checked) => {
                    target.counts.verified += 1;
                    let fix = DiagnosticFix { files, candidate, checked };
                    (self.repair.on_found)(index, &fix);
                    target.fixes.push(fix);
                }
                Err(fall) => {
                    self.inputs_changed |= fall.inputs_changed();
                    *target.counts.fallen.entry(fall.label()).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    fn reject(&mut self, files: &[PatchedFile], author: Author) -> Option<String> {
        let projects = self.repair.projects;
        let is_test = |path: &Path| projects.iter().any(|project| project.is_test_file(path));
        let subject = &self.repair.bench.subject;
        self.rejector.reject(subject, files, &is_test, author).map(|reason| reason.to_string())
    }

    /// Checks a candidate in the warm sandbox, and takes it out again. Never a verdict.
    fn screen(
        &mut self,
        found: &CheckDiagnostic,
        files: &[PatchedFile],
    ) -> Result<Result<(), DiagnosticFall>, WorkError> {
        self.put(&writes(files))?;
        let run = self.repair.check(&mut self.screen, &self.files);
        let run = run?;
        let before = files.iter().map(|file| FileWrite {
            path: file.path.clone(),
            content: Some(file.before.as_bytes().to_vec()),
        });
        self.put(&before.collect::<Vec<_>>())?;
        self.cpu += run.cpu;
        Ok(self.judge(found, files, &run).map(|_| ()))
    }

    fn put(&mut self, files: &[FileWrite]) -> Result<(), WorkError> {
        let written = self.screen.sandbox.write(files);
        written.map_err(|error| self.repair.bench.run_error(error.into()))
    }

    fn judge(
        &self,
        found: &CheckDiagnostic,
        files: &[PatchedFile],
        run: &CheckRun,
    ) -> Result<u32, DiagnosticFall> {
        if run.state != CheckState::Completed {
            return Err(DiagnosticFall::NotChecked);
        }
        compare(self.repair.checker.tool(), &self.before, found, files, &run.diagnostics)
    }

    fn verify(
        &mut self,
        found: &CheckDiagnostic,
        files: &[PatchedFile],
    ) -> Result<Result<Checked, DiagnosticFall>, WorkError> {
        let repair = self.repair;
        let started = Instant::now();
        let mut fresh = repair.open(CacheMode::Discard, &writes(files))?;
        let run = repair.check(&mut fresh, &self.files)?;
        self.cpu += run.cpu;
        let revealed = match self.judge(found, files, &run) {
            Ok(revealed) => revealed,
            Err(fall) => return Ok(Err(fall)),
        };
        let layer = fresh.sandbox.layer();
        drop(fresh);
        let baseline = self.baseline()?;
        let verification = Verification { repair, baseline, found };
        let mut checked = match verification.run_tests(files, layer)? {
            Ok(checked) => checked,
            Err(fall) => return Ok(Err(fall)),
        };
        self.cpu += checked.cpu;
        checked.cpu += run.cpu;
        checked.revealed = revealed;
        checked.wall = started.elapsed();
        Ok(Ok(checked))
    }

    /// What the tests say without a patch; they run when the first candidate deserves it.
    fn baseline(&self) -> Result<&Baseline, WorkError> {
        if let Some(known) = self.baseline.get() {
            return Ok(known);
        }
        let run =
            baseline(self.repair.bench, self.repair.projects, &Selection::All, Purpose::Report)?;
        Ok(self.baseline.get_or_init(|| run))
    }
}

fn refuse(counts: &mut SearchCounts, label: &str) {
    counts.rejected_static += 1;
    *counts.fallen.entry(label.to_owned()).or_default() += 1;
}
