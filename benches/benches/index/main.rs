//! The index of a workspace: how long a first index, a saved file and a switch of branches take, what
//! a restart costs, and bytes on disk and in memory per chunk; beside LanceDB on the same chunks.
//!
//! The corpus is source text that lies on the machine: crates as cargo unpacked them, and packages of
//! the benchmarks' Python. Vectors come from hashed words: they mean nothing and cost nothing, so
//! that what is measured is the index and not a model; with `--model` from that, whose work for the
//! questions is left out. `cargo xtask bench index -- --help` says what can be chosen.
#![expect(clippy::print_stdout, reason = "a benchmark reports")]

mod corpus;
mod disk;
mod embedder;
mod peer;
mod process;
mod steps;
mod workspace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use corpus::Corpus;
use embedder::Counted;
use greenlit_benches::machine::Machine;
use greenlit_benches::options::Output;
use greenlit_benches::product::PROGRAM_ENV;
use serde::Serialize;
use steps::{Branches, First, Saves};
use workspace::Workspace;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);

/// The index of a workspace: time, disk and memory.
#[derive(Debug, Parser)]
#[command(name = "index")]
struct Args {
    /// Directories whose subdirectories are packages [default: cargo's unpacked crates, and the
    /// packages of `.tools/venv`]
    #[arg(long, value_name = "DIR")]
    corpus: Vec<PathBuf>,
    /// Chunks of the small workspace, about
    #[arg(long, default_value_t = 1_000)]
    small: usize,
    /// Chunks of the large workspace, about
    #[arg(long, default_value_t = 100_000)]
    large: usize,
    /// Files saved one after the other, in each
    #[arg(long, default_value_t = 200)]
    saves: usize,
    /// Branches of the large workspace
    #[arg(long, default_value_t = 10)]
    branches: usize,
    /// Workspaces that are open at once
    #[arg(long, default_value_t = 10)]
    workspaces: usize,
    /// Chunks of each of them, about
    #[arg(long, default_value_t = 10_000)]
    each: usize,
    /// Values per vector
    #[arg(long, default_value_t = 384)]
    dims: usize,
    /// Directory of an embedding model, in place of hashed words
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// ONNX Runtime [default: the one in .tools/onnxruntime]
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Searches of each kind, and of each process that opens workspaces
    #[arg(long, default_value_t = 200)]
    searches: usize,
    /// Decides which packages and files are taken
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave LanceDB out
    #[arg(long)]
    no_peer: bool,
    /// Opens these workspaces in a process of its own and says what that took
    #[arg(long, hide = true, num_args = 1..)]
    open: Vec<PathBuf>,
    /// The vectors of `open`
    #[arg(long, hide = true)]
    vectors: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    corpus: String,
    vectors: String,
    large: Large,
    small_first: First,
    small_saves: Saves,
    /// The median of a save in the large workspace, in those of the small one.
    saves_ratio: f64,
    workspaces: process::Opened,
    workspaces_open: usize,
    peer: Option<peer::Peer>,
}

#[derive(Serialize)]
struct Large {
    first: First,
    saves: Saves,
    branches: Branches,
    /// Of the first branch alone.
    disk: disk::Disk,
    /// Nothing is open; words alone; with vectors.
    idle: process::Opened,
    words: process::Opened,
    whole: process::Opened,
}

fn main() -> Result<ExitCode> {
    if let Some(code) = greenlit_benches::embedder::probe() {
        return Ok(code);
    }
    let args = Args::parse();
    match args.open.is_empty() {
        true => measure(&args)?,
        false => process::open(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(args: &Args) -> Result<()> {
    greenlit_benches::enter()?;
    let cache = args.output.cache()?;
    let product = std::env::var_os(PROGRAM_ENV).unwrap_or_else(|| "greenlit".into());
    let machine = Machine::probe(Path::new(&product), None);
    println!("{}\n", machine.head());
    let mut corpus = Corpus::find(&args.corpus, args.seed)?;
    let scratch = tempfile::tempdir()?;
    let home = |name: &str| scratch.path().join(name);

    let small = Workspace::lay(&home("small"), &mut corpus, args.small)?;
    let (small_first, _) = steps::first(&small)?;
    let small_saves = steps::saves(&small, args.saves, args.seed)?;
    println!("small: {small_first}; {small_saves}");

    let vectors = home("vectors");
    let texts = home("texts.jsonl");
    let large = Workspace::lay(&home("large"), &mut corpus, args.large)?;
    println!("large: {}", large.described());
    let large = large_one(args, &large, &vectors, &texts)?;
    let saves_ratio = large.saves.p50_ms / small_saves.p50_ms;
    println!("a save in the large workspace takes {saves_ratio:.2} of one in the small");

    let open: Vec<PathBuf> = (0..args.workspaces).map(|n| home(&format!("one-of-{n}"))).collect();
    for home in &open {
        Workspace::lay(home, &mut corpus, args.each)?;
    }
    let several = home("several");
    // The first process makes the indexes; what the second one takes is what they take.
    process::start(&open, Some(&several), args)?;
    let workspaces = process::start(&open, Some(&several), args)?;
    println!("{} workspaces at once: {workspaces}", args.workspaces);

    let peer = match args.no_peer {
        true => None,
        false => {
            let python = cache.python(&peer::REQUIREMENTS.map(str::to_owned))?;
            let peer = peer::measure(&python, &texts, args)?;
            println!("{peer}");
            Some(peer)
        }
    };
    let report = Report {
        machine,
        corpus: corpus.described(),
        vectors: Counted::described(args),
        large,
        small_first,
        small_saves,
        saves_ratio,
        workspaces,
        workspaces_open: args.workspaces,
        peer,
    };
    println!("corpus: {}; vectors: {}", report.corpus, report.vectors);
    args.output.write(&report)
}

fn large_one(args: &Args, large: &Workspace, vectors: &Path, texts: &Path) -> Result<Large> {
    let (first, words_alone) = steps::first(large)?;
    println!("{first}");
    let saves = steps::saves(large, args.saves, args.seed)?;
    println!("{saves}");
    // Branches begin with what was committed.
    large.git(&["checkout", "-q", "--", "."])?;
    let (branches, disk) = steps::branches(large, &first, words_alone, vectors, texts, args)?;
    println!("{branches}\n{disk}");
    let empty = large.home.with_file_name("empty");
    std::fs::create_dir_all(empty.join("root"))?;
    let homes = [large.home.clone()];
    let idle = process::start(&[empty], None, args)?;
    let words = process::start(&homes, None, args)?;
    let whole = process::start(&homes, Some(vectors), args)?;
    println!("a process with nothing: {idle}\nwords alone: {words}\nwith vectors: {whole}");
    let chunks = first.chunks.max(1);
    println!(
        "resident bytes per chunk: {} for words and records, {} for vectors and graph",
        words.resident.saturating_sub(idle.resident) / chunks,
        whole.resident.saturating_sub(words.resident) / chunks,
    );
    Ok(Large { first, saves, branches, disk, idle, words, whole })
}
