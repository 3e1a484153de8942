//! What `greenlit status --json` and `greenlit doctor --json` print: field names are public and stable.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{EvidenceStatus, SearchQuality};

/// What `greenlit status --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The daemon's build.
    pub build: String,
    /// Protocol version in use.
    pub protocol: u32,
    /// Process id.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_secs: u64,
    /// Where it listens.
    pub socket: PathBuf,
    /// Its log file.
    pub log: PathBuf,
    /// Resident memory in bytes, where the platform tells.
    pub memory_bytes: Option<u64>,
    /// Connected sessions.
    pub sessions: Vec<SessionStatus>,
    /// Workspaces.
    pub roots: Vec<RootStatus>,
    /// Models that are asked when templates find nothing, cheapest first.
    #[serde(default)]
    pub models: Vec<ModelStatus>,
    /// Jobs running now.
    pub jobs: u32,
    /// The record of attempts.
    #[serde(default)]
    pub evidence: Option<EvidenceStatus>,
    /// How the engine is, which runs language models.
    #[serde(default)]
    pub engine: Option<crate::EngineReport>,
}

/// The model behind a tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// `small` or `large`.
    pub tier: String,
    /// Its name.
    pub model: String,
}

/// One connected session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its id.
    pub id: u64,
    /// Who it is.
    pub client: String,
    /// Open documents.
    pub documents: u32,
}

/// One workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootStatus {
    /// Workspace root.
    pub root: PathBuf,
    /// Git branch, or the short commit when detached; `None` outside git.
    pub branch: Option<String>,
    /// Workspace revision.
    pub revision: u64,
    /// What goes on, in words.
    pub phase: String,
    /// Failing tests of the last run.
    pub failing: u32,
    /// Fixes on offer.
    pub fixes: u32,
    /// The sandbox layer that tests ran in last; `None` before they ran.
    #[serde(default)]
    pub layer: Option<String>,
    /// The index, in words; `None` when nothing asked for one yet.
    #[serde(default)]
    pub index: Option<String>,
    /// How good its searches are; `None` without an index.
    #[serde(default)]
    pub search: Option<SearchQuality>,
    /// The adapter that a local model of a tier writes with in this workspace.
    #[serde(default)]
    pub adapter: Option<String>,
}

/// How a check of `doctor` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// Works, with a limit.
    Warning,
    /// Does not work.
    Failed,
}

/// One line of `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: CheckState,
    /// What was seen.
    pub detail: String,
    /// What would make it better.
    pub remedy: Option<String>,
}
