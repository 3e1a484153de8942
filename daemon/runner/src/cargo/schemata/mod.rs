//! Many variants in one build: mutant schemata.
//!
//! Each function that a variant changes gets all bodies beside its own, behind a switch that an
//! environment variable sets. Whole bodies type-check on their own, so that a variant's mistake
//! is an error inside its own body and no other's. Variants that do not compile are taken out
//! together, by the compiler's messages; what cannot be told apart is left to an attempt of its
//! own. Each attempt is a process of its own.

mod plan;
mod prune;
mod switch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_sandbox::{ExitState, FileWrite, Sandbox, SandboxError};

use crate::cargo::CargoProject;
use crate::cargo::build::Built;
use crate::cargo::metadata::Metadata;
use crate::cargo::run::Care;
use crate::error::RunError;
use crate::outcome::{Stopwatch, said};
use crate::overlay::Overlay;
use crate::project::Prepared;
use crate::scope::Scope;
use crate::types::{TestId, TestRun};

use plan::{Edit, Place};
use switch::Switched;

/// Bytes of bodies in one build. The compiler's time per body grows with the size of a function.
const BATCH: usize = 256 << 10;

/// Builds for one batch. The compiler finds errors in phases; a few more tell batches apart that
/// it does not explain.
const ROUNDS: usize = 12;

/// When a build names no more than these, there may be many more that it does not name.
const FEW: usize = 2;

/// Largest file that is instrumented.
const LARGEST: u64 = 2 << 20;

/// Stack of a test's threads, in bytes. Unoptimized, a function needs room for the variables of
/// all its bodies at once, and a recursive one that many times.
const STACK: usize = 256 << 20;

/// What is ready to run.
#[derive(Debug, Default)]
pub(super) struct Schemata {
    /// The sources as they are without any variant, if they build.
    unchanged: Option<Batch>,
    batches: Vec<Batch>,
    /// The batch of each variant that is ready.
    ready: BTreeMap<usize, usize>,
    /// Whose sources and programs are in place.
    live: Option<Live>,
}

/// Whose sources and programs are in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Live {
    /// Nobody's.
    Unchanged,
    /// Those of the batch with this index.
    Batch(usize),
}

/// One build.
#[derive(Debug)]
struct Batch {
    files: Vec<FileWrite>,
    /// Its test executables are copies, which later builds leave alone.
    built: Built,
    metadata: Metadata,
    libraries: Option<PathBuf>,
}

/// How bodies are put into the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Behind a switch.
    Switched,
    /// Each in a function of its own, to be looked at by the compiler.
    Apart,
    /// Behind a switch, after a build that named only a few.
    Again,
    /// Behind a switch, after they stood apart once.
    Looked,
}

/// The edits of the variants that can share a build, by variant and file.
type Plans = BTreeMap<usize, BTreeMap<PathBuf, Vec<Edit>>>;

/// A file that variants change, as it is without them.
struct Original {
    text: String,
    places: Vec<Place>,
}

/// Where builds take place.
pub(super) struct Site<'s> {
    pub(super) project: &'s CargoProject,
    pub(super) sandbox: &'s mut Sandbox,
    pub(super) overlay: &'s mut Overlay,
    pub(super) targets: &'s [OsString],
    pub(super) build_wall: Duration,
}

impl Schemata {
    /// Sources or programs are now those of something else.
    pub(super) fn displaced(&mut self) {
        self.live = None;
    }

    /// Builds the sources as they are. A failure here shows again in each attempt.
    pub(super) fn open(&mut self, site: &mut Site<'_>, wall: Duration) -> Result<(), RunError> {
        let mut watch = Stopwatch::start();
        let built = site.project.build(site.sandbox, site.targets, wall, &mut watch)?;
        if let Ok(built) = built {
            self.unchanged = kept(site, "greenlit-unchanged-", Vec::new(), built, wall)?;
            self.live = self.unchanged.is_some().then_some(Live::Unchanged);
        }
        Ok(())
    }

    /// Whether [`Self::attempt_unchanged`] can be used.
    pub(super) fn is_open(&self) -> bool {
        self.unchanged.is_some()
    }

    /// Builds `variants` together.
    pub(super) fn prepare(
        &mut self,
        site: &mut Site<'_>,
        variants: &[Vec<FileWrite>],
    ) -> Result<Vec<Prepared>, RunError> {
        self.batches.clear();
        self.ready.clear();
        self.live = None;
        site.overlay.apply(site.sandbox, &[])?;
        let mut verdicts = vec![Prepared::Alone; variants.len()];
        let mut originals = BTreeMap::new();
        let mut plans = Plans::new();
        for (index, variant) in variants.iter().enumerate() {
            if let Some(edits) = planned(site.sandbox, &mut originals, index, variant)? {
                plans.insert(index, edits);
            }
        }
        let deadline = Instant::now() + site.build_wall;
        let mut open: Vec<(Plans, Form)> =
            split(plans).into_iter().map(|plans| (plans, Form::Switched)).collect();
        let mut rounds = open.len().max(1) * ROUNDS;
        while let Some((mut plans, form)) = open.pop() {
            let left = deadline.saturating_duration_since(Instant::now());
            if plans.is_empty() || rounds == 0 || left.is_zero() {
                continue;
            }
            rounds -= 1;
            let files = written(&originals, &plans, form);
            let writes: Vec<FileWrite> = files
                .iter()
                .map(|(path, file)| FileWrite {
                    path: path.clone(),
                    content: Some(file.text.clone().into_bytes()),
                })
                .collect();
            site.overlay.apply(site.sandbox, &writes)?;
            let mut watch = Stopwatch::start();
            let compiled = site.project.compile(site.sandbox, site.targets, left, &mut watch)?;
            tracing::debug!(
                variants = plans.len(),
                ?form,
                ms = watch.elapsed().as_millis(),
                ok = compiled.is_ok(),
                "built variants together"
            );
            let broken = match compiled {
                Ok(_) if form == Form::Apart => {
                    open.push((plans, Form::Looked));
                    continue;
                }
                Ok(built) => {
                    let index = self.batches.len();
                    let prefix = format!("greenlit-{index}-");
                    let Some(batch) = kept(site, &prefix, writes, built, left)? else { continue };
                    self.batches.push(batch);
                    self.live = Some(Live::Batch(index));
                    for variant in plans.keys() {
                        verdicts[*variant] = Prepared::Ready;
                        self.ready.insert(*variant, index);
                    }
                    continue;
                }
                Err(broken) => broken,
            };
            let scope = Scope::new(site.sandbox, &site.project.root);
            let directory = scope.inside(&site.project.dir);
            let blame = prune::blame(&broken.errors, &scope, &directory, &files);
            if form == Form::Apart {
                plans.retain(|variant, _| !blame.invalid.contains_key(variant));
                for (variant, message) in blame.invalid {
                    verdicts[variant] = Prepared::Invalid(message);
                }
                open.push((plans, Form::Looked));
                continue;
            }
            if blame.is_empty() {
                // Nobody is named: the halves tell where it lies. One alone needs no more.
                let half = plans.keys().nth(plans.len() / 2).copied();
                if let (Some(half), true) = (half, plans.len() > 1) {
                    open.push((plans.split_off(&half), form));
                    open.push((plans, form));
                }
                continue;
            }
            let before = plans.len();
            plans.retain(|variant, _| !blame.names(*variant));
            for (variant, message) in blame.invalid {
                verdicts[variant] = Prepared::Invalid(message);
            }
            let few = before - plans.len() <= FEW && plans.len() > FEW;
            // Often the few were all. A build that only looks costs more than one that fails.
            let form = match form {
                Form::Switched if few => Form::Again,
                Form::Again if few => Form::Apart,
                Form::Again => Form::Switched,
                form => form,
            };
            open.push((plans, form));
        }
        Ok(verdicts)
    }

    /// Runs tests on one variant.
    pub(super) fn attempt(
        &mut self,
        site: &mut Site<'_>,
        variant: usize,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let Some(index) = self.ready.get(&variant).copied() else {
            return Err(RunError::Session { details: format!("variant {variant} is not ready") });
        };
        let number = Some(switch::number(variant).to_string());
        let live = &mut self.live;
        run(site, &self.batches[index], Live::Batch(index), live, number, tests, wall)
    }

    /// Runs tests on the sources without any variant.
    pub(super) fn attempt_unchanged(
        &mut self,
        site: &mut Site<'_>,
        tests: &[TestId],
        wall: Duration,
    ) -> Result<TestRun, RunError> {
        let Some(batch) = &self.unchanged else {
            return Err(RunError::Session { details: "the sources do not build".into() });
        };
        run(site, batch, Live::Unchanged, &mut self.live, None, tests, wall)
    }
}

/// Runs tests on one build that was set aside.
fn run(
    site: &mut Site<'_>,
    batch: &Batch,
    own: Live,
    live: &mut Option<Live>,
    number: Option<String>,
    tests: &[TestId],
    wall: Duration,
) -> Result<TestRun, RunError> {
    let mut watch = Stopwatch::start();
    if *live != Some(own) && !batch.built.programs.is_empty() {
        // Tests may start the programs of their package, which are those of another build now.
        site.overlay.apply(site.sandbox, &batch.files)?;
        let rebuilt =
            site.project.build(site.sandbox, site.targets, site.build_wall, &mut watch)?;
        if let Err(state) = rebuilt {
            return Ok(watch.finish(state, Vec::new()));
        }
        *live = Some(own);
    }
    let mut session = site.project.session_with(
        site.sandbox,
        &batch.built,
        Care::Quick,
        Instant::now() + wall,
        (batch.metadata.clone(), batch.libraries.clone()),
    );
    if let Some(number) = number {
        session.extra.insert(switch::VARIABLE.into(), number.into());
        let theirs = site.project.env.get(OsStr::new("RUST_MIN_STACK"));
        let theirs = theirs.and_then(|size| size.to_str()?.parse().ok());
        let stack = STACK.max(theirs.unwrap_or_default());
        session.extra.insert("RUST_MIN_STACK".into(), stack.to_string().into());
    }
    let state = session.run_all(site.sandbox, Some(tests), &mut watch)?;
    Ok(watch.finish(state, session.results))
}

/// Sets a build aside; `None` when its executables could not be copied.
fn kept(
    site: &mut Site<'_>,
    prefix: &str,
    files: Vec<FileWrite>,
    mut built: Built,
    wall: Duration,
) -> Result<Option<Batch>, RunError> {
    let mut watch = Stopwatch::start();
    let deadline = Instant::now() + wall;
    let session = site.project.session(site.sandbox, &built, Care::Quick, deadline, &mut watch)?;
    let (metadata, libraries) = (session.metadata, session.libraries);
    for binary in &mut built.binaries {
        let Some(name) = binary.executable.file_name() else { return Ok(None) };
        let mut copy = OsString::from(prefix);
        copy.push(name);
        // In the same directory: tests find other products beside themselves.
        let copy = binary.executable.with_file_name(copy);
        let argv = vec!["cp".into(), binary.executable.clone().into(), copy.clone().into()];
        let env = site.project.env.clone();
        let command = site.project.command(argv, site.project.dir.clone(), env, wall);
        let outcome = site.sandbox.exec(&command)?;
        if outcome.state != ExitState::Exited(0) {
            tracing::warn!(said = said(&outcome), "a build could not be kept");
            return Ok(None);
        }
        binary.executable = copy;
    }
    Ok(Some(Batch { files, built, metadata, libraries }))
}

/// The edits of one variant; `None` when it cannot share a build.
fn planned(
    sandbox: &mut Sandbox,
    originals: &mut BTreeMap<PathBuf, Option<Original>>,
    index: usize,
    variant: &[FileWrite],
) -> Result<Option<BTreeMap<PathBuf, Vec<Edit>>>, RunError> {
    let mut all = BTreeMap::new();
    for file in variant {
        if !originals.contains_key(&file.path) {
            let original = original(sandbox, &file.path)?;
            originals.insert(file.path.clone(), original);
        }
        let Some(Some(original)) = originals.get(&file.path) else { return Ok(None) };
        let text = file.content.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        let edits =
            text.and_then(|text| plan::edits(index, &original.text, &original.places, text));
        let Some(edits) = edits else { return Ok(None) };
        if all.insert(file.path.clone(), edits).is_some() {
            return Ok(None);
        }
    }
    Ok((!all.is_empty()).then_some(all))
}

fn original(sandbox: &mut Sandbox, path: &Path) -> Result<Option<Original>, RunError> {
    if path.extension().is_none_or(|extension| extension != "rs") {
        return Ok(None);
    }
    let bytes = match sandbox.read(path, LARGEST) {
        Ok(bytes) => bytes,
        Err(SandboxError::TooLarge { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.map(|text| Original { places: plan::places(&text), text }))
}

/// Batches of bounded size.
fn split(plans: Plans) -> Vec<Plans> {
    let mut batches = vec![Plans::new()];
    let mut size = 0;
    for (variant, edits) in plans {
        let length: usize = edits.values().flatten().map(|edit| edit.body.len()).sum();
        if size + length > BATCH && size > 0 {
            batches.push(Plans::new());
            size = 0;
        }
        size += length;
        batches.last_mut().expect("there is always one").insert(variant, edits);
    }
    // The last is taken first.
    batches.reverse();
    batches
}

fn written(
    originals: &BTreeMap<PathBuf, Option<Original>>,
    plans: &Plans,
    form: Form,
) -> BTreeMap<PathBuf, Switched> {
    let paths: BTreeSet<&PathBuf> = plans.values().flat_map(BTreeMap::keys).collect();
    paths
        .into_iter()
        .filter_map(|path| {
            let Original { text, places } = originals.get(path)?.as_ref()?;
            let edits: Vec<&Edit> =
                plans.values().filter_map(|files| files.get(path)).flatten().collect();
            let file = match form {
                Form::Apart => switch::apart(text, places, &edits),
                Form::Switched | Form::Again | Form::Looked => {
                    switch::switched(text, places, &edits)
                }
            };
            Some((path.clone(), file))
        })
        .collect()
}
