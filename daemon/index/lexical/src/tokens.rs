//! Divides code and prose into words, and identifiers into the words that they are made of.

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Longer words are data: hashes, encoded images.
const MAX_WORD: usize = 80;

/// The words of a text, lower case. An identifier gives itself and its parts: `parseHTTP2_url` gives
/// `parsehttp2_url`, `parse`, `http`, `2`, `url`.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodeTokenizer {
    tokens: Vec<Token>,
}

pub(crate) struct CodeTokens<'a> {
    tokens: &'a mut Vec<Token>,
    /// One behind the current token.
    next: usize,
}

impl Tokenizer for CodeTokenizer {
    type TokenStream<'a> = CodeTokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> CodeTokens<'a> {
        self.tokens.clear();
        for (start, word) in words(text) {
            let position = self.tokens.len();
            let mut add = |at: usize, word: &str| {
                self.tokens.push(Token {
                    offset_from: at,
                    offset_to: at + word.len(),
                    position,
                    text: word.to_lowercase(),
                    position_length: 1,
                });
            };
            add(start, word);
            let parts = parts(word);
            if parts.len() > 1 || parts.first().is_some_and(|part| part.len() < word.len()) {
                for part in parts {
                    add(start + (part.as_ptr() as usize - word.as_ptr() as usize), part);
                }
            }
        }
        CodeTokens { tokens: &mut self.tokens, next: 0 }
    }
}

impl TokenStream for CodeTokens<'_> {
    fn advance(&mut self) -> bool {
        self.next += 1;
        self.next <= self.tokens.len()
    }

    fn token(&self) -> &Token {
        &self.tokens[self.next - 1]
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.tokens[self.next - 1]
    }
}

/// What a word of a query is. Later ones count more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// A number in an identifier: every `_2` has it.
    Number,
    Plain,
    /// An identifier that is made of several words: who writes it means it.
    Compound,
}

/// A word of a query, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryWord {
    pub(crate) text: String,
    pub(crate) role: Role,
}

/// Every distinct word of a query in order, parts included.
pub(crate) fn query_words(text: &str) -> Vec<QueryWord> {
    let mut found: Vec<QueryWord> = Vec::new();
    let mut add = |word: &str, role| {
        let text = word.to_lowercase();
        match found.iter_mut().find(|known| known.text == text) {
            Some(known) => known.role = known.role.max(role),
            None => found.push(QueryWord { text, role }),
        }
    };
    for (_, word) in words(text) {
        let parts = parts(word);
        // `utf8` and `u64` are words.
        let is_long = |part: &&&str| part.chars().filter(|c| c.is_alphabetic()).nth(1).is_some();
        let is_compound = parts.iter().filter(is_long).nth(1).is_some();
        add(word, if is_compound { Role::Compound } else { Role::Plain });
        for part in &parts {
            let is_number = parts.len() > 1 && part.chars().all(char::is_numeric);
            add(part, if is_number { Role::Number } else { Role::Plain });
        }
    }
    found
}

/// Runs of letters, digits and underscores. Scripts that put no blanks between words are read
/// character by character.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    let mut close = |start: &mut Option<usize>, end: usize| {
        if let Some(from) = start.take()
            && end - from <= MAX_WORD
            && text[from..end].contains(|c| c != '_')
        {
            found.push((from, &text[from..end]));
        }
    };
    for (at, c) in text.char_indices() {
        if !(c.is_alphanumeric() || c == '_') {
            close(&mut start, at);
        } else if is_dense(c) {
            close(&mut start, at);
            start = Some(at);
            close(&mut start, at + c.len_utf8());
        } else if start.is_none() {
            start = Some(at);
        }
    }
    close(&mut start, text.len());
    found
}

/// Han, Kana, Hangul and their neighbours.
fn is_dense(c: char) -> bool {
    ('\u{2e80}'..'\u{d7b0}').contains(&c) || ('\u{20000}'..'\u{32000}').contains(&c)
}

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Mark,
}

fn class(c: char) -> Class {
    match c {
        _ if c.is_uppercase() => Class::Upper,
        _ if c.is_numeric() => Class::Digit,
        '_' => Class::Mark,
        _ => Class::Lower,
    }
}

/// The words that an identifier is made of, as they are written.
pub(crate) fn parts(word: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut before = Class::Mark;
    let mut characters = word.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let now = class(c);
        let next = characters.peek().map(|(_, c)| class(*c));
        let border = match (before, now) {
            (Class::Upper, Class::Lower) => false,
            // The last capital of `HTTPServer` begins a word.
            (Class::Upper, Class::Upper) => next == Some(Class::Lower),
            (before, now) => before != now,
        };
        if border {
            if before != Class::Mark {
                found.push(&word[start..at]);
            }
            start = at;
        }
        before = now;
    }
    if before != Class::Mark {
        found.push(&word[start..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identifiers_are_words_and_their_parts() {
        let of = |text: &str| {
            let mut tokenizer = CodeTokenizer::default();
            let mut stream = tokenizer.token_stream(text);
            let mut found = Vec::new();
            while stream.advance() {
                found.push(stream.token().text.clone());
            }
            found.join(" ")
        };
        assert_eq!(of("getFooBar"), "getfoobar get foo bar");
        assert_eq!(of("get_foo_bar"), "get_foo_bar get foo bar");
        assert_eq!(of("parseHTTP2_url"), "parsehttp2_url parse http 2 url");
        assert_eq!(of("HTTPServer"), "httpserver http server");
        assert_eq!(of("MAX_LEN"), "max_len max len");
        assert_eq!(of("_private __init__"), "_private private __init__ init");
        assert_eq!(of("utf8 u64"), "utf8 utf 8 u64 u 64");
        assert_eq!(of("a.b::c(d) -> \"e\""), "a b c d e");
        assert_eq!(of("Größe ÄrgerZahl"), "größe ärgerzahl ärger zahl");
        assert_eq!(of("検索 index"), "検 索 index");
        assert_eq!(of("___ + * \" ( :"), "");
        assert_eq!(of(&"x".repeat(200)), "");
    }

    #[test]
    fn words_of_a_query_are_distinct_and_have_roles() {
        let of = |text: &str| {
            let marked = |word: QueryWord| match word.role {
                Role::Number => format!("{}?", word.text),
                Role::Plain => word.text,
                Role::Compound => format!("{}!", word.text),
            };
            query_words(text).into_iter().map(marked).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("the get_foo of foo"), "the get_foo! get foo of");
        assert_eq!(of("parseHTTP2 2"), "parsehttp2! parse http 2");
        assert_eq!(of("_private 42 utf8"), "_private private 42 utf8 utf 8?");
        assert_eq!(of("GETFOO getFoo"), "getfoo! get foo");
    }

    proptest! {
        #[test]
        fn tokens_lie_on_the_text(text in "\\PC{0,60}|[a-zA-Z0-9_ ]{0,60}") {
            let mut tokenizer = CodeTokenizer::default();
            let mut stream = tokenizer.token_stream(&text);
            while stream.advance() {
                let token = stream.token();
                let source = text.get(token.offset_from..token.offset_to);
                prop_assert_eq!(source.map(str::to_lowercase), Some(token.text.clone()));
            }
        }
    }
}
