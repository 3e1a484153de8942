//! Workspaces that are opened in a process of their own: the first search, and memory.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use greenlit_benches::machine::resident;
use greenlit_benches::process;
use greenlit_index::{Index, Query};
use greenlit_workspace::View;
use serde::{Deserialize, Serialize};

use crate::PATIENCE;
use crate::embedder::Counted;
use crate::steps::embedded;
use crate::workspace::settle;

/// What a process took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Opened {
    pub(crate) chunks: u64,
    /// From the opening to the first answer that misses nothing, or only vectors where there are none.
    pub(crate) first_search_ms: f64,
    /// The fastest of the searches after it.
    pub(crate) search_ms: f64,
    /// Bytes, when it has nothing left to do; of these, bytes that are in no file.
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
}

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{} chunks, first search after {:.0} ms, later ones from {:.2} ms, {:.1} MB resident, {:.1} \
             of them in no file",
            self.chunks,
            self.first_search_ms,
            self.search_ms,
            mb(self.resident),
            mb(self.anonymous),
        )
    }
}

/// Starts this program anew.
pub(crate) fn start(homes: &[PathBuf], vectors: Option<&Path>, dims: usize) -> Result<Opened> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--dims").arg(dims.to_string());
    if let Some(vectors) = vectors {
        command.arg("--vectors").arg(vectors);
    }
    command.arg("--open").args(homes);
    let finished = process::run(&mut command, PATIENCE)?;
    if !finished.success() {
        bail!("the workspaces cannot be opened: {}", finished.tail());
    }
    serde_json::from_str(&finished.stdout).context("not what this program prints")
}

/// What [`start`] starts.
pub(crate) fn open(homes: &[PathBuf], vectors: Option<&Path>, dims: usize) -> Result<()> {
    let dense =
        vectors.map(|vectors| Ok::<_, anyhow::Error>(Counted::new(dims, None)?.dense(vectors)));
    let dense = dense.transpose()?;
    let started = Instant::now();
    let mut indexes = Vec::new();
    for home in homes {
        let root = home.join("root").canonicalize()?;
        indexes.push(Index::open(&root, Some(&home.join("index")), dense.as_ref(), |_| {})?);
    }
    let query =
        Query { text: "read the next line of a file".to_owned(), k: 10, ..Query::default() };
    let ask = |index: &Index| -> Result<bool> {
        let view = View::of_disk(index.root().to_owned());
        let answer = index.search(&query, &view, PATIENCE)?;
        // Without a model every answer says that there is none.
        Ok(dense.is_none() || answer.degraded.is_none())
    };
    let first = indexes.first().context("nothing to open")?;
    settle(first)?;
    while !ask(first)? {
        std::thread::yield_now();
    }
    let first_search_ms = started.elapsed().as_secs_f64() * 1e3;
    let mut search_ms = f64::INFINITY;
    let mut chunks = 0;
    for index in &indexes {
        settle(index)?;
        if let Some(dense) = &dense {
            embedded(index, dense)?;
        }
        for _ in 0..5 {
            let started = Instant::now();
            ask(index)?;
            search_ms = search_ms.min(started.elapsed().as_secs_f64() * 1e3);
        }
        chunks += index.status().chunks;
    }
    let resident = resident(std::process::id());
    let opened = Opened { chunks, first_search_ms, search_ms, resident, anonymous: anonymous() };
    println!("{}", serde_json::to_string(&opened)?);
    Ok(())
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
