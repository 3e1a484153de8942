//! The whole way from failing tests to verified fixes.

mod early;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use greenlit_runner::{Project, Selection, TestId};

use self::early::Early;
use self::written::TEMPLATE_SHARE;
use crate::author::Author;
use crate::baseline::Baseline;
use crate::candidate::earlier_first;
use crate::causes::Failures;
use crate::changes::Changes;
use crate::compose::{on_top, union};
use crate::known::KnownFalls;
use crate::locate::{Cause, locate};
use crate::ranking::{Standing, Withheld, rank, strength, withhold, withhold_partial};
use crate::retrieval::{Gathered, Retrieved, Retriever, gather};
use crate::screen::Screen;
use crate::search::{
    Search, SearchCounts, SearchEvent, SearchLimits, SearchOutcome, Step, VerifiedFix,
};
use crate::verdict::BaselineOutcome;
use crate::verify::{SandboxVerifier, Verdict, Verifier};
use crate::workbench::{WorkError, Workbench};
use crate::{Candidate, FaultContext, Generator, Localization, SourceFile, patch};

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
    /// Asked, in this order, for what the generator's candidates did not mend.
    pub authors: &'a [Arc<dyn Author>],
    /// Finds code near the fault, which may lend; nobody waits for it.
    pub retriever: Option<Arc<dyn Retriever>>,
    /// What changed since tests passed, if that is known.
    pub changes: Option<&'a Changes>,
    /// Fixes of an earlier text, moved to this one: tried first.
    pub earlier: &'a [Candidate],
    /// Digest of every input of the view; `None` where nothing is to be known of other searches, nor left for them.
    pub inputs: Option<blake3::Hash>,
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
    /// The suspicious lines known so far.
    Localized(Localization),
    /// What may lend was found, or why not.
    Retrieved(Retrieved),
    /// This author is asked now.
    Asking(String),
    /// The search goes on.
    Search(SearchEvent),
}

/// What a repair found.
#[derive(Debug, Clone, Default)]
pub struct RepairOutcome {
    /// Best first.
    pub fixes: Vec<VerifiedFix>,
    /// Green, and not offered.
    pub withheld: Vec<Withheld>,
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

/// How one search goes.
struct Course<'a> {
    deadline: Instant,
    jobs: usize,
    /// Whether the first candidates are verified while many are built: nothing else goes on.
    ahead: bool,
    ended: Option<&'a AtomicBool>,
    /// Fixes that an earlier one found.
    found: Vec<VerifiedFix>,
}

/// First edits on which second ones are tried.
const STEPS: usize = 6;
/// What single edits get of the time of a cause before second ones are tried as well.
const FIRST_SHARE: f64 = 0.6;
/// Second edits tried on each.
const SECOND_EDITS: usize = 150;

/// What the causes of newly broken tests count for, where others are older.
const NEW: f64 = 4.0;

/// The first cause's share of the time that is left for all of these.
fn share(causes: &[Cause]) -> f64 {
    let weight = |cause: &Cause| if cause.localization.changed { NEW } else { 1.0 };
    let all: f64 = causes.iter().map(weight).sum();
    causes.first().map_or(0.0, |cause| weight(cause) / all)
}

impl Repair<'_> {
    /// Looks for fixes, project by project and cause by cause.
    ///
    /// # Errors
    /// When nothing could be tried at all, or an input changed.
    pub fn run(&self) -> Result<RepairOutcome, WorkError> {
        let deadline = Instant::now() + self.limits.budget;
        let mut outcome = RepairOutcome::default();
        for project in &self.baseline.projects {
            let failures = self.failures_of(&project.project);
            if !failures.is_empty() {
                self.repair_project(&project.project, failures, deadline, &mut outcome)?;
            }
        }
        Ok(outcome)
    }

    fn failures_of(&self, project: &Project) -> Failures {
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
        failures: Failures,
        deadline: Instant,
        outcome: &mut RepairOutcome,
    ) -> Result<(), WorkError> {
        let started = Instant::now();
        let (causes, Early { mut screen, mut fixes, counts, cpu }) =
            self.prepare(project, failures, deadline)?;
        outcome.localized += started.elapsed();
        outcome.counts.add(counts);
        outcome.cpu += cpu;
        for cause in &causes {
            match &mut outcome.localization {
                Some(all) => {
                    all.changed |= cause.localization.changed;
                    all.lines.extend(cause.localization.lines.iter().cloned());
                }
                none => *none = Some(cause.localization.clone()),
            }
        }
        if let Some(localization) = &mut outcome.localization {
            localization.lines.sort_by(|a, b| b.score.total_cmp(&a.score));
            (self.on_event)(RepairEvent::Localized(localization.clone()));
        }
        let mut found: Vec<VerifiedFix> = Vec::new();
        let mut errors = None;
        for (index, cause) in causes.iter().enumerate() {
            let mended = |id: &TestId| found.iter().any(|f| f.plausible.red_to_green.contains(id));
            if cause.failures.iter().all(|(id, _)| mended(id)) {
                continue;
            }
            // What one cause leaves of its share is the others'.
            let left = deadline.saturating_duration_since(Instant::now());
            let until = Instant::now() + left.mul_f64(share(&causes[index..]));
            let mends = |fix: &mut VerifiedFix| {
                cause.failures.iter().any(|(id, _)| fix.plausible.red_to_green.contains(id))
            };
            let own = fixes.extract_if(.., mends).collect();
            match self.repair_cause(project, cause, own, until, &mut screen, outcome) {
                Ok(fixes) => found.extend(fixes),
                Err(error) if error.ends_all() => return Err(error),
                Err(error) => errors = Some(error),
            }
        }
        if let (true, Some(error)) = (found.is_empty(), errors) {
            return Err(error);
        }
        let together = self.together(&causes, &found)?;
        outcome.fixes.extend(together);
        outcome.fixes.extend(found);
        Ok(())
    }

    /// Localizes, and tries what is likely without spectra meanwhile.
    fn prepare<'p>(
        &'p self,
        project: &'p Project,
        failures: Failures,
        deadline: Instant,
    ) -> Result<(Vec<Cause>, Early<'p>), WorkError> {
        let localized = AtomicBool::new(false);
        let tried = self.try_change(project, &failures, deadline).transpose()?;
        std::thread::scope(|scope| {
            let trying = tried.is_none().then(|| {
                scope.spawn(|| self.try_early(project, &failures, deadline, Some(&localized)))
            });
            let gathering =
                scope.spawn(|| gather(self.bench, project, &failures, self.retriever.as_ref()));
            let mut gathered = None;
            let causes =
                locate(self.bench, self.baseline, project, failures.clone(), self.changes, || {
                    let done = gathering.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
                    gathered.insert(done).lenders.clone()
                });
            localized.store(true, Ordering::Relaxed);
            let join = |thread: ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            let early = trying.map(join).transpose()?.or(tried).unwrap_or_default();
            let mut causes = causes?;
            if let Some(retrieved) = gathered.as_ref().and_then(Gathered::retrieved) {
                causes.iter_mut().for_each(|cause| cause.lend(self.bench, project, &retrieved));
                (self.on_event)(RepairEvent::Retrieved(retrieved));
            }
            Ok((causes, early))
        })
    }

    /// Searches with one edit, and where that mends nothing, with two.
    fn repair_cause<'p>(
        &'p self,
        project: &'p Project,
        cause: &Cause,
        early: Vec<VerifiedFix>,
        deadline: Instant,
        screen: &mut Option<Screen<'p>>,
        outcome: &mut RepairOutcome,
    ) -> Result<Vec<VerifiedFix>, WorkError> {
        let context = FaultContext {
            files: &cause.files,
            neighbours: &cause.neighbours,
            retrieved: &cause.retrieved,
            localization: &cause.localization,
        };
        let started = Instant::now();
        let candidates = earlier_first(self.earlier, self.generator.candidates(&context));
        tracing::debug!(
            ms = started.elapsed().as_millis(),
            candidates = candidates.len(),
            "wrote candidates"
        );
        let targets: Vec<_> = cause.failures.iter().map(|(id, _)| id.clone()).collect();
        let whole = deadline.saturating_duration_since(Instant::now());
        let left = if self.authors.is_empty() { whole } else { whole.mul_f64(TEMPLATE_SHARE) };
        let until = Instant::now() + left;
        let first = Instant::now() + left.mul_f64(FIRST_SHARE);
        let jobs = self.limits.jobs;
        let course = Course { deadline: first, jobs, ahead: false, ended: None, found: early };
        let mut found = self.search(project, cause, candidates, course, screen)?;
        let whole = found.fixes.iter().any(|fix| found.mends_all(fix, &targets));
        let has_more = !found.steps.is_empty() || !found.untried.is_empty();
        if !whole && has_more {
            let mut rest = self.second_edits(cause, &found.steps, deadline);
            // They will be counted when they are tried.
            found.counts.generated -= found.untried.len() as u64;
            rest.append(&mut found.untried);
            let partial = std::mem::take(&mut found.fixes);
            let course =
                Course { deadline: until, jobs, ahead: false, ended: None, found: partial };
            let more = self.search(project, cause, rest, course, screen)?;
            found.fixes = more.fixes;
            found.flaky.extend(more.flaky);
            found.promising.extend(more.promising);
            found.out_of_time = more.out_of_time;
            found.cpu += more.cpu;
            found.counts.add(more.counts);
        }
        self.ask_authors(project, cause, deadline, screen, &mut found)?;
        outcome.cpu += found.cpu;
        outcome.out_of_time |= found.out_of_time;
        outcome.counts.add(found.counts);
        let red = targets.iter().filter(|id| !found.flaky.contains(*id)).collect();
        let executes = |id: &TestId, path: &Path, lines| cause.executes(id, path, lines);
        outcome.withheld.extend(withhold_partial(&mut found.fixes, &red, executes));
        let keep = self.limits.max_fixes;
        let (bench, baseline) = (self.bench, self.baseline);
        let mut fixes =
            rank(bench, baseline, project, &targets, found.fixes, &found.promising, keep);
        loop {
            self.judge_tests(project, cause, &mut fixes)?;
            let withheld = withhold(&mut fixes);
            if withheld.is_empty() {
                return Ok(fixes);
            }
            // Another fix is the first one now.
            outcome.withheld.extend(withheld);
        }
    }

    /// Finds out how strong the tests are around the first fix.
    fn judge_tests(
        &self,
        project: &Project,
        cause: &Cause,
        fixes: &mut [VerifiedFix],
    ) -> Result<(), WorkError> {
        let unjudged = fixes.first_mut().filter(|fix| fix.standing.strength.is_none());
        let Some(best) = unjudged else { return Ok(()) };
        let (bench, baseline, generator) = (self.bench, self.baseline, self.generator);
        match strength(bench, baseline, project, generator, best, &cause.guards) {
            Ok(strength) => best.standing.strength = strength,
            Err(WorkError::Cancelled) => return Err(WorkError::Cancelled),
            Err(error) => tracing::debug!(%error, "the tests' strength is not known"),
        }
        Ok(())
    }

    fn search<'p>(
        &'p self,
        project: &'p Project,
        cause: &Cause,
        candidates: Vec<Candidate>,
        course: Course<'_>,
        screen: &mut Option<Screen<'p>>,
    ) -> Result<SearchOutcome, WorkError> {
        let targets: Vec<_> = cause.failures.iter().map(|(id, _)| id.clone()).collect();
        let falls = self.bench.sandbox.store.join("falls");
        let known = self.state(&targets).map(|state| KnownFalls::open(&falls, &state));
        let known = known.unwrap_or_default();
        let quick = SandboxVerifier { quick: true, ..self.verifier() };
        let search = Search {
            bench: self.bench,
            baseline: self.baseline,
            project,
            targets: &targets,
            verifier: &self.verifier(),
            ahead: course.ahead.then_some(&quick),
            known: &known,
            limits: SearchLimits {
                deadline: course.deadline,
                max_fixes: self.limits.max_fixes,
                jobs: course.jobs,
            },
            ended: course.ended,
            on_event: &|event| (self.on_event)(RepairEvent::Search(event)),
        };
        let found = search.run_in(candidates, course.found, screen);
        known.save();
        found
    }

    /// Everything that decides how a candidate ends in screening.
    fn state(&self, targets: &[TestId]) -> Option<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
        hasher.update(self.inputs?.as_bytes());
        for project in &self.baseline.projects {
            hasher.update(project.project.label().as_bytes()).update(b"\0");
        }
        for id in targets {
            hasher.update(id.0.as_bytes()).update(b"\0");
        }
        Some(hasher.finalize())
    }

    /// Candidates for the texts that the most promising first edits left, as far as there is time to
    /// write them: large files take a while.
    fn second_edits(&self, cause: &Cause, steps: &[Step], deadline: Instant) -> Vec<Candidate> {
        let text_of = |path: &Path| self.bench.subject.text(path);
        let mut all = Vec::new();
        for step in steps.iter().take(STEPS) {
            if Instant::now() >= deadline {
                break;
            }
            let after = |file: &SourceFile| {
                let patched = step.files.iter().find(|patched| patched.path == file.path);
                let text = patched.map_or(file.text.clone(), |p| p.after.as_str().into());
                SourceFile { path: file.path.clone(), text }
            };
            let files: Vec<_> = cause.files.iter().map(after).collect();
            let context = FaultContext {
                files: &files,
                neighbours: &cause.neighbours,
                retrieved: &cause.retrieved,
                localization: &cause.localization,
            };
            let second = self.generator.candidates(&context).into_iter().take(SECOND_EDITS);
            let first = (&step.candidate, &*step.files);
            all.extend(second.filter_map(|second| on_top(first, &second, &text_of)));
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all
    }

    fn verifier(&self) -> SandboxVerifier<'_> {
        SandboxVerifier {
            bench: self.bench,
            baseline: self.baseline,
            selection: self.selection,
            inputs_unchanged: self.inputs_unchanged,
            quick: false,
        }
    }

    /// The best fixes of several causes as one, verified as one.
    fn together(
        &self,
        causes: &[Cause],
        found: &[VerifiedFix],
    ) -> Result<Option<VerifiedFix>, WorkError> {
        let mends = |fix: &VerifiedFix, cause: &Cause| {
            cause.failures.iter().any(|(id, _)| fix.plausible.red_to_green.contains(id))
        };
        let mut best: Vec<&Candidate> = Vec::new();
        for cause in causes {
            let fix = found.iter().find(|fix| mends(fix, cause));
            best.extend(fix.map(|fix| &fix.candidate).filter(|c| !best.contains(c)));
        }
        let Some(candidate) = union(&best) else { return Ok(None) };
        let text_of = |path: &Path| self.bench.subject.text(path);
        let Ok(files) = patch::apply(&candidate.edits, &text_of) else { return Ok(None) };
        let most = found.iter().map(|fix| fix.plausible.red_to_green.len()).max().unwrap_or(0);
        match self.verifier().verify(&files)? {
            Verdict::Plausible(plausible) if plausible.red_to_green.len() > most => {
                let standing = Standing::default();
                Ok(Some(VerifiedFix { files, candidate, plausible, standing }))
            }
            Verdict::Plausible(_) | Verdict::Fallen(_) => Ok(None),
        }
    }
}
