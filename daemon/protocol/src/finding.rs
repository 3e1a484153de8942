//! What editors show: failing tests and problems, with the fixes on offer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::FixEntry;

/// Why a finding exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// A test fails, twice in a row.
    FailingTest,
    /// A test takes longer than one test may, twice in a row.
    HangingTest,
    /// A test's outcome differed between two runs of the same code.
    FlakyTest,
    /// The project does not build or collect here.
    BuildError,
    /// A compiler or linter that the editor runs reports something, and there is a verified fix.
    /// Its place is the diagnostic's; it is not to be shown a second time.
    Diagnostic,
}

/// One thing to show at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Why.
    pub kind: FindingKind,
    /// The test, where there is one.
    pub test: Option<String>,
    /// Absolute path of the failing assertion or error.
    pub path: PathBuf,
    /// 1-based line.
    pub line: u32,
    /// blake3 (hex) of the text of `path` that the line refers to.
    pub content_hash: String,
    /// One line for people.
    pub message: String,
    /// Suspicious lines, most suspicious first.
    pub related: Vec<Related>,
    /// Verified fixes, best first. Empty while none is known.
    pub fixes: Vec<OfferedFix>,
}

/// A line that may hold the cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// Absolute path.
    pub path: PathBuf,
    /// 1-based line.
    pub line: u32,
    /// Why it is shown.
    pub message: String,
}

/// A verified fix with a handle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferedFix {
    /// Names this fix in later requests.
    pub id: String,
    /// For the quick-fix menu, evidence included:
    /// ``Fix test_gcd: replace `>` by `>=` · verified: 1 red→green, 42 others unchanged, 3.1 s · template``.
    pub title: String,
    /// What the patch does, in a few words.
    pub summary: String,
    /// The fix and its evidence. A fix holds only while every file in
    /// `entry.evidence.content_hashes` has that content.
    pub entry: FixEntry,
}
