//! What a hit must be beside matching.

use std::fmt;

use tantivy::Term;
use tantivy::query::{BooleanQuery, ConstScoreQuery, Occur, Query, RegexQuery, TermSetQuery};
use tantivy::schema::Field;

use crate::error::SearchError;
use crate::schema::Fields;

/// Conditions on hits; an empty list allows everything.
#[derive(Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Beginnings of paths, or patterns: `*` within a name, `**` across directories, `?` for one
    /// character. One of them must hold.
    pub paths: &'a [&'a str],
    /// Names of languages, as the documents give them.
    pub languages: &'a [&'a str],
    /// Names of kinds, as the documents give them.
    pub kinds: &'a [&'a str],
    /// Which documents are there, asked for candidates only.
    pub live: Option<&'a dyn Fn(u64) -> bool>,
}

impl fmt::Debug for Filter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("paths", &self.paths)
            .field("languages", &self.languages)
            .field("kinds", &self.kinds)
            .field("live", &self.live.is_some())
            .finish()
    }
}

impl Filter<'_> {
    /// Each condition on terms as a query that scores nothing.
    pub(crate) fn queries(&self, fields: &Fields) -> Result<Vec<Box<dyn Query>>, SearchError> {
        let mut queries: Vec<Box<dyn Query>> = Vec::new();
        for (field, names) in [(fields.language, self.languages), (fields.kind, self.kinds)] {
            if !names.is_empty() {
                let terms = names.iter().map(|name| Term::from_field_text(field, name));
                queries.push(Box::new(TermSetQuery::new(terms)));
            }
        }
        if !self.paths.is_empty() {
            queries.push(paths(fields.whole_path, self.paths)?);
        }
        let silent = |query| Box::new(ConstScoreQuery::new(query, 0.0)) as Box<dyn Query>;
        Ok(queries.into_iter().map(silent).collect())
    }
}

fn paths(field: Field, patterns: &[&str]) -> Result<Box<dyn Query>, SearchError> {
    let mut any: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    for pattern in patterns {
        let query = RegexQuery::from_pattern(&expression(pattern), field)
            .map_err(|source| SearchError::Pattern { pattern: (*pattern).to_owned(), source })?;
        any.push((Occur::Should, Box::new(query)));
    }
    Ok(Box::new(BooleanQuery::new(any)))
}

/// Whether a path is one that [`Filter::paths`] means by a pattern: for retrievers beside this one.
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let is_whole = pattern.contains(['*', '?']);
    matches(pattern.as_bytes(), path.as_bytes(), is_whole)
}

/// Bytes are compared, so `?` counts a character by where the next one begins.
fn matches(pattern: &[u8], path: &[u8], is_whole: bool) -> bool {
    let suffixes = |path: &[u8]| (0..=path.len()).collect::<Vec<_>>();
    match pattern {
        [] => !is_whole || path.is_empty(),
        [b'*', b'*', b'/', rest @ ..] => {
            // No directory at all, or as many as there are.
            matches(rest, path, is_whole)
                || suffixes(path).into_iter().any(|at| {
                    at > 0 && path[at - 1] == b'/' && matches(rest, &path[at..], is_whole)
                })
        }
        [b'*', b'*', rest @ ..] => {
            suffixes(path).into_iter().any(|at| matches(rest, &path[at..], is_whole))
        }
        [b'*', rest @ ..] => {
            let name = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
            (0..=name).any(|at| matches(rest, &path[at..], is_whole))
        }
        [b'?', rest @ ..] => match path {
            [] | [b'/', ..] => false,
            [_, tail @ ..] => {
                // The other bytes of one character.
                let more = tail.iter().take_while(|byte| **byte & 0xc0 == 0x80).count();
                matches(rest, &tail[more..], is_whole)
            }
        },
        [byte, rest @ ..] => path
            .split_first()
            .is_some_and(|(first, tail)| first == byte && matches(rest, tail, is_whole)),
    }
}

/// The regular expression of a path pattern.
fn expression(pattern: &str) -> String {
    let mut expression = String::new();
    let mut characters = pattern.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '*' if characters.next_if_eq(&'*').is_some() => {
                // `**/` may be no directory at all.
                let slash = characters.next_if_eq(&'/').is_some();
                expression.push_str(if slash { "(.*/)?" } else { ".*" });
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            _ => {
                // Other punctuation may not be escaped: `\<` begins a word.
                if r"\.+*?()|[]{}^$#&-~".contains(c) {
                    expression.push('\\');
                }
                expression.push(c);
            }
        }
    }
    if !pattern.contains(['*', '?']) {
        expression.push_str(".*");
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_where_the_words_of_it_would_be_found() {
        let paths = ["a/b.rs", "a/c/b.rs", "b.rs", "a+b/é.rs", "src/a.py", "src"];
        let wanted = [
            ("a", 0b1011),
            ("src/", 0b10000),
            ("*.rs", 0b100),
            ("**/*.rs", 0b1111),
            ("a/**/b.rs", 0b11),
            ("a/**", 0b11),
            ("a+b/?.rs", 0b1000),
            ("a?b.rs", 0),
        ];
        for (pattern, wanted) in wanted {
            let words = crate::Lexical::in_memory().unwrap();
            let documents: Vec<crate::Document> = (0..)
                .zip(paths)
                .map(|(id, path)| crate::Document {
                    id,
                    path: path.to_owned(),
                    symbol: Vec::new(),
                    names: Vec::new(),
                    text: "marmalade".to_owned(),
                    language: String::new(),
                    kind: String::new(),
                })
                .collect();
            words.apply(&[], &documents).unwrap();
            let filter = Filter { paths: &[pattern], ..Filter::default() };
            let query = crate::Query { text: "marmalade", filter, k: 10 };
            let found = words.search(&query).unwrap().iter().fold(0, |all, hit| all | 1 << hit.id);
            let matched = (0..).zip(paths).filter(|(_, path)| path_matches(pattern, path));
            let matched = matched.fold(0, |all, (id, _): (u64, _)| all | 1 << id);
            assert_eq!((found, matched), (wanted, wanted), "{pattern}");
        }
    }
}
