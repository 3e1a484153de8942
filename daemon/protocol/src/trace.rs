//! What is kept of every attempt, and what can be asked about it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{EvidenceReport, FileEdit, FixStats, LocalizationReport, RetrievalReport};

/// What is wanted of the record of attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TraceAction {
    /// Attempts in few words, newest first.
    List(TraceFilter),
    /// Everything about one.
    Show {
        /// An attempt's number, or [`OfferedFix::id`](crate::OfferedFix::id) for the newest attempt at it.
        id: String,
    },
    /// Everything about many, oldest first, a page at a time.
    Export {
        /// Which.
        filter: TraceFilter,
        /// Only attempts with a greater number.
        after: u64,
    },
    /// Verify the candidate once more and compare.
    Replay {
        /// As in `Show`.
        id: String,
    },
    /// Remove everything that quotes code from one, for good.
    Redact {
        /// As in `Show`.
        id: String,
    },
}

/// Which attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TraceFilter {
    /// Of this workspace only.
    pub root: Option<PathBuf>,
    /// Not older than this, in milliseconds of Unix time.
    pub since_ms: Option<i64>,
    /// Of this tier only.
    pub tier: Option<String>,
    /// Only those that were offered.
    pub offered: bool,
    /// At most so many; at most [`TraceFilter::MOST`].
    pub limit: u32,
}

impl TraceFilter {
    /// More are not given at once.
    pub const MOST: u32 = 10_000;
}

/// One attempt in few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceEntry {
    /// Its number; later attempts have greater ones, whatever the clock says.
    pub id: u64,
    /// When, in milliseconds of Unix time.
    pub at_ms: i64,
    /// Workspace root.
    pub root: PathBuf,
    /// `template`, `small`, `large`, `checker`.
    pub tier: String,
    /// Template family, or a checker's rule.
    pub rule: Option<String>,
    /// Model name.
    pub model: Option<String>,
    /// Adapter `name@version`.
    pub adapter: Option<String>,
    /// `verified`, `partial`, `fell`, `untried`, `planned`, `repeated`, `invalid`, `failed` or `cancelled`.
    pub verdict: String,
    /// Why it fell or could not be used.
    pub reason: Option<String>,
    /// What the patch does, in few words.
    pub summary: Option<String>,
    /// [`OfferedFix::id`](crate::OfferedFix::id), for what was verified.
    pub fix: Option<String>,
    /// When it was offered first, in milliseconds of Unix time.
    pub offered_ms: Option<i64>,
    /// When a person applied it.
    pub applied_ms: Option<i64>,
    /// When a person dismissed it.
    pub dismissed_ms: Option<i64>,
    /// When an applied one was seen to be taken back.
    pub reverted_ms: Option<i64>,
}

/// Everything about one attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceReport {
    /// In few words.
    pub entry: TraceEntry,
    /// The search that it belongs to.
    pub search: TraceSearch,
    /// The call that brought it, where a model did.
    pub call: Option<TraceCall>,
    /// What the model was told, in order.
    pub prompt: Option<Vec<TraceMessage>>,
    /// What it said.
    pub reply: Option<String>,
    /// The candidate as a unified diff.
    pub diff: Option<String>,
    /// The candidate as byte ranges.
    pub edits: Vec<FileEdit>,
    /// The first line of the failure or build error that killed it.
    pub failure: Option<String>,
    /// What was run, for what was verified.
    pub evidence: Option<EvidenceReport>,
    /// Files whose texts of then are kept, relative to the root: a replay can restore them.
    pub files: Vec<String>,
    /// It touches a private path: nothing that quotes code was kept.
    pub private: bool,
    /// A person had removed what quotes code.
    pub redacted: bool,
}

/// A search for fixes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceSearch {
    /// Its number.
    pub id: u64,
    /// When it began, in milliseconds of Unix time.
    pub at_ms: i64,
    /// `tests` or `diagnostics`.
    pub kind: String,
    /// Git branch.
    pub branch: Option<String>,
    /// Workspace revision.
    pub revision: u64,
    /// blake3 (hex) over every input of the view.
    pub inputs: String,
    /// Whether nobody had asked for it.
    pub background: bool,
    /// The build that searched.
    pub build: String,
    /// Tests that were to be mended.
    pub tests: Vec<String>,
    /// The suspicious lines.
    pub localization: Option<LocalizationReport>,
    /// What the index lent.
    pub retrieval: Option<RetrievalReport>,
    /// What it took; absent while it runs, and where it never came to its end.
    pub stats: Option<FixStats>,
    /// Candidates by why they fell, most frequent first.
    pub fallen: Vec<(String, u64)>,
    /// How it ended; absent as `stats` is.
    pub ended: Option<String>,
}

/// One call of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TraceCall {
    /// Which model.
    pub model: String,
    /// What its weights hash to, where that is known.
    pub digest: Option<String>,
    /// Who runs it: an endpoint.
    pub provider: Option<String>,
    /// Adapter `name@version`.
    pub adapter: Option<String>,
    /// Round of the loop; 0 for a plan.
    pub round: u32,
    /// Sampling.
    pub temperature: f32,
    /// Sampling.
    pub top_p: f32,
    /// Tokens of the longest reply.
    pub max_tokens: u32,
    /// Makes it repeatable where the model can.
    pub seed: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Whether the tokens are estimates.
    pub estimated: bool,
    /// From the question to the end of the reply.
    pub latency_ms: u64,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// What `greenlit trace replay --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// The attempt.
    pub id: u64,
    /// Workspace root.
    pub root: PathBuf,
    /// Whether every input of the view is what it was then.
    pub exact: bool,
    /// Files that had to be taken from the record: the checkout has others by now. Only the sandbox saw them.
    pub restored: Vec<String>,
    /// Whether the verdict is the same, with the same tests turned green.
    pub agrees: bool,
    /// The verdict then.
    pub before: String,
    /// The verdict now.
    pub after: String,
    /// What differs, in words.
    pub differences: Vec<String>,
    /// Why the model was not asked again; absent where none had been.
    pub model: Option<String>,
    /// Wall time of the replay.
    pub elapsed_ms: u64,
}

/// How the record of attempts is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvidenceStatus {
    /// `kept`, `off` or `not kept`.
    pub state: String,
    /// The database.
    pub path: PathBuf,
    /// What it takes on disk.
    pub bytes: u64,
    /// Records that were not written since the daemon started: the queue was full, or the disk.
    pub dropped: u64,
    /// What a person should know: why nothing is kept, what was moved aside.
    pub notices: Vec<String>,
    /// Sums over everything that was ever recorded.
    pub totals: EvidenceTotals,
}

/// Sums over everything that was ever recorded, whatever was removed since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvidenceTotals {
    /// Attempts.
    pub attempts: u64,
    /// Verified ones.
    pub verified: u64,
    /// Offered ones.
    pub offered: u64,
    /// Applied ones.
    pub applied: u64,
    /// Dismissed ones.
    pub dismissed: u64,
    /// Applied ones that were taken back.
    pub reverted: u64,
    /// Calls of models.
    pub calls: u64,
}
