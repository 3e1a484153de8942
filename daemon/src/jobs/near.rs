//! What a job and the index of its root have to do with each other: code near a fault, and which files
//! are suspected.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use greenlit_index::{Filter, Index, Query};
use greenlit_repair::{Baseline, Localization, Passage, Question, Retrieved, Retriever};
use greenlit_workspace::View;

use greenlit_workspace::chain;

/// How long the index may take in changes first. Nobody waits for the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of all passages: what candidates can borrow is limited anyway.
const BUDGET: usize = 24_000;
/// Passages kept: those after it are near by chance.
const KEPT: usize = 12;
/// What code can be borrowed from.
const KINDS: &[&str] = &["function", "method", "class", "module", "code"];

/// Files with suspected lines, then those of failing tests.
pub(super) fn suspected(localization: &Localization, baseline: Option<&Baseline>) -> Vec<PathBuf> {
    let lines = localization.lines.iter().map(|line| &line.path);
    let failures = baseline.into_iter().flat_map(Baseline::failing);
    let sites = failures.filter_map(|(_, failure)| Some(&failure.site.as_ref()?.path));
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in lines.chain(sites) {
        if !paths.contains(path) {
            paths.push(path.clone());
        }
    }
    paths
}

struct Near {
    index: Index,
    view: View,
}

/// What is near in the index, as a view shows it.
pub(super) fn near(index: Index, view: &View) -> Arc<dyn Retriever> {
    Arc::new(Near { index, view: view.clone() })
}

impl Retriever for Near {
    fn retrieve(&self, near: &[Question]) -> Retrieved {
        let kinds: Vec<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
        let filter = Filter::new(&[], &[], &kinds, false).expect("these are kinds of chunks");
        let questions: Vec<Query> = near
            .iter()
            .map(|question| Query {
                text: question.text.clone(),
                filter: filter.clone(),
                near: vec![question.path.clone()],
                ..Query::default()
            })
            .collect();
        let found = self.index.context(&questions, &self.view, BUDGET, &str::len, PATIENCE);
        let (passages, degraded) = match found {
            Ok(found) => found,
            Err(error) => return Retrieved { passages: Vec::new(), degraded: Some(chain(&error)) },
        };
        let passages = passages.into_iter().take(KEPT).map(|passage| Passage {
            path: self.view.root().join(passage.hit.path),
            first_line: passage.hit.lines.start + 1,
            last_line: passage.hit.lines.end.max(passage.hit.lines.start + 1),
            symbol: passage.hit.symbol,
            score: passage.hit.score,
        });
        Retrieved { passages: passages.collect(), degraded }
    }
}
