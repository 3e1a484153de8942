//! What a repository's accepted fixes teach an adapter, and how well it learnt.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::TraceMessage;

/// What is wanted of the accepted fixes of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LearnAction {
    /// Examples to train an adapter on: [`Response::Dataset`](crate::Response::Dataset).
    Dataset {
        /// The workspace.
        root: PathBuf,
        /// Only attempts with a greater number.
        after: u64,
        /// Also those that are held out for evaluations.
        all: bool,
    },
    /// Let an adapter's model mend recorded faults, with it and without:
    /// [`Response::Evaluated`](crate::Response::Evaluated).
    Evaluate {
        /// `name@version`; without a version the newest one.
        adapter: String,
        /// The workspace.
        root: PathBuf,
        /// Also on faults that datasets do not leave out.
        all: bool,
        /// At most so many faults, the newest ones.
        most: u32,
    },
}

/// Accepted fixes as examples, a page at a time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DatasetPage {
    /// Oldest first.
    pub examples: Vec<TrainingExample>,
    /// Accepted fixes that are no examples.
    pub left_out: Vec<LeftOut>,
    /// Those that are held out, so that `greenlit adapter evaluate` measures what was not learnt.
    pub held_out: u32,
    /// The number of the last attempt that was looked at; `None` when there are no more.
    pub last: Option<u64>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// One line of a dataset: a conversation, as the usual trainers read it, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingExample {
    /// What a model would be told, then what it should answer.
    pub messages: Vec<TraceMessage>,
    /// The attempt in the record.
    pub attempt: u64,
    /// Tests that it turned green.
    pub tests: Vec<String>,
    /// The tier that wrote it.
    pub tier: String,
    /// The model that wrote it, if one did.
    pub model: Option<String>,
}

/// A recorded fix that was not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The attempt in the record.
    pub attempt: u64,
    /// Why.
    pub why: String,
}

/// How many recorded faults a model mends with an adapter and without.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evaluation {
    /// Faults that were set up again, all with the same budget.
    pub faults: u32,
    /// Those that got a verified fix with the adapter.
    pub with: u32,
    /// And without.
    pub without: u32,
    /// Whether only faults were used that datasets leave out.
    pub held_out: bool,
    /// When, in milliseconds of Unix time.
    pub at_ms: i64,
}

impl Evaluation {
    /// Whether the model is better off alone.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        self.with < self.without
    }
}

/// What `greenlit adapter evaluate --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// `name@version`
    pub adapter: String,
    /// The model that it is for.
    pub model: String,
    /// Workspace root.
    pub root: PathBuf,
    /// The sums.
    #[serde(flatten)]
    pub evaluation: Evaluation,
    /// Fault by fault.
    pub outcomes: Vec<FaultOutcome>,
    /// Recorded faults that were not used.
    pub left_out: Vec<LeftOut>,
    /// Wall time.
    pub elapsed_ms: u64,
}

/// What became of one recorded fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultOutcome {
    /// The attempt in the record that mended it.
    pub attempt: u64,
    /// Whether the model mends it with the adapter.
    pub with: bool,
    /// And without.
    pub without: bool,
}
