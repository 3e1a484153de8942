//! The fields of a document.

use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};

use crate::tokens::CodeTokenizer;

/// Raise it when fields or tokens change: an index of another version is built anew.
pub const SCHEMA_VERSION: u32 = 1;

const TOKENIZER: &str = "greenlit_code";

/// Handles of the fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) id: Field,
    /// Words of the code and its comments.
    pub(crate) text: Field,
    /// Words of the symbol path and of all names defined.
    pub(crate) symbol: Field,
    /// Words of the path.
    pub(crate) path: Field,
    /// The path as it is.
    pub(crate) whole_path: Field,
    pub(crate) language: Field,
    pub(crate) kind: Field,
    /// Defined names in lower case.
    pub(crate) name: Field,
    /// Defined names as [`crate::symbols::humps`] writes them.
    pub(crate) humps: Field,
}

pub(crate) fn schema() -> (Schema, Fields) {
    let words = TextOptions::default().set_indexing_options(
        TextFieldIndexing::default()
            .set_tokenizer(TOKENIZER)
            .set_index_option(IndexRecordOption::WithFreqs),
    );
    let mut builder = Schema::builder();
    let fields = Fields {
        id: builder.add_u64_field("id", INDEXED | FAST),
        text: builder.add_text_field("text", words.clone()),
        symbol: builder.add_text_field("symbol", words.clone()),
        path: builder.add_text_field("path", words),
        whole_path: builder.add_text_field("whole_path", STRING),
        language: builder.add_text_field("language", STRING),
        kind: builder.add_text_field("kind", STRING),
        name: builder.add_text_field("name", STRING),
        humps: builder.add_text_field("humps", STRING),
    };
    (builder.build(), fields)
}

pub(crate) fn tokenizers() -> TokenizerManager {
    let manager = TokenizerManager::default();
    manager.register(TOKENIZER, TextAnalyzer::from(CodeTokenizer::default()));
    manager
}
