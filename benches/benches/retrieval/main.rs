//! Whether search finds what is meant: by meaning, by words, both fused, and with the neighbours of
//! the asker's file; beside ripgrep, in the same run.
//!
//! What is right is read off real packages, without labels by hand:
//! - `described`: the first paragraph of a function's description asks for the function, from whose
//!   file the description was taken before it was indexed;
//! - `test name`, `test source`: a test asks for the functions that it runs and the fewest other tests
//!   run (pytest-cov, one context per test); tests are not indexed;
//! - `commit`: the subject of a commit of this repository asks for the functions that it changed.
//!
//! A hit is right when it shares lines with the function. Weights are chosen on the development role
//! only (`--sweep`). `cargo xtask bench retrieval -- --help` says what can be chosen.
#![expect(clippy::print_stdout, reason = "a benchmark reports")]

mod commits;
mod corpus;
mod described;
mod meaning;
mod measure;
mod packages;
mod ripgrep;
mod sweep;
mod tested;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use corpus::Corpus;
use greenlit_benches::machine::Machine;
use greenlit_benches::manifest::Role;
use greenlit_benches::options::Output;
use greenlit_benches::product::PROGRAM_ENV;
use greenlit_index::Weights;
use measure::{Row, Way};
use ripgrep::Ripgrep;
use serde::Serialize;

/// Whether search finds what is meant, beside ripgrep.
#[derive(Debug, Parser)]
#[command(name = "retrieval")]
struct Args {
    /// Role of packages; may be repeated [default: both]
    #[arg(long, value_parser = ["development", "evaluation"])]
    role: Vec<String>,
    /// Corpus; may be repeated [default: all]
    #[arg(long, value_parser = ["described", "tested", "commits"])]
    corpus: Vec<String>,
    /// Questions per package and kind at most
    #[arg(long, default_value_t = 60)]
    questions: usize,
    /// Decides which, where there are more
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Compare weights on the development role instead
    #[arg(long)]
    sweep: bool,
    /// Directory of the embedding model
    #[arg(long, value_name = "DIR", default_value = ".tools/models/all-minilm-l6-v2/int8")]
    model: PathBuf,
    /// ONNX Runtime [default: the one in .tools/onnxruntime]
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// ripgrep; where it does not start, its rows are missing
    #[arg(long, value_name = "PATH", default_value = "rg")]
    ripgrep: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    seed: u64,
    model: String,
    corpora: Vec<Measured>,
}

/// One corpus of one role.
#[derive(Serialize)]
struct Measured {
    role: Role,
    corpus: &'static str,
    files: u64,
    chunks: u64,
    /// What was left out while questions were made, by reason.
    left_out: Vec<(String, usize)>,
    rows: Vec<Row>,
}

fn main() -> Result<ExitCode> {
    if let Some(code) = greenlit_benches::embedder::probe() {
        return Ok(code);
    }
    run(&Args::parse())?;
    Ok(ExitCode::SUCCESS)
}

fn run(args: &Args) -> Result<()> {
    greenlit_benches::enter()?;
    let cache = args.output.cache()?;
    let program = std::env::var_os(PROGRAM_ENV).map(PathBuf::from).unwrap_or_default();
    let list = packages::load()?;
    let python = cache.python(&list.environment)?;
    let (ripgrep, version) = Ripgrep::find(&args.ripgrep).unzip();
    let mut machine = Machine::probe(&program, Some(&python));
    machine.versions.push(("ripgrep".to_owned(), version.unwrap_or_default()));
    let (embedder, meaning) = meaning::open(&args.model, args.onnxruntime.clone(), &cache)?;
    let model = greenlit_benches::embedder::described(&*embedder);
    println!("retrieval, seed {}\n{}\nmodel: {model}", args.seed, machine.head());

    let wanted = |names: &[String], name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let mut corpora = Vec::new();
    let mut swept = sweep::Sweep::default();
    for (role, name) in [(Role::Development, "development"), (Role::Evaluation, "evaluation")] {
        if !wanted(&args.role, name) || args.sweep && role == Role::Evaluation {
            continue;
        }
        let chosen = packages::Chosen { cache: &cache, list: &list, python: &python, role };
        for kind in ["described", "tested", "commits"] {
            if !wanted(&args.corpus, kind) {
                continue;
            }
            let mut corpus = match kind {
                "described" => described::corpus(&chosen)?,
                "tested" => tested::corpus(&chosen)?,
                _ => commits::corpus(role)?,
            };
            corpus.sample(args.questions, args.seed);
            let started = Instant::now();
            let index = meaning.index(&corpus)?;
            let status = index.status();
            println!(
                "\n{name}, {kind}: {} files, {} chunks, ready after {:.0} s{}",
                status.files,
                status.chunks,
                started.elapsed().as_secs_f64(),
                corpus.told(),
            );
            if status.dense_pending > 0 {
                bail!("{} chunks have no vectors: {:?}", status.dense_pending, status.degraded);
            }
            if args.sweep {
                swept.add(&corpus, &index)?;
                continue;
            }
            let rows = rows(&corpus, &index, ripgrep.as_ref())?;
            print!("{}", measure::table(&rows));
            corpora.push(Measured {
                role,
                corpus: kind,
                files: status.files,
                chunks: status.chunks,
                left_out: corpus.left_out.into_iter().collect(),
                rows,
            });
        }
    }
    if args.sweep {
        print!("{}", swept.table());
    }
    args.output.write(&Report { machine, seed: args.seed, model, corpora })
}

/// Every way to search, on every kind of question.
fn rows(corpus: &Corpus, index: &meaning::Searched, ripgrep: Option<&Ripgrep>) -> Result<Vec<Row>> {
    let weights = Weights::default();
    let one = |lexical, dense| Weights { lexical, dense, symbol: 0.0, ..weights };
    let unnamed = Weights { symbol: 0.0, ..weights };
    let definitions = ripgrep::Definitions::of(corpus);
    let mut ways: Vec<Way<'_>> = vec![
        ("meaning alone", Box::new(|q| index.search(q, one(0.0, 1.0), false))),
        ("words alone (tantivy)", Box::new(|q| index.search(q, one(1.0, 0.0), false))),
        ("fused, without names", Box::new(|q| index.search(q, unnamed, false))),
        ("fused: `greenlit search`", Box::new(|q| index.search(q, weights, false))),
        ("the same, near the test", Box::new(|q| index.search(q, weights, true))),
    ];
    if let Some(ripgrep) = ripgrep {
        ways.push((
            "ripgrep, by definition",
            Box::new(|q| ripgrep.definitions(corpus, &definitions, q)),
        ));
        ways.push(("ripgrep, by line", Box::new(|q| ripgrep.lines(corpus, q))));
    }
    measure::rows(&corpus.questions, &ways)
}
