//! What is recorded.

use std::path::PathBuf;
use std::sync::Arc;

use greenlit_protocol::{
    EvidenceReport, FileEdit, FixStats, LocalizationReport, RetrievalReport, TraceCall,
    TraceMessage, TraceSearch,
};
use serde::{Deserialize, Serialize};

/// The beginning of a search.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// By [`Store::next_search`](crate::Store::next_search).
    pub id: u64,
    /// Workspace root.
    pub root: PathBuf,
    /// What is known at its beginning. The numbers and the time in it are set by the store.
    pub about: TraceSearch,
}

/// The end of a search.
#[derive(Debug, Clone, Default)]
pub struct SearchEnd {
    /// Which.
    pub id: u64,
    /// What it took.
    pub stats: FixStats,
    /// Why candidates fell.
    pub fallen: Vec<(String, u64)>,
    /// The suspicious lines.
    pub localization: Option<LocalizationReport>,
    /// What the index lent.
    pub retrieval: Option<RetrievalReport>,
    /// How it ended: `fixed`, `nothing found`, `cancelled`, or an error.
    pub ended: String,
    /// Rounds that models were asked in, by tier and model.
    pub rounds: Vec<(String, String, u64)>,
}

/// One attempt. Recording the same number again replaces what is known of it, but not what a person
/// decided nor when it was offered first.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// By [`Store::next_attempt`](crate::Store::next_attempt).
    pub id: u64,
    /// The search that it belongs to.
    pub search: u64,
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
    /// See [`TraceEntry::verdict`](greenlit_protocol::TraceEntry::verdict).
    pub verdict: String,
    /// Why.
    pub reason: Option<String>,
    /// The first line of the failure that killed it.
    pub failure: Option<String>,
    /// What it does, in few words.
    pub summary: Option<String>,
    /// As a unified diff.
    pub diff: Option<String>,
    /// As byte ranges.
    pub edits: Vec<FileEdit>,
    /// The call that brought it.
    pub call: Option<TraceCall>,
    /// What the model was told. Attempts of a round share it.
    pub prompt: Option<Arc<[TraceMessage]>>,
    /// What it said.
    pub reply: Option<Arc<str>>,
    /// The handle, for what was verified.
    pub fix: Option<String>,
    /// What was run, for what was verified.
    pub evidence: Option<EvidenceReport>,
    /// Whether a person could see it.
    pub offered: bool,
    /// Unpatched texts that the verdict names, by path relative to the root.
    pub files: Vec<(String, Arc<str>)>,
    /// It touches a private path: what quotes code is not written.
    pub private: bool,
}

impl Attempt {
    /// Leaves what says nothing of the code.
    pub(crate) fn without_code(mut self) -> Self {
        self.summary = None;
        self.failure = None;
        self.diff = None;
        self.edits = Vec::new();
        self.prompt = None;
        self.reply = None;
        self.evidence = None;
        self.files = Vec::new();
        self
    }

    /// About how many bytes it takes in the queue.
    pub(crate) fn size(&self) -> usize {
        let texts = [&self.diff, &self.summary, &self.failure, &self.reason];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let prompt = self.prompt.iter().flat_map(|p| p.iter()).map(|m| m.content.len());
        let files = self.files.iter().map(|(_, text)| text.len());
        500 + texts
            + prompt.sum::<usize>()
            + self.reply.as_ref().map_or(0, |r| r.len())
            + files.sum::<usize>()
    }
}

/// What a person did with a fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Applied it.
    Applied,
    /// Does not want it.
    Dismissed,
}

/// What of an attempt is one value in the database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diff: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) edits: Vec<FileEdit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<TraceCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) evidence: Option<EvidenceReport>,
}
