//! What may be found.

use std::path::Path;

use greenlit_lexical::path_matches;
use greenlit_syntax::Language;
use greenlit_syntax::chunk::{ChunkKind, SourceKind};
use thiserror::Error;

use crate::file::language;
use crate::record::{ChunkMeta, Record};

/// A filter by something that no file has: it would find nothing, whatever is asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no {what} `{name}`: it is one of {known}")]
pub struct UnknownName {
    what: &'static str,
    name: String,
    known: String,
}

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
    /// across directories), names of languages or of their files (`cpp`, `h`), names of kinds, and whether
    /// only definitions count.
    ///
    /// # Errors
    /// [`UnknownName`].
    pub fn new(
        paths: &[String],
        languages: &[String],
        kinds: &[String],
        named: bool,
    ) -> Result<Self, UnknownName> {
        Ok(Self {
            paths: paths.iter().map(|path| path.trim_start_matches("./").to_owned()).collect(),
            languages: languages
                .iter()
                .map(|name| language_named(name))
                .collect::<Result<_, _>>()?,
            kinds: kinds.iter().map(|name| kind_named(name)).collect::<Result<_, _>>()?,
            named,
        })
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

fn language_named(name: &str) -> Result<String, UnknownName> {
    let code = Language::ALL.into_iter().map(SourceKind::Code);
    let known = code.chain([SourceKind::Markdown, SourceKind::Text]).map(language);
    let lower = name.to_lowercase();
    let found = known.clone().find(|known| *known == lower);
    let is_extension = lower.chars().all(char::is_alphanumeric);
    let of_files = || {
        let file = is_extension.then(|| format!("a.{lower}"))?;
        SourceKind::from_path(Path::new(&file)).map(language)
    };
    found.or_else(of_files).map(str::to_owned).ok_or_else(|| UnknownName {
        what: "language",
        name: name.to_owned(),
        known: known.collect::<Vec<_>>().join(", "),
    })
}

fn kind_named(name: &str) -> Result<String, UnknownName> {
    let lower = name.to_lowercase();
    let names = ChunkKind::ALL.map(ChunkKind::name);
    match names.contains(&&*lower) {
        true => Ok(lower),
        false => Err(UnknownName { what: "kind", name: name.to_owned(), known: names.join(", ") }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_languages_files_and_kinds() {
        let of = |languages: &[&str], kinds: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let (languages, kinds): (Vec<_>, Vec<_>) = (owned(languages), owned(kinds));
            Filter::new(&[], &languages, &kinds, false)
        };
        let found = of(&["Python", "c", "h", "ts", "md"], &["Function"]).unwrap();
        assert_eq!(found.languages, ["python", "cpp", "cpp", "typescript", "markdown"]);
        assert_eq!(found.kinds, ["function"]);
        assert!(of(&["a.py"], &[]).is_err());
        let said = of(&["cobol"], &[]).unwrap_err().to_string();
        assert!(said.starts_with("there is no language `cobol`: it is one of rust, "), "{said}");
        let said = of(&[], &["functions"]).unwrap_err().to_string();
        assert!(said.contains("`functions`") && said.ends_with(", code, text"), "{said}");
    }
}
