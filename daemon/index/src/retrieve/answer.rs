//! Hits, put together and told.

use std::ops::Range;

use super::Hit;
use crate::record::{ChunkMeta, Record};
use crate::shared::Progress;

pub(crate) fn hit(record: &Record, chunk: &ChunkMeta, score: f64, text: &str) -> Hit {
    Hit {
        path: record.path.to_string(),
        lines: chunk.first_line..chunk.end_line,
        symbol: chunk.symbol.to_string(),
        kind: chunk.kind.to_string(),
        language: record.language.to_string(),
        score,
        text: text.to_owned(),
    }
}

/// Why an index does not know everything.
pub(crate) fn reasons(progress: &Progress) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(why) = &progress.failed {
        reasons.push(match progress.left {
            None => format!("nothing is indexed: {why}"),
            Some(_) => format!("the index does not follow changes any more: {why}"),
        });
    } else if progress.is_settled() {
        return reasons;
    } else if progress.paused {
        reasons.push("indexing is paused: changes since then are not found".to_owned());
    } else {
        reasons.push(match progress.left {
            None => "the index is being opened".to_owned(),
            Some(0) => "the index is not up to date yet".to_owned(),
            Some(left) => format!("the index is not complete: {left} files to go"),
        });
    }
    reasons
}

/// Puts hits together that overlap, or that are touching parts of one definition. The hits come
/// best first and stay so; what belongs together has the score of its best part.
pub(crate) fn merge(
    hits: Vec<Hit>,
    lines: impl Fn(&str, Range<u32>) -> Option<String>,
) -> Vec<Hit> {
    let mut merged: Vec<Hit> = Vec::new();
    for hit in hits {
        let same = |known: &&mut Hit| {
            let overlap = known.lines.start < hit.lines.end && hit.lines.start < known.lines.end;
            let touch = known.lines.start <= hit.lines.end && hit.lines.start <= known.lines.end;
            let one = !hit.symbol.is_empty() && known.symbol == hit.symbol;
            known.path == hit.path && (overlap || touch && one)
        };
        let Some(known) = merged.iter_mut().find(same) else {
            merged.push(hit);
            continue;
        };
        let range = known.lines.start.min(hit.lines.start)..known.lines.end.max(hit.lines.end);
        if let Some(text) = lines(&hit.path, range.clone()) {
            known.lines = range;
            known.text = text;
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(path: &str, lines: Range<u32>, symbol: &str) -> Hit {
        Hit {
            path: path.to_owned(),
            lines,
            symbol: symbol.to_owned(),
            kind: String::new(),
            language: String::new(),
            score: 1.0,
            text: String::new(),
        }
    }

    #[test]
    fn overlapping_hits_and_parts_of_one_definition_become_one() {
        let hits = vec![
            hit("a", 10..20, "f"),
            hit("b", 10..20, "f"),
            hit("a", 20..30, "f"),
            hit("a", 30..40, "g"),
            hit("a", 35..50, ""),
        ];
        let merged = merge(hits, |_, lines| Some(format!("{lines:?}")));
        let seen: Vec<_> = merged.iter().map(|hit| (&*hit.path, hit.lines.clone())).collect();
        assert_eq!(seen, [("a", 10..30), ("b", 10..20), ("a", 30..50)]);
        assert_eq!(merged[0].text, "10..30");
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut progress = Progress::default();
        assert!(reasons(&progress).is_empty());
        progress.sent = 1;
        assert_eq!(reasons(&progress), ["the index is being opened"]);
        progress.left = Some(7);
        assert_eq!(reasons(&progress), ["the index is not complete: 7 files to go"]);
        progress.paused = true;
        assert!(reasons(&progress)[0].contains("paused"));
        progress.failed = Some("no space".to_owned());
        assert_eq!(reasons(&progress), ["the index does not follow changes any more: no space"]);
        progress.left = None;
        assert_eq!(reasons(&progress), ["nothing is indexed: no space"]);
    }
}
