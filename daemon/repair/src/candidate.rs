//! Candidate patches and the trait of what proposes them.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::localize::Localization;
use crate::retrieval::Passage;

/// Replaces a byte range of one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Edit {
    /// Absolute path.
    pub path: PathBuf,
    /// Start, in bytes of the file's UTF-8 text.
    pub start: usize,
    /// End (exclusive), in bytes.
    pub end: usize,
    /// What stands there afterwards.
    pub new_text: String,
}

/// Who proposed a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// `template`, `small` or `large`.
    pub tier: String,
    /// Template family, or model name.
    pub rule: String,
    /// Adapter `name@version`, where a model used one.
    pub adapter: Option<String>,
}

/// A proposed change. Nothing is known about it yet but its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Non-overlapping edits, sorted by path and start.
    pub edits: Vec<Edit>,
    /// Where it came from.
    pub source: Source,
    /// What it does, in a few words, for people: ``replace `<` by `<=` ``.
    pub summary: String,
    /// Expected worth; greater is tried and shown earlier. Not a probability.
    pub score: f64,
}

/// Those of before first, as the generator has them now where it has them, then its others.
pub(crate) fn earlier_first(earlier: &[Candidate], generated: Vec<Candidate>) -> Vec<Candidate> {
    let mut all = earlier.to_vec();
    for candidate in generated {
        match all[..earlier.len()].iter_mut().find(|known| known.edits == candidate.edits) {
            Some(known) => *known = candidate,
            None => all.push(candidate),
        }
    }
    all
}

/// A file that candidates may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Absolute path.
    pub path: PathBuf,
    /// Its text in the view under repair (unsaved buffers included).
    pub text: Arc<str>,
}

/// What a generator works from.
#[derive(Debug)]
pub struct FaultContext<'a> {
    /// Files in which lines are suspected, most suspicious first.
    pub files: &'a [SourceFile],
    /// Other files that are not suspected and may lend code: found ones, imported ones, and
    /// those that share many names with `files`. Nearest first.
    pub neighbours: &'a [SourceFile],
    /// Passages of `files` and `neighbours` that a search found near the fault: these lend first.
    pub retrieved: &'a [Passage],
    /// Where the fault may be.
    pub localization: &'a Localization,
}

/// Proposes candidate patches. Implementations must be general: nothing about known test sets.
pub trait Generator {
    /// Candidates in the order in which they should be tried, without duplicates.
    fn candidates(&self, context: &FaultContext<'_>) -> Vec<Candidate>;
}
