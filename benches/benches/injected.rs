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
use greenlit_benches::features::Features;
use greenlit_benches::fetch::Cache;
use greenlit_benches::inject::{self, Fault};
use greenlit_benches::machine::Machine;
use greenlit_benches::manifest::{self, Ecosystem, Package};
use greenlit_benches::process;
use greenlit_benches::product::{Ask, Product};
use greenlit_benches::results::{FaultRecord, Measured, PackageRecord, Record, Results};
use greenlit_benches::{suite, summary};
use greenlit_protocol::{TestOutcome, TestReport};

/// Faults injected into real packages.
#[derive(Debug, Parser)]
#[command(name = "injected")]
struct Args {
    /// Language; may be repeated [default: all]
    #[arg(long, value_parser = ["rust", "python", "javascript"])]
    language: Vec<String>,
    /// Package; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Only packages for this purpose
    #[arg(long, value_parser = ["development", "evaluation"])]
    role: Option<String>,
    /// Faults per package; 0 only checks that the packages can be measured
    #[arg(long, default_value_t = 5)]
    faults: usize,
    /// Places tried per package until there are enough faults
    #[arg(long, default_value_t = 60)]
    draws: usize,
    /// Decides which faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds for candidates, per fault
    #[arg(long, default_value_t = 60)]
    budget: u64,
    /// Results, one JSON object per line; what it has is not measured again
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The product [default: the newest in target/]
    #[arg(long, value_name = "PATH")]
    greenlit: Option<PathBuf>,
    /// Downloads and checkouts [default: .tools/bench]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Only print the table of what the results file has
    #[arg(long)]
    table: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    greenlit_benches::enter()?;
    let mut results = Results::open(args.json.as_deref())?;
    if args.table {
        print!("{}", summary::table(&results));
        return Ok(());
    }
    let cache = Cache::open(args.cache.clone())?;
    let product = Product::open(args.greenlit.clone())?;
    let machine = Machine::probe(product.program(), None);
    println!("injected faults, seed {}, budget {} s\n{}", args.seed, args.budget, machine.head());
    results.add(Record::Run { machine, arguments: std::env::args().skip(1).collect() })?;
    for ecosystem in Ecosystem::ALL {
        if !args.language.is_empty() && !args.language.iter().any(|l| l == ecosystem.name()) {
            continue;
        }
        let manifest = manifest::load(ecosystem)?;
        let python = match ecosystem {
            Ecosystem::Python => Some(cache.python(&manifest.environment)?),
            _ => None,
        };
        for package in &manifest.package {
            let named = args.package.is_empty() || args.package.contains(&package.name);
            let role = args.role.as_deref().is_none_or(|r| r == summary::role_name(package.role));
            if named && role {
                let run = Run { args: &args, product: &product, ecosystem, package };
                run.package(&cache, python.as_deref(), &mut results)?;
            }
        }
    }
    print!("{}", summary::table(&results));
    Ok(())
}

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
    /// Test ids that the product reports.
    ids: BTreeSet<String>,
    bare: Duration,
}

impl Run<'_> {
    /// A package that cannot be measured is recorded with the reason.
    fn package(&self, cache: &Cache, python: Option<&Path>, results: &mut Results) -> Result<()> {
        let package = self.package;
        let recorded =
            results.faults(self.ecosystem, &package.name, &package.version, self.args.seed);
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
        (record.tests, record.bare_ms) = (sound.passed, millis(sound.bare));
        results.add(Record::Package(record))?;
        let label = sound.checkout.label();
        eprintln!("{label}: {} tests, {:.1} s bare", sound.passed, sound.bare.as_secs_f64());
        let plan = inject::plan(&sound.sources, inject::seed_of(self.args.seed, &package.name));
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
                eprintln!("  {}", line(fault, measured));
            }
            results.add(Record::Fault(Box::new(FaultRecord {
                ecosystem: self.ecosystem,
                package: package.name.clone(),
                version: package.version.clone(),
                role: package.role,
                seed: self.args.seed,
                number,
                fault: fault.clone(),
                discarded,
                measured,
            })))?;
            number += 1;
        }
        Ok(())
    }

    /// The suite must be green by the plain command and in the product.
    fn sound(&self, checkout: Checkout) -> Result<Sound> {
        let sources = checkout.sources()?;
        let bare = suite::bare(&checkout, &sources)?;
        let report = self.product_tests(&checkout, bare.wall).context("the product")?;
        let bad = |outcome| matches!(outcome, TestOutcome::Failed | TestOutcome::Hung);
        if let Some(test) = report.tests.iter().find(|test| bad(test.outcome)) {
            let message = test.message.clone().unwrap_or_default();
            bail!("in the product {} fails, plainly it passes: {message}", test.id);
        }
        let ids = report.tests.into_iter().map(|test| test.id).collect();
        Ok(Sound { checkout, sources, passed: bare.passed, ids, bare: bare.wall })
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
        let budget = Duration::from_secs(self.args.budget);
        let ask = Ask {
            root: &checkout.work,
            env: &checkout.env(&checkout.work),
            visible: &visible,
            budget,
            limit: budget + sound.bare * 20 + Duration::from_secs(120),
        };
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

fn line(fault: &Fault, measured: &Measured) -> String {
    let verdict = match (&measured.error, measured.right.first()) {
        (Some(error), _) => format!("no answer: {error}"),
        (None, Some(true)) => "first right".to_owned(),
        (None, Some(false)) => format!("first wrong, {} offered", measured.right.len()),
        (None, None) => "nothing offered".to_owned(),
    };
    format!(
        "{} {}:{}: {verdict}; failing {}+{} hidden; line rank {} ({}); {} of {} candidates run; {:.1} × bare",
        fault.operator,
        fault.path.display(),
        fault.first_line,
        measured.visible,
        measured.hidden,
        measured.line_rank.map_or_else(|| "none".to_owned(), |rank| rank.to_string()),
        measured.method.as_deref().unwrap_or("not located"),
        measured.run,
        measured.generated,
        measured.elapsed_ms / measured.bare_ms.max(1.0),
    )
}
