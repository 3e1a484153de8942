//! What may be found.

use greenlit_lexical::path_matches;

use crate::record::{ChunkMeta, Record};

/// Restrictions; an empty list restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    paths: Vec<String>,
    languages: Vec<String>,
    kinds: Vec<String>,
    named: bool,
}

impl Filter {
    /// A filter by beginnings or patterns of paths relative to the root (`*` within a name, `**`
    /// across directories), names of languages, names of kinds, and whether only definitions count.
    pub fn new(paths: &[String], languages: &[String], kinds: &[String], named: bool) -> Self {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect();
        let paths = paths.iter().map(|path| path.trim_start_matches("./").to_owned()).collect();
        Self { paths, languages: lower(languages), kinds: lower(kinds), named }
    }

    /// Whether only definitions count.
    pub(crate) fn is_named(&self) -> bool {
        self.named
    }

    /// Whether every chunk may be found.
    pub(crate) fn is_open(&self) -> bool {
        self.paths.is_empty() && self.languages.is_empty() && self.kinds.is_empty()
    }

    /// Whether a chunk may be found, as the lexical index sees it.
    pub(crate) fn admits(&self, record: &Record, ordinal: usize) -> bool {
        self.admits_file(record)
            && record.chunks.get(ordinal).is_some_and(|chunk| self.admits_kind(chunk))
    }

    /// Whether chunks of a file may be found. Patterns are slow: once per file is enough.
    pub(crate) fn admits_file(&self, record: &Record) -> bool {
        let matches = |pattern: &String| path_matches(pattern, &record.path);
        among(&self.languages, &record.language)
            && (self.paths.is_empty() || self.paths.iter().any(matches))
    }

    /// Whether a chunk of such a file may be found.
    pub(crate) fn admits_kind(&self, chunk: &ChunkMeta) -> bool {
        among(&self.kinds, &chunk.kind)
    }

    /// Calls with the filter as the lexical index takes it.
    pub(crate) fn with<T>(
        &self,
        live: &dyn Fn(u64) -> bool,
        work: impl FnOnce(greenlit_lexical::Filter<'_>) -> T,
    ) -> T {
        fn all(names: &[String]) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        let (paths, languages, kinds) = (all(&self.paths), all(&self.languages), all(&self.kinds));
        work(greenlit_lexical::Filter {
            paths: &paths,
            languages: &languages,
            kinds: &kinds,
            live: Some(live),
        })
    }
}

fn among(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|known| known == name)
}
