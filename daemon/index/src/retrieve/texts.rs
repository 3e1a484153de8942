//! The texts behind hits, checked against what the index believes of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use greenlit_syntax::chunk::{Chunk, ChunkKind, Document, SourceKind};
use greenlit_workspace::View;

use crate::record::{ChunkMeta, Record};

/// Files of the asker that are looked at.
const MAX_NEAR: usize = 8;

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

    /// Whether a file was read, or tried to be.
    pub(crate) fn has_read(&self, path: &str) -> bool {
        self.read.contains_key(path)
    }

    /// A file that was read.
    pub(crate) fn whole(&self, path: &str) -> Option<&str> {
        self.read.get(path)?.as_ref().map(|(text, _)| text.as_str())
    }

    /// Whole lines of a file that was read.
    pub(crate) fn lines(&self, path: &str, lines: Range<u32>) -> Option<String> {
        let (text, _) = self.read.get(path)?.as_ref()?;
        Some(whole_lines(text, &lines))
    }

    /// Absolute paths of files that are not what the index believes.
    pub(crate) fn into_stale(self) -> BTreeSet<PathBuf> {
        self.stale
    }

    /// What the asker's files call and define. Files that cannot be read or parsed have no
    /// neighbours.
    pub(crate) fn near(&self, files: &[PathBuf]) -> Near {
        let mut near = Near::default();
        for file in files.iter().take(MAX_NEAR) {
            let Some(kind) = SourceKind::from_path(file) else { continue };
            let Ok(text) = self.view.read_text(file) else { continue };
            let Ok(document) = Document::read(text, kind) else { continue };
            let references = document.references(&[whole(&document)]);
            near.calls.extend(references.calls.into_iter().flatten());
            let symbols = document.symbols();
            near.defines.extend(symbols.into_iter().filter_map(|mut symbol| symbol.path.pop()));
            near.imports.extend(references.imports.iter().flat_map(|import| words(import)));
            near.files.extend(file.strip_prefix(self.view.root()).ok().map(Path::to_owned));
        }
        near
    }
}

/// So many whole lines of a text.
pub(crate) fn whole_lines(text: &str, lines: &Range<u32>) -> String {
    text.split_inclusive('\n').skip(lines.start as usize).take(lines.len()).collect()
}

/// A text as a single chunk.
fn whole(document: &Document) -> Chunk {
    Chunk {
        bytes: 0..document.text().len(),
        lines: 0..u32::MAX,
        kind: ChunkKind::Text,
        symbol: Vec::new(),
        continued: false,
        signature: None,
        doc: None,
        defines: Vec::new(),
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|w| !w.is_empty())
        .map(str::to_owned)
}

/// Names around the files that somebody works on.
#[derive(Debug, Default)]
pub(crate) struct Near {
    files: HashSet<PathBuf>,
    calls: HashSet<String>,
    defines: HashSet<String>,
    imports: HashSet<String>,
}

impl Near {
    /// Whether no hit has an edge.
    pub(crate) fn is_none(&self) -> bool {
        self.calls.is_empty() && self.defines.is_empty() && self.imports.is_empty()
    }

    /// Kinds of edges between a hit and the files: called by them, imported, calling them.
    pub(crate) fn edges(&self, path: &str, symbol: &str, text: &str) -> i32 {
        let path = Path::new(path);
        if self.files.contains(path) {
            return 0;
        }
        let name = symbol.rsplit('.').next().unwrap_or_default();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let called = self.calls.contains(name);
        let imported = self.imports.contains(stem);
        let calls =
            !self.defines.is_empty() && words(text).any(|word| self.defines.contains(&word));
        [called, imported, calls].into_iter().map(i32::from).sum()
    }
}
