//! From chunks to the definitions in them: who asks for a symbol wants its lines, not its neighbours'.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use greenlit_syntax::chunk::{Document, SourceKind, Symbol};

use super::Hit;
use super::texts::Texts;

/// The definitions of files that were hit, read once.
#[derive(Debug, Default)]
pub(crate) struct Definitions(HashMap<String, Vec<Symbol>>);

impl Definitions {
    /// The definitions in a hit whose names are asked for; without one the definition that the hit
    /// belongs to, if it belongs to one.
    pub(crate) fn of(&mut self, question: &str, hit: Hit, texts: &Texts<'_>) -> Vec<Hit> {
        let symbols = self.0.entry(hit.path.clone()).or_insert_with(|| {
            let text: Option<Arc<str>> = texts.whole(&hit.path).map(Arc::from);
            let kind = SourceKind::from_path(Path::new(&hit.path));
            let document = text.zip(kind).and_then(|(text, kind)| Document::read(text, kind).ok());
            document.map(|document| document.symbols()).unwrap_or_default()
        });
        let asked: Vec<String> = question
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let named = symbols.iter().filter(|symbol| {
            let name = symbol.path.last().map(|name| name.to_lowercase()).unwrap_or_default();
            hit.lines.contains(&symbol.lines.start) && asked.iter().any(|word| name.contains(word))
        });
        let found: Vec<Hit> = named
            .map(|symbol| Hit {
                lines: symbol.lines.clone(),
                symbol: symbol.path.join("."),
                kind: symbol.kind.name().to_owned(),
                text: texts.lines(&hit.path, symbol.lines.clone()).unwrap_or_default(),
                ..hit.clone()
            })
            .collect();
        if found.is_empty() && !hit.symbol.is_empty() { vec![hit] } else { found }
    }
}
