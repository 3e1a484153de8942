//! Carries out one job from its fixed input.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use greenlit_protocol::{
    ErrorKind, FixReport, Notice, OfferedFix, ProgressStage, RemoteError, TestReport,
};
use greenlit_repair::{
    Author, Baseline, BaselineOutcome, Changes, Localization, Purpose, Repair, RepairEvent,
    RepairLimits, RepairOutcome, Retrieved, SearchCounts, SearchEvent, TemplateGenerator,
    VerifiedFix, Workbench, baseline,
};
use greenlit_runner::{Detection, Project, Selection, TestId, detect};
use greenlit_workspace::{Inputs, ScanError, StatCache, View, chain};

use super::earlier::{Origins, Rebased};
use super::findings::{findings, offered};
use super::green::Green;
use super::near::{near, suspected};
use super::problem::{project_error, remote_error};
use super::record::Recorded;
use super::reports;
use super::setup::patterns;
use super::{Answer, JobInput, JobNews, JobResult, TestsRun, Work, notices, unrun};
use crate::tiers::Asked;

pub(super) type News<'a> = &'a (dyn Fn(JobNews) + Sync);

/// Runs a job to its end.
pub(crate) fn run(input: &JobInput, news: News<'_>) -> JobResult {
    let asked = match &input.work {
        Work::Fix { tier, .. } => input.tiers.authors(
            *tier,
            input.config.fix.tier,
            &input.environment,
            input.view.root(),
            &patterns(input.view.root(), &input.config.paths.local),
            &input.cancel,
        ),
        _ => Asked::default(),
    };
    let (started, known) = (Instant::now(), Mutex::new(Known::default()));
    let (rebased, recorded) = (OnceLock::new(), OnceLock::new());
    let job = Job { input, news, started, asked, rebased, known, recorded };
    let answer = job.run();
    let calls: Vec<_> = job.asked.authors.iter().map(|author| author.record()).collect();
    job.end_record(&answer, job.known().retrieved.clone().as_ref(), &calls);
    let known = std::mem::take(&mut *job.known());
    let cancelled = matches!(&answer, Err(error) if error.kind == ErrorKind::Cancelled);
    let unchanged = matches!(&answer, Ok(Answer::Unchanged));
    let keeps_findings =
        matches!(input.work, Work::Diagnose { .. } | Work::Replay(_) | Work::Faults { .. });
    let count = |wanted: fn(&BaselineOutcome) -> bool| {
        let tests = known.baseline.iter().flat_map(|baseline| baseline.tests.values());
        u32::try_from(tests.filter(|outcome| wanted(outcome)).count()).unwrap_or(u32::MAX)
    };
    JobResult {
        passed: count(|outcome| *outcome == BaselineOutcome::Passed),
        failing: count(|outcome| matches!(outcome, BaselineOutcome::Failed(_))),
        findings: (!cancelled && !unchanged && !keeps_findings)
            .then(|| known.findings(job.origins())),
        inputs: known.inputs.filter(|_| answer.is_ok()),
        answer,
        earlier: job.kept(known.fixes),
    }
}

pub(super) struct Job<'a> {
    pub(super) input: &'a JobInput,
    pub(super) news: News<'a>,
    pub(super) started: Instant,
    /// Who is asked what templates do not mend.
    pub(super) asked: Asked,
    /// Fixes of earlier texts, moved to those of now.
    pub(super) rebased: OnceLock<Vec<Rebased>>,
    known: Mutex<Known>,
    /// What was recorded, once there is a search.
    pub(super) recorded: OnceLock<Recorded>,
}

/// What the job found so far.
#[derive(Default)]
struct Known {
    /// Digest of the inputs at the start.
    inputs: Option<blake3::Hash>,
    baseline: Option<Baseline>,
    localization: Option<Localization>,
    /// What the index lent, if it was asked.
    retrieved: Option<Retrieved>,
    fixes: Vec<VerifiedFix>,
    /// Failing tests that are to be mended.
    targets: u32,
}

/// The run of the tests before the repair.
struct Ran<'a> {
    baseline: &'a Baseline,
    selection: &'a Selection,
    inputs: &'a Inputs,
}

impl Known {
    fn findings(&self, origins: Origins<'_>) -> Vec<greenlit_protocol::Finding> {
        let Some(baseline) = &self.baseline else { return Vec::new() };
        let offered = offered(origins, baseline, &self.fixes, self.retrieved.as_ref());
        findings(&origins.input.view, baseline, self.localization.as_ref(), &offered)
    }
}

impl Job<'_> {
    fn run(&self) -> Result<Answer, RemoteError> {
        let root = self.input.view.root();
        let inputs = self.scan()?;
        if let Work::Diagnose { done, new } = &self.input.work {
            self.known().inputs = Some(inputs.digest());
            return self.diagnose(done, new, &inputs);
        }
        if let Work::Replay(kept) = &self.input.work {
            return self.replay(kept, &inputs);
        }
        if let Work::Faults { faults, what } = &self.input.work {
            return self.faults(faults, what);
        }
        if self.input.unless == Some(inputs.digest()) {
            return Ok(Answer::Unchanged);
        }
        self.known().inputs = Some(inputs.digest());
        (self.news)(JobNews::Inputs(inputs.digest()));
        let Detection { projects, problems } = detect(root, &self.input.environment);
        let mut notices: Vec<_> = problems
            .iter()
            .map(|problem| Notice { kind: "runner".into(), message: problem.message.clone() })
            .collect();
        if projects.is_empty() {
            return Err(no_runner(&notices));
        }
        if self.input.waited_for {
            notices.extend(unrun::doctests(&projects, &inputs, &self.input.view));
        }
        let bench = self.workbench()?;
        let selection = self.selection();
        let title = "Running tests".to_owned();
        (self.news)(JobNews::Progress(ProgressStage::Begin { title }));
        let purpose = match self.input.work {
            Work::Fix { .. } => Purpose::Repair { at_once: self.input.green.is_some() },
            _ => Purpose::Report,
        };
        let baseline =
            baseline(&bench, &projects, &selection, purpose).map_err(|e| remote_error(&e))?;
        if baseline.projects.is_empty() {
            // Located build errors are shown in the editor; the person who asked gets the error.
            let error = baseline.problems.first().map(project_error);
            self.known().baseline = Some(baseline);
            return Err(error.unwrap_or_else(|| self.unknown_tests(&[])));
        }
        self.check_unchanged(&inputs)?;
        self.known().baseline = Some(baseline.clone());
        let complete = matches!(selection, Selection::All) && baseline.problems.is_empty();
        let before = self.input.green.as_deref();
        let green =
            || Green::after(before, &baseline, &projects, &inputs, &bench.subject).map(Arc::new);
        (self.news)(JobNews::Tests(TestsRun {
            complete,
            tests: reports::test_entries(root, &baseline),
            green: if complete { green() } else { None },
            layer: layer(&baseline),
        }));
        self.tell_findings();
        match &self.input.work {
            Work::Test { tests } => {
                self.check_known(&baseline, tests)?;
                Ok(Answer::Test(self.test_report(&projects, &baseline, notices)))
            }
            Work::Fix { tests, .. } => {
                self.check_known(&baseline, tests)?;
                let changes =
                    || before.map(|green| green.since(&projects, &inputs, &bench.subject));
                let ran = Ran { baseline: &baseline, selection: &selection, inputs: &inputs };
                self.fix(&bench, &ran, &changes, notices)
            }
            Work::Diagnose { .. } | Work::Replay(_) | Work::Faults { .. } => {
                unreachable!("answered above")
            }
        }
    }

    fn fix(
        &self,
        bench: &Workbench,
        ran: &Ran<'_>,
        changes: &dyn Fn() -> Option<Changes>,
        mut notices: Vec<Notice>,
    ) -> Result<Answer, RemoteError> {
        let Ran { baseline, selection, inputs } = *ran;
        let Work::Fix { tests, budget_secs, .. } = &self.input.work else {
            unreachable!("only called for fix jobs");
        };
        let targets: Vec<TestId> = baseline
            .failing()
            .map(|(id, _)| id.clone())
            .filter(|id| tests.is_empty() || tests.contains(&id.0))
            .collect();
        notices.extend(self.notices(baseline, tests));
        let mut outcome = RepairOutcome::default();
        if !targets.is_empty() {
            let failing = u32::try_from(targets.len()).unwrap_or(u32::MAX);
            self.known().targets = failing;
            self.begin_test_record(inputs, baseline, &targets);
            (self.news)(JobNews::Fixing { failing, asking: None });
            self.asked.authors.iter().for_each(|author| author.prepare());
            let budget = budget_secs.unwrap_or(self.input.config.fix.budget_secs);
            let authors: Vec<Arc<dyn Author>> =
                self.asked.authors.iter().map(|author| author.clone() as Arc<dyn Author>).collect();
            let rebased = self.rebased.get_or_init(|| self.rebase(bench, &targets));
            let earlier: Vec<_> = rebased.iter().map(|one| one.candidate.clone()).collect();
            let changes = changes();
            let repair = Repair {
                bench,
                baseline,
                selection,
                targets: &targets,
                generator: &TemplateGenerator,
                authors: &authors,
                retriever: self.input.index.clone().map(|index| near(index, &self.input.view)),
                changes: changes.as_ref(),
                earlier: &earlier,
                inputs: Some(inputs.digest()),
                limits: RepairLimits {
                    budget: Duration::from_secs(budget),
                    max_fixes: self.input.config.fix.max_fixes.max(1) as usize,
                    jobs: self.jobs(),
                },
                inputs_unchanged: &|| self.scan().is_ok_and(|now| now.digest() == inputs.digest()),
                on_event: &|event| self.on_event(event),
            };
            let repaired = repair.run();
            // It names what changed.
            self.check_unchanged(inputs)?;
            outcome = repaired.map_err(|error| remote_error(&error))?;
        }
        if outcome.out_of_time && outcome.fixes.is_empty() {
            let message = format!(
                "the time for candidates ended after {} of {}; `--budget` or `fix.budget_secs` gives more",
                outcome.counts.run,
                outcome.counts.generated - outcome.counts.rejected_static
            );
            notices.push(Notice { kind: "budget".into(), message });
        }
        notices.extend(notices::left_alone(outcome.localization.as_ref(), &bench.subject));
        notices.extend(outcome.withheld.iter().map(notices::withheld));
        notices.extend(self.asked.notices.iter().cloned());
        for record in self.asked.authors.iter().map(|author| author.record()) {
            notices.extend(notices::unasked(&record));
            notices.extend(notices::unusable(&record));
        }
        Ok(self.fix_answer(baseline, &targets, outcome, notices))
    }

    fn fix_answer(
        &self,
        baseline: &Baseline,
        targets: &[TestId],
        outcome: RepairOutcome,
        notices: Vec<Notice>,
    ) -> Answer {
        let root = self.input.view.root();
        self.record_counts(&outcome.counts);
        let retrieved = self.known().retrieved.clone();
        let offered = self.offered(baseline, &outcome.fixes, retrieved.as_ref());
        let cpu = baseline.cpu + outcome.cpu;
        let localized = baseline.wall + outcome.localized;
        let stats = reports::stats(localized, &outcome.counts, self.started.elapsed(), cpu);
        for fix in &offered {
            self.tell_evidence(
                fix,
                baseline,
                outcome.localization.as_ref(),
                &outcome.counts,
                &stats,
            );
        }
        let localization = outcome.localization.as_ref();
        let localization = localization.map(|found| reports::localization(root, found));
        let mut known = self.known();
        known.fixes = outcome.fixes;
        known.localization = outcome.localization;
        let failing = baseline.failing().filter(|(id, _)| targets.contains(id));
        Answer::Fix {
            report: FixReport {
                root: root.to_owned(),
                revision: self.input.revision,
                failing: failing
                    .map(|(id, failure)| reports::failing_test(root, id, failure))
                    .collect(),
                fixes: offered.iter().map(|fix| fix.entry.clone()).collect(),
                localization,
                stats,
            },
            offered,
            notices,
        }
    }

    fn on_event(&self, event: RepairEvent) {
        match event {
            RepairEvent::Localized(localization) => {
                let mut known = self.known();
                let suspected = suspected(&localization, known.baseline.as_ref());
                known.localization = Some(localization);
                drop(known);
                (self.news)(JobNews::Suspected(suspected));
                self.tell_findings();
            }
            RepairEvent::Retrieved(retrieved) => {
                let mut known = self.known();
                let all = known.retrieved.get_or_insert_default();
                all.passages.extend(retrieved.passages);
                all.degraded = all.degraded.take().or(retrieved.degraded);
            }
            RepairEvent::Asking(who) => {
                let failing = self.known().targets;
                let stage =
                    ProgressStage::Report { message: format!("asking {who}"), percentage: None };
                (self.news)(JobNews::Progress(stage));
                (self.news)(JobNews::Fixing { failing, asking: Some(who) });
            }
            RepairEvent::Search(SearchEvent::Tried { tried, of, found }) => {
                let percentage = (tried * 100).checked_div(of).and_then(|p| u32::try_from(p).ok());
                let message = format!("{tried} of {of} candidates, {found} verified");
                (self.news)(JobNews::Progress(ProgressStage::Report { message, percentage }));
            }
            RepairEvent::Search(SearchEvent::Judged { candidate, fell, reason, failure }) => {
                self.record_fall(&candidate, fell, reason, failure);
            }
            RepairEvent::Search(SearchEvent::Found { fix, counts }) => {
                let mut known = self.known();
                known.fixes.push(*fix);
                let Some(baseline) = known.baseline.clone() else { return };
                let localization = known.localization.clone();
                let fixes = known.fixes.clone();
                let retrieved = known.retrieved.clone();
                drop(known);
                let elapsed = self.started.elapsed();
                for fix in self.offered(&baseline, &fixes, retrieved.as_ref()) {
                    let stats = reports::stats(Duration::ZERO, &counts, elapsed, Duration::ZERO);
                    self.tell_evidence(&fix, &baseline, localization.as_ref(), &counts, &stats);
                }
                self.tell_findings();
            }
        }
    }

    fn offered(
        &self,
        baseline: &Baseline,
        fixes: &[VerifiedFix],
        retrieved: Option<&Retrieved>,
    ) -> Vec<OfferedFix> {
        offered(self.origins(), baseline, fixes, retrieved)
    }

    fn tell_evidence(
        &self,
        fix: &OfferedFix,
        baseline: &Baseline,
        localization: Option<&Localization>,
        counts: &SearchCounts,
        stats: &greenlit_protocol::FixStats,
    ) {
        let root = self.input.view.root();
        let mut report =
            reports::evidence(root, fix, baseline, localization, counts, stats.clone());
        self.record_fix(fix, &report);
        // Not in the record: what is private, or redacted, would be in the rows of others.
        report.tried = self.tried();
        (self.news)(JobNews::Evidence(Box::new(report)));
    }

    fn tell_findings(&self) {
        let findings = self.known().findings(self.origins());
        (self.news)(JobNews::Findings(findings));
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn scan(&self) -> Result<Inputs, RemoteError> {
        inputs(&self.input.view, &self.input.stat_cache)
            .map_err(|error| RemoteError::new(ErrorKind::BadRequest, chain(&error)))
    }

    /// What was found holds only for the inputs that the job began with.
    pub(super) fn check_unchanged(&self, inputs: &Inputs) -> Result<(), RemoteError> {
        let changed = self.scan()?.changed(inputs);
        let Some(first) = changed.first() else { return Ok(()) };
        let mut known = self.known();
        known.fixes.clear();
        known.baseline = None;
        let message = format!("{} changed while the tests were running", first.display());
        Err(RemoteError::new(ErrorKind::InputsChanged, message)
            .hint("run again when the files are at rest"))
    }

    fn check_known(&self, baseline: &Baseline, tests: &[String]) -> Result<(), RemoteError> {
        let visible = match &self.input.work {
            Work::Fix { visible, .. } => visible.as_slice(),
            _ => &[],
        };
        let unknown: Vec<_> = tests
            .iter()
            .chain(visible)
            .filter(|id| !baseline.tests.contains_key(&TestId((*id).clone())))
            .cloned()
            .collect();
        if unknown.is_empty() { Ok(()) } else { Err(self.unknown_tests(&unknown)) }
    }

    fn unknown_tests(&self, unknown: &[String]) -> RemoteError {
        let which = if unknown.is_empty() { "these tests".into() } else { unknown.join(", ") };
        RemoteError::new(ErrorKind::BadRequest, format!("no runner reports {which}"))
            .hint("`greenlit test` lists the ids that exist")
    }

    fn notices(&self, baseline: &Baseline, tests: &[String]) -> Vec<Notice> {
        let mut notices: Vec<_> = baseline
            .problems
            .iter()
            .map(|problem| Notice {
                kind: "not-run".into(),
                message: project_error(problem).message,
            })
            .collect();
        for (id, outcome) in &baseline.tests {
            let asked = tests.contains(&id.0);
            match outcome {
                BaselineOutcome::Flaky => notices.push(Notice {
                    kind: "flaky-test".into(),
                    message: format!("{id} is flaky: it failed, and passed when run again"),
                }),
                BaselineOutcome::Passed if asked => notices.push(Notice {
                    kind: "already-green".into(),
                    message: format!("{id} passes already"),
                }),
                _ => {}
            }
        }
        notices
    }

    fn test_report(
        &self,
        projects: &[Project],
        baseline: &Baseline,
        mut notices: Vec<Notice>,
    ) -> TestReport {
        let root = self.input.view.root();
        notices.extend(self.notices(baseline, &[]));
        TestReport {
            root: root.to_owned(),
            revision: self.input.revision,
            tests: reports::test_entries(root, baseline),
            runners: projects.iter().map(Project::label).collect(),
            layer: layer(baseline).to_owned(),
            duration_ms: reports::millis(baseline.wall),
            cpu_ms: reports::millis(baseline.cpu),
            notices,
        }
    }
}

fn layer(baseline: &Baseline) -> &'static str {
    baseline.layer.map_or("none", reports::layer_name)
}

/// Everything that tests of a view can read.
pub(crate) fn inputs(view: &View, stat_cache: &Mutex<StatCache>) -> Result<Inputs, ScanError> {
    let mut cache = stat_cache.lock().unwrap_or_else(PoisonError::into_inner);
    Inputs::scan(view.root(), view, &mut cache)
}

pub(super) fn no_runner(notices: &[Notice]) -> RemoteError {
    if let Some(problem) = notices.first() {
        return RemoteError::new(ErrorKind::ToolMissing, problem.message.clone());
    }
    RemoteError::new(ErrorKind::NoRunner, "no test runner was found in this workspace").hint(
        "Greenlit runs cargo test, pytest, node --test and go test: is this the root of the \
         project? `--root DIR` names another",
    )
}
