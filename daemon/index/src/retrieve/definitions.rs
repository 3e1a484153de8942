//! From chunks to the definitions in them: who asks for a symbol wants its lines, not its neighbours'.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use greenlit_lexical::is_stop_word;
use greenlit_syntax::chunk::{Document, SourceKind, Symbol};

use super::texts::Texts;
use super::{Hit, is_described};

/// The definitions of files that were hit, read once.
#[derive(Debug, Default)]
pub(crate) struct Definitions(HashMap<String, Vec<Symbol>>);

impl Definitions {
    /// The definitions in a hit whose names are asked for; without one the definition that the hit
    /// belongs to; without that, where they are asked for by what they do, all in it.
    pub(crate) fn of(&mut self, question: &str, hit: Hit, texts: &Texts<'_>) -> Vec<Hit> {
        let symbols = self.0.entry(hit.path.clone()).or_insert_with(|| {
            let text: Option<Arc<str>> = texts.whole(&hit.path).map(Arc::from);
            let kind = SourceKind::from_path(Path::new(&hit.path));
            let document = text.zip(kind).and_then(|(text, kind)| Document::read(text, kind).ok());
            document.map(|document| document.symbols()).unwrap_or_default()
        });
        let is_described = is_described(question);
        let asked: Vec<String> = question
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .map(str::to_lowercase)
            .filter(|word| !(word.is_empty() || is_described && is_small(word)))
            .collect();
        let here = || symbols.iter().filter(|symbol| hit.lines.contains(&symbol.lines.start));
        let named = here().filter(|symbol| {
            let name = symbol.path.last().map(|name| name.to_lowercase()).unwrap_or_default();
            asked.iter().any(|word| name.contains(word))
        });
        let as_hit = |symbol: &Symbol| Hit {
            lines: symbol.lines.clone(),
            symbol: symbol.path.join("."),
            kind: symbol.kind.name().to_owned(),
            text: texts.lines(&hit.path, symbol.lines.clone()).unwrap_or_default(),
            ..hit.clone()
        };
        let found: Vec<Hit> = named.map(as_hit).collect();
        match found.is_empty() {
            false => found,
            true if !hit.symbol.is_empty() => {
                // A long one is found by its pieces.
                let whole = symbols.iter().find(|symbol| {
                    symbol.path.join(".") == hit.symbol && symbol.lines.contains(&hit.lines.start)
                });
                vec![whole.map_or(hit.clone(), as_hit)]
            }
            true if is_described => here().map(as_hit).collect(),
            true => found,
        }
    }
}

/// A word of a description that is in many names by chance.
fn is_small(word: &str) -> bool {
    word.len() < 3 || is_stop_word(word)
}
