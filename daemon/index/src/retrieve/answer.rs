//! Hits, put together and told.

use std::ops::Range;

use super::Hit;
use super::texts::Texts;
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
pub(crate) fn reasons(progress: &Progress, is_empty: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(why) = &progress.failed {
        reasons.push(match is_empty {
            true => format!("nothing is indexed: {why}"),
            false => format!("the index does not follow changes any more: {why}"),
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

/// Hits that are told, best first: they come so.
#[derive(Debug)]
pub(crate) struct Hits {
    /// Of definitions each is told once, where it came first. Of passages those that overlap, and those that
    /// are touching parts of one definition, are put together; what belongs together has the score of its
    /// best part.
    named: bool,
    hits: Vec<Hit>,
}

impl Hits {
    pub(crate) fn new(named: bool) -> Self {
        Self { named, hits: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.hits.len()
    }

    /// Hits that are no better than those before, in files that were read.
    pub(crate) fn extend(&mut self, hits: impl IntoIterator<Item = Hit>, texts: &Texts<'_>) {
        self.extend_with(hits, |path, lines| texts.lines(path, lines));
    }

    pub(crate) fn into_best(self) -> Vec<Hit> {
        self.hits
    }

    fn extend_with(
        &mut self,
        hits: impl IntoIterator<Item = Hit>,
        lines: impl Fn(&str, Range<u32>) -> Option<String>,
    ) {
        for hit in hits {
            let is_same = |known: &&mut Hit| {
                known.path == hit.path
                    && if self.named {
                        known.lines == hit.lines
                    } else {
                        belong_together(known, &hit)
                    }
            };
            let Some(known) = self.hits.iter_mut().find(is_same) else {
                self.hits.push(hit);
                continue;
            };
            if self.named {
                continue;
            }
            let range = known.lines.start.min(hit.lines.start)..known.lines.end.max(hit.lines.end);
            if let Some(text) = lines(&hit.path, range.clone()) {
                known.lines = range;
                known.text = text;
            }
        }
    }
}

/// Whether two passages of a file are told as one.
fn belong_together(known: &Hit, hit: &Hit) -> bool {
    let overlap = known.lines.start < hit.lines.end && hit.lines.start < known.lines.end;
    let touch = known.lines.start <= hit.lines.end && hit.lines.start <= known.lines.end;
    overlap || touch && !hit.symbol.is_empty() && known.symbol == hit.symbol
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
        let mut merged = Hits::new(false);
        merged.extend_with(hits, |_, lines| Some(format!("{lines:?}")));
        let merged = merged.into_best();
        let seen: Vec<_> = merged.iter().map(|hit| (&*hit.path, hit.lines.clone())).collect();
        assert_eq!(seen, [("a", 10..30), ("b", 10..20), ("a", 30..50)]);
        assert_eq!(merged[0].text, "10..30");
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut progress = Progress::default();
        assert!(reasons(&progress, false).is_empty());
        progress.sent = 1;
        assert_eq!(reasons(&progress, false), ["the index is being opened"]);
        progress.left = Some(7);
        assert_eq!(reasons(&progress, false), ["the index is not complete: 7 files to go"]);
        progress.paused = true;
        assert!(reasons(&progress, false)[0].contains("paused"));
        progress.failed = Some("no space".to_owned());
        assert_eq!(
            reasons(&progress, false),
            ["the index does not follow changes any more: no space"]
        );
        assert_eq!(reasons(&progress, true), ["nothing is indexed: no space"]);
    }
}
