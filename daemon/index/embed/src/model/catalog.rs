//! The models that Greenlit offers, as data.

use greenlit_download::Digest;
use serde::{Deserialize, Deserializer};

use super::{Overrides, Pooling};

/// A model that Greenlit knows how to get and to use. `models.toml` has the values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommended {
    /// What a person writes
    pub name: String,
    /// What it is good for
    pub about: String,
    /// Its repository in the hub
    pub repo: String,
    /// A commit of the repository
    pub revision: String,
    /// SPDX expression
    pub licence: String,
    /// Values in a vector
    pub dims: usize,
    /// Tokens of a text that are read
    pub max_tokens: usize,
    /// How the vectors of tokens become one
    pub pooling: Pooling,
    /// What stands before a question
    pub query_prefix: String,
    pub(super) files: Vec<HubFile>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HubFile {
    pub(super) path: String,
    pub(super) to: String,
    pub(super) size: u64,
    #[serde(deserialize_with = "digest")]
    pub(super) sha256: Digest,
}

#[derive(Deserialize)]
struct Catalog {
    model: Vec<Recommended>,
}

fn digest<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

/// The models that Greenlit offers; the first is taken when nothing is configured.
#[must_use]
pub fn recommended() -> Vec<Recommended> {
    let catalog: Catalog =
        toml::from_str(include_str!("models.toml")).expect("a test reads the same text");
    catalog.model
}

impl Recommended {
    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// How the model is used.
    #[must_use]
    pub fn overrides(&self) -> Overrides {
        Overrides {
            name: Some(self.name.clone()),
            pooling: Some(self.pooling),
            max_tokens: Some(self.max_tokens),
            query_prefix: Some(self.query_prefix.clone()),
            dims: Some(self.dims),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_pinned_and_complete() {
        let models = recommended();
        assert_eq!(models[0].name, "all-minilm-l6-v2");
        for model in &models {
            let name = &model.name;
            let commit = model.revision.len() == 40
                && model.revision.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(commit, "{name}: a branch moves");
            let mut files: Vec<_> = model.files.iter().map(|file| file.to.as_str()).collect();
            files.sort_unstable();
            let wanted = [
                "config.json",
                "model.onnx",
                "special_tokens_map.json",
                "tokenizer.json",
                "tokenizer_config.json",
            ];
            assert_eq!(files, wanted, "{name}");
            assert!(model.size() > 1_000_000, "{name}");
        }
    }
}
