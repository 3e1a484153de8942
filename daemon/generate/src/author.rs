//! The loop: ask, hand in, listen to how it ended, ask again.

mod key;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use greenlit_repair::{
    Author, Candidate, Desk, Edit, Fate, Fault, FaultContext, PatchedFile, Source, apply, relative,
    unified_diff,
};

use crate::contract::{
    ContractError, MAX_REPLY, Plan, Scope, drafts, edits, patch_grammar, plan, plan_schema,
};
use crate::hidden::{self, Hidden};
use crate::model::{Completion, Constraint, Finish, Model, ModelError, Request, Sampling, Usage};
use crate::prompt::{Earlier, Prompt, Step};
use crate::record::{Attempt, Ending, Record};

/// How a model is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Replies per round, each more adventurous than the one before.
    pub samples: usize,
    /// Rounds: each hears what became of the ones before.
    pub rounds: usize,
    /// Tokens of the longest reply.
    pub max_tokens: u32,
    /// Ask for a plan first.
    pub plan: bool,
    /// Look for a simpler fix once there is one, in the rounds that are left.
    pub simpler: bool,
    /// Whether tests may be changed.
    pub allow_tests: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            samples: 4,
            rounds: 3,
            max_tokens: 1024,
            plan: false,
            simpler: false,
            allow_tests: false,
        }
    }
}

/// The temperature of the first reply, what each further one in a round adds, and the highest.
const TEMPERATURES: (f32, f32, f32) = (0.1, 0.3, 1.0);
/// What a model's candidate is worth against a template's at the same line. A guess: it orders them
/// only where both found something.
const WORTH: f64 = 0.5;
/// Calls in a row that bring no reply at all before the model is given up for this fault.
const FAILURES: usize = 3;

/// Lets a model write candidates.
pub struct ModelAuthor {
    tier: String,
    model: Arc<dyn Model>,
    settings: Settings,
    hidden: Option<Hidden>,
    record: Mutex<Record>,
    /// Asking again makes no sense before something is changed.
    useless: AtomicBool,
}

impl ModelAuthor {
    /// `tier` is `small` or `large`.
    pub fn new(tier: &str, model: Arc<dyn Model>, settings: Settings) -> Self {
        let record = Record { tier: tier.to_owned(), model: model.identity(), ..Record::default() };
        Self {
            tier: tier.to_owned(),
            model,
            settings,
            hidden: None,
            record: Mutex::new(record),
            useless: AtomicBool::new(false),
        }
    }

    /// The model must see nothing of these files.
    #[must_use]
    pub fn hiding(self, hidden: Hidden) -> Self {
        Self { hidden: Some(hidden), ..self }
    }

    /// It may be needed soon: a model that has to be loaded may begin with that.
    pub fn prepare(&self) {
        self.model.prepare();
    }

    /// What was asked so far.
    pub fn record(&self) -> Record {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Author for ModelAuthor {
    fn name(&self) -> String {
        format!("{} ({})", self.tier, self.model.identity().name)
    }

    fn write(&self, fault: &Fault<'_>, desk: &dyn Desk) {
        let asked = match &self.hidden {
            None => {
                self.ask(fault, desk);
                true
            }
            Some(hidden) => hidden::without(fault, &**hidden, |fault| self.ask(fault, desk)),
        };
        self.lock().unasked += usize::from(!asked);
    }
}

impl ModelAuthor {
    fn ask(&self, fault: &Fault<'_>, desk: &dyn Desk) {
        let course = Course {
            author: self,
            fault,
            told: RefCell::new(Told {
                desk,
                waiting: VecDeque::new(),
                earlier: Vec::new(),
                verified: false,
            }),
            seen: RefCell::default(),
            silent: Cell::new(0),
            quoted: quoted(fault),
        };
        if self.useless.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = course.run() {
            // Another fault may fit the context.
            let fits = !matches!(error, ModelError::TooLong { .. });
            self.useless.store(fits, Ordering::Relaxed);
            let model = &self.model.identity().name;
            tracing::warn!(model, error = reasons(&error), "the model is not asked any more");
        }
    }
}

/// A candidate that was handed in.
struct Handed {
    /// Its place in the record.
    attempt: usize,
    diff: String,
}

/// What came back from the desk.
struct Told<'a> {
    desk: &'a dyn Desk,
    waiting: VecDeque<Handed>,
    earlier: Vec<Earlier>,
    verified: bool,
}

impl Told<'_> {
    fn hear(&mut self, record: &mut Record, fate: Fate) {
        let Some(Handed { attempt, diff }) = self.waiting.pop_front() else { return };
        self.verified |= fate == Fate::Verified;
        if let Some(attempt) = record.attempts.get_mut(attempt) {
            attempt.ending = Ending::Tried(fate.clone());
        }
        self.earlier.push(Earlier::Tried { diff, fate });
    }
}

/// The calls about one fault.
struct Course<'a> {
    author: &'a ModelAuthor,
    fault: &'a Fault<'a>,
    told: RefCell<Told<'a>>,
    /// What candidates leave.
    seen: RefCell<HashSet<blake3::Hash>>,
    /// Calls in a row without a reply.
    silent: Cell<usize>,
    /// See [`Attempt::quoted`].
    quoted: Arc<[PathBuf]>,
}

/// Files that a prompt about a fault may quote.
fn quoted(fault: &Fault<'_>) -> Arc<[PathBuf]> {
    let FaultContext { files, neighbours, retrieved, localization } = &fault.context;
    let sources = files.iter().chain(neighbours.iter()).map(|file| &file.path);
    let passages = retrieved.iter().map(|passage| &passage.path);
    let lines = localization.lines.iter().map(|line| &line.path);
    let frames = fault.failures.iter().flat_map(|(_, f)| f.site.iter().chain(&f.trace));
    let all = sources.chain(passages).chain(lines).chain(frames.map(|frame| &frame.path));
    all.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

impl Course<'_> {
    fn run(&self) -> Result<(), ModelError> {
        let settings = &self.author.settings;
        let plan = if settings.plan { self.plan()? } else { None };
        let model = &*self.author.model;
        let room = settings.max_tokens as usize;
        let prompt = Prompt::new(model, self.fault, plan.as_ref(), Step::Patch, room)?;
        let constraint = Constraint::Lark(patch_grammar());
        for round in 1..=settings.rounds {
            let messages = prompt.messages(Step::Patch, &self.told.borrow().earlier);
            for sample in 0..settings.samples {
                if self.is_over() {
                    break;
                }
                let (least, step, most) = TEMPERATURES;
                let index = f32::from(u16::try_from(sample + round - 1).unwrap_or(u16::MAX));
                let sampling = Sampling {
                    temperature: (least + step * index).min(most),
                    top_p: 0.95,
                    max_tokens: settings.max_tokens,
                    seed: (round * 1000 + sample) as u64,
                };
                let request = Request {
                    messages: &messages,
                    constraint: &constraint,
                    sampling,
                    stop: &|| self.is_over(),
                };
                let Some((reply, attempt)) = self.ask(&request, round)? else { continue };
                self.take(&reply, attempt);
            }
            while let Some(fate) = self.next_fate() {
                self.hear(fate);
            }
            if self.is_over() {
                break;
            }
        }
        Ok(())
    }

    /// Whether nothing more is wanted: time is up, or there is a fix and no simpler one is looked for.
    fn is_over(&self) -> bool {
        loop {
            let fate = self.told.borrow().desk.look();
            let Some(fate) = fate else { break };
            self.hear(fate);
        }
        let told = self.told.borrow();
        told.desk.left().is_zero() || (told.verified && !self.author.settings.simpler)
    }

    fn next_fate(&self) -> Option<Fate> {
        self.told.borrow().desk.wait()
    }

    fn hear(&self, fate: Fate) {
        self.told.borrow_mut().hear(&mut self.author.lock(), fate);
    }

    fn plan(&self) -> Result<Option<Plan>, ModelError> {
        let settings = &self.author.settings;
        let room = settings.max_tokens as usize;
        let prompt = Prompt::new(&*self.author.model, self.fault, None, Step::Plan, room)?;
        let messages = prompt.messages(Step::Plan, &[]);
        let constraint = Constraint::JsonSchema(plan_schema());
        let sampling = Sampling {
            temperature: TEMPERATURES.0,
            top_p: 0.95,
            max_tokens: settings.max_tokens,
            seed: 0,
        };
        let request = Request {
            messages: &messages,
            constraint: &constraint,
            sampling,
            stop: &|| self.is_over(),
        };
        let Some((reply, attempt)) = self.ask(&request, 0)? else { return Ok(None) };
        let plan = self.with_scope(|scope| plan(&reply, scope));
        let ending = match &plan {
            Ok(_) => Ending::Planned,
            Err(error) => Ending::Invalid(error.to_string()),
        };
        self.end(attempt, ending);
        Ok(plan.ok())
    }

    /// What a call that broke off took, as far as one can tell.
    fn heard(&self, request: &Request<'_>, reply: &str, error: &ModelError) -> Usage {
        let silent = matches!(error, ModelError::Unavailable { read: true, .. });
        if reply.is_empty() && !silent {
            return Usage::default();
        }
        let count = |text: &str| self.author.model.count_tokens(text) as u64;
        let prompt_tokens = request.messages.iter().map(|message| count(&message.content)).sum();
        Usage { prompt_tokens, completion_tokens: count(reply), estimated: true }
    }

    /// The reply to a call that came to its end, and the call's place in the record.
    fn ask(
        &self,
        request: &Request<'_>,
        round: usize,
    ) -> Result<Option<(String, usize)>, ModelError> {
        let started = Instant::now();
        let mut reply = String::new();
        let asked = self.author.model.generate(request, &mut |piece| {
            reply.push_str(piece);
            // Some models never end.
            if reply.len() > MAX_REPLY || (request.stop)() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let (ending, usage) = match &asked {
            Err(error) => (Ending::Failed(reasons(error)), self.heard(request, &reply, error)),
            Ok(Completion { usage, .. }) if reply.len() > MAX_REPLY => {
                (Ending::Invalid(ContractError::TooLong.to_string()), *usage)
            }
            Ok(Completion { usage, finish: Finish::Cancelled, .. }) => (Ending::Cancelled, *usage),
            // A reply that was cut off may be whole nevertheless: that is for the contract to say.
            Ok(Completion { usage, .. }) => (Ending::Waiting, *usage),
        };
        let complete = ending == Ending::Waiting;
        if let Ending::Invalid(reason) = &ending {
            self.told.borrow_mut().earlier.push(Earlier::Invalid { reason: reason.clone() });
        }
        let first_token = asked.as_ref().ok().and_then(|completion| completion.first_token);
        let attempt = Attempt {
            round,
            sampling: request.sampling,
            messages: Arc::from(request.messages),
            reply: Arc::from(reply.as_str()),
            quoted: self.quoted.clone(),
            edits: Vec::new(),
            diff: None,
            usage,
            wall: started.elapsed(),
            first_token,
            ending,
        };
        let mut record = self.author.lock();
        record.attempts.push(attempt);
        let attempt = record.attempts.len() - 1;
        drop(record);
        self.silent.set(if asked.is_err() { self.silent.get() + 1 } else { 0 });
        match asked {
            Err(error @ ModelError::TooLong { .. }) => Err(error),
            Err(error @ ModelError::Unavailable { lasting: true, .. }) => Err(error),
            Err(error) if self.silent.get() >= FAILURES => Err(error),
            _ => Ok(complete.then_some((reply, attempt))),
        }
    }

    /// Reads a reply and hands in what it asks for.
    fn take(&self, reply: &str, attempt: usize) {
        let read = self.with_scope(|scope| edits(&drafts(reply)?, scope));
        let edits = match read {
            Ok(edits) => edits,
            Err(error) => {
                let reason = error.to_string();
                self.told.borrow_mut().earlier.push(Earlier::Invalid { reason: reason.clone() });
                self.end(attempt, Ending::Invalid(reason));
                return;
            }
        };
        let text_of = |path: &Path| (self.fault.text)(path);
        let Ok(files) = apply(&edits, &text_of) else {
            self.end(attempt, Ending::Invalid(ContractError::Overlap.to_string()));
            return;
        };
        if !self.seen.borrow_mut().insert(key::of(&files)) {
            self.end(attempt, Ending::Repeated);
            return;
        }
        let diff = unified_diff(self.fault.root, &files);
        if let Some(attempt) = self.author.lock().attempts.get_mut(attempt) {
            attempt.edits.clone_from(&edits);
            attempt.diff = Some(diff.clone());
        }
        let candidate = self.candidate(edits, &files);
        let mut told = self.told.borrow_mut();
        if told.desk.submit(candidate) {
            told.waiting.push_back(Handed { attempt, diff });
        } else {
            drop(told);
            self.end(attempt, Ending::Tried(Fate::Untried));
        }
    }

    fn candidate(&self, edits: Vec<Edit>, files: &[PatchedFile]) -> Candidate {
        let identity = self.author.model.identity();
        let suspicion = edits.iter().map(|edit| self.suspicion(edit)).fold(0.0, f64::max);
        let names: Vec<_> = files.iter().map(|f| relative(self.fault.root, &f.path)).collect();
        Candidate {
            edits,
            source: Source {
                tier: self.author.tier.clone(),
                rule: identity.name,
                adapter: identity.adapter,
            },
            summary: format!("rewrite of {}", names.join(", ")),
            score: WORTH * suspicion,
        }
    }

    /// The highest suspicion of the lines that an edit changes, or of the one that it follows.
    fn suspicion(&self, edit: &Edit) -> f64 {
        let Some(text) = (self.fault.text)(&edit.path) else { return 0.0 };
        let line = |at: usize| 1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count();
        let (first, last) = (line(edit.start), line(edit.end));
        let lines = self.fault.context.localization.lines.iter();
        lines
            .filter(|known| known.path == edit.path)
            .filter(|known| (first..=last).contains(&(known.line as usize)))
            .map(|known| known.score)
            .fold(0.0, f64::max)
    }

    fn with_scope<T>(&self, read: impl FnOnce(&Scope<'_>) -> T) -> T {
        let fault = self.fault;
        read(&Scope {
            root: fault.root,
            text: &|path| (fault.text)(path),
            is_test: &|path| (fault.is_test)(path),
            is_source: &|path| (fault.is_source)(path),
            allow_tests: self.author.settings.allow_tests,
            suspects: fault.context.files,
        })
    }

    fn end(&self, attempt: usize, ending: Ending) {
        if let Some(attempt) = self.author.lock().attempts.get_mut(attempt) {
            attempt.ending = ending;
        }
    }
}

/// An error with its sources, on one line.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
