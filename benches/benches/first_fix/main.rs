//! From a save to the first verified fix, in runs of the bare test command; beside it, in the same
//! run, what a person would script: one candidate after the other in a `git worktree`, judged by the
//! plain test command.
//!
//! The faults are injected into the packages of `benches/packages/`. Both sides get the same
//! candidates in the same order and all tests; one by one, a candidate that does not end is stopped
//! after five bare runs and five seconds. `cargo xtask bench first_fix -- --help` says what can be
//! chosen.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark reports")]

mod peer;
mod session;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use greenlit_benches::checkout::{Checkout, prepare};
use greenlit_benches::inject::{self, Fault};
use greenlit_benches::machine::Machine;
use greenlit_benches::manifest::{self, Ecosystem, Package, Role};
use greenlit_benches::median;
use greenlit_benches::options::{Common, Faults};
use greenlit_benches::product::Product;
use greenlit_benches::suite::{self, Bare};
use serde::Serialize;

use session::Saved;

/// From a save to the first verified fix.
#[derive(Debug, Parser)]
#[command(name = "first_fix")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    which: Faults,
    /// Faults per package
    #[arg(long, default_value_t = 3)]
    faults: usize,
}

/// One fault, both sides; times in seconds.
#[derive(Debug, Serialize)]
struct Row {
    ecosystem: Ecosystem,
    package: String,
    operator: String,
    bare: f64,
    /// From the save to the first failing test shown.
    diagnosed: Option<f64>,
    /// From the save to the first verified fix.
    fixed: Option<f64>,
    /// The worktree's way to the first candidate that turns everything green.
    one_by_one: Option<f64>,
    /// Candidates tried one by one, until a fix or until the time was over.
    tried_one_by_one: usize,
    candidates: usize,
}

#[derive(Serialize)]
struct Report<'a> {
    machine: &'a Machine,
    seed: u64,
    budget_secs: u64,
    faults: &'a [Row],
}

fn main() -> Result<()> {
    let args = Args::parse();
    greenlit_benches::enter()?;
    let cache = args.common.output.cache()?;
    let product = args.common.product()?;
    for (name, value) in product.isolation() {
        #[expect(unsafe_code, reason = "the client reads its directories from the environment")]
        // SAFETY: no other thread exists yet.
        unsafe {
            std::env::set_var(name, value);
        }
    }
    let machine = Machine::probe(product.program(), None);
    println!(
        "first fix, seed {}, budget {} s per side\n{}",
        args.which.seed,
        args.common.budget,
        machine.head()
    );
    let mut rows = Vec::new();
    for ecosystem in args.which.ecosystems() {
        let manifest = manifest::load(ecosystem)?;
        let python = cache.interpreter(ecosystem, &manifest)?;
        for package in &manifest.package {
            let development = package.role == Role::Development;
            let wanted = args.which.named(package).unwrap_or(development);
            if !wanted {
                continue;
            }
            let checkout = prepare(&cache, ecosystem, package, python.as_deref());
            let done = checkout.and_then(|c| measure(&args, &product, package, &c, &mut rows));
            if let Err(error) = done {
                eprintln!("{} {}: {error:#}", package.name, package.version);
            }
        }
    }
    print!("{}", table(&rows));
    args.common.output.write(&Report {
        machine: &machine,
        seed: args.which.seed,
        budget_secs: args.common.budget,
        faults: &rows,
    })
}

fn measure(
    args: &Args,
    product: &Product,
    package: &Package,
    checkout: &Checkout,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let sources = checkout.sources()?;
    let limit = suite::bare(checkout, &sources)?.wall * 10 + Duration::from_secs(30);
    let mut done = 0;
    for fault in inject::plan(&sources, inject::seed_of(args.which.seed, &package.name)) {
        if done == args.faults {
            break;
        }
        let sound = sources.iter().find(|(path, _)| *path == fault.path);
        let faulty = fault.apply(&sound.context("the plan names a source")?.1);
        checkout.restore()?;
        fs::write(checkout.judge.join(&fault.path), &faulty)?;
        if suite::unfit(&suite::run(checkout, &checkout.judge, limit)?).is_some() {
            continue;
        }
        done += 1;
        checkout.restore()?;
        // Anew for each fault: on a shared machine a ratio of distant times says nothing.
        let bare = suite::bare(checkout, &sources)?;
        match both(args, product, checkout, &fault, &faulty, &bare) {
            Ok(row) => {
                println!("{}", line(&row));
                rows.push(row);
            }
            Err(error) => eprintln!("{}, {}: {error:#}", checkout.label(), fault.operator),
        }
        checkout.restore()?;
    }
    Ok(())
}

/// One fault, both sides.
fn both(
    args: &Args,
    product: &Product,
    checkout: &Checkout,
    fault: &Fault,
    faulty: &str,
    bare: &Bare,
) -> Result<Row> {
    let budget = Duration::from_secs(args.common.budget);
    // The editor is open on the sound state when the fault is saved.
    let Saved { diagnosed, fixed } = session::save(product, checkout, &fault.path, faulty, budget)?;
    let candidates = peer::candidates(product, checkout)?;
    let alone = peer::one_by_one(checkout, &fault.path, &candidates, bare, budget)?;
    Ok(Row {
        ecosystem: checkout.ecosystem,
        package: checkout.package.name.clone(),
        operator: fault.operator.clone(),
        bare: bare.wall.as_secs_f64(),
        diagnosed: diagnosed.map(|time| time.as_secs_f64()),
        fixed: fixed.map(|time| time.as_secs_f64()),
        one_by_one: alone.fixed.map(|time| time.as_secs_f64()),
        tried_one_by_one: alone.tried,
        candidates: candidates.len(),
    })
}

fn line(row: &Row) -> String {
    let times = |time: Option<f64>| match time {
        Some(time) => format!("{:.1} ×", time / row.bare),
        None => "none".to_owned(),
    };
    format!(
        "{}/{} {}: bare {:.2} s; save to diagnostic {}; save to fix {}; one by one {} after {} of {} candidates",
        row.ecosystem.name(),
        row.package,
        row.operator,
        row.bare,
        times(row.diagnosed),
        times(row.fixed),
        times(row.one_by_one),
        row.tried_one_by_one,
        row.candidates,
    )
}

fn table(rows: &[Row]) -> String {
    let mut text = "\nmedians, in bare runs (rust: incremental `cargo test`)\n".to_owned();
    for ecosystem in Ecosystem::ALL {
        let rows: Vec<_> = rows.iter().filter(|row| row.ecosystem == ecosystem).collect();
        let times = |pick: fn(&Row) -> Option<f64>| {
            let all: Vec<_> = rows.iter().filter_map(|r| Some(pick(r)? / r.bare)).collect();
            let found = all.len();
            match median(all) {
                Some(middle) => format!("{middle:.1} × ({found} of {})", rows.len()),
                None => format!("none of {}", rows.len()),
            }
        };
        if !rows.is_empty() {
            text.push_str(&format!(
                "{:10} save to diagnostic {}, save to fix {}, one by one {}\n",
                ecosystem.name(),
                times(|row| row.diagnosed),
                times(|row| row.fixed),
                times(|row| row.one_by_one),
            ));
        }
    }
    text
}
