//! A description asks for its function, which is indexed without it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use greenlit_benches::manifest::Ecosystem;
use greenlit_syntax::chunk::Symbol;

use crate::corpus::{Corpus, Place, Question, definitions, is_function};
use crate::packages::{Chosen, sources};

/// Fewer words are a label.
const MIN_WORDS: usize = 4;
/// A question is no longer.
const MAX_WORDS: usize = 40;
/// What begins the formal part of a description.
const FORMAL: [&str; 8] = ["@", ":", ">>>", "```", "Args", "Parameters", "Returns", "#"];

pub(crate) fn corpus(chosen: &Chosen<'_>) -> Result<Corpus> {
    let mut corpus = Corpus::new()?;
    for ecosystem in Ecosystem::ALL {
        for checkout in chosen.of(ecosystem)? {
            for (path, text) in sources(&checkout)? {
                add(&mut corpus, &checkout.label(), &path, &text)?;
            }
        }
    }
    // One text for several functions asks for any of them.
    let mut together: BTreeMap<(String, String), Question> = BTreeMap::new();
    for question in std::mem::take(&mut corpus.questions) {
        let key = (question.package.clone(), question.text.clone());
        let known =
            together.entry(key).or_insert_with(|| Question { right: vec![], ..question.clone() });
        known.right.extend(question.right);
    }
    corpus.questions = together.into_values().collect();
    Ok(corpus)
}

/// Adds a file without the descriptions that ask.
fn add(corpus: &mut Corpus, package: &str, path: &str, text: &std::sync::Arc<str>) -> Result<()> {
    let symbols = definitions(Path::new(path), text);
    let mut asking = Vec::new();
    let mut stripped = text.to_string();
    for (number, symbol) in symbols.iter().enumerate().rev() {
        if symbol.doc.is_empty() || !is_function(symbol) {
            continue;
        }
        match question(symbol, text) {
            Ok(question) => asking.push((number, question)),
            Err(why) => {
                corpus.leave_out(why);
                continue;
            }
        }
        for range in symbol.doc.iter().rev() {
            stripped.replace_range(range.clone(), "");
        }
    }
    let stripped: std::sync::Arc<str> = stripped.into();
    let left = definitions(Path::new(path), &stripped);
    let same =
        left.len() == symbols.len() && left.iter().zip(&symbols).all(|(a, b)| a.path == b.path);
    if !same {
        asking.iter().for_each(|_| corpus.leave_out("in files that need their descriptions"));
        return corpus.write(path, text);
    }
    for (number, text) in asking {
        let right = vec![Place::new(path, &left[number].lines)];
        let (kind, package) = ("described", package.to_owned());
        corpus.questions.push(Question { kind, package, text, right, near: Vec::new() });
    }
    corpus.write(path, &stripped)
}

/// The first paragraph of a description.
fn question(symbol: &Symbol, text: &str) -> Result<String, &'static str> {
    let description = symbol.description(text);
    let prose = description
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty() && !FORMAL.iter().any(|mark| line.starts_with(mark)));
    let words: Vec<&str> = prose.flat_map(str::split_whitespace).take(MAX_WORDS).collect();
    if words.len() < MIN_WORDS {
        return Err("descriptions of under four words");
    }
    let name = symbol.path.last().map(|name| name.to_lowercase()).unwrap_or_default();
    let bare = |word: &&str| {
        word.to_lowercase().split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == name)
    };
    if words.iter().any(bare) {
        return Err("descriptions that say the name");
    }
    // A function of nothing but its description.
    let body = symbol.doc.last().and_then(|doc| text.get(doc.end..symbol.bytes.end));
    if body.is_some_and(|body| body.trim().is_empty()) {
        return Err("functions without a body");
    }
    Ok(words.join(" "))
}
