//! From a question to passages of text.
//!
//! Each retriever gives a ranked list of chunks; the lists are fused by rank, boosted by what the
//! asker works on, checked against the files of now, and put together where they touch.

mod answer;
mod context;
mod definitions;
mod filter;
mod fuse;
mod texts;
mod weights;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use greenlit_lexical::Scored;
use greenlit_workspace::View;

pub use context::Passage;
pub use filter::{Filter, UnknownName};
pub use weights::Weights;

use crate::dense::{Found as Near, NO_MODEL};
use crate::index::Index;
use crate::record::parts;
use crate::snapshot::{Scope, Snapshot};
use answer::Hits;
pub(crate) use answer::reasons;
use definitions::Definitions;
use fuse::fuse;
use texts::Texts;

/// How long to wait for files that turned out to be newer than what is known of them.
const STALE_PATIENCE: Duration = Duration::from_millis(500);

/// A question.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Plain words or names.
    pub text: String,
    /// Hits wanted.
    pub k: usize,
    /// What may be found.
    pub filter: Filter,
    /// Files that the asker works on, absolute: what they call and what calls them comes earlier.
    pub near: Vec<PathBuf>,
    /// What each retriever counts.
    pub weights: Weights,
}

/// A passage that answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Relative to the root, with forward slashes.
    pub path: String,
    /// From 0, the end exclusive.
    pub lines: Range<u32>,
    /// Symbol path joined with dots; empty between definitions.
    pub symbol: String,
    /// Kind of definition.
    pub kind: String,
    /// Language or format.
    pub language: String,
    /// Comparable within one answer.
    pub score: f64,
    /// As it stands in the view.
    pub text: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Why there may be more or better ones.
    pub degraded: Option<String>,
    /// Chunks that are still to be embedded with the model that is to answer.
    pub dense_pending: u64,
    /// The model that answered; `None` when nothing was asked by meaning.
    pub model: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The words cannot be searched.
    #[error("the index cannot be searched")]
    Words(#[from] greenlit_lexical::SearchError),
}

impl Index {
    /// Searches what a view holds. Waits for changes that were told and are not yet in, at most so
    /// long; the answer says when they are not.
    pub fn search(
        &self,
        query: &Query,
        view: &View,
        patience: Duration,
    ) -> Result<Answer, SearchError> {
        let deadline = Instant::now() + patience;
        self.shared().settle(patience);
        // Waiting for changes is not searching; taking in unsaved buffers is.
        let start = Instant::now();
        let (mut found, mut stale) = self.search_once(query, view, deadline)?;
        if !stale.is_empty() {
            // An event is on its way, or was lost. Look at the files, and ask once more.
            self.paths_changed(std::mem::take(&mut stale));
            self.shared().settle(STALE_PATIENCE);
            (found, stale) = self.search_once(query, view, deadline)?;
        }
        self.shared().latencies().record(start.elapsed());
        if !stale.is_empty() {
            found.reasons.push(format!("hits in {} changing files are left out", stale.len()));
        }
        Ok(Answer {
            hits: found.hits,
            degraded: (!found.reasons.is_empty()).then(|| found.reasons.join("; ")),
            dense_pending: found.pending,
            model: found.model,
        })
    }

    fn search_once(
        &self,
        query: &Query,
        view: &View,
        deadline: Instant,
    ) -> Result<(Found, BTreeSet<PathBuf>), SearchError> {
        let left = deadline.saturating_duration_since(Instant::now()).max(STALE_PATIENCE);
        let (snapshot, scope, whole) = self.scope(view, left);
        // The question may have to be embedded: its words are looked up meanwhile.
        let by_words = || found_by_words(query, &snapshot, &scope);
        let (near, words) = std::thread::scope(|threads| {
            let beside = std::thread::Builder::new().spawn_scoped(threads, by_words);
            let near = self.meant(query, &snapshot, &scope);
            let words = match beside {
                Ok(words) => words.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // Tests may have taken every thread that there is.
                Err(_) => by_words(),
            };
            (near, words)
        });
        let mut reasons: Vec<String> = near.degraded.into_iter().collect();
        reasons.extend(answer::reasons(&self.shared().progress(), snapshot.totals.chunks == 0));
        if !whole {
            reasons.push("unsaved buffers are not searched".to_owned());
        }
        let ranked = rank(query, &words?, &near.documents);
        let mut texts = Texts::new(view);
        let neighbours = texts.near(&query.near);
        let mut definitions = Definitions::default();
        let mut hits = Hits::new(query.filter.is_named());
        let mut boosted = Vec::new();
        for (document, score) in ranked {
            let Some((record, chunk)) = snapshot.chunk(document) else { continue };
            // Nothing moves up any more: of another file there can only be hits that are too many.
            if neighbours.is_none() && hits.len() >= query.k && !texts.has_read(&record.path) {
                continue;
            }
            let Some(text) = texts.of(record, chunk) else { continue };
            let score = score
                * query.weights.edge.powi(neighbours.edges(&record.path, &chunk.symbol, text));
            let hit = answer::hit(record, chunk, score, text);
            let found = match query.filter.is_named() {
                true => definitions.of(&query.text, hit, &texts),
                false => vec![hit],
            };
            match neighbours.is_none() {
                true => hits.extend(found, &texts),
                false => boosted.extend(found),
            }
        }
        boosted.sort_by(|a, b| b.score.total_cmp(&a.score));
        hits.extend(boosted, &texts);
        let mut hits = hits.into_best();
        hits.truncate(query.k);
        Ok((Found { hits, reasons, pending: near.pending, model: near.model }, texts.into_stale()))
    }

    /// What is found by meaning.
    fn meant(&self, query: &Query, snapshot: &Snapshot, scope: &Scope) -> Near {
        let filter = &query.filter;
        // Who asks for a name does not ask for what is like it, and misses nothing without it.
        let is_name = filter.is_named() && !is_described(&query.text);
        let Some(lane) = self.lane() else {
            let degraded = (!is_name).then(|| NO_MODEL.to_owned());
            return Near { pending: snapshot.totals.chunks, degraded, ..Near::default() };
        };
        let k = if is_name || query.weights.dense <= 0.0 { 0 } else { depth(query) };
        let filter = Some(filter).filter(|filter| !filter.is_open());
        let found = lane.search(&query.text, scope, filter, k);
        if is_name { Near { degraded: None, ..found } } else { found }
    }
}

struct Found {
    hits: Vec<Hit>,
    reasons: Vec<String>,
    pending: u64,
    model: Option<String>,
}

/// Documents by their words and by their names, each best first.
struct Worded {
    words: Vec<u64>,
    symbols: Vec<u64>,
}

fn found_by_words(
    query: &Query,
    snapshot: &Snapshot,
    scope: &Scope,
) -> Result<Worded, SearchError> {
    let depth = depth(query);
    let live = |document: u64| scope.holds(parts(document).0);
    let words = &snapshot.words;
    let (words, symbols) = query.filter.with(&live, |filter| {
        let asked = greenlit_lexical::Query { text: &query.text, filter, k: depth };
        Ok::<_, SearchError>((words.search(&asked)?, words.symbols(&query.text, &filter, depth)?))
    })?;
    let ids = |found: Vec<Scored>| found.into_iter().map(|hit| hit.id).collect::<Vec<u64>>();
    Ok(Worded { words: ids(words), symbols: ids(symbols) })
}

/// Documents with their fused scores, best first: more than wanted, for some fall away, and a boost may
/// bring others to the top.
fn rank(query: &Query, Worded { words, symbols }: &Worded, near: &[u64]) -> Vec<(u64, f64)> {
    let Weights { lexical, dense, symbol, .. } = query.weights;
    let rankings = [(lexical, &**words), (dense, near), (symbol, symbols)];
    fuse(&rankings, query.weights.depth, depth(query))
}

/// Whether a definition is asked for by what it does: in several words, where its name is one.
fn is_described(question: &str) -> bool {
    question.split_whitespace().nth(1).is_some()
}

/// How many each retriever is asked for.
fn depth(query: &Query) -> usize {
    (query.k * 4).clamp(50, 1000)
}
