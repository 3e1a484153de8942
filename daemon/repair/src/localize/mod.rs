//! Fault localization: which lines to suspect, and how sure the method is.

mod changed;
mod loaded;
mod outside;
mod sources;
mod spectrum;
mod traces;

#[cfg(test)]
mod loaded_tests;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use changed::{ChangedLines, with_changed};
pub(crate) use loaded::with_loaded;
pub(crate) use sources::Imports;
pub use spectrum::ochiai;
pub use traces::from_traces;

/// How the suspicion was computed; shown in the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Ochiai over per-test line spectra.
    Spectrum,
    /// Stack traces, assertion sites and the functions that the failing tests call.
    Trace,
    /// The lines of a compiler's or linter's diagnostic.
    Diagnostic,
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
    /// By what means the spectra were measured.
    pub measured_by: Option<String>,
    /// Whether lines come first because they changed since the tests passed.
    pub changed: bool,
    /// Sorted by descending score, then path and line.
    pub lines: Vec<Suspicious>,
}

type Scores = BTreeMap<(PathBuf, u32), f64>;

/// Scales the scores so that the greatest is 1, and sorts them.
fn ranked(method: Method, scores: Scores) -> Localization {
    let greatest = scores.values().copied().fold(0.0, f64::max);
    let mut lines: Vec<_> = scores
        .into_iter()
        .filter(|(_, score)| *score > 0.0 && score.is_finite())
        .map(|((path, line), score)| Suspicious { path, line, score: score / greatest })
        .collect();
    lines.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| a.path.cmp(&b.path))
            .then_with(|| a.line.cmp(&b.line))
    });
    Localization { method, measured_by: None, changed: false, lines }
}
