//! Search by words: BM25 over the text, the names and the path.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery,
    EnableScoring, Occur, Query as TantivyQuery, TermQuery,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{TantivyError, Term};

use crate::error::{SearchError, guarded};
use crate::filter::Filter;
use crate::held::View;
use crate::lexical::Lexical;
use crate::tokens::{QueryWord, Role, query_words};

/// More words say no more.
const MAX_WORDS: usize = 48;
/// Of a field that does not match best; the rest of its score is that of the best.
const OTHER_FIELDS: f32 = 0.3;
/// A name says more than a mention, and a path says where.
const SYMBOL_BOOST: f32 = 2.0;
const PATH_BOOST: f32 = 1.0;

/// Of a number in an identifier, wherever it is.
const NUMBER: f32 = 0.5;
/// The most that BM25 gives for a word, in units of its rarity: `k1 + 1`, with the library's `k1`.
const MOST: f32 = 2.2;

/// Words of questions that are no words of answers.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "how",
    "i", "if", "in", "is", "it", "its", "of", "on", "or", "that", "the", "then", "there", "this",
    "to", "was", "we", "what", "when", "where", "which", "will", "with", "you",
];

/// Whether a lower-case word is one that questions are made of and answers are not.
#[must_use]
pub fn is_stop_word(word: &str) -> bool {
    STOP.contains(&word)
}

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Query<'a> {
    /// Any text: its words count, nothing in it is syntax.
    pub text: &'a str,
    /// What a hit must be.
    pub filter: Filter<'a>,
    /// At most so many hits.
    pub k: usize,
}

/// A hit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// The document.
    pub id: u64,
    /// Higher is better; comparable within one answer.
    pub score: f32,
}

impl Eq for Scored {}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Scored) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Better is less, so that sorting puts the best first and a heap keeps the worst on top.
impl Ord for Scored {
    fn cmp(&self, other: &Scored) -> Ordering {
        other.score.total_cmp(&self.score).then(self.id.cmp(&other.id))
    }
}

impl Lexical {
    /// The best documents for the words of a text, best first. A text without words finds nothing.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub fn search(&self, query: &Query<'_>) -> Result<Vec<Scored>, SearchError> {
        let mut words = query_words(query.text);
        let says_something = |word: &QueryWord| !is_stop_word(&word.text);
        if words.iter().any(says_something) {
            words.retain(says_something);
        }
        words.truncate(MAX_WORDS);
        if words.is_empty() || query.k == 0 {
            return Ok(Vec::new());
        }
        guarded(
            |reason| SearchError::Damaged { reason },
            || {
                let view = self.view();
                let any = words.iter().map(|word| Ok((Occur::Should, self.word(&view, word)?)));
                let any = any.collect::<Result<_, TantivyError>>()?;
                let mut all: Vec<(Occur, Box<dyn TantivyQuery>)> = Vec::new();
                for condition in query.filter.queries(&self.fields)? {
                    all.push((Occur::Must, condition));
                }
                let any = BooleanQuery::new(any);
                if all.is_empty() {
                    return best(&view, &any, query);
                }
                all.push((Occur::Must, Box::new(any)));
                best(&view, &BooleanQuery::new(all), query)
            },
        )
    }

    /// A word in any of the fields. For a compound it does not count how long the text around it is, nor
    /// how often it is there: whoever writes `retry_with_jitter` looks for it, wherever it is.
    fn word(&self, view: &View, word: &QueryWord) -> Result<Box<dyn TantivyQuery>, TantivyError> {
        let fields = [
            (self.fields.text, 1.0),
            (self.fields.symbol, SYMBOL_BOOST),
            (self.fields.path, PATH_BOOST),
        ];
        let in_field = |(field, boost)| {
            let term = Term::from_field_text(field, &word.text);
            let query = Box::new(TermQuery::new(term.clone(), IndexRecordOption::WithFreqs));
            let most = || Ok::<_, TantivyError>(boost * MOST * rarity(view, &term)?);
            let scored: Box<dyn TantivyQuery> = match word.role {
                Role::Compound => Box::new(ConstScoreQuery::new(query, most()?)),
                Role::Plain => Box::new(BoostQuery::new(query, boost)),
                Role::Number => Box::new(BoostQuery::new(query, NUMBER)),
            };
            Ok(scored)
        };
        let in_fields = fields.into_iter().map(in_field).collect::<Result<_, TantivyError>>()?;
        Ok(Box::new(DisjunctionMaxQuery::with_tie_breaker(in_fields, OTHER_FIELDS)))
    }
}

/// The best of what a query matches; of equal ones those with the smallest ids. Not the library's collector,
/// because the caller's set of live documents is borrowed.
fn best(
    view: &View,
    matching: &dyn TantivyQuery,
    query: &Query<'_>,
) -> Result<Vec<Scored>, SearchError> {
    let scoring = EnableScoring::enabled_from_statistics_provider(view, &view.stored.searcher);
    let weight = matching.weight(scoring)?;
    let mut best: BinaryHeap<Scored> = BinaryHeap::new();
    for (part, reader) in view.segments() {
        let ids = reader.fast_fields().column_first_or_default::<u64>("id")?;
        let worst = |best: &BinaryHeap<Scored>| match best.peek() {
            Some(worst) if best.len() >= query.k => worst.score.next_down(),
            _ => f32::MIN,
        };
        let threshold = worst(&best);
        weight.for_each_pruning(threshold, reader, &mut |doc, score| {
            let id = ids.get_val(doc);
            let there = part.finds(reader, doc, id);
            if there && query.filter.live.is_none_or(|live| live(id)) {
                best.push(Scored { id, score });
                if best.len() > query.k {
                    best.pop();
                }
            }
            worst(&best)
        })?;
    }
    Ok(best.into_sorted_vec())
}

/// BM25's inverse document frequency of a term.
fn rarity(statistics: &dyn Bm25StatisticsProvider, term: &Term) -> Result<f32, TantivyError> {
    let all = statistics.total_num_docs()? as f32;
    let with = (statistics.doc_freq(term)? as f32).min(all);
    Ok((1.0 + (all - with + 0.5) / (with + 0.5)).ln())
}
