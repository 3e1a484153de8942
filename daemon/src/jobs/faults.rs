//! Recorded faults, set up again: examples to train on, and what a model mends of them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use greenlit_evidence::Kept;
use greenlit_generate::{Demonstrator, Example, Role};
use greenlit_protocol::{
    DatasetPage, ErrorKind, Evaluation, EvaluationReport, FaultOutcome, LeftOut, ProgressStage,
    RemoteError, TraceMessage, TrainingExample,
};
use greenlit_repair::{
    Author, Baseline, Candidate, Edit, FaultContext, Generator, Purpose, Repair, RepairLimits,
    RepairOutcome, Workbench, apply, baseline,
};
use greenlit_runner::{Selection, TestId, detect};
use greenlit_workspace::{Inputs, View, chain};

use super::near::near;
use super::problem::remote_error;
use super::reports::millis;
use super::run::Job;
use super::setup::patterns;
use super::then::patch_of;
use super::{Answer, FaultsFor, JobNews};

/// Of so many faults one is held out.
const HELD_OUT: u8 = 4;
/// So often a fault is set up when files change under it.
const TRIES: usize = 2;

/// Whether datasets leave a fault out, so that evaluations can use it. The same fault has the same answer
/// for ever, whatever is recorded later.
pub(crate) fn is_held_out(kept: &Kept) -> bool {
    fault_of(kept).as_bytes()[0].is_multiple_of(HELD_OUT)
}

/// Which fault was mended, however and in whatever files: by the first of the tests that turned green. Faults that one
/// test found at different times count as one, so that nothing that was learnt of one of them judges.
pub(crate) fn fault_of(kept: &Kept) -> blake3::Hash {
    let mended = kept.evidence.as_ref().map(|report| &report.entry.evidence.red_to_green);
    let tests = mended.unwrap_or(&kept.search.tests);
    blake3::hash(tests.iter().min().map_or("", String::as_str).as_bytes())
}

/// Nobody proposes anything but the authors.
struct NoTemplates;

impl Generator for NoTemplates {
    fn candidates(&self, _context: &FaultContext<'_>) -> Vec<Candidate> {
        Vec::new()
    }
}

/// A fault as it was.
struct Fault {
    bench: Workbench,
    view: View,
    inputs: Inputs,
    baseline: Baseline,
    /// The tests that fail now and that the recorded patch mended.
    targets: Vec<TestId>,
    patch: Vec<Edit>,
}

/// Why a recorded fault is not used, or why nothing more is done.
enum Stop {
    LeftOut(String),
    Over(RemoteError),
}

impl From<RemoteError> for Stop {
    fn from(error: RemoteError) -> Self {
        match error.kind {
            ErrorKind::Cancelled | ErrorKind::SandboxUnavailable => Self::Over(error),
            _ => Self::LeftOut(error.message),
        }
    }
}

impl Job<'_> {
    pub(super) fn faults(&self, faults: &[Kept], what: &FaultsFor) -> Result<Answer, RemoteError> {
        match what {
            FaultsFor::Dataset { held_out, last } => {
                let page =
                    DatasetPage { held_out: *held_out, last: *last, ..DatasetPage::default() };
                self.dataset(faults, page)
            }
            FaultsFor::Evaluation { adapter, held_out } => {
                self.evaluate(faults, adapter, *held_out)
            }
        }
    }

    fn dataset(&self, faults: &[Kept], mut page: DatasetPage) -> Result<Answer, RemoteError> {
        self.begin("Setting up accepted fixes again");
        let root = self.input.view.root();
        let (model, reply, note) = self.input.tiers.example_model(root, &self.input.cancel);
        let config = &self.input.config;
        let mut private = config.evidence.private.clone();
        private.extend(config.paths.local.iter().cloned());
        let private = patterns(root, &private);
        page.notes.extend(note);
        for (index, kept) in faults.iter().enumerate() {
            self.report(index, faults.len());
            let example = self.each(kept, |fault| {
                let private = private.clone();
                let hidden = Arc::new(move |path: &Path| private.covers(path));
                let patch = fault.patch.clone();
                let shown = Arc::new(Demonstrator::new(model.clone(), reply, patch, hidden));
                self.repair(fault, shown.clone())?;
                let never = || Stop::LeftOut("no suspicious line is found".to_owned());
                shown.found().ok_or_else(never)?.map_err(|unfit| Stop::LeftOut(chain(&unfit)))
            });
            match example {
                Ok(example) => page.examples.push(line(kept, example)),
                Err(Stop::LeftOut(why)) => {
                    page.left_out.push(LeftOut { attempt: kept.entry.id, why });
                }
                Err(Stop::Over(error)) => return Err(error),
            }
        }
        Ok(Answer::Dataset(page))
    }

    fn evaluate(
        &self,
        faults: &[Kept],
        adapter: &str,
        held_out: bool,
    ) -> Result<Answer, RemoteError> {
        self.begin("Evaluating an adapter");
        let cancel = &self.input.cancel;
        let rivals = self.input.tiers.rivals(adapter)?;
        rivals.load(cancel)?;
        let mut report = EvaluationReport {
            adapter: rivals.adapter().to_owned(),
            model: rivals.model().to_owned(),
            root: self.input.view.root().to_owned(),
            evaluation: Evaluation { held_out, ..Evaluation::default() },
            outcomes: Vec::new(),
            left_out: Vec::new(),
            elapsed_ms: 0,
        };
        for (index, kept) in faults.iter().enumerate() {
            self.report(index, faults.len());
            let mends = |fault: &Fault, with: bool| -> Result<bool, Stop> {
                let author = rivals.author(with, cancel)?;
                let outcome = self.repair(fault, author.clone())?;
                let record = author.record();
                if let Some(why) = record.unreached() {
                    return Err(Stop::Over(RemoteError::new(ErrorKind::BadRequest, why)));
                }
                let mended = !outcome.fixes.is_empty();
                match record.failed().filter(|_| !mended) {
                    Some(why) => Err(Stop::LeftOut(format!("a call of the model failed: {why}"))),
                    None if record.attempts.is_empty() => {
                        let why = "the model is not asked: the prompt does not fit it, or no line is suspected";
                        Err(Stop::LeftOut(why.to_owned()))
                    }
                    None => Ok(mended),
                }
            };
            let both = self.each(kept, |fault| Ok((mends(fault, true)?, mends(fault, false)?)));
            let attempt = kept.entry.id;
            match both {
                Ok((with, without)) => {
                    let sums = &mut report.evaluation;
                    sums.faults += 1;
                    sums.with += u32::from(with);
                    sums.without += u32::from(without);
                    report.outcomes.push(FaultOutcome { attempt, with, without });
                }
                Err(Stop::LeftOut(why)) => report.left_out.push(LeftOut { attempt, why }),
                Err(Stop::Over(error)) => return Err(error),
            }
        }
        report.elapsed_ms = millis(self.started.elapsed());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        report.evaluation.at_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        if report.evaluation.faults == 0 {
            let why = report.left_out.first().map(|left| format!(": {}", left.why));
            let message =
                format!("none of the recorded faults can be set up{}", why.unwrap_or_default());
            return Err(RemoteError::new(ErrorKind::BadRequest, message));
        }
        rivals.keep(&report)?;
        Ok(Answer::Evaluated(report))
    }

    fn begin(&self, title: &str) {
        (self.news)(JobNews::Progress(ProgressStage::Begin { title: title.to_owned() }));
    }

    fn report(&self, done: usize, all: usize) {
        let percentage = (done * 100).checked_div(all).and_then(|part| u32::try_from(part).ok());
        let message = format!("{done} of {all} faults");
        (self.news)(JobNews::Progress(ProgressStage::Report { message, percentage }));
    }

    /// Does something with a fault as it was; once more where files change meanwhile.
    fn each<T>(&self, kept: &Kept, work: impl Fn(&Fault) -> Result<T, Stop>) -> Result<T, Stop> {
        let mut left = TRIES;
        loop {
            let done = self.set_up(kept).and_then(|fault| {
                let done = work(&fault)?;
                match self.inputs_of(&fault.view)?.digest() == fault.inputs.digest() {
                    true => Ok(Some(done)),
                    false => Ok(None),
                }
            });
            left -= 1;
            match done {
                Ok(Some(done)) => return Ok(done),
                Err(stop) => return Err(stop),
                Ok(None) if left == 0 => {
                    return Err(Stop::LeftOut("files changed while it was tried".to_owned()));
                }
                Ok(None) => {}
            }
        }
    }

    fn set_up(&self, kept: &Kept) -> Result<Fault, Stop> {
        let left_out = |why: &str| Stop::LeftOut(why.to_owned());
        let (view, _) = self.view_of_then(kept);
        let patch = patch_of(kept, view.root());
        if apply(&patch, &|path| view.read_text(path).ok()).is_err() {
            return Err(left_out("its files are others by now, and their texts are not kept"));
        }
        let bench = self.bench_of(&view)?;
        let inputs = self.inputs_of(&view)?;
        let projects = detect(view.root(), &self.input.environment).projects;
        let purpose = Purpose::Repair { at_once: false };
        let baseline = baseline(&bench, &projects, &Selection::All, purpose)
            .map_err(|error| remote_error(&error))?;
        let mended = kept.evidence.as_ref().map(|report| &report.entry.evidence.red_to_green);
        let mended = mended.unwrap_or(&kept.search.tests);
        let targets = baseline.failing().map(|(id, _)| id.clone());
        let targets: Vec<_> = targets.filter(|id| mended.contains(&id.0)).collect();
        if targets.is_empty() {
            return Err(left_out("its tests do not fail in the tree of today"));
        }
        Ok(Fault { bench, view, inputs, baseline, targets, patch })
    }

    /// Lets one author look for a fix.
    fn repair(&self, fault: &Fault, author: Arc<dyn Author>) -> Result<RepairOutcome, RemoteError> {
        let repair = Repair {
            bench: &fault.bench,
            baseline: &fault.baseline,
            selection: &Selection::All,
            targets: &fault.targets,
            generator: &NoTemplates,
            authors: &[author],
            retriever: self.input.index.clone().map(|index| near(index, &fault.view)),
            changes: None,
            earlier: &[],
            // What fell for one author is tried for the next one as well: both have the same time.
            // What others learnt of these inputs would count for one side.
            inputs: None,
            limits: RepairLimits {
                budget: Duration::from_secs(self.input.config.fix.budget_secs),
                max_fixes: 1,
                jobs: self.jobs(),
            },
            // Whether files changed is asked once, afterwards: what was found is of no use then.
            inputs_unchanged: &|| true,
            on_event: &|_| {},
        };
        repair.run().map_err(|error| remote_error(&error))
    }
}

/// An example as a line of a dataset.
fn line(kept: &Kept, example: Example) -> TrainingExample {
    let message =
        |role: Role, content: String| TraceMessage { role: role.name().to_owned(), content };
    let mut messages: Vec<_> =
        example.messages.into_iter().map(|said| message(said.role, said.content)).collect();
    messages.push(message(Role::Assistant, example.reply));
    let mended = kept.evidence.as_ref().map(|report| report.entry.evidence.red_to_green.clone());
    TrainingExample {
        messages,
        attempt: kept.entry.id,
        tests: mended.unwrap_or_default(),
        tier: kept.entry.tier.clone(),
        model: kept.entry.model.clone(),
    }
}
