//! Search by the name of a definition: whole, by its beginning, or by its humps.

use std::collections::HashMap;

use roaring::RoaringBitmap;
use tantivy::query::{BooleanQuery, EnableScoring, Query};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, SegmentReader, TERMINATED};

use crate::error::{SearchError, guarded};
use crate::filter::Filter;
use crate::held::View;
use crate::lexical::Lexical;
use crate::search::Scored;
use crate::tokens::parts;

/// Longer names are cut: nobody types so much.
const MAX_NAME: usize = 120;
/// So many names that begin alike are looked at.
const MAX_TERMS: usize = 20_000;

const EXACT: f32 = 3.0;
const PREFIX: f32 = 2.0;
const HUMPS: f32 = 1.0;

/// A name as it is compared: lower case.
pub(crate) fn key(name: &str) -> String {
    name[..name.floor_char_boundary(MAX_NAME)].to_lowercase()
}

/// A name by the first letters of its words, then those words: `IndexWriter` and `index_writer` are
/// both `iw index writer`.
pub(crate) fn humps(name: &str) -> String {
    let name = &name[..name.floor_char_boundary(MAX_NAME)];
    let words: Vec<String> = parts(name).iter().map(|part| part.to_lowercase()).collect();
    let initials: String = words.iter().filter_map(|word| word.chars().next()).collect();
    format!("{initials} {}", words.join(" "))
}

impl Lexical {
    /// Documents that define a name: that very name first (in any case), then names that begin with
    /// it, then names whose words begin with its parts (`InWr` and `iw` for `IndexWriter`);
    /// shorter names first.
    ///
    /// # Errors
    ///
    /// [`SearchError`].
    pub fn symbols(
        &self,
        name: &str,
        filter: &Filter<'_>,
        k: usize,
    ) -> Result<Vec<Scored>, SearchError> {
        let name = name.trim();
        if name.is_empty() || k == 0 {
            return Ok(Vec::new());
        }
        guarded(|reason| SearchError::Damaged { reason }, || self.named(name, filter, k))
    }

    fn named(&self, name: &str, filter: &Filter<'_>, k: usize) -> Result<Vec<Scored>, SearchError> {
        let key = key(name);
        let mut best: HashMap<u64, f32> = HashMap::new();
        let view = self.view();
        let allowed = self.allowed(&view, filter)?;
        for (at, (part, reader)) in view.segments().enumerate() {
            let ids = reader.fast_fields().column_first_or_default::<u64>("id")?;
            let mut add = |doc: u32, score: f32| {
                let id = ids.get_val(doc);
                let there = part.finds(reader, doc, id);
                let allowed = allowed.as_ref().is_none_or(|allowed| allowed[at].contains(doc));
                if there && allowed && filter.live.is_none_or(|live| live(id)) {
                    let slot = best.entry(id).or_insert(score);
                    *slot = slot.max(score);
                }
            };
            for_terms(reader, self.fields.name, &key, &mut |term, docs| {
                let score = if term == key { EXACT } else { PREFIX + closeness(&key, term) };
                docs.iter().for_each(|doc| add(*doc, score));
            })?;
            // Words by how the query is written, else every letter a word: `iw`.
            let written: Vec<String> = parts(name).iter().map(|p| p.to_lowercase()).collect();
            let letters: Vec<String> =
                key.chars().filter(|c| c.is_alphanumeric()).map(String::from).collect();
            for words in [written, letters] {
                if words.len() < 2 {
                    continue;
                }
                let initials: String = words.iter().filter_map(|w| w.chars().next()).collect();
                for_terms(reader, self.fields.humps, &initials, &mut |term, docs| {
                    let mut parts = term.split(' ').skip(1);
                    let fit = words.iter().all(|w| parts.next().is_some_and(|p| p.starts_with(w)));
                    if fit {
                        let score = HUMPS + closeness(&initials, term);
                        docs.iter().for_each(|doc| add(*doc, score));
                    }
                })?;
            }
        }
        let mut found: Vec<Scored> =
            best.into_iter().map(|(id, score)| Scored { id, score }).collect();
        found.sort_unstable();
        found.truncate(k);
        Ok(found)
    }

    /// Per segment the documents that the conditions on terms allow; `None` without conditions.
    pub(crate) fn allowed(
        &self,
        view: &View,
        filter: &Filter<'_>,
    ) -> Result<Option<Vec<RoaringBitmap>>, SearchError> {
        let conditions = filter.queries(&self.fields)?;
        if conditions.is_empty() {
            return Ok(None);
        }
        let all = BooleanQuery::intersection(conditions);
        let scoring = EnableScoring::disabled_from_searcher(&view.stored.searcher);
        let weight = all.weight(scoring)?;
        let mut allowed = Vec::new();
        for (_, reader) in view.segments() {
            let mut docs = RoaringBitmap::new();
            weight.for_each_no_score(reader, &mut |block| docs.extend(block.iter().copied()))?;
            allowed.push(docs);
        }
        Ok(Some(allowed))
    }
}

/// How much of a name was asked for, below one.
fn closeness(asked: &str, name: &str) -> f32 {
    let asked = f32::from(u8::try_from(asked.len()).unwrap_or(u8::MAX));
    let name = f32::from(u8::try_from(name.len()).unwrap_or(u8::MAX));
    0.9 * (asked / name.max(1.0)).min(1.0)
}

/// Visits the terms that begin with a text, with the documents that hold each.
fn for_terms(
    reader: &SegmentReader,
    field: Field,
    prefix: &str,
    visit: &mut dyn FnMut(&str, &[u32]),
) -> Result<(), SearchError> {
    let failed = |error: std::io::Error| SearchError::from(tantivy::TantivyError::from(error));
    let inverted = reader.inverted_index(field)?;
    let mut terms = inverted.terms().range().ge(prefix.as_bytes()).into_stream().map_err(failed)?;
    let mut docs = Vec::new();
    let mut seen = 0;
    while seen < MAX_TERMS && terms.advance() {
        let Some(term) = std::str::from_utf8(terms.key()).ok() else { continue };
        if !term.starts_with(prefix) {
            break;
        }
        seen += 1;
        let info = terms.value();
        let mut postings =
            inverted.read_postings_from_terminfo(info, IndexRecordOption::Basic).map_err(failed)?;
        docs.clear();
        while postings.doc() != TERMINATED {
            docs.push(postings.doc());
            postings.advance();
        }
        visit(term, &docs);
    }
    Ok(())
}
