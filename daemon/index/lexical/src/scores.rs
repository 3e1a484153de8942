//! What the documents of a segment score: word after word, each added to what the document has.
//!
//! Not the library's queries: in these a word in one of several fields is a document-at-a-time union, and the
//! words of a line of code are a union of unions, which takes several times as long.

use tantivy::query::Bm25Weight;
use tantivy::schema::IndexRecordOption;
use tantivy::{SegmentReader, TantivyError, Term};

/// Of a field that does not match best; the rest of its score is that of the best.
const OTHER_FIELDS: f32 = 0.3;

/// A word of a question, in the fields where it is.
#[derive(Default)]
pub(crate) struct Word {
    pub(crate) fields: Vec<InField>,
}

pub(crate) struct InField {
    pub(crate) term: Term,
    pub(crate) worth: Worth,
}

/// What a document gets for a word in a field.
pub(crate) enum Worth {
    /// By how often it is there and how long the field is (BM25).
    Counted(Bm25Weight),
    Fixed(f32),
}

/// By document of a segment.
pub(crate) struct Scores(Vec<Slot>);

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    score: f32,
    /// The last word that was found, from 1 on; 0 where none is.
    word: u32,
    /// What it gave in the best of its fields.
    best: f32,
}

impl Scores {
    pub(crate) fn of(words: &[Word], reader: &SegmentReader) -> Result<Self, TantivyError> {
        let mut scores = Self(vec![Slot::default(); reader.max_doc() as usize]);
        for (word, fields) in (1..).zip(words) {
            for field in &fields.fields {
                scores.add_all(word, field, reader)?;
            }
        }
        Ok(scores)
    }

    /// The documents that hold any word, in order.
    pub(crate) fn found(&self) -> impl Iterator<Item = (u32, f32)> + '_ {
        let slots = (0..).zip(&self.0);
        slots.filter(|(_, slot)| slot.word != 0).map(|(doc, slot)| (doc, slot.score))
    }

    fn add_all(
        &mut self,
        word: u32,
        InField { term, worth }: &InField,
        reader: &SegmentReader,
    ) -> Result<(), TantivyError> {
        let inverted = reader.inverted_index(term.field())?;
        let wanted = match worth {
            Worth::Counted(_) => IndexRecordOption::WithFreqs,
            Worth::Fixed(_) => IndexRecordOption::Basic,
        };
        let Some(mut block) = inverted.read_block_postings(term, wanted)? else { return Ok(()) };
        let lengths = reader.get_fieldnorms_reader(term.field())?;
        while block.block_len() > 0 {
            match worth {
                Worth::Counted(weight) => {
                    for (doc, count) in block.docs().iter().zip(block.freqs()) {
                        self.add(word, *doc, weight.score(lengths.fieldnorm_id(*doc), *count));
                    }
                }
                Worth::Fixed(score) => {
                    block.docs().iter().for_each(|doc| self.add(word, *doc, *score));
                }
            }
            block.advance();
        }
        Ok(())
    }

    /// A word gives what it gives in the best of its fields, and a part of what it gives in the others.
    fn add(&mut self, word: u32, doc: u32, score: f32) {
        let Some(slot) = self.0.get_mut(doc as usize) else { return };
        if slot.word != word {
            *slot = Slot { score: slot.score + score, word, best: score };
        } else if score > slot.best {
            slot.score += score - slot.best * (1.0 - OTHER_FIELDS);
            slot.best = score;
        } else {
            slot.score += score * OTHER_FIELDS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_counts_in_its_best_field_and_a_little_in_the_others() {
        let score = |fields: &[f32]| {
            let mut scores = Scores(vec![Slot::default(); 2]);
            scores.add(1, 1, 10.0);
            fields.iter().for_each(|score| scores.add(2, 1, *score));
            let found: Vec<_> = scores.found().collect();
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].0, 1);
            found[0].1
        };
        assert_eq!(score(&[]), 10.0);
        for fields in [[4.0, 2.0, 1.0], [1.0, 4.0, 2.0], [2.0, 1.0, 4.0]] {
            assert!((score(&fields) - (10.0 + 4.0 + 0.3 * 3.0)).abs() < 1e-4, "{fields:?}");
        }
    }
}
