//! Divides what has no syntax: paragraphs, lines, and long lines at white space.

use std::ops::Range;

use super::merge::{Border, Piece, Place, hash};

/// The part of a line that tells it from others.
const MAX_KEY: usize = 64;
/// How far a border looks back, and over empty lines ahead.
const MAX_LOOK: usize = 256;

/// Cuts a range into pieces that fit, at empty lines first.
pub(super) fn cut(
    text: &str,
    range: Range<usize>,
    first: Border,
    tokens: &dyn Fn(&str) -> Option<usize>,
    out: &mut Vec<Piece>,
) {
    let depth = first.depth + 1;
    let mut border = first;
    for paragraph in paragraphs(text, range) {
        if let Some(tokens) = tokens(&text[paragraph.clone()]) {
            out.push(Piece { bytes: paragraph.clone(), border, tokens, import: false });
        } else {
            let mut start = paragraph.start;
            let mut end = start;
            for line in text[paragraph.clone()].split_inclusive('\n') {
                end += line.len();
                // Empty lines go with what follows them.
                if line.trim().is_empty() && end < paragraph.end {
                    continue;
                }
                cut_line(text, start..end, border, tokens, out);
                start = end;
                border = Border { depth: depth + 1, ..border_at(text, start, depth) };
            }
        }
        border = border_at(text, paragraph.end, depth);
    }
}

/// The border before an offset. It depends on little text, so that long runs of white space cost
/// no more than others.
pub(super) fn border_at(text: &str, at: usize, depth: usize) -> Border {
    let from = text.floor_char_boundary(at.saturating_sub(MAX_LOOK));
    let before = text[from..at].trim_end_matches([' ', '\t']);
    let fresh = before.ends_with('\n') || (before.is_empty() && from == 0);
    let place = if fresh { Place::Lines } else { Place::Inline };
    let above = before.strip_suffix('\n').map(|b| b.trim_end_matches([' ', '\t', '\r']));
    let blank = above.is_some_and(|b| b.is_empty() || b.ends_with('\n'));
    Border { place, depth, blank, hash: hash(key(&text[at..])) }
}

/// What tells a piece from others: the beginning of its first line.
fn key(text: &str) -> &str {
    let text = text[..text.floor_char_boundary(MAX_LOOK)].trim_start();
    let line = text.split('\n').next().unwrap_or(text);
    line[..line.floor_char_boundary(MAX_KEY)].trim_end()
}

/// Paragraphs, each with the empty lines behind it.
fn paragraphs(text: &str, range: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut start, mut at, mut empty) = (range.start, range.start, false);
    for line in text[range.clone()].split_inclusive('\n') {
        let blank = line.trim().is_empty();
        if empty && !blank && !text[start..at].trim().is_empty() {
            found.push(start..at);
            start = at;
        }
        empty = blank;
        at += line.len();
    }
    if start < range.end {
        found.push(start..range.end);
    }
    found
}

/// Halves a line until its parts fit, at white space where there is some near the middle.
fn cut_line(
    text: &str,
    line: Range<usize>,
    border: Border,
    tokens: &dyn Fn(&str) -> Option<usize>,
    out: &mut Vec<Piece>,
) {
    let mut open = vec![(line, border)];
    while let Some((range, border)) = open.pop() {
        let part = &text[range.clone()];
        let count = tokens(part);
        let middle = middle(part).filter(|_| count.is_none());
        let Some(middle) = middle.map(|m| range.start + m) else {
            out.push(Piece {
                bytes: range,
                border,
                tokens: count.unwrap_or(usize::MAX),
                import: false,
            });
            continue;
        };
        let behind = Border { place: Place::Inline, ..border_at(text, middle, border.depth + 1) };
        open.push((middle..range.end, behind));
        open.push((range.start..middle, border));
    }
}

/// A place near the middle of a text where it may be cut, never its ends.
fn middle(text: &str) -> Option<usize> {
    let half = text.len() / 2;
    let reach = text.len() / 8;
    let bytes = text.as_bytes();
    let near = |wanted: &dyn Fn(u8) -> bool| {
        (half..half + reach)
            .find(|i| *i > 0 && wanted(bytes[*i]))
            .filter(|i| text.is_char_boundary(*i))
    };
    near(&|b| b.is_ascii_whitespace())
        .or_else(|| near(&|b| b.is_ascii_punctuation()))
        .or_else(|| (1..=half).rev().find(|i| text.is_char_boundary(*i)))
        .or_else(|| (half.max(1)..text.len()).find(|i| text.is_char_boundary(*i)))
}
