//! Passages within a budget, for whoever reads them at a price.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use greenlit_workspace::View;

use super::answer::merge;
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
        // What two questions found in part is paid for once.
        let mut read: HashMap<String, Option<Arc<str>>> = HashMap::new();
        let hits = merge(hits, |path, lines| {
            let text = read.entry(path.to_owned());
            let text = text.or_insert_with(|| view.read_text(Path::new(path)).ok());
            let lines = lines.start as usize..lines.end as usize;
            let text = text.as_ref()?.split_inclusive('\n');
            Some(text.skip(lines.start).take(lines.len()).collect())
        });
        let mut left = budget;
        let mut passages = Vec::new();
        for hit in hits {
            let tokens = count(&hit.text);
            if tokens <= left {
                left -= tokens;
                passages.push(Passage { hit, tokens });
            }
        }
        Ok((passages, degraded))
    }
}
