//! Fault localization: which lines to suspect, and how sure the method is.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// How the suspicion was computed; shown in the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Ochiai over per-test line spectra.
    Spectrum,
    /// Stack traces, assertion sites and the functions that the failing tests call.
    Trace,
}

/// One suspected line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspicious {
    /// Absolute path.
    pub path: PathBuf,
    /// 1-based line.
    pub line: u32,
    /// In 0..=1; comparable only within one localization.
    pub score: f64,
}

/// The suspected lines, most suspicious first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Localization {
    /// How they were found.
    pub method: Method,
    /// Sorted by descending score, then path and line.
    pub lines: Vec<Suspicious>,
}
