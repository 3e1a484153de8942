//! Whether a tokenizer fits its model, and the tokens that end a text are in it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{BadFile, json};

#[derive(Deserialize)]
struct File {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<Added>,
    decoder: Option<Value>,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u64>,
}

#[derive(Deserialize)]
struct Added {
    id: u64,
    content: String,
}

/// What a tokenizer knows.
pub(super) struct Vocabulary {
    words: HashMap<String, u64>,
    ids: HashSet<u64>,
}

/// Reads a tokenizer for a model with that many rows in its embedding.
pub(super) fn vocabulary(path: &Path, rows: u64) -> Result<Vocabulary, BadFile> {
    let file: File = json(path, "take it from where the weights come from")?;
    // Constraints work on bytes: the decoder must say how tokens become bytes.
    let decoder = file.decoder.map(|decoder| decoder.to_string()).unwrap_or_default();
    if !decoder.contains("\"ByteLevel\"") && !decoder.contains("\"ByteFallback\"") {
        return Err(BadFile::invalid(path, "its decoder is neither ByteLevel nor ByteFallback"));
    }
    let mut vocabulary = Vocabulary { words: HashMap::new(), ids: HashSet::new() };
    let added = file.added_tokens.into_iter().map(|token| (token.content, token.id));
    for (word, id) in file.model.vocab.into_iter().chain(added) {
        if id >= rows {
            return Err(BadFile::invalid(
                path,
                format!(
                    "the token {word:?} has the id {id}, but config.json's `vocab_size` is {rows}"
                ),
            ));
        }
        vocabulary.words.insert(word, id);
        vocabulary.ids.insert(id);
    }
    if vocabulary.words.is_empty() {
        return Err(BadFile::invalid(path, "has no tokens"));
    }
    Ok(vocabulary)
}

#[derive(Deserialize)]
struct TokenizerConfig {
    eos_token: Option<Value>,
}

#[derive(Deserialize)]
struct Generation {
    eos_token_id: Option<Value>,
}

impl Vocabulary {
    /// A word that another list of tokens, by id, does not have in the same place.
    pub(super) fn differs(&self, tokens: &[String]) -> Option<(&str, u64)> {
        let same = |(word, id): &(&String, &u64)| {
            usize::try_from(**id).is_ok_and(|id| tokens.get(id) == Some(*word))
        };
        let other = self.words.iter().filter(|entry| !same(entry)).min_by_key(|(_, id)| **id);
        other.map(|(word, id)| (word.as_str(), *id))
    }

    /// Whether `tokenizer_config.json` is valid and its end token known. True where it names one.
    pub(super) fn end_word(&self, path: &Path) -> Result<bool, BadFile> {
        let config: TokenizerConfig = json(path, "")?;
        let word = match &config.eos_token {
            None | Some(Value::Null) => return Ok(false),
            Some(Value::String(word)) => word.as_str(),
            Some(Value::Object(token)) => {
                token.get("content").and_then(Value::as_str).unwrap_or("")
            }
            Some(_) => "",
        };
        if !self.words.contains_key(word) {
            return Err(BadFile::invalid(
                path,
                format!("`eos_token` is {word:?}, which tokenizer.json does not have"),
            ));
        }
        Ok(true)
    }

    /// Whether `generation_config.json` is valid and its end tokens known. True where it names any.
    pub(super) fn end_ids(&self, path: &Path) -> Result<bool, BadFile> {
        let generation: Generation = json(path, "")?;
        let ids = match generation.eos_token_id {
            None | Some(Value::Null) => return Ok(false),
            Some(Value::Array(ids)) => ids,
            Some(id) => vec![id],
        };
        match ids.iter().find(|id| id.as_u64().is_none_or(|id| !self.ids.contains(&id))) {
            Some(id) => Err(BadFile::invalid(
                path,
                format!("`eos_token_id` names {id}, which tokenizer.json does not have"),
            )),
            None => Ok(!ids.is_empty()),
        }
    }
}
