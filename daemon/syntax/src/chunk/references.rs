//! What the chunks of a text call and import: edges of the graph that lifts neighbours of a hit.

use super::Chunk;
use super::document::Document;

/// Names that a text refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// Modules, files or paths that the text imports, as written.
    pub imports: Vec<String>,
    /// For each chunk the names that are called in it, each once, in source order.
    pub calls: Vec<Vec<String>>,
}

impl Document {
    /// What the text imports and what each of its chunks calls. Texts without a grammar for their
    /// calls refer to nothing.
    pub fn references(&self, chunks: &[Chunk]) -> References {
        let Some(parsed) = self.code() else {
            return References { imports: Vec::new(), calls: vec![Vec::new(); chunks.len()] };
        };
        let mut calls = vec![Vec::new(); chunks.len()];
        let mut imports = parsed.imports();
        imports.dedup();
        parsed.walk(parsed.root(), &mut |node| {
            for (start, name) in parsed.called_by(node) {
                let at = chunks.partition_point(|chunk| chunk.bytes.end <= start);
                if let Some(names) = calls.get_mut(at)
                    && !names.iter().any(|n| n == name)
                {
                    names.push(name.to_owned());
                }
            }
            true
        });
        References { imports, calls }
    }
}
