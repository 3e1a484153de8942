//! How a model is used: by the caller's word, else by the files that sentence-transformers writes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{ModelError, Pooling};

/// Where nothing is said: what the small models take without losing quality.
const MAX_TOKENS: usize = 256;

/// What the caller knows of a model; `None` asks its files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    /// For people; else the directory's name
    pub name: Option<String>,
    /// How the vectors of tokens become one; else `1_Pooling/config.json`, else the mean
    pub pooling: Option<Pooling>,
    /// Tokens that are read at once; else `sentence_bert_config.json`, else 256
    pub max_tokens: Option<usize>,
    /// What stands before a question; else `config_sentence_transformers.json`, else nothing
    pub query_prefix: Option<String>,
    /// Values in a vector; another number is an error when the model is loaded
    pub dims: Option<usize>,
}

pub(super) struct Settings {
    pub(super) pooling: Pooling,
    pub(super) max_tokens: usize,
    pub(super) query_prefix: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PoolingFile {
    pooling_mode_cls_token: bool,
    pooling_mode_mean_tokens: bool,
}

#[derive(Deserialize, Default)]
struct BertFile {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SentenceFile {
    prompts: BTreeMap<String, String>,
}

pub(super) fn read(dir: &Path, overrides: &Overrides) -> Result<Settings, ModelError> {
    let pooling = match overrides.pooling {
        Some(pooling) => pooling,
        None => pooling(dir)?,
    };
    let max_tokens = match overrides.max_tokens {
        Some(tokens) => Some(tokens),
        None => file::<BertFile>(dir, "sentence_bert_config.json")?.and_then(|f| f.max_seq_length),
    };
    let query_prefix = match &overrides.query_prefix {
        Some(prefix) => prefix.clone(),
        None => file::<SentenceFile>(dir, "config_sentence_transformers.json")?
            .and_then(|mut file| file.prompts.remove("query"))
            .unwrap_or_default(),
    };
    let max_tokens = max_tokens.unwrap_or(MAX_TOKENS).max(1);
    Ok(Settings { pooling, max_tokens, query_prefix })
}

fn pooling(dir: &Path) -> Result<Pooling, ModelError> {
    let name = "1_Pooling/config.json";
    match file::<PoolingFile>(dir, name)? {
        None => Ok(Pooling::Mean),
        Some(PoolingFile { pooling_mode_mean_tokens: true, .. }) => Ok(Pooling::Mean),
        Some(PoolingFile { pooling_mode_cls_token: true, .. }) => Ok(Pooling::Cls),
        Some(_) => Err(ModelError::Format {
            path: dir.join(name),
            reason: "neither the mean nor the first token".to_owned(),
        }),
    }
}

/// A file that may be missing.
fn file<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>, ModelError> {
    let path = dir.join(name);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::File { path, source }),
    };
    match serde_json::from_slice(&bytes) {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(ModelError::Format { path, reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_from_the_files_unless_the_caller_knows_better() {
        let dir = tempfile::tempdir().unwrap();
        let plain = read(dir.path(), &Overrides::default()).unwrap();
        assert_eq!((plain.pooling, plain.max_tokens), (Pooling::Mean, MAX_TOKENS));
        fs::create_dir(dir.path().join("1_Pooling")).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("1_Pooling/config.json", r#"{"pooling_mode_cls_token": true}"#);
        write("sentence_bert_config.json", r#"{"max_seq_length": 128, "do_lower_case": false}"#);
        write("config_sentence_transformers.json", r#"{"prompts": {"query": "search: "}}"#);
        let found = read(dir.path(), &Overrides::default()).unwrap();
        assert_eq!((found.pooling, found.max_tokens), (Pooling::Cls, 128));
        assert_eq!(found.query_prefix, "search: ");
        let overrides = Overrides { max_tokens: Some(64), ..Overrides::default() };
        assert_eq!(read(dir.path(), &overrides).unwrap().max_tokens, 64);
        write("1_Pooling/config.json", r#"{"pooling_mode_max_tokens": true}"#);
        assert!(read(dir.path(), &Overrides::default()).is_err());
        write("1_Pooling/config.json", "{");
        let error = read(dir.path(), &Overrides::default()).err().unwrap().to_string();
        assert!(error.contains("1_Pooling"), "{error}");
    }
}
