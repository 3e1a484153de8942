//! Workspaces that are opened in a process of their own: the first search, and memory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use greenlit_benches::machine::resident;
use greenlit_benches::process;
use greenlit_embed::Embedder;
use greenlit_index::{Index, Query};
use greenlit_workspace::View;
use serde::{Deserialize, Serialize};

use crate::embedder::Counted;
use crate::steps::embedded;
use crate::workspace::settle;
use crate::{Args, PATIENCE};

/// What a process took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) chunks: u64,
    /// From the opening to the first answer that misses nothing, or only vectors where there are none.
    pub(crate) first_search_ms: f64,
    /// Of the processor until then.
    pub(crate) first_search_cpu_ms: f64,
    /// Of the searches after it, one for each question: the embedding of these costs nothing.
    pub(crate) searches: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Of the processor, each.
    pub(crate) search_cpu_ms: f64,
    /// Bytes, when it has nothing left to do; of these, bytes that are in no file.
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{} chunks, first search after {:.0} ms ({:.0} of the processor), {} later ones p50 {:.2} ms, \
             p99 {:.2} ms ({:.2} of the processor each), {:.1} MB resident, {:.1} of them in no file",
            self.chunks,
            self.first_search_ms,
            self.first_search_cpu_ms,
            self.searches,
            self.p50_ms,
            self.p99_ms,
            self.search_cpu_ms,
            mb(self.resident),
            mb(self.anonymous),
        )
    }
}

/// The first question.
const FIRST: &str = "read the next line of a file";

/// Starts this program anew.
pub(crate) fn start(homes: &[PathBuf], vectors: Option<&Path>, args: &Args) -> Result<Opened> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--dims").arg(args.dims.to_string());
    command.arg("--searches").arg(args.searches.to_string());
    if let Some(vectors) = vectors {
        command.arg("--vectors").arg(vectors);
    }
    for (option, value) in [("--model", &args.model), ("--onnxruntime", &args.onnxruntime)] {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    command.arg("--open").args(homes);
    let finished = process::run(&mut command, PATIENCE)?;
    if !finished.success() {
        bail!("the workspaces cannot be opened: {}", finished.tail());
    }
    serde_json::from_str(&finished.stdout).context("not what this program prints")
}

/// What [`start`] starts.
pub(crate) fn open(args: &Args) -> Result<()> {
    let Args { open: homes, vectors, searches, .. } = args;
    let embedder = vectors.as_ref().map(|_| Counted::new(args, None)).transpose()?;
    let dense = embedder.as_ref().zip(vectors.as_deref());
    let dense = dense.map(|(embedder, vectors)| embedder.dense(vectors));
    let embed = |question: &str| match &embedder {
        Some(embedder) => embedder.embed_query(question).map(|_vector| ()),
        None => Ok(()),
    };
    // What is measured is the index, and not the model.
    embed(FIRST)?;
    let started = Instant::now();
    let mut indexes = Vec::new();
    for home in homes {
        let root = home.join("root").canonicalize()?;
        indexes.push(Index::open(&root, Some(&home.join("index")), dense.as_ref(), |_| {})?);
    }
    let ask = |index: &Index, text: &str| -> Result<bool> {
        let query = Query { text: text.to_owned(), k: 10, ..Query::default() };
        let view = View::of_disk(index.root().to_owned());
        let answer = index.search(&query, &view, PATIENCE)?;
        // Without a model every answer says that there is none.
        Ok(dense.is_none() || answer.degraded.is_none())
    };
    let first = indexes.first().context("nothing to open")?;
    settle(first)?;
    while !ask(first, FIRST)? {
        std::thread::yield_now();
    }
    let first_search_ms = started.elapsed().as_secs_f64() * 1e3;
    let first_search_cpu_ms = busy_ms();
    let mut searching = 0.0;
    let mut times = Vec::new();
    let mut chunks = 0;
    for index in &indexes {
        settle(index)?;
        if let Some(dense) = &dense {
            embedded(index, dense)?;
        }
        let questions = questions(index, searches.div_ceil(indexes.len()))?;
        questions.iter().try_for_each(|question| embed(question))?;
        let busy = busy_ms();
        for question in questions {
            let started = Instant::now();
            ask(index, &question)?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        searching += busy_ms() - busy;
        chunks += index.status().chunks;
    }
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1) as f64;
    let at = |part: f64| times.get((last * part) as usize).copied().unwrap_or_default();
    let opened = Opened {
        chunks,
        first_search_ms,
        first_search_cpu_ms,
        searches: times.len(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        search_cpu_ms: searching / times.len().max(1) as f64,
        resident: resident(std::process::id()),
        anonymous: anonymous(),
    };
    println!("{}", serde_json::to_string(&opened)?);
    Ok(())
}

/// Questions that have an answer: a line of code or prose from the middle of so many files.
fn questions(index: &Index, count: usize) -> Result<Vec<String>> {
    let mut open = vec![index.root().to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.extend((!path.ends_with(".git")).then_some(path));
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    fastrand::Rng::with_seed(1).shuffle(&mut files);
    let mut questions = Vec::new();
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| line.len() > 20).collect();
        questions.extend(lines.get(lines.len() / 2).map(|line| (*line).to_owned()));
        if questions.len() >= count {
            break;
        }
    }
    Ok(questions)
}

/// Resident memory of this process that is in no file; 0 where the platform does not tell.
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Milliseconds of the processor that this process used; 0 where the platform does not tell.
pub(crate) fn busy_ms() -> f64 {
    /// Of the kernel's unit for programs.
    const TICK_MS: f64 = 10.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // What comes before is the program's name, which may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    // The 14th and 15th of all: in the program and in the kernel.
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<f64>().ok());
    ticks.sum::<f64>() * TICK_MS
}
