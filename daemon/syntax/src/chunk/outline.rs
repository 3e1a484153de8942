//! The definitions of a text: what each is called, where it lies, how it is declared and described.

use std::collections::HashMap;
use std::ops::Range;

use tree_sitter::Node;

use super::document::Document;
use super::kind::{ChunkKind, SourceKind};
use super::{markdown, names};
use crate::role::Role;

/// Deeper code is not looked into: nobody nests definitions so deep.
const MAX_DEPTH: usize = 200;
/// Longer signatures are cut.
const MAX_SIGNATURE: usize = 160;

/// A definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Its name behind those of what it is defined in, outermost first.
    pub path: Vec<String>,
    /// What it is.
    pub kind: ChunkKind,
    /// Where it lies, with decorators and without comments before it.
    pub bytes: Range<usize>,
    /// The same in lines, 0-based, end exclusive.
    pub lines: Range<u32>,
    /// How it is declared, on one line, without its body.
    pub signature: String,
    /// The comments or the string that describe it, as they stand in the text.
    pub doc: Vec<Range<usize>>,
}

impl Symbol {
    /// What describes it, without comment marks; empty where nothing does.
    pub fn description(&self, text: &str) -> String {
        plain(text, &self.doc)
    }

    /// Whether it is at least half of a stretch of text, its description counted.
    pub(super) fn is_most_of(&self, bytes: &Range<usize>) -> bool {
        let doc = self.doc.iter().map(|d| d.start).filter(|start| *start >= bytes.start).min();
        let start = doc.unwrap_or(self.bytes.start).min(self.bytes.start);
        2 * (self.bytes.end.min(bytes.end) - start) >= bytes.len()
    }
}

/// All definitions in source order, and where the layout finds them.
#[derive(Debug, Default)]
pub(super) struct Outline {
    pub(super) symbols: Vec<Symbol>,
    /// The symbol around each symbol.
    pub(super) parents: Vec<Option<usize>>,
    /// From the id of the outermost node of a definition to its symbol.
    pub(super) by_node: HashMap<usize, usize>,
}

struct Found<'t> {
    node: Node<'t>,
    kind: ChunkKind,
    names: Vec<String>,
}

pub(super) fn outline(document: &Document) -> Outline {
    let mut outline = Outline::default();
    if document.kind() == SourceKind::Markdown {
        markdown::sections(document, &mut outline);
    } else if let Some(root) = document.root() {
        walk(document, root, None, 0, &mut outline);
    }
    outline
}

fn walk<'t>(
    document: &'t Document,
    node: Node<'t>,
    owner: Option<usize>,
    depth: usize,
    outline: &mut Outline,
) {
    if depth > MAX_DEPTH {
        return;
    }
    let mut cursor = node.walk();
    let children: Vec<Node<'t>> = node.named_children(&mut cursor).collect();
    for (at, child) in children.iter().enumerate() {
        let local = owner.is_some_and(|o| outline.symbols[o].kind.is_callable());
        let mut found = Vec::new();
        resolve(document, *child, 0, &mut found);
        found.retain(|f| !(local && f.kind == ChunkKind::Variable));
        let single = found.len() == 1;
        if found.is_empty() {
            walk(document, *child, owner, depth + 1, outline);
        }
        for Found { node, kind, names } in found {
            let item = if single { *child } else { node };
            let member = names.len() > 1
                || owner.is_some_and(|o| {
                    let kind = outline.symbols[o].kind;
                    kind.holds_members() && kind != ChunkKind::Module
                });
            let kind = if kind == ChunkKind::Function && member { ChunkKind::Method } else { kind };
            let mut path = owner.map(|o| outline.symbols[o].path.clone()).unwrap_or_default();
            path.extend(names);
            let mut doc = docstring(document, node);
            if doc.is_empty() {
                doc = comments_before(document, &children, at);
            }
            let symbol = outline.symbols.len();
            outline.symbols.push(Symbol {
                path,
                kind,
                bytes: item.byte_range(),
                lines: lines(document.text(), item),
                signature: signature(document, node),
                doc,
            });
            outline.parents.push(owner);
            outline.by_node.insert(item.id(), symbol);
            // What a typedef names inside has the same name once more.
            if kind != ChunkKind::Type || document.role(node) != Role::Type {
                walk(document, node, Some(symbol), depth + 1, outline);
            }
        }
    }
}

/// What a node defines, through what only stands around definitions.
fn resolve<'t>(document: &'t Document, node: Node<'t>, depth: usize, found: &mut Vec<Found<'t>>) {
    let rules = document.rules();
    if let Some((_, kind)) = rules.definitions.iter().find(|(name, _)| *name == node.kind())
        && let Some((kind, names)) = names::of(document, node, *kind)
    {
        found.push(Found { node, kind, names });
    } else if depth < 4 && rules.wrappers.contains(&node.kind()) {
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            resolve(document, child, depth + 1, found);
        }
    }
}

fn lines(text: &str, node: Node<'_>) -> Range<u32> {
    // Some nodes end with the line break.
    let trailing = text.get(node.byte_range()).is_some_and(|t| t.ends_with('\n'));
    let end = node.end_position().row + usize::from(!trailing);
    let row = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    row(node.start_position().row)..row(end)
}

/// The string that opens a Python body.
fn docstring(document: &Document, node: Node<'_>) -> Vec<Range<usize>> {
    let found = || {
        let first = node.child_by_field_name("body")?.named_child(0)?;
        let string = first.named_child(0)?;
        let only = first.kind() == "expression_statement" && first.named_child_count() == 1;
        (only && string.kind() == "string" && document.role(string) == Role::Text)
            .then(|| string.byte_range())
    };
    found().into_iter().collect()
}

/// The comments directly before a definition, decorators between them passed over.
fn comments_before(document: &Document, siblings: &[Node<'_>], at: usize) -> Vec<Range<usize>> {
    let text = document.text();
    let mut doc = Vec::new();
    let mut next = siblings[at].start_byte();
    for (index, sibling) in siblings[..at].iter().enumerate().rev() {
        let role = document.role(*sibling);
        let between = text.get(end_of(text, *sibling)..next).unwrap_or_default();
        let adjacent = between.matches('\n').count() < 2 && between.trim().is_empty();
        let behind_code = index > 0
            && siblings[index - 1].end_position().row == sibling.start_position().row
            && document.role(siblings[index - 1]) != Role::Comment;
        match role {
            Role::Decorator => {}
            Role::Comment if adjacent && !behind_code => {
                doc.push(sibling.start_byte()..end_of(text, *sibling));
            }
            _ => break,
        }
        next = sibling.start_byte();
    }
    doc.reverse();
    doc
}

/// Where a node ends without the white space that some grammars include.
pub(super) fn end_of(text: &str, node: Node<'_>) -> usize {
    let own = text.get(node.byte_range()).unwrap_or_default();
    node.start_byte() + own.trim_end().len()
}

/// A declaration without body on one line.
fn signature(document: &Document, node: Node<'_>) -> String {
    let value = node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"));
    let body = node
        .child_by_field_name("body")
        .or_else(|| value.and_then(|v| v.child_by_field_name("body")));
    let end = body.map_or(node.end_byte(), |b| b.start_byte());
    let text = document.text().get(node.start_byte()..end).unwrap_or_default();
    let text = if body.is_some() { text } else { text.lines().next().unwrap_or_default() };
    let mut signature = String::new();
    for word in text.trim_end_matches(['{', ' ', '\n', '\r', '\t']).split_whitespace() {
        if signature.len() + word.len() > MAX_SIGNATURE {
            break;
        }
        if !signature.is_empty() {
            signature.push(' ');
        }
        signature.push_str(word);
    }
    signature
}

/// A comment or documentation string without its marks.
pub(super) fn plain(text: &str, doc: &[Range<usize>]) -> String {
    const MARKS: [&str; 12] =
        ["///", "//!", "//", "/**", "/*!", "/*", "*/", "*", "#", "r\"\"\"", "\"\"\"", "'''"];
    let mut lines = Vec::new();
    for range in doc {
        for line in text.get(range.clone()).unwrap_or_default().lines() {
            let line = line.trim();
            let line = MARKS.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
            let line = ["*/", "\"\"\"", "'''"]
                .iter()
                .find_map(|mark| line.strip_suffix(mark))
                .unwrap_or(line);
            lines.push(line.trim());
        }
    }
    lines.join("\n").trim().to_owned()
}
