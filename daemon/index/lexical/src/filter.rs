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
