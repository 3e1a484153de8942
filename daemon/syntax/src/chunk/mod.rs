//! Divides a text into chunks for the index, along its syntax tree where it has one.
//!
//! A definition of some size is a chunk of its own, with the comments before it; smaller neighbours
//! share one; what is larger than the budget is divided between its children. How borders are
//! chosen so that they stay where they are is told in `merge.rs`.
//!
//! Invariant: chunks are in order, do not overlap, lie on character boundaries, and hold everything
//! of the text but white space.
//! Invariant: equal texts of one kind give equal chunks, however the text came about.
//! Invariant: a chunk is within the budget wherever its text can be divided at all, except for one
//! whose name alone takes more than half of it.

mod document;
mod estimate;
mod heads;
mod kind;
mod layout;
mod markdown;
mod merge;
mod names;
mod outline;
mod references;
mod rules;
mod skip;
mod text;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use crate::parsed::ParseError;
use heads::{Heads, head};
use layout::{Layout, Limits};
use outline::Outline;

pub use document::Document;
pub use estimate::tokens;
pub use kind::{ChunkKind, SourceKind};
pub use outline::Symbol;
pub use references::References;
pub use skip::{HEAD_BYTES, MAX_BYTES, Skip, skip};

/// Part of every key in the store: raise it when chunks or their texts come out differently.
pub const CHUNKER_VERSION: u32 = 1;

/// Why a text has no chunks.
#[derive(Debug, Error)]
pub enum ChunkError {
    /// A compiled grammar does not fit the parser library.
    #[error("cannot parse")]
    Grammar {
        /// What the parser said.
        #[source]
        source: ParseError,
    },
    /// Nothing fits into no tokens.
    #[error("a chunk needs a budget of at least one token")]
    NoBudget,
}

/// A stretch of a text that is embedded and found as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it lies, without white space behind it and empty lines before it.
    pub bytes: Range<usize>,
    /// The same in lines, 0-based, end exclusive. Neighbours may share a line.
    pub lines: Range<u32>,
    /// What it is.
    pub kind: ChunkKind,
    /// The definition it belongs to, outermost name first; empty outside of definitions.
    pub symbol: Vec<String>,
    /// Whether that definition begins in an earlier chunk.
    pub continued: bool,
    /// How that definition is declared, on one line.
    pub signature: Option<String>,
    /// What describes that definition, without comment marks; only where it begins.
    pub doc: Option<String>,
    /// Names of all definitions that begin in this chunk, in source order.
    pub defines: Vec<String>,
}

impl Chunk {
    /// What is embedded and hashed: symbol path, signature when cut off, and the code with its
    /// comments. Never the path of the file, so that renames cost nothing.
    pub fn embedded_text(&self, source: &str) -> String {
        self.embedded_without(source, &[])
    }

    /// The same without some stretches of the source: the benchmarks take descriptions out.
    pub fn embedded_without(&self, source: &str, hidden: &[Range<usize>]) -> String {
        let signature = self.signature.as_deref().filter(|_| self.continued);
        let mut text = head(&self.symbol, signature);
        let mut at = self.bytes.start;
        for range in hidden.iter().filter(|r| r.end > self.bytes.start && r.start < self.bytes.end)
        {
            text.push_str(source.get(at..range.start.max(at)).unwrap_or_default());
            at = range.end.clamp(at, self.bytes.end);
        }
        text.push_str(source.get(at..self.bytes.end).unwrap_or_default());
        text
    }
}

/// The chunks of a text, within `budget` tokens as `count` counts them: see [`Document::chunks`].
///
/// # Errors
///
/// [`ChunkError`]. A text that cannot be parsed is divided as plain text.
pub fn chunks(
    text: &str,
    kind: SourceKind,
    budget: usize,
    count: &dyn Fn(&str) -> usize,
) -> Result<Vec<Chunk>, ChunkError> {
    Document::read(Arc::from(text), kind)?.chunks(budget, count)
}

/// The definitions of a text: see [`Document::symbols`].
///
/// # Errors
///
/// See [`chunks`]. A text that cannot be parsed has no definitions.
pub fn symbols(text: &str, kind: SourceKind) -> Result<Vec<Symbol>, ChunkError> {
    Ok(Document::read(Arc::from(text), kind)?.symbols())
}

impl Document {
    /// The chunks of the text, each within `budget` tokens as `count` counts them.
    ///
    /// # Errors
    ///
    /// [`ChunkError::NoBudget`].
    pub fn chunks(
        &self,
        budget: usize,
        count: &dyn Fn(&str) -> usize,
    ) -> Result<Vec<Chunk>, ChunkError> {
        if budget == 0 {
            return Err(ChunkError::NoBudget);
        }
        let limits = Limits { budget, count };
        let outline = outline::outline(self);
        let heads = Heads::of(&outline, count);
        let mut layout = Layout {
            document: self,
            outline: &outline,
            limits: &limits,
            heads: &heads,
            blocks: Vec::new(),
        };
        layout.run();
        let lines = Lines::of(self.text());
        let mut chunks = Vec::new();
        for block in layout.blocks {
            let fits = |bytes: Range<usize>| {
                let chunk = self.chunk(bytes, block.owner, false, &outline, &lines);
                let text = chunk.embedded_text(self.text());
                limits.tokens(&text, budget).is_some()
            };
            let mut ranges = merge::merge(&block.pieces, budget, &fits);
            let kind = block.owner.map(|o| outline.symbols[o].kind);
            if kind.is_some_and(|k| !k.holds_members() || k == ChunkKind::Section) {
                ranges = merge::join(&block.pieces, ranges, budget / 4, &fits);
            }
            for range in ranges {
                let pieces = &block.pieces[range];
                let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { continue };
                let import = pieces.iter().all(|piece| piece.import);
                let bytes = first.bytes.start..last.bytes.end;
                let chunk = self.chunk(bytes, block.owner, import, &outline, &lines);
                if !chunk.bytes.is_empty() {
                    chunks.push(chunk);
                }
            }
        }
        Ok(chunks)
    }

    /// The definitions of the text in source order: members behind what they are members of,
    /// functions inside functions, no local variables.
    pub fn symbols(&self) -> Vec<Symbol> {
        outline::outline(self).symbols
    }

    fn chunk(
        &self,
        bytes: Range<usize>,
        owner: Option<usize>,
        import: bool,
        outline: &Outline,
        lines: &Lines,
    ) -> Chunk {
        let text = self.text();
        let bytes = trimmed(text, bytes);
        let inside = outline.starting_in(&bytes);
        let begins = |o: usize| bytes.contains(&outline.symbols[o].bytes.start);
        let members = owner.is_none_or(|o| outline.symbols[o].kind.holds_members());
        let mut direct = inside.clone().filter(|s| outline.parents[*s] == owner);
        let label = match (owner, direct.next(), direct.next()) {
            (Some(owner), ..) if begins(owner) => Some(owner),
            (_, Some(only), None) if members && outline.symbols[only].is_most_of(&bytes) => {
                Some(only)
            }
            _ => owner,
        };
        let symbol = label.map(|l| &outline.symbols[l]);
        let continued = label.is_some_and(|l| !begins(l));
        let kind = match (symbol, self.kind()) {
            (Some(symbol), _) => symbol.kind,
            (None, SourceKind::Code(_)) if import => ChunkKind::Import,
            (None, SourceKind::Code(_)) if self.is_parsed() => ChunkKind::Code,
            (None, _) => ChunkKind::Text,
        };
        let doc = symbol.filter(|_| !continued).map(|s| s.description(text));
        Chunk {
            lines: lines.of_bytes(&bytes),
            kind,
            symbol: symbol.map(|s| s.path.clone()).unwrap_or_default(),
            continued,
            signature: symbol.map(|s| s.signature.clone()),
            doc: doc.filter(|doc| !doc.is_empty()),
            defines: inside.filter_map(|s| outline.symbols[s].path.last().cloned()).collect(),
            bytes,
        }
    }
}

impl Outline {
    /// Symbols that begin within a range.
    fn starting_in(&self, bytes: &Range<usize>) -> Range<usize> {
        let at = |offset: usize| self.symbols.partition_point(|s| s.bytes.start < offset);
        at(bytes.start)..at(bytes.end)
    }
}

/// Without white space at the end and without empty lines at the beginning.
fn trimmed(text: &str, bytes: Range<usize>) -> Range<usize> {
    let own = &text[bytes.clone()];
    let end = bytes.start + own.trim_end().len();
    let first = own.len() - own.trim_start().len();
    // An indented first line keeps its indentation.
    let start = own[..first].rfind('\n').map_or(0, |n| n + 1);
    let start = bytes.start + start;
    if start < end { start..end } else { bytes.start..bytes.start }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Lines {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Lines(std::iter::once(0).chain(breaks).collect())
    }

    fn of_bytes(&self, bytes: &Range<usize>) -> Range<u32> {
        let row = |at: usize| {
            u32::try_from(self.0.partition_point(|start| *start <= at)).unwrap_or(u32::MAX)
        };
        if bytes.is_empty() {
            return 0..0;
        }
        row(bytes.start) - 1..row(bytes.end - 1)
    }
}
