//! The other side: the same candidates, one by one, in a `git worktree`.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use greenlit_benches::checkout::Checkout;
use greenlit_benches::process;
use greenlit_benches::product::Product;
use greenlit_benches::suite::{self, Bare};
use greenlit_repair::{
    Cancel, Candidate, FaultContext, Generator, Purpose, Repair, RepairLimits, SandboxSettings,
    Subject, TemplateGenerator, Walls, Workbench, apply, baseline,
};
use greenlit_runner::{Environment, Selection, detect};
use greenlit_sandbox::{Helper, Isolation, Limits};

/// How far one by one came.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    /// When everything was green.
    pub(crate) fixed: Option<Duration>,
    /// Candidates tried until then, or until the time was over.
    pub(crate) tried: usize,
}

/// Notes what the templates propose, and proposes nothing.
#[derive(Default)]
struct Listen(Mutex<Vec<Candidate>>);

impl Generator for Listen {
    fn candidates(&self, context: &FaultContext<'_>) -> Vec<Candidate> {
        let mut heard = self.0.lock().expect("nothing panics while it is held");
        heard.extend(TemplateGenerator.candidates(context));
        Vec::new()
    }
}

/// The candidates that the product tries for the state of the working copy, in its order.
pub(crate) fn candidates(product: &Product, checkout: &Checkout) -> Result<Vec<Candidate>> {
    let mut vars: std::collections::BTreeMap<_, _> = std::env::vars_os().collect();
    vars.extend(checkout.env(&checkout.work));
    let projects = detect(&checkout.work, &Environment { vars }).projects;
    let helper = format!("greenlit-sandbox{}", std::env::consts::EXE_SUFFIX);
    let store = tempfile::tempdir()?;
    let bench = Workbench {
        subject: Subject {
            root: checkout.work.clone(),
            overlays: Default::default(),
            protected: Default::default(),
        },
        sandbox: SandboxSettings {
            helper: Helper::at(product.program().with_file_name(helper)),
            isolation: Isolation::Auto,
            limits: Limits::default(),
            readable: Vec::new(),
            store: store.path().canonicalize()?,
        },
        walls: Walls {
            build: Duration::from_secs(600),
            tests: Duration::from_secs(600),
            per_test: Duration::from_secs(30),
        },
        cancel: Cancel::default(),
    };
    let baseline =
        baseline(&bench, &projects, &Selection::All, Purpose::Repair { at_once: false })?;
    let targets: Vec<_> = baseline.failing().map(|(id, _)| id.clone()).collect();
    let listen = Listen::default();
    let repair = Repair {
        bench: &bench,
        baseline: &baseline,
        selection: &Selection::All,
        targets: &targets,
        generator: &listen,
        authors: &[],
        retriever: None,
        changes: None,
        earlier: &[],
        // The store is new: nothing is known of any inputs.
        inputs: None,
        limits: RepairLimits { budget: Duration::from_secs(600), max_fixes: 1, jobs: 1 },
        inputs_unchanged: &|| true,
        on_event: &|_| {},
    };
    repair.run()?;
    Ok(listen.0.into_inner().expect("nothing panics while it is held"))
}

/// The way of a script: a worktree, each candidate written into it, the plain command.
pub(crate) fn one_by_one(
    checkout: &Checkout,
    broken: &Path,
    candidates: &[Candidate],
    bare: &Bare,
    budget: Duration,
) -> Result<Alone> {
    let scratch = tempfile::tempdir()?;
    let tree = scratch.path().canonicalize()?.join("tree");
    let started = Instant::now();
    git(&checkout.work, &["worktree", "add", "--quiet", "--detach"], &tree)?;
    // The worktree shows what is committed: the sound state.
    fs::copy(checkout.work.join(broken), tree.join(broken))?;
    let outcome = try_each(checkout, &tree, candidates, bare, started, budget);
    git(&checkout.work, &["worktree", "remove", "--force"], &tree)?;
    outcome
}

fn try_each(
    checkout: &Checkout,
    tree: &Path,
    candidates: &[Candidate],
    bare: &Bare,
    started: Instant,
    budget: Duration,
) -> Result<Alone> {
    let modules = checkout.work.join("node_modules");
    if modules.exists() {
        // What git ignores is not in a worktree; installing anew would only make this slower.
        process_ok("ln", &[Path::new("-s"), &modules, &tree.join("node_modules")])?;
    }
    let mut alone = Alone::default();
    for candidate in candidates {
        if started.elapsed() > budget {
            break;
        }
        let text_of = |path: &Path| fs::read_to_string(path).ok().map(Into::into);
        let Ok(files) = apply(&candidate.edits, &text_of) else { continue };
        for file in &files {
            fs::write(tree.join(file.path.strip_prefix(&checkout.work)?), &*file.after)?;
        }
        // Many candidates loop for ever. The first one may have to build the world.
        let limit = bare.wall * 5 + Duration::from_secs(if alone.tried == 0 { 60 } else { 5 });
        alone.tried += 1;
        let run = suite::run(checkout, tree, limit)?;
        if run.green && run.passed == bare.passed {
            alone.fixed = Some(started.elapsed());
            break;
        }
        for file in &files {
            fs::write(tree.join(file.path.strip_prefix(&checkout.work)?), &*file.before)?;
        }
    }
    Ok(alone)
}

fn git(dir: &Path, words: &[&str], tree: &Path) -> Result<()> {
    let mut git = process::command("git");
    git.args(words).arg(tree).current_dir(dir);
    let finished = process::run(&mut git, Duration::from_secs(60))?;
    if !finished.success() {
        bail!("git {} failed: {}", words.join(" "), finished.tail());
    }
    Ok(())
}

fn process_ok(program: &str, words: &[&Path]) -> Result<()> {
    let finished = process::run(process::command(program).args(words), Duration::from_secs(60))
        .with_context(|| format!("{program} is needed"))?;
    if !finished.success() {
        bail!("{program} failed: {}", finished.tail());
    }
    Ok(())
}
