//! The lexical side: which chunks hold which words, and which define which names.
//!
//! Texts are divided here and stored as words with blanks between, so that identifiers are found
//! whole and by their parts.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tantivy::collector::{FilterCollector, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, RegexQuery, TermQuery};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{DocAddress, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

use crate::division::{divided, name, words};

/// Bytes that the writer may hold before it writes a segment.
const WRITER: usize = 15_000_000;
/// Words of a question beyond these are not looked for.
const MAX_WORDS: usize = 64;
/// What a word in the name of a definition or of a file counts, next to one in the text.
const SYMBOL: f32 = 3.0;
const PATH: f32 = 1.0;

/// A chunk as it is searched.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) id: u64,
    pub(crate) path: Arc<str>,
    pub(crate) symbol: Box<str>,
    pub(crate) text: String,
}

/// Says which documents may be found.
pub(crate) type Allowed = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// Why words cannot be stored or searched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WordsError {
    /// Files that are not what was written.
    #[error("files of the lexical index are damaged")]
    Damaged,
    /// The library refuses.
    #[error("the lexical index cannot be read or written")]
    Library(#[from] tantivy::TantivyError),
    /// The directory.
    #[error("cannot use the directory of the lexical index")]
    Directory(#[from] tantivy::directory::error::OpenDirectoryError),
}

#[derive(Debug, Clone, Copy)]
struct Fields {
    id: Field,
    text: Field,
    symbol: Field,
    path: Field,
    /// The last name of the definition, whole and in lower case.
    name: Field,
}

/// An open lexical index.
pub(crate) struct Words {
    fields: Fields,
    reader: IndexReader,
    /// Only the thread of the index writes.
    writer: Mutex<IndexWriter>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").finish_non_exhaustive()
    }
}

fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("whitespace")
        .set_index_option(IndexRecordOption::WithFreqs);
    let divided = TextOptions::default().set_indexing_options(indexing);
    let fields = Fields {
        id: builder.add_u64_field("id", FAST | INDEXED),
        text: builder.add_text_field("text", divided.clone()),
        symbol: builder.add_text_field("symbol", divided.clone()),
        path: builder.add_text_field("path", divided),
        name: builder.add_text_field("name", STRING),
    };
    (builder.build(), fields)
}

impl Words {
    /// Opens or makes the index in a directory. Every file is checked against its checksum.
    pub(crate) fn open(directory: &Path) -> Result<Self, WordsError> {
        std::fs::create_dir_all(directory).map_err(tantivy::TantivyError::from)?;
        let (schema, fields) = schema();
        let index = tantivy::Index::open_or_create(MmapDirectory::open(directory)?, schema)?;
        if !index.validate_checksum()?.is_empty() {
            return Err(WordsError::Damaged);
        }
        Self::of(index, fields)
    }

    /// One that is gone with the process.
    pub(crate) fn in_memory() -> Result<Self, WordsError> {
        let (schema, fields) = schema();
        Self::of(tantivy::Index::builder().schema(schema).create_in_ram()?, fields)
    }

    fn of(index: tantivy::Index, fields: Fields) -> Result<Self, WordsError> {
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let writer = Mutex::new(index.writer_with_num_threads(1, WRITER)?);
        Ok(Self { fields, reader, writer })
    }

    /// How many documents there are.
    pub(crate) fn count(&self) -> u64 {
        self.reader.searcher().num_docs()
    }

    /// Removes and adds documents, durably. On an error nothing has changed.
    pub(crate) fn apply(&self, removed: &[u64], added: Vec<Document>) -> Result<(), WordsError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let fields = &self.fields;
        let staged = || -> Result<(), tantivy::TantivyError> {
            for id in removed {
                writer.delete_term(Term::from_field_u64(fields.id, *id));
            }
            for document in added {
                let mut to = TantivyDocument::default();
                to.add_u64(fields.id, document.id);
                to.add_text(fields.text, divided(&document.text));
                to.add_text(fields.symbol, divided(&document.symbol));
                to.add_text(fields.path, divided(&document.path));
                to.add_text(fields.name, name(&document.symbol));
                writer.add_document(to)?;
            }
            Ok(())
        };
        let stored = staged().and_then(|()| writer.commit().map(|_| ()));
        if let Err(error) = stored {
            writer.rollback()?;
            return Err(error.into());
        }
        Ok(self.reader.reload()?)
    }

    /// The documents that hold the most telling words of a question, best first.
    pub(crate) fn search(
        &self,
        question: &str,
        limit: usize,
        allowed: Allowed,
    ) -> Result<Vec<u64>, WordsError> {
        let mut wanted: Vec<String> = words(question);
        wanted.sort();
        wanted.dedup();
        wanted.truncate(MAX_WORDS);
        let Fields { text, symbol, path, .. } = self.fields;
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for word in &wanted {
            for (field, boost) in [(text, 1.0), (symbol, SYMBOL), (path, PATH)] {
                let term = Term::from_field_text(field, word);
                let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
                clauses.push((Occur::Should, Box::new(BoostQuery::new(Box::new(query), boost))));
            }
        }
        self.run(&BooleanQuery::new(clauses), limit, allowed)
    }

    /// The documents that define a name: those that are called so first, then those whose name
    /// begins so.
    pub(crate) fn symbols(
        &self,
        wanted: &str,
        limit: usize,
        allowed: Allowed,
    ) -> Result<Vec<u64>, WordsError> {
        let wanted = name(wanted.trim());
        let plain = wanted.chars().all(|c| c.is_alphanumeric() || c == '_');
        if wanted.is_empty() || !plain {
            return Ok(Vec::new());
        }
        let exact = Term::from_field_text(self.fields.name, &wanted);
        let exact = TermQuery::new(exact, IndexRecordOption::Basic);
        let mut found = self.run(&exact, limit, allowed.clone())?;
        // One letter begins half of all names.
        if wanted.len() > 2 && found.len() < limit {
            let begins = RegexQuery::from_pattern(&format!("{wanted}.*"), self.fields.name)?;
            let more = self.run(&begins, limit, allowed)?;
            found.extend(more.into_iter().filter(|id| !found.contains(id)).collect::<Vec<_>>());
            found.truncate(limit);
        }
        Ok(found)
    }

    fn run(
        &self,
        query: &dyn Query,
        limit: usize,
        allowed: Allowed,
    ) -> Result<Vec<u64>, WordsError> {
        let searcher = self.reader.searcher();
        let best = TopDocs::with_limit(limit.max(1)).order_by_score();
        let allowed = move |id: u64| allowed(id);
        let best = FilterCollector::new("id".to_owned(), allowed, best);
        let found: Vec<(f32, DocAddress)> = searcher.search(query, &best)?;
        let mut ids = Vec::with_capacity(found.len());
        for (_, address) in found {
            let segment = searcher.segment_reader(address.segment_ord);
            ids.extend(segment.fast_fields().u64("id")?.first(address.doc_id));
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(id: u64, symbol: &str, text: &str) -> Document {
        Document { id, path: "src/shop.py".into(), symbol: symbol.into(), text: text.to_owned() }
    }

    fn all() -> Allowed {
        Arc::new(|_| true)
    }

    #[test]
    fn identifiers_are_found_whole_and_by_their_parts() {
        let words = Words::in_memory().unwrap();
        let added = vec![
            document(1, "Shop.parseHTTPHeader", "def parseHTTPHeader(line): pass"),
            document(2, "write_footer", "def write_footer(out): header"),
            document(3, "", "nothing at all"),
        ];
        words.apply(&[], added).unwrap();
        assert_eq!(words.search("parse header", 9, all()).unwrap(), [1, 2]);
        assert_eq!(words.search("PARSEHTTPHEADER", 9, all()).unwrap(), [1]);
        assert_eq!(words.search("parse header", 9, Arc::new(|id| id == 2)).unwrap(), [2]);
        assert_eq!(words.symbols("parsehttpheader", 9, all()).unwrap(), [1]);
        assert_eq!(words.symbols("Shop.parseHTTPHeader", 9, all()).unwrap(), [1]);
        assert_eq!(words.symbols("write", 9, all()).unwrap(), [2]);
        for odd in ["", "a.*", "(", "\0", "[a-z", "AND OR \"", "x:y"] {
            words.symbols(odd, 9, all()).unwrap();
            words.search(odd, 9, all()).unwrap();
        }
        words.apply(&[1, 3], vec![document(4, "parse", "parse")]).unwrap();
        assert_eq!(words.search("parse header", 9, all()).unwrap(), [4, 2]);
        assert_eq!(words.count(), 2);
    }

    #[test]
    fn words_are_there_again_and_flipped_bytes_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let words = Words::open(dir.path()).unwrap();
        words.apply(&[], vec![document(1, "a", "alpha beta")]).unwrap();
        drop(words);
        let words = Words::open(dir.path()).unwrap();
        assert_eq!(words.search("beta", 9, all()).unwrap(), [1]);
        drop(words);
        let store = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let store = store.filter(|path| path.extension().is_some_and(|e| e == "term")).next();
        let mut bytes = std::fs::read(store.as_ref().unwrap()).unwrap();
        bytes[3] ^= 1;
        std::fs::write(store.unwrap(), bytes).unwrap();
        assert!(matches!(Words::open(dir.path()), Err(WordsError::Damaged)));
    }
}
