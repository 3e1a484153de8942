//! Files to search, questions, and where their answers lie.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use greenlit_syntax::chunk::{Document, SourceKind, Symbol};
use tempfile::TempDir;

/// Hits that are looked at.
pub(crate) const K: usize = 10;

/// Lines of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Relative to the corpus, with `/`.
    pub(crate) path: String,
    /// From 0, the end exclusive.
    pub(crate) lines: (u32, u32),
}

impl Place {
    pub(crate) fn new(path: &str, lines: &Range<u32>) -> Self {
        Self { path: path.to_owned(), lines: (lines.start, lines.end) }
    }

    pub(crate) fn shares_lines(&self, other: &Place) -> bool {
        self.path == other.path && self.lines.0 < other.lines.1 && other.lines.0 < self.lines.1
    }
}

/// A question with its answers.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) kind: &'static str,
    pub(crate) package: String,
    pub(crate) text: String,
    pub(crate) right: Vec<Place>,
    /// What the asker works on, absolute.
    pub(crate) near: Vec<PathBuf>,
}

/// A directory to search.
pub(crate) struct Corpus {
    dir: TempDir,
    pub(crate) files: BTreeMap<String, Arc<str>>,
    pub(crate) questions: Vec<Question>,
    pub(crate) left_out: BTreeMap<String, usize>,
}

impl Corpus {
    pub(crate) fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (files, left_out) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { dir, files, questions: Vec::new(), left_out })
    }

    pub(crate) fn root(&self) -> Result<PathBuf> {
        Ok(self.dir.path().canonicalize()?)
    }

    pub(crate) fn write(&mut self, path: &str, text: &str) -> Result<()> {
        let file = self.dir.path().join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
        self.files.insert(path.to_owned(), text.into());
        Ok(())
    }

    /// One question less, because.
    pub(crate) fn leave_out(&mut self, why: &str) {
        *self.left_out.entry(why.to_owned()).or_default() += 1;
    }

    /// At most so many questions of each kind and package, in an order that the seed decides.
    pub(crate) fn sample(&mut self, most: usize, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        random.shuffle(&mut self.questions);
        let mut taken: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
        let before = self.questions.len();
        self.questions.retain(|question| {
            let count = taken.entry((question.kind, question.package.clone())).or_default();
            *count += 1;
            *count <= most
        });
        let beyond = before - self.questions.len();
        if beyond > 0 {
            self.left_out.insert("not drawn".to_owned(), beyond);
        }
    }

    /// What was left out, for people.
    pub(crate) fn told(&self) -> String {
        let reasons: Vec<_> = self.left_out.iter().map(|(why, n)| format!("{n} {why}")).collect();
        if reasons.is_empty() {
            String::new()
        } else {
            format!("; left out: {}", reasons.join(", "))
        }
    }
}

/// The definitions of a file; none where it is of no known kind.
pub(crate) fn definitions(path: &Path, text: &Arc<str>) -> Vec<Symbol> {
    let kind = SourceKind::from_path(path);
    let document = kind.and_then(|kind| Document::read(text.clone(), kind).ok());
    document.map(|document| document.symbols()).unwrap_or_default()
}

/// The smallest definition around a line.
pub(crate) fn innermost(symbols: &[Symbol], line: u32) -> Option<&Symbol> {
    let around = symbols.iter().filter(|symbol| symbol.lines.contains(&line));
    around.min_by_key(|symbol| symbol.lines.len())
}

/// Whether a definition can be run.
pub(crate) fn is_function(symbol: &Symbol) -> bool {
    matches!(symbol.kind.name(), "function" | "method")
}
