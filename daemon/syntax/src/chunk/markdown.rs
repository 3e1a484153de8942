//! The sections of a Markdown text. The grammar makes sections of `# Headings` only; underlined
//! ones are as common in old files.

use tree_sitter::Node;

use super::document::Document;
use super::kind::ChunkKind;
use super::outline::{Outline, Symbol};

/// Longer headings name as well by their beginning.
const MAX_NAME: usize = 120;

struct Heading {
    level: usize,
    start: usize,
    row: usize,
    name: String,
    line: String,
}

pub(super) fn sections(document: &Document, outline: &mut Outline) {
    let Some(root) = document.root() else { return };
    let mut headings = Vec::new();
    collect(document, root, &mut headings);
    let text = document.text();
    let rows = text.lines().count();
    // Levels and sections around the current one.
    let mut above: Vec<(usize, usize)> = Vec::new();
    for (at, heading) in headings.iter().enumerate() {
        let next = headings[at + 1..].iter().find(|h| h.level <= heading.level);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        while above.pop_if(|(level, _)| *level >= heading.level).is_some() {}
        let parent = above.last().map(|(_, section)| *section);
        above.push((heading.level, at));
        let mut path = parent.map(|p| outline.symbols[p].path.clone()).unwrap_or_default();
        path.push(heading.name.clone());
        outline.symbols.push(Symbol {
            path,
            kind: ChunkKind::Section,
            bytes: heading.start..next.map_or(text.len(), |n| n.start),
            lines: number(heading.row)..number(next.map_or(rows, |n| n.row)),
            signature: heading.line.clone(),
            doc: Vec::new(),
        });
        outline.parents.push(parent);
    }
}

/// Headings outside of quotes, lists and code, in order.
fn collect(document: &Document, root: Node<'_>, headings: &mut Vec<Heading>) {
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        if let Some(level) = level(node) {
            let line = document.text_of(node).lines().next().unwrap_or_default().trim();
            let name = line.trim_matches('#').trim();
            let end = (0..=name.len().min(MAX_NAME)).rev().find(|i| name.is_char_boundary(*i));
            let name = &name[..end.unwrap_or(0)];
            if !name.is_empty() {
                headings.push(Heading {
                    level,
                    start: node.start_byte(),
                    row: node.start_position().row,
                    name: name.to_owned(),
                    line: line.to_owned(),
                });
            }
        }
        if matches!(node.kind(), "document" | "section") {
            let mut cursor = node.walk();
            let children: Vec<_> = node.named_children(&mut cursor).collect();
            open.extend(children.into_iter().rev());
        }
    }
}

fn level(heading: Node<'_>) -> Option<usize> {
    if !matches!(heading.kind(), "atx_heading" | "setext_heading") {
        return None;
    }
    let mut cursor = heading.walk();
    heading.named_children(&mut cursor).find_map(|mark| {
        // `atx_h1_marker`, `setext_h2_underline`
        mark.kind().split('_').nth(1)?.strip_prefix('h')?.parse().ok()
    })
}
