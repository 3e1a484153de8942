//! What somebody finds with ripgrep who looks for every word of the question: lines, or definitions,
//! by how many of the words they have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use greenlit_benches::process;
use greenlit_syntax::chunk::Symbol;

use crate::corpus::{Corpus, K, Place, Question, definitions, innermost};

/// Shorter words are in every line.
const MIN_LETTERS: usize = 3;
/// As many as the product looks for.
const MAX_WORDS: usize = 48;
/// Nobody types these.
const STOP: &[&str] = &[
    "and", "are", "can", "does", "for", "from", "how", "its", "that", "the", "then", "there",
    "this", "was", "what", "when", "where", "which", "will", "with", "you",
];
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Ripgrep {
    program: PathBuf,
}

/// The definitions of each file of a corpus.
pub(crate) struct Definitions(BTreeMap<String, Vec<Symbol>>);

impl Definitions {
    pub(crate) fn of(corpus: &Corpus) -> Self {
        let all = corpus
            .files
            .iter()
            .map(|(path, text)| (path.clone(), definitions(Path::new(path), text)));
        Self(all.collect())
    }
}

impl Ripgrep {
    /// The program and its version; `None` where it does not start.
    pub(crate) fn find(program: &Path) -> Option<(Self, String)> {
        let said = process::run(process::command(program).arg("--version"), PATIENCE).ok()?;
        let version = said.stdout.lines().next().unwrap_or_default().to_owned();
        said.success().then(|| (Self { program: program.to_owned() }, version))
    }

    /// Lines, those with most words first.
    pub(crate) fn lines(&self, corpus: &Corpus, question: &Question) -> Result<Vec<Place>> {
        let found = self.matches(corpus, question)?;
        Ok(best(found.into_iter().map(|(path, line, word)| (line_of(&path, line), word))))
    }

    /// Definitions, those with most words first.
    pub(crate) fn definitions(
        &self,
        corpus: &Corpus,
        definitions: &Definitions,
        question: &Question,
    ) -> Result<Vec<Place>> {
        let found = self.matches(corpus, question)?;
        Ok(best(found.into_iter().map(|(path, line, word)| {
            let symbols = definitions.0.get(&path).map_or(&[][..], Vec::as_slice);
            let place = innermost(symbols, line)
                .map_or_else(|| line_of(&path, line), |symbol| Place::new(&path, &symbol.lines));
            (place, word)
        })))
    }

    /// Every match: file, line from 0, word.
    fn matches(&self, corpus: &Corpus, question: &Question) -> Result<Vec<(String, u32, String)>> {
        let words = words(&question.text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = process::command(&self.program);
        command.args(["--no-config", "--no-ignore", "--ignore-case", "--fixed-strings"]);
        command.args(["--only-matching", "--line-number", "--no-heading", "--color=never"]);
        for word in &words {
            command.args(["-e", word]);
        }
        let finished = process::run(command.arg(".").current_dir(corpus.root()?), PATIENCE)?;
        // 1: nothing matches.
        if !matches!(finished.code, Some(0 | 1)) {
            bail!("ripgrep failed: {}", finished.tail());
        }
        let read = |line: &str| {
            let mut parts = line.trim_start_matches("./").splitn(3, ':');
            let (path, line, word) = (parts.next()?, parts.next()?, parts.next()?);
            Some((path.to_owned(), line.parse::<u32>().ok()? - 1, word.to_lowercase()))
        };
        Ok(finished.stdout.lines().filter_map(read).collect())
    }
}

fn line_of(path: &str, line: u32) -> Place {
    Place::new(path, &(line..line + 1))
}

/// Places by distinct words, then by matches.
fn best(matches: impl Iterator<Item = (Place, String)>) -> Vec<Place> {
    let mut places: BTreeMap<Place, (BTreeSet<String>, usize)> = BTreeMap::new();
    for (place, word) in matches {
        let (words, count) = places.entry(place).or_default();
        words.insert(word);
        *count += 1;
    }
    let mut places: Vec<_> =
        places.into_iter().map(|(place, (words, count))| (words.len(), count, place)).collect();
    // Stable: what is alike stays in the order of files and lines.
    places.sort_by_key(|(words, count, _)| std::cmp::Reverse((*words, *count)));
    places.into_iter().take(K).map(|(.., place)| place).collect()
}

fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let word = word.to_lowercase();
        if word.chars().count() >= MIN_LETTERS
            && !STOP.contains(&word.as_str())
            && !found.contains(&word)
        {
            found.push(word);
        }
    }
    found.truncate(MAX_WORDS);
    found
}
