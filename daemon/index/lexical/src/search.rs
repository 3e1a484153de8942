//! Search by words: BM25 over the text, the names and the path.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use roaring::RoaringBitmap;
use tantivy::query::{Bm25StatisticsProvider, Bm25Weight};
use tantivy::{TantivyError, Term};

use crate::error::{SearchError, guarded};
use crate::filter::Filter;
use crate::held::View;
use crate::lexical::Lexical;
use crate::scores::{InField, Scores, Word, Worth};
use crate::tokens::{QueryWord, Role, query_words};

/// More words say no more.
const MAX_WORDS: usize = 48;
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
                let allowed = self.allowed(&view, &query.filter)?;
                let words = words.iter().map(|word| self.word(&view, word));
                let words: Vec<Word> = words.collect::<Result<_, TantivyError>>()?;
                best(&view, &words, allowed.as_deref(), query)
            },
        )
    }

    /// A word in those fields where it is. For a compound it does not count how long the text around it is,
    /// nor how often it is there: whoever writes `retry_with_jitter` looks for it, wherever it is.
    fn word(&self, view: &View, word: &QueryWord) -> Result<Word, TantivyError> {
        let fields = [
            (self.fields.text, 1.0),
            (self.fields.symbol, SYMBOL_BOOST),
            (self.fields.path, PATH_BOOST),
        ];
        let all = view.total_num_docs()?;
        let mut found = Word::default();
        for (field, boost) in fields {
            let term = Term::from_field_text(field, &word.text);
            let holders = view.doc_freq(&term)?.min(all);
            if holders == 0 {
                continue;
            }
            let length = view.total_num_tokens(field)? as f32 / all as f32;
            let weight = Bm25Weight::for_one_term_without_explain(holders, all, length);
            let worth = match word.role {
                Role::Compound => Worth::Fixed(boost * MOST * rarity(holders, all)),
                Role::Plain => Worth::Counted(weight.boost_by(boost)),
                Role::Number => Worth::Counted(weight.boost_by(NUMBER)),
            };
            found.fields.push(InField { term, worth });
        }
        Ok(found)
    }
}

/// How rare a word is, as BM25 has it.
fn rarity(holders: u64, all: u64) -> f32 {
    let (with, all) = (holders as f32, all as f32);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}

/// The best of what holds any of the words; of equal ones those with the smallest ids.
fn best(
    view: &View,
    words: &[Word],
    allowed: Option<&[RoaringBitmap]>,
    query: &Query<'_>,
) -> Result<Vec<Scored>, SearchError> {
    let mut best: BinaryHeap<Scored> = BinaryHeap::new();
    for (at, (part, reader)) in view.segments().enumerate() {
        let ids = reader.fast_fields().column_first_or_default::<u64>("id")?;
        for (doc, score) in Scores::of(words, reader)?.found() {
            let is_less = |worst: &Scored| best.len() >= query.k && score < worst.score;
            if best.peek().is_some_and(is_less) {
                continue;
            }
            let id = ids.get_val(doc);
            let is_allowed = allowed.is_none_or(|allowed| allowed[at].contains(doc));
            let is_there = is_allowed && part.finds(reader, doc, id);
            if is_there && query.filter.live.is_none_or(|live| live(id)) {
                best.push(Scored { id, score });
                if best.len() > query.k {
                    best.pop();
                }
            }
        }
    }
    Ok(best.into_sorted_vec())
}
