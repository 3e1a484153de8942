//! Nearest neighbours among a hundred thousand vectors: the scans, the graph, the planner's choice,
//! files and memory; beside usearch and the exact scan in full precision, in the same run.
//!
//! `--vectors` and `--queries` name files of little-endian f32 values, one vector after the other.
//! Without them vectors are made up, in clusters, and the report says so.
//! `cargo xtask bench vectors -- --help` says what can be chosen.
#![expect(clippy::print_stdout, reason = "a benchmark reports")]

mod data;
mod measure;
mod peer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use data::Data;
use greenlit_benches::machine::{Machine, resident};
use greenlit_benches::options::Output;
use greenlit_benches::product::PROGRAM_ENV;
use greenlit_graph::{
    Control, Costs, Graph, InMemory, Params, Plan, Planner, Stamp, Vectors, View, exact, kernels,
    scan,
};
use measure::{Row, Truth};
use roaring::RoaringBitmap;
use serde::Serialize;

/// Neighbours that are asked for.
const K: usize = 10;
/// As many as a search asks for that fuses them with what words find.
const FUSED_K: usize = 50;

/// Nearest neighbours, beside usearch and the exact scan.
#[derive(Debug, Parser)]
#[command(name = "vectors")]
struct Args {
    /// Vectors, raw little-endian f32 [default: made up, in clusters]
    #[arg(long, value_name = "FILE", requires = "queries")]
    vectors: Option<PathBuf>,
    /// Queries, in the same form
    #[arg(long, value_name = "FILE", requires = "vectors")]
    queries: Option<PathBuf>,
    /// What the vectors are of, for the report
    #[arg(long, value_name = "TEXT", default_value = "given by files")]
    origin: String,
    /// Values per vector
    #[arg(long, default_value_t = 384)]
    dims: usize,
    /// Vectors at most
    #[arg(long, default_value_t = 100_000)]
    count: usize,
    /// Queries at most
    #[arg(long, default_value_t = 500)]
    searches: usize,
    /// Seed of made up vectors
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Links of the graph's upper layers
    #[arg(long, default_value_t = Params::default().links)]
    links: usize,
    /// Candidates while building
    #[arg(long, default_value_t = Params::default().effort)]
    effort: usize,
    /// Leave usearch out
    #[arg(long)]
    no_peer: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    origin: String,
    vectors: u32,
    dims: usize,
    rows: Vec<Row>,
    build: Build,
    costs: String,
    peer: Option<peer::Peer>,
}

/// Of the graph.
#[derive(Serialize)]
struct Build {
    seconds: f64,
    per_second: f64,
    /// Bytes per vector: the largest growth of the process seen, what stays, the graph itself.
    peak_bytes: u64,
    kept_bytes: u64,
    graph_bytes: usize,
    /// Bytes per vector in the process for all three precisions.
    store_bytes: u64,
    file_bytes: u64,
    save_ms: f64,
    /// Reading the file, verified, and the first search after it.
    load_ms: f64,
    first_search_ms: f64,
    measured_ms: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    greenlit_benches::enter()?;
    let data = match (&args.vectors, &args.queries) {
        (Some(vectors), Some(queries)) => Data::read(vectors, queries, &args)?,
        _ => Data::made_up(args.count, args.searches, args.dims, args.seed)?,
    };
    let product = std::env::var_os(PROGRAM_ENV).unwrap_or_else(|| "greenlit".into());
    let machine = Machine::probe(Path::new(&product), None);
    println!("{} vectors of {} values: {}", data.rows, args.dims, data.origin);
    println!("{}; {}\n", machine.head(), kernels::best().name);

    let before = resident(std::process::id());
    let mut vectors = InMemory::new(args.dims);
    for vector in data.vectors() {
        vectors.push(vector).context("a vector is not a direction")?;
    }
    let per_vector = |bytes: u64| bytes / u64::from(vectors.len().max(1));
    let store_bytes = per_vector(resident(std::process::id()).saturating_sub(before));
    let vectors: Arc<dyn Vectors> = Arc::new(vectors);
    let (mut rows, build, costs) = ours(&args, &data, &vectors, store_bytes)?;
    let peer = match args.no_peer {
        true => None,
        false => {
            let cache = args.output.cache()?;
            let python = cache.python(&[peer::USEARCH.to_owned(), peer::NUMPY.to_owned()])?;
            let truth = Truth::of(&*vectors, &all(&*vectors), &data, K)?;
            Some(peer::measure(&python, &data, &truth, K)?)
        }
    };
    rows.extend(peer.iter().flat_map(|peer| peer.rows.clone()));
    print(&rows, &build, &costs, peer.as_ref());
    args.output.write(&Report {
        machine,
        origin: data.origin.clone(),
        vectors: vectors.len(),
        dims: args.dims,
        rows,
        build,
        costs,
        peer,
    })
}

fn all(vectors: &dyn Vectors) -> RoaringBitmap {
    (0..vectors.len()).collect()
}

fn ours(
    args: &Args,
    data: &Data,
    vectors: &Arc<dyn Vectors>,
    store_bytes: u64,
) -> Result<(Vec<Row>, Build, String)> {
    let members = all(&**vectors);
    let count = u64::from(vectors.len());
    let mut rows = Vec::new();
    let truth = Truth::of(&**vectors, &members, data, K)?;
    rows.push(truth.row("exact, full precision"));
    rows.push(
        truth.measure("exact, 8 bits + full", |query, _| exact(&**vectors, &members, query, K)),
    );
    rows.push(truth.measure("signs + 8 bits + full", |query, _| {
        scan::by_signs(&**vectors, &members, query, K)
    }));

    let params = Params { links: args.links, effort: args.effort, threads: 1 };
    let before = resident(std::process::id());
    let peak = AtomicU64::new(before);
    let progress = |_| {
        peak.fetch_max(resident(std::process::id()), Ordering::Relaxed);
    };
    let started = Instant::now();
    let control = Control { cancelled: &|| false, progress: &progress };
    let graph = Graph::build(&**vectors, &members, params, control)?;
    let seconds = started.elapsed().as_secs_f64();
    let kept = resident(std::process::id()).saturating_sub(before);
    for width in [32, 64, 96, 128, 256] {
        rows.push(truth.measure(&format!("graph, width {width}"), |query, _| {
            let walk = graph.search(&**vectors, query, K, width, None, usize::MAX);
            walk.expect("nothing exceeds a budget without end").near
        }));
    }

    let dir = tempfile::tempdir()?;
    let path = dir.path().join("graph");
    let stamp = Stamp { space: [0; 32], generation: 0 };
    let save_ms = timed(|| graph.save(&path, &stamp))?;
    let graph_bytes = graph.bytes() / vectors.len().max(1) as usize;
    drop(graph);
    let started = Instant::now();
    let graph = Arc::new(Graph::load(&path, &stamp, vectors.len())?);
    let load_ms = started.elapsed().as_secs_f64() * 1e3;
    let view = View::new(vectors.clone(), Some(graph.clone()), members.clone())?;
    let query = truth.queries.first().context("no queries")?;
    let planner = Planner::default();
    let first_search_ms = timed(|| view.search(query.0, K, None, &planner).map(|_| ()))?;
    let started = Instant::now();
    let costs = Costs::measured(&view, &[]).context("too few vectors")?;
    let measured_ms = started.elapsed().as_secs_f64() * 1e3;
    let planner = Planner::new(costs);

    let mut planned = |name: &str, view: &View, only: Option<&RoaringBitmap>, k| -> Result<()> {
        let live = only.map_or(view.members().clone(), |only| view.members() & only);
        let truth = Truth::of(&**vectors, &live, data, k)?;
        let mut plans = [0; 3];
        let row = truth.measure(name, |_, query| {
            let answer = view.search(query, k, only, &planner).expect("queries were checked");
            plans[match answer.plan {
                Plan::Scan => 0,
                Plan::Signs => 1,
                Plan::Graph { .. } => 2,
            }] += 1;
            answer.near
        });
        let [scans, signs, graphs] = plans;
        rows.push(Row { name: format!("{name} ({scans}/{signs}/{graphs})"), ..row });
        Ok(())
    };
    planned("planner, all", &view, None, K)?;
    planned(&format!("planner, all, recall@{FUSED_K}"), &view, None, FUSED_K)?;
    for percent in [50, 10, 1] {
        let kept = |slot: &u32| slot.wrapping_mul(2_654_435_761) % 100 < percent;
        let only: RoaringBitmap = members.iter().filter(kept).collect();
        planned(&format!("planner, {percent} % pass"), &view, Some(&only), K)?;
    }
    // A branch on which a tenth is dead.
    let live = members.iter().filter(|slot| slot % 10 != 0).collect();
    let branch = View::new(vectors.clone(), Some(graph), live)?;
    planned("planner, a tenth dead", &branch, None, K)?;

    let build = Build {
        seconds,
        per_second: count as f64 / seconds,
        peak_bytes: peak.into_inner().saturating_sub(before) / count.max(1),
        kept_bytes: kept / count.max(1),
        graph_bytes,
        store_bytes,
        file_bytes: std::fs::metadata(&path)?.len() / count.max(1),
        save_ms,
        load_ms,
        first_search_ms,
        measured_ms,
    };
    Ok((rows, build, format!("{costs:?}")))
}

/// Milliseconds that something takes.
fn timed<E: std::error::Error + Send + Sync + 'static>(
    work: impl FnOnce() -> Result<(), E>,
) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn print(rows: &[Row], build: &Build, costs: &str, peer: Option<&peer::Peer>) {
    let full = rows.first().map_or(0.0, |row| row.p50_ms);
    println!("each search runs three times, the fastest counts");
    println!(
        "{:44} recall@{K}   p50 ms   p99 ms   of full",
        "(scan/signs/graph: plans that were taken)"
    );
    for Row { name, recall, p50_ms, p99_ms } in rows {
        println!("{name:44}    {recall:.4}  {p50_ms:7.3}  {p99_ms:7.3}  {:8.3}", p50_ms / full);
    }
    println!(
        "\ngraph: {:.0} vectors/s on one thread, {:.0} s; bytes per vector: {} while it is built, \
         {} kept by the process after, {} in the graph, {} in its file; all three precisions {}",
        build.per_second,
        build.seconds,
        build.peak_bytes,
        build.kept_bytes,
        build.graph_bytes,
        build.file_bytes,
        build.store_bytes,
    );
    println!(
        "saved in {:.1} ms, loaded and verified in {:.1} ms, first search {:.1} ms, costs measured \
         in {:.0} ms: {costs}",
        build.save_ms, build.load_ms, build.first_search_ms, build.measured_ms,
    );
    if let Some(peer) = peer {
        println!(
            "usearch: {:.0} vectors/s on one thread; {} bytes per vector with the vectors in f32",
            peer.per_second, peer.bytes
        );
    }
}
