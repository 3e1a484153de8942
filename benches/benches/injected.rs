//! Injected faults on real packages: how often the product offers a fix, and how often it is right.
//!
//! For every fault half of the failing tests are hidden from the product. The judge is the
//! package's whole suite, hidden tests included, by its plain command in another copy.
//! `cargo xtask bench injected -- --help` says what can be chosen.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark reports")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use greenlit_benches::checkout::{self, Checkout, prepare};
use greenlit_benches::fates;
use greenlit_benches::features::Features;
use greenlit_benches::fetch::Cache;
use greenlit_benches::inject::{self, Fault};
use greenlit_benches::machine::Machine;
use greenlit_benches::manifest::{self, Ecosystem, Package};
use greenlit_benches::options::{Common, Faults};
use greenlit_benches::process;
use greenlit_benches::product::{Ask, Product};
use greenlit_benches::results::{FaultRecord, Measured, PackageRecord, Record, Results};
use greenlit_benches::{suite, summary};
use greenlit_protocol::{TestOutcome, TestReport};

/// Faults injected into real packages.
#[derive(Debug, Parser)]
#[command(name = "injected")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    which: Faults,
    /// Only packages for this purpose
    #[arg(long, value_parser = ["development", "evaluation"])]
    role: Option<String>,
    /// Faults per package; 0 only checks that the packages can be measured
    #[arg(long, default_value_t = 5)]
    faults: usize,
    /// Places tried per package until there are enough faults
    #[arg(long, default_value_t = 60)]
    draws: usize,
    /// Only download, unpack and install: later runs need no network
    #[arg(long)]
    prepare: bool,
    /// Only print the table of what the results file has
    #[arg(long)]
    table: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    greenlit_benches::enter()?;
    let mut results = Results::open(args.common.output.json.as_deref())?;
    if args.table {
        print!("{}", summary::table(&results));
        return Ok(());
    }
    let cache = args.common.output.cache()?;
    let product = args.common.product()?.telling_fates();
    let machine = Machine::probe(product.program(), None);
    let (seed, budget) = (args.which.seed, args.common.budget);
    println!("injected faults, seed {seed}, budget {budget} s\n{}", machine.head());
    results.add(Record::Run { machine, arguments: std::env::args().skip(1).collect() })?;
    for ecosystem in args.which.ecosystems() {
        let manifest = manifest::load(ecosystem)?;
        let python = cache.interpreter(ecosystem, &manifest)?;
        for package in &manifest.package {
            let named = args.which.named(package).unwrap_or(true);
            let role = args.role.as_deref().is_none_or(|r| r == summary::role_name(package.role));
            if named && role {
                if args.prepare {
                    match prepare(&cache, ecosystem, package, python.as_deref()) {
                        Ok(checkout) => println!("{} is ready", checkout.label()),
                        Err(error) => println!("{} {}: {error:#}", package.name, package.version),
                    }
                    continue;
                }
                let run = Run { args: &args, product: &product, ecosystem, package };
                run.package(&cache, python.as_deref(), &mut results)?;
            }
        }
    }
    print!("{}", summary::table(&results));
    Ok(())
}

/// How often the bare suite must fit into the time for candidates: the product runs it whole to
/// verify, and in part for each candidate.
const RUNS_IN_BUDGET: u32 = 5;

/// One package under measurement.
struct Run<'a> {
    args: &'a Args,
    product: &'a Product,
    ecosystem: Ecosystem,
    package: &'a Package,
}

/// A sound package.
struct Sound {
    checkout: Checkout,
    sources: Vec<(PathBuf, std::sync::Arc<str>)>,
    /// Tests that pass, as the plain command counts them.
    passed: u64,
    /// The same as the product counts them.
    seen: u64,
    /// Test ids that the product reports.
    ids: BTreeSet<String>,
    bare: Duration,
}

impl Run<'_> {
    /// A package that cannot be measured is recorded with the reason.
    fn package(&self, cache: &Cache, python: Option<&Path>, results: &mut Results) -> Result<()> {
        let package = self.package;
        let recorded =
            results.faults(self.ecosystem, &package.name, &package.version, self.args.which.seed);
        let mut have = recorded.iter().filter(|fault| fault.measured.is_some()).count();
        let mut number = recorded.iter().map(|fault| fault.number + 1).max().unwrap_or(0);
        let enough = have >= self.args.faults || number >= self.args.draws;
        if enough && self.args.faults > 0 {
            return Ok(());
        }
        let sound = prepare(cache, self.ecosystem, package, python).and_then(|c| self.sound(c));
        let mut record = PackageRecord {
            ecosystem: self.ecosystem,
            name: package.name.clone(),
            version: package.version.clone(),
            role: package.role,
            problem: None,
            tests: 0,
            seen: 0,
            bare_ms: 0.0,
        };
        let sound = match sound {
            Ok(sound) => sound,
            Err(error) => {
                eprintln!("{} {}: {error:#}", package.name, package.version);
                record.problem = Some(format!("{error:#}"));
                return results.add(Record::Package(record));
            }
        };
        (record.tests, record.seen) = (sound.passed, sound.seen);
        record.bare_ms = millis(sound.bare);
        results.add(Record::Package(record))?;
        let label = sound.checkout.label();
        let sees = match sound.seen == sound.passed {
            true => "as many".to_owned(),
            false => format!("{}: OTHER TESTS", sound.seen),
        };
        let secs = sound.bare.as_secs_f64();
        eprintln!("{label}: {} tests, {secs:.1} s bare; the product sees {sees}", sound.passed);
        let plan =
            inject::plan(&sound.sources, inject::seed_of(self.args.which.seed, &package.name));
        while have < self.args.faults && number < self.args.draws.min(plan.len()) {
            let fault = &plan[number];
            let outcome = self.fault(&sound, fault);
            sound.checkout.restore()?;
            let (discarded, measured) = match outcome {
                Ok(Outcome::Measured(measured)) => (None, Some(measured)),
                Ok(Outcome::Discarded(reason)) => (Some(reason), None),
                Err(error) => (Some(format!("the benchmark failed: {error:#}")), None),
            };
            have += usize::from(measured.is_some());
            if let Some(measured) = &measured {
                eprintln!("  {}", summary::line(fault, measured));
            }
            results.add(Record::Fault(Box::new(FaultRecord {
                ecosystem: self.ecosystem,
                package: package.name.clone(),
                version: package.version.clone(),
                role: package.role,
                seed: self.args.which.seed,
                number,
                fault: fault.clone(),
                discarded,
                measured,
            })))?;
            number += 1;
        }
        Ok(())
    }

    /// The suite must be green by the plain command and in the product, with the same tests in
    /// every run, and leave time for candidates.
    fn sound(&self, checkout: Checkout) -> Result<Sound> {
        let sources = checkout.sources()?;
        let bare = suite::bare(&checkout, &sources)?;
        let most = Duration::from_secs(self.args.common.budget) / RUNS_IN_BUDGET;
        if bare.wall > most {
            let (took, most) = (bare.wall.as_secs_f64(), most.as_secs_f64());
            bail!("too slow for the budget: a bare run takes {took:.1} s, more than {most:.1} s");
        }
        let report = self.product_tests(&checkout, bare.wall).context("the product")?;
        let bad = |outcome| matches!(outcome, TestOutcome::Failed | TestOutcome::Hung);
        if let Some(test) = report.tests.iter().find(|test| bad(test.outcome)) {
            let message = test.message.clone().unwrap_or_default();
            bail!("in the product {} fails, plainly it passes: {message}", test.id);
        }
        let passed = report.tests.iter().filter(|test| test.outcome == TestOutcome::Passed);
        let seen = passed.count() as u64;
        let ids: BTreeSet<_> = report.tests.into_iter().map(|test| test.id).collect();
        let again = self.product_tests(&checkout, bare.wall).context("the product")?;
        let again: BTreeSet<_> = again.tests.into_iter().map(|test| test.id).collect();
        if let Some(id) = ids.symmetric_difference(&again).next() {
            bail!("its test ids vary between two runs in the product: {id}");
        }
        Ok(Sound { checkout, sources, passed: bare.passed, seen, ids, bare: bare.wall })
    }

    fn fault(&self, sound: &Sound, fault: &Fault) -> Result<Outcome> {
        let checkout = &sound.checkout;
        let text = sound.sources.iter().find(|(path, _)| *path == fault.path);
        let faulty = fault.apply(&text.context("the plan names a source")?.1);
        let limit = sound.bare * 10 + Duration::from_secs(30);

        write(&checkout.judge, fault, &faulty)?;
        let plain = suite::run(checkout, &checkout.judge, limit)?;
        if let Some(reason) = suite::unfit(&plain) {
            return Ok(Outcome::Discarded(reason.to_owned()));
        }
        write(&checkout.work, fault, &faulty)?;
        let report = match self.product_tests(checkout, sound.bare) {
            Ok(report) => report,
            Err(error) => {
                return Ok(Outcome::Discarded(format!(
                    "the product cannot run the tests: {error:#}"
                )));
            }
        };
        let ids: BTreeSet<_> = report.tests.iter().map(|test| test.id.clone()).collect();
        if ids != sound.ids {
            return Ok(Outcome::Discarded("tests appear or disappear".to_owned()));
        }
        let with = |wanted: fn(TestOutcome) -> bool| -> Vec<String> {
            let tests = report.tests.iter().filter(|test| wanted(test.outcome));
            tests.map(|test| test.id.clone()).collect()
        };
        let failing = with(|o| matches!(o, TestOutcome::Failed | TestOutcome::Hung));
        if failing.is_empty() {
            return Ok(Outcome::Discarded("red plainly, and not in the product".to_owned()));
        }
        let (shown, hidden) = halves(&failing);
        let mut visible = with(|o| matches!(o, TestOutcome::Passed | TestOutcome::Skipped));
        visible.extend(shown.iter().cloned());

        let mut measured = Measured {
            visible: shown.len(),
            hidden: hidden.len(),
            bare_ms: millis(sound.bare),
            ..Measured::default()
        };
        let budget = Duration::from_secs(self.args.common.budget);
        let ask = Ask {
            root: &checkout.work,
            env: &checkout.env(&checkout.work),
            visible: &visible,
            budget,
            limit: budget + sound.bare * 20 + Duration::from_secs(120),
        };
        self.product.forget_fates()?;
        let started = Instant::now();
        let answer = self.product.fix(&ask);
        measured.elapsed_ms = millis(started.elapsed());
        let report = match answer {
            Ok(report) => report,
            Err(error) => {
                measured.error = Some(format!("{error:#}"));
                return Ok(Outcome::Measured(measured));
            }
        };
        measured.generated = report.stats.candidates.generated;
        measured.run = report.stats.candidates.run;
        if let Some(localization) = &report.localization {
            measured.method = Some(localization.method.clone());
            let hit =
                |l: &greenlit_protocol::SuspiciousLine| fault.covers(Path::new(&l.path), l.line);
            measured.line_rank = localization.lines.iter().position(hit).map(|at| at + 1);
        }
        for fix in &report.fixes {
            measured.right.push(self.judge(sound, fault, &faulty, &fix.diff, limit)?);
            measured.rules.push(fix.source.rule.clone().unwrap_or_default());
            measured.features.push(Features::of(fix));
        }
        let sound_text = &text.context("the plan names a source")?.1;
        measured.why = fates::why(&report, &measured, &self.product.fates()?, (fault, sound_text));
        Ok(Outcome::Measured(measured))
    }

    /// Whether the whole suite is green with a patch, hidden tests included.
    fn judge(
        &self,
        sound: &Sound,
        fault: &Fault,
        faulty: &str,
        diff: &str,
        limit: Duration,
    ) -> Result<bool> {
        let checkout = &sound.checkout;
        checkout::restore(&checkout.judge)?;
        write(&checkout.judge, fault, faulty)?;
        let patch = tempfile::NamedTempFile::new()?;
        fs::write(patch.path(), diff)?;
        let mut git = process::command("git");
        git.args(["apply", "--whitespace=nowarn"]).arg(patch.path()).current_dir(&checkout.judge);
        let applied = process::run(&mut git, Duration::from_secs(60))?;
        if !applied.success() {
            bail!("an offered diff does not apply: {}", applied.tail());
        }
        let run = suite::run(checkout, &checkout.judge, limit)?;
        Ok(run.green && run.passed == sound.passed)
    }

    fn product_tests(&self, checkout: &Checkout, bare: Duration) -> Result<TestReport> {
        self.product.test(&Ask {
            root: &checkout.work,
            env: &checkout.env(&checkout.work),
            visible: &[],
            budget: Duration::ZERO,
            limit: bare * 20 + Duration::from_secs(180),
        })
    }
}

enum Outcome {
    Measured(Measured),
    Discarded(String),
}

/// Every second failing test is hidden; at least one is shown.
fn halves(failing: &[String]) -> (Vec<String>, Vec<String>) {
    let mut sorted = failing.to_vec();
    sorted.sort();
    let (shown, hidden): (Vec<_>, Vec<_>) =
        sorted.into_iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let ids = |half: Vec<(usize, String)>| half.into_iter().map(|(_, id)| id).collect();
    (ids(shown), ids(hidden))
}

fn write(dir: &Path, fault: &Fault, text: &str) -> Result<()> {
    let path = dir.join(&fault.path);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
