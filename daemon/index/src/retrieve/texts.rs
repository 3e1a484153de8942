//! The texts behind hits, checked against what the index believes of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use greenlit_workspace::View;

use crate::record::{ChunkMeta, Record};

/// What a hit gains that calls, or is called by, what the asker works on.
const CALLED: f64 = 1.25;

/// Reads each file once.
pub(crate) struct Texts<'a> {
    view: &'a View,
    read: HashMap<String, Option<(String, [u8; 32])>>,
    stale: BTreeSet<PathBuf>,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(view: &'a View) -> Self {
        Self { view, read: HashMap::new(), stale: BTreeSet::new() }
    }

    /// The text of a chunk, if the file is the one that it was cut from.
    pub(crate) fn of(&mut self, record: &Record, chunk: &ChunkMeta) -> Option<&str> {
        let view = self.view;
        let read = self.read.entry(record.path.to_string()).or_insert_with(|| {
            let bytes = view.read(Path::new(&*record.path)).ok()?;
            let hash = *blake3::hash(&bytes).as_bytes();
            Some((String::from_utf8(bytes.into_owned()).ok()?, hash))
        });
        let text = match read {
            Some((text, hash)) if *hash == record.hash => {
                text.get(chunk.start as usize..chunk.end as usize)
            }
            _ => None,
        };
        if text.is_none() {
            self.stale.insert(view.root().join(&*record.path));
        }
        text
    }

    /// Whole lines of a file that was read.
    pub(crate) fn lines(&self, path: &str, lines: Range<u32>) -> Option<String> {
        let (text, _) = self.read.get(path)?.as_ref()?;
        let lines = lines.start as usize..lines.end as usize;
        Some(text.split_inclusive('\n').skip(lines.start).take(lines.len()).collect())
    }

    /// Absolute paths of files that are not what the index believes.
    pub(crate) fn into_stale(self) -> BTreeSet<PathBuf> {
        self.stale
    }

    /// What the asker's files call and define.
    pub(crate) fn near(&self, _files: &[PathBuf]) -> Near {
        Near::default()
    }
}

/// Names around the files that somebody works on.
#[derive(Debug, Default)]
pub(crate) struct Near {
    calls: HashSet<String>,
    defines: HashSet<String>,
}

impl Near {
    /// Factor for a hit.
    pub(crate) fn boost(&self, _path: &str, symbol: &str, _text: &str) -> f64 {
        let _ = &self.defines;
        let name = symbol.rsplit('.').next().unwrap_or_default();
        if self.calls.contains(name) { CALLED } else { 1.0 }
    }
}
