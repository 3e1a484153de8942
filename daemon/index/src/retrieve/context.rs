//! Passages within a budget, for whoever reads them at a price.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use greenlit_workspace::View;

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
        let mut lines_of = |path: &str, lines: &Range<u32>| -> Option<String> {
            let text = texts.entry(path.to_owned());
            let text = text.or_insert_with(|| view.read_text(Path::new(path)).ok());
            let (skipped, taken) = (lines.start as usize, lines.len());
            Some(text.as_ref()?.split_inclusive('\n').skip(skipped).take(taken).collect())
        };
        let mut left = budget;
        let mut passages: Vec<Passage> = Vec::new();
        for hit in hits {
            let overlaps = |known: &&mut Passage| {
                let (a, b) = (&known.hit.lines, &hit.lines);
                known.hit.path == hit.path && a.start < b.end && b.start < a.end
            };
            // What two questions found in part is paid for once.
            let Some(known) = passages.iter_mut().find(overlaps) else {
                let tokens = count(&hit.text);
                if tokens <= left {
                    left -= tokens;
                    passages.push(Passage { hit, tokens });
                }
                continue;
            };
            let (a, b) = (&known.hit.lines, &hit.lines);
            let both = a.start.min(b.start)..a.end.max(b.end);
            let Some(text) = lines_of(&hit.path, &both).filter(|_| both != *a) else { continue };
            let tokens = count(&text);
            let more = tokens.saturating_sub(known.tokens);
            if more <= left {
                left -= more;
                (known.hit.lines, known.hit.text, known.tokens) = (both, text, tokens);
            }
        }
        Ok((passages, degraded))
    }
}
