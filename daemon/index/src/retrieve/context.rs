//! Passages within a budget, for whoever reads them at a price.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use greenlit_workspace::View;

use super::texts::whole_lines;
use super::{Answer, Hit, Query, SearchError};
use crate::index::Index;

/// Hits looked at for a context.
const LOOKED_AT: usize = 64;

/// A passage of a context.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// Where, and what.
    pub hit: Hit,
    /// What it costs.
    pub tokens: usize,
}

impl Index {
    /// The best passages for the questions that together cost at most `budget` tokens, as `count`
    /// counts them; best first. A question may be words or the name of a definition. One that does
    /// not fit is left out, and a shorter one after it may still come in.
    ///
    /// The second part is why there may be better ones.
    pub fn context(
        &self,
        questions: &[Query],
        view: &View,
        budget: usize,
        count: &dyn Fn(&str) -> usize,
        patience: Duration,
    ) -> Result<(Vec<Passage>, Option<String>), SearchError> {
        let mut degraded = None;
        let mut hits: Vec<Hit> = Vec::new();
        for question in questions {
            let question = Query { k: LOOKED_AT, ..question.clone() };
            let Answer { hits: found, degraded: why, .. } =
                self.search(&question, view, patience)?;
            degraded = degraded.or(why);
            for hit in found {
                let same = |known: &&mut Hit| known.path == hit.path && known.lines == hit.lines;
                match hits.iter_mut().find(same) {
                    // Found by several questions.
                    Some(known) => known.score += hit.score,
                    None => hits.push(hit),
                }
            }
        }
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut texts: HashMap<String, Option<Arc<str>>> = HashMap::new();
        let lines_of = |path: &str, lines: &Range<u32>| -> Option<String> {
            let text = texts.entry(path.to_owned());
            let text = text.or_insert_with(|| view.read_text(Path::new(path)).ok());
            Some(whole_lines(text.as_ref()?, lines))
        };
        Ok((within(hits, budget, count, lines_of), degraded))
    }
}

/// Of hits, best first, those that together cost at most `budget`. What two of them have in part is paid
/// for once: they become one, if there is room for what lies between their ends.
fn within(
    hits: Vec<Hit>,
    budget: usize,
    count: &dyn Fn(&str) -> usize,
    mut lines_of: impl FnMut(&str, &Range<u32>) -> Option<String>,
) -> Vec<Passage> {
    let mut left = budget;
    let mut passages: Vec<Passage> = Vec::new();
    for hit in hits {
        let overlaps = |known: &Passage| {
            let (a, b) = (&known.hit.lines, &hit.lines);
            known.hit.path == hit.path && a.start < b.end && b.start < a.end
        };
        let Some(at) = passages.iter().position(overlaps) else {
            let tokens = count(&hit.text);
            if tokens <= left {
                left -= tokens;
                passages.push(Passage { hit, tokens });
            }
            continue;
        };
        let (mut lines, mut paid) = (hit.lines.clone(), left);
        for Passage { hit: known, tokens } in passages.iter().filter(|known| overlaps(known)) {
            lines = lines.start.min(known.lines.start)..lines.end.max(known.lines.end);
            paid += tokens;
        }
        let best = passages[at].hit.clone();
        if lines == best.lines {
            continue;
        }
        let Some(text) = lines_of(&hit.path, &lines) else { continue };
        let tokens = count(&text);
        if tokens <= paid {
            left = paid - tokens;
            passages.retain(|known| !overlaps(known));
            passages.insert(at, Passage { hit: Hit { lines, text, ..best }, tokens });
        }
    }
    passages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bridges_two_passages_is_paid_for_once_or_left_out() {
        let hit = |lines: Range<u32>, score| Hit {
            path: "a".to_owned(),
            text: "x".repeat(lines.len()),
            lines,
            symbol: String::new(),
            kind: String::new(),
            language: String::new(),
            score,
        };
        let hits = vec![hit(0..10, 3.0), hit(20..30, 2.0), hit(5..25, 1.0), hit(6..8, 0.5)];
        let lines_of = |_: &str, lines: &Range<u32>| Some("x".repeat(lines.len()));
        let chosen = |budget| {
            let passages = within(hits.clone(), budget, &str::len, lines_of);
            let cost: usize = passages.iter().map(|passage| passage.tokens).sum();
            assert!(cost <= budget, "{passages:?}");
            passages.into_iter().map(|passage| passage.hit.lines).collect::<Vec<_>>()
        };
        assert_eq!(chosen(30), std::slice::from_ref(&(0..30)));
        assert_eq!(chosen(29), [0..10, 20..30]);
        assert_eq!(chosen(15), std::slice::from_ref(&(0..10)));
    }
}
