//! What may be found.

use globset::{Glob, GlobSet, GlobSetBuilder};

/// Restrictions; an empty list restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    paths: Option<GlobSet>,
    languages: Vec<String>,
    kinds: Vec<String>,
    named: bool,
}

/// Why a filter makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Not a pattern.
    #[error("`{pattern}` is not a path pattern")]
    Glob {
        /// As it was given.
        pattern: String,
        /// Why.
        #[source]
        source: globset::Error,
    },
}

impl Filter {
    /// A filter by patterns of paths relative to the root (a directory's name means all below it),
    /// names of languages, names of kinds, and whether only definitions count.
    pub fn new(
        paths: &[String],
        languages: &[String],
        kinds: &[String],
        named: bool,
    ) -> Result<Self, FilterError> {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect();
        let paths = if paths.is_empty() { None } else { Some(globs(paths)?) };
        Ok(Self { paths, languages: lower(languages), kinds: lower(kinds), named })
    }

    pub(crate) fn allows(&self, path: &str, language: &str, kind: &str, symbol: &str) -> bool {
        let listed = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        (!self.named || !symbol.is_empty())
            && listed(&self.languages, language)
            && listed(&self.kinds, kind)
            && self.paths.as_ref().is_none_or(|paths| paths.is_match(path))
    }
}

fn globs(patterns: &[String]) -> Result<GlobSet, FilterError> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let failed = |source| FilterError::Glob { pattern: pattern.clone(), source };
        let trimmed = pattern.trim_start_matches("./").trim_end_matches('/');
        set.add(Glob::new(trimmed).map_err(failed)?);
        set.add(Glob::new(&format!("{trimmed}/**")).map_err(failed)?);
    }
    set.build().map_err(|source| FilterError::Glob { pattern: patterns.join(", "), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(paths: &[&str], languages: &[&str], kinds: &[&str]) -> Filter {
        let owned =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(paths), &owned(languages), &owned(kinds), false).unwrap()
    }

    #[test]
    fn directories_patterns_languages_and_kinds_restrict() {
        let everything = Filter::default();
        assert!(everything.allows("a/b.py", "python", "function", ""));
        let below = filter(&["src/"], &[], &[]);
        assert!(below.allows("src/deep/b.py", "python", "function", ""));
        assert!(!below.allows("lib/src.py", "python", "function", ""));
        let python = filter(&["**/*.py"], &["Python"], &["Function"]);
        assert!(python.allows("b.py", "python", "function", ""));
        assert!(!python.allows("b.rs", "python", "function", ""));
        assert!(!python.allows("b.py", "rust", "function", ""));
        assert!(!python.allows("b.py", "python", "class", ""));
        let named = Filter::new(&[], &[], &[], true).unwrap();
        assert!(named.allows("b.py", "python", "class", "A"));
        assert!(!named.allows("b.py", "python", "class", ""));
    }

    #[test]
    fn nonsense_is_named() {
        let error = Filter::new(&["a[".to_owned()], &[], &[], false).unwrap_err();
        assert_eq!(error.to_string(), "`a[` is not a path pattern");
    }
}
