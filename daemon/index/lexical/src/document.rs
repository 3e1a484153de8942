//! What is indexed.

use tantivy::TantivyDocument;

use crate::schema::Fields;
use crate::symbols;

/// What is indexed of a chunk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The caller's number for it.
    pub id: u64,
    /// Its file, relative to the workspace, with `/`.
    pub path: String,
    /// The definition it belongs to, outermost name first.
    pub symbol: Vec<String>,
    /// Names that it defines: what [`crate::Lexical::symbols`] finds.
    pub names: Vec<String>,
    /// Its text.
    pub text: String,
    /// Its language, for filters.
    pub language: String,
    /// Its kind, for filters.
    pub kind: String,
}

impl Fields {
    pub(crate) fn document(&self, document: &Document) -> TantivyDocument {
        let mut fields = TantivyDocument::default();
        fields.add_u64(self.id, document.id);
        fields.add_text(self.text, &document.text);
        for name in document.symbol.iter().chain(&document.names) {
            fields.add_text(self.symbol, name);
        }
        fields.add_text(self.path, &document.path);
        fields.add_text(self.whole_path, &document.path);
        fields.add_text(self.language, &document.language);
        fields.add_text(self.kind, &document.kind);
        for name in &document.names {
            fields.add_text(self.name, symbols::key(name));
            fields.add_text(self.humps, symbols::humps(name));
        }
        fields
    }
}
