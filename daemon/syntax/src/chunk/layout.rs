//! Lays a text out in blocks: a definition of some size is one, what lies between two is one.

use std::ops::Range;

use tree_sitter::Node;

use super::document::Document;
use super::heads::Heads;
use super::kind::SourceKind;
use super::merge::{Border, Piece, Place};
use super::outline::{Outline, end_of};
use super::text::{border_at, cut};
use crate::role::Role;

/// Deeper nodes are divided as text.
const MAX_DEPTH: usize = 64;
/// A token stands for few bytes: a longer text is divided without counting it.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// Pieces that may be joined to chunks.
#[derive(Debug)]
pub(super) struct Block {
    /// The definition that they belong to.
    pub(super) owner: Option<usize>,
    pub(super) pieces: Vec<Piece>,
}

/// What is counted, and how much of it a chunk may have.
pub(super) struct Limits<'a> {
    pub(super) budget: usize,
    pub(super) count: &'a dyn Fn(&str) -> usize,
}

impl Limits<'_> {
    /// From this size on a definition is a chunk of its own.
    fn alone(&self) -> usize {
        self.budget / 8
    }

    /// Up to this size a definition with members is not divided.
    fn whole(&self) -> usize {
        self.budget / 2
    }

    /// The tokens of a text, if they are within a limit.
    pub(super) fn tokens(&self, text: &str, limit: usize) -> Option<usize> {
        if text.len() > limit.saturating_mul(MAX_BYTES_PER_TOKEN) {
            return None;
        }
        Some((self.count)(text)).filter(|tokens| *tokens <= limit)
    }
}

pub(super) struct Layout<'a> {
    pub(super) document: &'a Document,
    pub(super) outline: &'a Outline,
    pub(super) limits: &'a Limits<'a>,
    pub(super) heads: &'a Heads,
    pub(super) blocks: Vec<Block>,
}

/// What can be divided along its structure.
#[derive(Clone, Copy)]
enum Item<'t> {
    Node(Node<'t>),
    /// A section of a document, or all of it.
    Section(Option<usize>),
}

/// A child of an item with what belongs to it.
struct Unit<'t> {
    bytes: Range<usize>,
    item: Option<Item<'t>>,
    /// First in the body of its node: stays with the line that opens it.
    opening: bool,
}

/// Comments and decorators that wait for what they stand before.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    start: usize,
    decorated: bool,
}

impl Layout<'_> {
    pub(super) fn run(&mut self) {
        let text = self.document.text();
        let mut open = Block { owner: None, pieces: Vec::new() };
        let first = border_at(text, 0, 0);
        let root = match self.document.kind() {
            SourceKind::Markdown => self.document.root().map(|_| Item::Section(None)),
            _ => self.document.root().map(Item::Node),
        };
        match root {
            Some(root) => self.divide(root, 0..text.len(), first, 0, &mut open),
            None => self.cut(0..text.len(), first, None, &mut open.pieces),
        }
        self.close(open);
    }

    fn close(&mut self, block: Block) {
        if !block.pieces.is_empty() {
            self.blocks.push(block);
        }
    }

    /// What is left of the budget behind what names a piece.
    fn allowance(&self, owner: Option<usize>, bytes: &Range<usize>) -> usize {
        let Some(owner) = owner else { return self.limits.budget };
        let begins = bytes.contains(&self.outline.symbols[owner].bytes.start);
        self.heads.allowance(owner, !begins, self.limits.budget)
    }

    fn cut(&self, range: Range<usize>, first: Border, owner: Option<usize>, out: &mut Vec<Piece>) {
        let allowance = self.allowance(owner, &(range.end..range.end));
        cut(self.document.text(), range, first, &|t| self.limits.tokens(t, allowance), out);
    }

    /// Adds what lies in `range`, which is `item` and its surroundings, to the open block, closing
    /// it where a definition needs one of its own.
    fn divide(
        &mut self,
        item: Item<'_>,
        range: Range<usize>,
        first: Border,
        depth: usize,
        open: &mut Block,
    ) {
        let text = self.document.text();
        let units = match item {
            _ if depth >= MAX_DEPTH => Vec::new(),
            Item::Node(node) => self.units(node, range.clone()),
            Item::Section(section) => self.sections(section, range.clone()),
        };
        if units.is_empty() {
            self.cut(range, first, open.owner, &mut open.pieces);
            return;
        }
        for (at, unit) in units.into_iter().enumerate() {
            let border = if at == 0 {
                first
            } else {
                let border = border_at(text, unit.bytes.start, first.depth + 1);
                let hash = match unit.item {
                    Some(Item::Node(n)) => {
                        let start = n.start_byte().clamp(unit.bytes.start, unit.bytes.end);
                        border_at(text, start, 0).hash
                    }
                    _ => border.hash,
                };
                let opening = if unit.opening { Place::Opening } else { Place::Lines };
                Border { place: border.place.max(opening), hash, ..border }
            };
            let symbol = match unit.item {
                Some(Item::Node(node)) => self.outline.by_node.get(&node.id()).copied(),
                Some(Item::Section(section)) => section,
                None => None,
            };
            let (Some(child), Some(symbol)) = (unit.item, symbol) else {
                self.add(unit.bytes, unit.item, border, depth, open);
                continue;
            };
            let alone = self.limits.alone();
            let small = self.limits.tokens(&text[unit.bytes.clone()], alone.saturating_sub(1));
            if small.is_some() {
                self.add(unit.bytes, Some(child), border, depth, open);
                continue;
            }
            let mut own = Block { owner: Some(symbol), pieces: Vec::new() };
            let outer = open.owner;
            if self.only_opens(open) {
                own.pieces.append(&mut open.pieces);
            } else {
                self.close(std::mem::replace(open, Block { owner: outer, pieces: Vec::new() }));
            }
            let whole = self.limits.whole();
            let members = self.outline.symbols[symbol].kind.holds_members();
            // The line that opens the class stays with its first member.
            let place = if own.pieces.is_empty() { Place::Lines } else { Place::Opening };
            let border = Border { depth: 0, place, ..border };
            if members && self.limits.tokens(&text[unit.bytes.clone()], whole).is_none() {
                self.divide(child, unit.bytes, border, depth + 1, &mut own);
            } else {
                self.add(unit.bytes, Some(child), border, depth, &mut own);
            }
            self.close(own);
        }
    }

    /// Whether a block is no more than the line that opens a definition: it goes with the first
    /// member.
    fn only_opens(&self, open: &Block) -> bool {
        let Some(owner) = open.owner else { return false };
        let start = self.outline.symbols[owner].bytes.start;
        let (Some(first), Some(last)) = (open.pieces.first(), open.pieces.last()) else {
            return false;
        };
        let bytes = first.bytes.start..last.bytes.end;
        bytes.contains(&start)
            && self.limits.tokens(&self.document.text()[bytes], self.limits.alone() / 2).is_some()
    }

    /// Adds a unit as one piece if it fits, else divided.
    fn add(
        &mut self,
        bytes: Range<usize>,
        item: Option<Item<'_>>,
        border: Border,
        depth: usize,
        open: &mut Block,
    ) {
        let text = self.document.text();
        let node = match item {
            Some(Item::Node(node)) => Some(node),
            _ => None,
        };
        let transparent =
            node.is_some_and(|n| self.document.rules().transparent.contains(&n.kind()));
        let allowance = self.allowance(open.owner, &bytes);
        let tokens = self.limits.tokens(&text[bytes.clone()], allowance);
        match (tokens, item) {
            (Some(tokens), _) if !transparent => {
                // What is said above the first import is about the file.
                let import = node.is_some_and(|n| {
                    let bare = text[bytes.start..n.start_byte().max(bytes.start)].trim().is_empty();
                    bare && self.document.role(n) == Role::Import
                });
                open.pieces.push(Piece { bytes, border, tokens, import });
            }
            (_, Some(item)) => self.divide(item, bytes, border, depth + 1, open),
            (_, None) => self.cut(bytes, border, open.owner, &mut open.pieces),
        }
    }

    /// What a section says itself, then the sections in it.
    fn sections<'t>(&self, section: Option<usize>, range: Range<usize>) -> Vec<Unit<'t>> {
        let mut units = Vec::new();
        let mut own = range.clone();
        // The sections inside follow theirs, each behind those inside the one before.
        let mut at = section.map_or(0, |s| s + 1);
        while let Some(symbol) = self.outline.symbols.get(at)
            && symbol.bytes.start < range.end
        {
            own.end = own.end.min(symbol.bytes.start);
            units.push(Unit {
                bytes: symbol.bytes.clone(),
                item: Some(Item::Section(Some(at))),
                opening: false,
            });
            let end = symbol.bytes.end;
            at += self.outline.symbols[at..].partition_point(|s| s.bytes.start < end);
        }
        if !own.is_empty() {
            units.insert(0, Unit { bytes: own, item: None, opening: false });
        }
        units
    }

    /// The children of a node, each with the comments and decorators before it and the tokens
    /// behind it; together they are the range.
    fn units<'t>(&self, node: Node<'t>, range: Range<usize>) -> Vec<Unit<'t>> {
        let text = self.document.text();
        let mut children = Vec::new();
        self.children(node, 0, &mut children);
        let mut starts: Vec<(usize, Option<Node<'t>>, bool)> = Vec::new();
        let leads = self.document.rules().leads;
        let mut waiting: Option<Waiting> = None;
        let mut end = range.start;
        for (child, opening) in children {
            let start = child.start_byte().clamp(range.start, range.end);
            let role = self.document.role(child);
            let gap = text.get(end..start).unwrap_or_default();
            let apart = gap.matches('\n').count() > 1;
            let child_end = end_of(text, child).clamp(start, range.end);
            if !child.is_named() && !starts.is_empty() {
                // A token belongs to what stands before it.
            } else if role == Role::Comment {
                let behind = !gap.contains('\n') && !starts.is_empty() && waiting.is_none();
                if let Some(before) = waiting.take_if(|w| apart && !w.decorated) {
                    starts.push((before.start, None, false));
                }
                if waiting.is_none() && !behind {
                    waiting = Some(Waiting { start, decorated: false });
                }
            } else if role == Role::Decorator || leads.contains(&child.kind()) {
                waiting =
                    Some(Waiting { start: waiting.map_or(start, |w| w.start), decorated: true });
            } else {
                if let Some(before) = waiting.take_if(|w| apart && !w.decorated) {
                    starts.push((before.start, None, opening));
                }
                let start = waiting.take().map_or(start, |w| w.start);
                starts.push((start, Some(child), opening));
            }
            end = child_end.max(end);
        }
        if let Some(waiting) = waiting {
            starts.push((waiting.start, None, false));
        }
        let mut units: Vec<Unit<'t>> = Vec::new();
        for (start, node, opening) in starts {
            let start =
                if units.is_empty() { range.start } else { line_start(text, start, range.start) };
            if let Some(last) = units.last_mut() {
                last.bytes.end = start;
            }
            units.push(Unit { bytes: start..range.end, item: node.map(Item::Node), opening });
        }
        units.retain(|unit| !unit.bytes.is_empty());
        units
    }

    /// The children of a node, those of its body included.
    fn children<'t>(&self, node: Node<'t>, depth: usize, out: &mut Vec<(Node<'t>, bool)>) {
        let bodies = self.document.rules().bodies;
        let mut cursor = node.walk();
        let mut opening = depth > 0;
        for child in node.children(&mut cursor) {
            if depth < 3 && bodies.contains(&child.kind()) {
                self.children(child, depth + 1, out);
            } else {
                out.push((child, opening && child.is_named()));
                opening &= !child.is_named();
            }
        }
    }
}

/// The start of the line, if only white space stands before an offset.
fn line_start(text: &str, at: usize, from: usize) -> usize {
    let before = &text[from..at];
    let blank = before.trim_end_matches([' ', '\t']);
    if blank.is_empty() || blank.ends_with('\n') { from + blank.len() } else { at }
}
