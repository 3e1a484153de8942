//! What is measured of one workspace.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use greenlit_benches::median;
use greenlit_index::{Dense, Index, Query};
use serde::Serialize;

use crate::disk::Disk;
use crate::embedder::Counted;
use crate::process::busy_ms;
use crate::workspace::{Workspace, settle};
use crate::{Args, PATIENCE};

/// Every so many saves a search must find what was saved.
const CHECKED: usize = 20;

/// The first index of a workspace, without vectors.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct First {
    pub(crate) files: u64,
    pub(crate) chunks: u64,
    pub(crate) seconds: f64,
    /// Of the processor, over all threads: what it takes on a machine with nothing else to do.
    pub(crate) cpu_s: f64,
    /// What the index says of the machine: under load it takes rests.
    pub(crate) notices: Vec<String>,
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, chunks, seconds, cpu_s, notices } = self;
        write!(
            f,
            "first index of {files} files, {chunks} chunks: {seconds:.2} s, {cpu_s:.2} s of the processor"
        )?;
        notices.iter().try_for_each(|notice| write!(f, " ({notice})"))
    }
}

/// Makes the index and closes it; gives what it takes on disk.
pub(crate) fn first(workspace: &Workspace) -> Result<(First, Disk)> {
    let (started, busy) = (Instant::now(), busy_ms());
    let index = Index::open(&workspace.root, Some(&workspace.home.join("index")), None, |_| {})?;
    let mut notices = BTreeSet::new();
    // What it says while it works is gone at the end.
    while !index.settle(std::time::Duration::from_secs(1)) {
        let status = index.status();
        notices.extend(status.notices);
        if let Some(failed) = status.failed {
            bail!("no index: {failed}");
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu_s = (busy_ms() - busy) / 1e3;
    let status = index.status();
    drop(index);
    let disk = Disk::of(&workspace.home.join("index"), Path::new(""), status.chunks)?;
    let notices = notices.into_iter().collect();
    Ok((First { files: status.files, chunks: status.chunks, seconds, cpu_s, notices }, disk))
}

/// Files saved one after the other, from the event to the publishing, without vectors.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Saves {
    pub(crate) chunks: u64,
    pub(crate) saves: usize,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) worst_ms: f64,
    /// Of the processor, over all threads, per save.
    pub(crate) cpu_ms: f64,
}

impl fmt::Display for Saves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunks, saves, p50_ms, p99_ms, worst_ms, cpu_ms } = self;
        write!(
            f,
            "{saves} files saved among {chunks} chunks: p50 {p50_ms:.1} ms, p99 {p99_ms:.1} ms, \
             worst {worst_ms:.1} ms; {cpu_ms:.1} ms of the processor each"
        )
    }
}

pub(crate) fn saves(workspace: &Workspace, count: usize, seed: u64) -> Result<Saves> {
    let index = workspace.open(None)?;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut times = Vec::new();
    let busy = busy_ms();
    for number in 0..count {
        let Some(file) = random.choice(&workspace.files) else { bail!("no files") };
        let word = format!("zanzibar{number}marmalade");
        workspace.edit(file, &word)?;
        let started = Instant::now();
        index.paths_changed([file.clone()]);
        settle(&index)?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        if number % CHECKED == 0 {
            check(workspace, &index, &word).with_context(|| file.display().to_string())?;
        }
    }
    let cpu_ms = (busy_ms() - busy) / count.max(1) as f64;
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    let chunks = index.status().chunks;
    let (p50_ms, p99_ms, worst_ms) = (at(0.5), at(0.99), at(1.0));
    Ok(Saves { chunks, saves: count, p50_ms, p99_ms, worst_ms, cpu_ms })
}

fn check(workspace: &Workspace, index: &Index, word: &str) -> Result<()> {
    let query = Query { text: word.to_owned(), k: 1, ..Query::default() };
    let answer = index.search(&query, &workspace.view(), PATIENCE)?;
    if !answer.hits.first().is_some_and(|hit| hit.text.contains(word)) {
        let first = answer.hits.first().map(|hit| format!("{}: {}", hit.path, hit.text));
        bail!("{word} was saved and is not found, but {first:?}; {:?}", index.status());
    }
    Ok(())
}

/// Switches between branches that differ in a hundredth of the files.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Branches {
    branches: usize,
    changed_files: usize,
    /// From the event of `HEAD` to the publishing, without vectors: to contents never seen, and to
    /// known ones. Medians, in seconds.
    new_s: f64,
    known_s: f64,
    /// Of the processor's time of the first index.
    new_share: f64,
    known_share: f64,
    /// Texts that were embedded: of the first branch, of all others, and on all ways back.
    texts_first: usize,
    texts_others: usize,
    texts_known: usize,
    /// Words, records, vectors and graph of all branches, in those of the first one.
    disk_ratio: f64,
}

impl fmt::Display for Branches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "switch to a branch with {} other files: {:.2} s ({:.1} % of the first index's processor time) \
             when new, {:.2} s ({:.1} %) when known; texts embedded: {} at first, {} for {} other branches, {} \
             for known ones; disk of {} branches {:.2} x one",
            self.changed_files,
            self.new_s,
            100.0 * self.new_share,
            self.known_s,
            100.0 * self.known_share,
            self.texts_first,
            self.texts_others,
            self.branches - 1,
            self.texts_known,
            self.branches,
            self.disk_ratio,
        )
    }
}

pub(crate) fn branches(
    workspace: &Workspace,
    first: &First,
    words_alone: Disk,
    vectors: &Path,
    texts: &Path,
    args: &Args,
) -> Result<(Branches, Disk)> {
    let counted = Counted::new(args, Some(texts))?;
    let dense = counted.dense(vectors);
    let index = workspace.open(Some(&dense))?;
    embedded(&index, &dense)?;
    let texts_first = counted.texts();
    let one = Disk::of(&workspace.home.join("index"), vectors, first.chunks)?;
    let one = Disk { words: words_alone.words, records: words_alone.records, ..one };

    let changed_files = (workspace.files.len() / 100).max(1);
    let mut random = fastrand::Rng::with_seed(args.seed);
    let names: Vec<String> = (1..args.branches).map(|number| format!("branch-{number}")).collect();
    for name in &names {
        workspace.git(&["checkout", "-qb", name, "main"])?;
        for file in random.choose_multiple(&workspace.files, changed_files) {
            workspace.edit(file, &format!("of {name} alone"))?;
        }
        workspace.git(&["commit", "-qam", name])?;
        workspace.git(&["checkout", "-q", "main"])?;
    }
    index.rescan();
    settle(&index)?;
    embedded(&index, &dense)?;
    let (mut new, mut known, mut texts_known) = (Vec::new(), Vec::new(), 0);
    let before = counted.texts();
    let (mut new_cpu, mut known_cpu) = (Vec::new(), Vec::new());
    // What is embedded meanwhile, for next to nothing here, counts as well.
    let switch = |to: &str| -> Result<(f64, f64)> {
        workspace.git(&["checkout", "-q", to])?;
        let (started, busy) = (Instant::now(), busy_ms());
        index.rescan();
        settle(&index)?;
        let took = (started.elapsed().as_secs_f64(), (busy_ms() - busy) / 1e3);
        embedded(&index, &dense)?;
        Ok(took)
    };
    let mut note = |is_new: bool, (wall, cpu): (f64, f64)| {
        let (walls, cpus) =
            if is_new { (&mut new, &mut new_cpu) } else { (&mut known, &mut known_cpu) };
        walls.push(wall);
        cpus.push(cpu);
    };
    for name in &names {
        note(true, switch(name)?);
        let seen = counted.texts();
        note(false, switch("main")?);
        note(false, switch(name)?);
        texts_known += counted.texts() - seen;
    }
    switch("main")?;
    let texts_others = counted.texts() - before - texts_known;
    drop((index, dense));
    let all = Disk::of(&workspace.home.join("index"), vectors, first.chunks)?;
    let [new_s, known_s, new_cpu_s, known_cpu_s] =
        [new, known, new_cpu, known_cpu].map(|all| median(all).unwrap_or_default());
    let branches = Branches {
        branches: args.branches,
        changed_files,
        new_s,
        known_s,
        new_share: new_cpu_s / first.cpu_s,
        known_share: known_cpu_s / first.cpu_s,
        texts_first,
        texts_others,
        texts_known,
        disk_ratio: all.total() as f64 / one.total().max(1) as f64,
    };
    Ok((branches, one))
}

/// Waits until every chunk has a vector and the graph is built.
pub(crate) fn embedded(index: &Index, dense: &Dense) -> Result<()> {
    if !dense.settle(PATIENCE) || index.status().dense_pending > 0 {
        bail!("chunks without vectors: {:?}", index.status());
    }
    Ok(())
}
