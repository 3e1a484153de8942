//! Search and the index behind it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::PullPlan;

/// A search over what the session sees of a root.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchRequest {
    /// Workspace root.
    pub root: PathBuf,
    /// Plain words or names.
    pub query: String,
    /// Hits wanted, at most [`SearchRequest::MAX_HITS`].
    pub k: u32,
    /// Patterns of paths relative to the root, a directory's name means all below it; empty means
    /// everywhere.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Names of languages; empty means all.
    #[serde(default)]
    pub languages: Vec<String>,
    /// Names of kinds of definitions; empty means all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Only definitions.
    #[serde(default)]
    pub symbols: bool,
    /// Files that the person works on: what they call and what calls them comes earlier.
    #[serde(default)]
    pub near: Vec<PathBuf>,
    /// How long to wait for an index that is not up to date, in milliseconds; `None` for a second.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

impl SearchRequest {
    /// More hits are not given.
    pub const MAX_HITS: u32 = 200;
}

/// What `greenlit search --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchReport {
    /// As it was asked.
    pub query: String,
    /// Git branch, or the short commit when detached; `None` outside git.
    pub branch: Option<String>,
    /// Why there may be more or better hits; `None` when the answer is whole.
    pub degraded: Option<String>,
    /// Chunks that are still to be embedded.
    pub dense_pending: u64,
    /// The embedding model that answered; `None` when nothing was found by meaning.
    #[serde(default)]
    pub model: Option<String>,
    /// What would have to be downloaded to search by meaning; `None` when there is a model, the
    /// person wants none, or downloads are forbidden.
    #[serde(default)]
    pub offer: Option<PullPlan>,
    /// Best first.
    pub hits: Vec<SearchHit>,
}

/// One passage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// 1-based.
    pub start_line: u32,
    /// 1-based, inclusive.
    pub end_line: u32,
    /// Names of the definition, outermost first, joined with dots; `None` between definitions.
    pub symbol: Option<String>,
    /// `function`, `class`, `section`, ….
    pub kind: String,
    /// `python`, `markdown`, ….
    pub language: String,
    /// Comparable within one report.
    pub score: f64,
    /// As it stands in the session's view.
    pub text: String,
}

/// What is wanted of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexAction {
    /// How it is.
    Status,
    /// Throw it away and start over.
    Rebuild,
    /// Follow no more changes until resumed.
    Pause,
    /// Follow changes again.
    Resume,
}

/// What `greenlit index status --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexReport {
    /// Workspace root.
    pub root: PathBuf,
    /// Git branch, or the short commit when detached; `None` outside git.
    pub branch: Option<String>,
    /// `opening`, `indexing`, `ready`, `paused` or `failed`.
    pub state: String,
    /// Files whose contents are in.
    pub files: u64,
    /// Files still to be looked at; `None` while nobody knows.
    pub files_pending: Option<u64>,
    /// Chunks of these files.
    pub chunks: u64,
    /// Chunks that are still to be embedded; see `notices` while one model replaces another.
    pub dense_pending: u64,
    /// On disk.
    pub bytes_disk: u64,
    /// The word indexes of all workspaces together.
    pub shelf: ShelfReport,
    /// The vectors of all workspaces together; `None` without a model.
    #[serde(default)]
    pub vectors: Option<VectorsReport>,
    /// In memory, estimated.
    pub bytes_memory: u64,
    /// What computes the vectors; `None` when nothing does.
    pub backend: Option<String>,
    /// The embedding model; `None` without one.
    pub model: Option<String>,
    /// The graph over the vectors; `None` without vectors.
    pub graph: Option<GraphReport>,
    /// How old the oldest change is that is not in yet.
    pub staleness_ms: u64,
    /// Why searches are not whole; `None` when they are.
    pub degraded: Option<String>,
    /// Files that are left out, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// How long searches took.
    pub latency: LatencyReport,
    /// Whether what repair retrieved was of use.
    #[serde(default)]
    pub by_use: UseReport,
    /// What else a person should know.
    pub notices: Vec<String>,
}

/// The store of vectors, which all workspaces share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorsReport {
    /// On disk.
    pub bytes: u64,
    /// Most that it may take.
    pub quota_bytes: u64,
}

/// How good searches of a root are, as far as the daemon can tell, since the index was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchQuality {
    /// How old the oldest change is that is not in yet.
    pub staleness_ms: u64,
    /// How long searches took.
    pub latency: LatencyReport,
    /// Whether what repair retrieved was of use.
    pub by_use: UseReport,
}

/// Whether passages that were retrieved for a repair lie where a fix is: the precision of retrieval by use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseReport {
    /// Over verified fixes.
    pub verified: UsedPassages,
    /// Over fixes that a person applied.
    pub accepted: UsedPassages,
}

/// Passages of some fixes. `used / passages` is the precision at k, `passages / fixes` the mean of k.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedPassages {
    /// Fixes for which passages were retrieved.
    pub fixes: u64,
    /// These passages, at most twelve a fix.
    pub passages: u64,
    /// Those whose lines the fix changes.
    pub used: u64,
}

/// What the word indexes of all workspaces take on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfReport {
    /// How many there are.
    pub indexes: u64,
    /// What they take.
    pub bytes: u64,
    /// What they may take: beyond it, those that were used longest ago are removed.
    pub quota_bytes: u64,
}

/// The graph over the vectors of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphReport {
    /// Whether there is one.
    pub built: bool,
    /// Vectors that are in it.
    pub members: u64,
    /// Vectors that are searched one by one.
    pub tail: u64,
}

/// Percentiles over the last searches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyReport {
    /// Searches that they are over.
    pub searches: u64,
    /// Microseconds.
    pub p50_us: u64,
    /// Microseconds.
    pub p90_us: u64,
    /// Microseconds.
    pub p99_us: u64,
}
