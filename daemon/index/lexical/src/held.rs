//! Documents that are only in memory so far: small parts of the index, each written once.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringTreemap;
use tantivy::directory::RamDirectory;
use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{
    DocSet, Index, ReloadPolicy, Searcher, SegmentReader, TERMINATED, TantivyDocument,
    TantivyError, Term,
};

use crate::document::Document;
use crate::schema::{Fields, schema, tokenizers};

/// So many parts of one size become one.
const FAN: usize = 8;
/// Parts do not become larger than so many documents: whoever adds one more waits for it.
const LARGEST: usize = 128;
/// Decides how large the table of terms is at first.
const TABLE_BYTES: usize = 3_000_000;

/// A part of the index, and which of its documents are gone.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) searcher: Searcher,
    /// Ids of documents of this part that are there and must not be found.
    pub(crate) gone: RoaringTreemap,
}

impl Part {
    pub(crate) fn new(searcher: Searcher) -> Self {
        Self { searcher, gone: RoaringTreemap::new() }
    }

    pub(crate) fn len(&self) -> u64 {
        self.searcher.num_docs() - self.gone.len()
    }

    /// Whether a document of a segment is found.
    pub(crate) fn finds(&self, reader: &SegmentReader, doc: u32, id: u64) -> bool {
        reader.alive_bitset().is_none_or(|alive| alive.is_alive(doc)) && !self.gone.contains(id)
    }

    fn remove(&mut self, field: Field, id: u64) -> Result<(), TantivyError> {
        if self.gone.contains(id) {
            return Ok(());
        }
        let term = Term::from_field_u64(field, id);
        for reader in self.searcher.segment_readers() {
            let inverted = reader.inverted_index(field)?;
            let Some(mut found) = inverted.read_postings(&term, IndexRecordOption::Basic)? else {
                continue;
            };
            while found.doc() != TERMINATED {
                if self.finds(reader, found.doc(), id) {
                    self.gone.insert(id);
                    return Ok(());
                }
                found.advance();
            }
        }
        Ok(())
    }
}

/// Documents in memory, with what is needed to write them elsewhere.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) part: Part,
    documents: Vec<Arc<Document>>,
    /// How often parts were put together to make it.
    rank: u32,
}

impl Layer {
    fn new(
        fields: &Fields,
        documents: Vec<Arc<Document>>,
        rank: u32,
    ) -> Result<Self, TantivyError> {
        let builder = Index::builder().schema(schema().0).tokenizers(tokenizers());
        let mut writer = builder
            .single_segment_index_writer::<TantivyDocument>(RamDirectory::create(), TABLE_BYTES)?;
        for document in &documents {
            writer.add_document(fields.document(document))?;
        }
        let index = writer.finalize()?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { part: Part::new(reader.searcher()), documents, rank })
    }

    /// Its documents that were not removed.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.documents.iter().filter(|document| !self.part.gone.contains(document.id))
    }
}

/// What searches see at one moment.
#[derive(Clone)]
pub(crate) struct View {
    /// What is in the directory.
    pub(crate) stored: Part,
    /// What is only in memory, oldest first.
    pub(crate) layers: Vec<Layer>,
    /// The first so many layers are being stored and stay as they are.
    pub(crate) folding: usize,
}

impl View {
    pub(crate) fn new(searcher: Searcher) -> Self {
        Self { stored: Part::new(searcher), layers: Vec::new(), folding: 0 }
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.stored).chain(self.layers.iter().map(|layer| &layer.part))
    }

    pub(crate) fn segments(&self) -> impl Iterator<Item = (&Part, &SegmentReader)> {
        self.parts().flat_map(|part| part.searcher.segment_readers().iter().map(move |r| (part, r)))
    }

    /// Removes documents, wherever they are.
    pub(crate) fn remove(&mut self, field: Field, ids: &[u64]) -> Result<(), TantivyError> {
        let layers = self.layers.iter_mut().map(|layer| &mut layer.part);
        for part in std::iter::once(&mut self.stored).chain(layers) {
            ids.iter().try_for_each(|id| part.remove(field, *id))?;
        }
        Ok(())
    }

    /// Adds documents whose ids are in no other part.
    pub(crate) fn push(
        &mut self,
        fields: &Fields,
        documents: Vec<Document>,
    ) -> Result<(), TantivyError> {
        if documents.is_empty() {
            return Ok(());
        }
        // One that was added twice is there once.
        let last: BTreeMap<u64, Document> =
            documents.into_iter().map(|document| (document.id, document)).collect();
        let documents = last.into_values().map(Arc::new).collect();
        self.layers.push(Layer::new(fields, documents, 0)?);
        while let Some(from) = self.alike() {
            let rank = self.layers[from].rank + 1;
            let few = self.layers.split_off(from);
            let documents = few.iter().flat_map(Layer::documents).cloned().collect();
            self.layers.push(Layer::new(fields, documents, rank)?);
        }
        Ok(())
    }

    /// Where the layers begin that are put together now.
    fn alike(&self) -> Option<usize> {
        let from = self.layers.len().checked_sub(FAN).filter(|from| *from >= self.folding)?;
        let last = &self.layers[from..];
        let documents: usize = last.iter().map(|layer| layer.documents.len()).sum();
        let is_alike = last.iter().all(|layer| layer.rank == last[0].rank);
        (is_alike && documents <= LARGEST).then_some(from)
    }

    /// What the view is once the first layers are stored, of which `before` is the beginning.
    pub(crate) fn folded(&self, before: &View, searcher: Searcher) -> View {
        let mut stored = Part::new(searcher);
        // What was removed while they were written is still to be removed.
        for (now, then) in self.parts().zip(before.parts()) {
            stored.gone |= &now.gone - &then.gone;
        }
        View { stored, layers: self.layers[before.layers.len()..].to_vec(), folding: 0 }
    }
}

/// Words count over all parts, as if they were one.
impl Bm25StatisticsProvider for View {
    fn total_num_tokens(&self, field: Field) -> Result<u64, TantivyError> {
        self.parts().map(|part| part.searcher.total_num_tokens(field)).sum()
    }

    fn total_num_docs(&self) -> Result<u64, TantivyError> {
        self.parts().map(|part| part.searcher.total_num_docs()).sum()
    }

    fn doc_freq(&self, term: &Term) -> Result<u64, TantivyError> {
        self.parts().map(|part| Bm25StatisticsProvider::doc_freq(&part.searcher, term)).sum()
    }
}
