//! What Greenlit offers to download, as data.

use greenlit_download::{Digest, is_name};
use serde::{Deserialize, Deserializer};

use super::{ModelError, Overrides, Pooling};
use crate::runtime::Wheel;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Texts to vectors
    Embedding,
}

impl ModelKind {
    /// For people and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
        }
    }
}

/// A model that Greenlit knows how to get and to use. `catalogue.toml` has the values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recommended {
    /// What it is for
    pub kind: ModelKind,
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

/// What is offered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// Models, the preferred ones first
    #[serde(rename = "model")]
    pub models: Vec<Recommended>,
    /// ONNX Runtime, by operating system and processor
    #[serde(rename = "runtime")]
    pub runtimes: Vec<Wheel>,
}

pub(crate) fn digest<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

impl Catalogue {
    /// What every Greenlit offers.
    #[must_use]
    pub fn built_in() -> Self {
        let text = include_str!("../catalogue.toml");
        toml::from_str(text).expect("a test reads the same text")
    }

    /// A catalogue in the form of the one that is built in: what a team offers besides.
    ///
    /// # Errors
    /// When it is no catalogue, or a name or a file would leave its directory.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let catalogue: Self = toml::from_str(text)
            .map_err(|error| ModelError::Catalogue { reason: error.message().to_owned() })?;
        for model in &catalogue.models {
            let files = model.files.iter().map(|file| &file.to);
            if let Some(wrong) = [&model.name].into_iter().chain(files).find(|n| !is_name(n)) {
                return Err(ModelError::Catalogue { reason: format!("`{wrong}` is not a name") });
            }
        }
        Ok(catalogue)
    }

    /// With what another one offers in front; of one name the other's.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.models.retain(|model| other.models.iter().all(|known| known.name != model.name));
        self.models.splice(0..0, other.models);
        self.runtimes.splice(0..0, other.runtimes);
        self
    }

    /// The runtime for this machine.
    #[must_use]
    pub fn runtime(&self) -> Option<&Wheel> {
        let here = (std::env::consts::OS, std::env::consts::ARCH);
        self.runtimes.iter().find(|wheel| (&*wheel.os, &*wheel.arch) == here)
    }
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
        let models = Catalogue::built_in().models;
        assert_eq!(models[0].name, "all-minilm-l6-v2");
        for model in &models {
            let name = &model.name;
            assert!(is_name(name), "{name}");
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

    #[test]
    fn there_is_one_runtime_for_each_machine_that_is_supported() {
        let runtimes = Catalogue::built_in().runtimes;
        for machine in [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64")] {
            let for_it = runtimes.iter().filter(|wheel| (&*wheel.os, &*wheel.arch) == machine);
            assert_eq!(for_it.count(), 1, "{machine:?}");
        }
    }

    #[test]
    fn a_team_s_catalogue_comes_first_and_stays_in_its_directory() {
        let text = "[[model]]\nkind = 'embedding'\nname = 'NAME'\nabout = ''\nrepo = 'a/b'\n\
                    revision = '0'\nlicence = 'MIT'\ndims = 2\nmax_tokens = 4\npooling = 'mean'\n\
                    query_prefix = ''\nfiles = [{ path = 'x', to = 'FILE', size = 1, sha256 = 'DIGEST' }]";
        let text = text.replace("DIGEST", &"ab".repeat(32));
        let of = |name: &str, file: &str| {
            Catalogue::parse(&text.replace("NAME", name).replace("FILE", file))
        };
        let own = of("all-minilm-l6-v2", "model.onnx").unwrap();
        let both = Catalogue::built_in().with(own);
        assert_eq!(both.models[0].repo, "a/b");
        assert_eq!(both.models.len(), Catalogue::built_in().models.len());
        for (name, file) in
            [("../x", "model.onnx"), ("x", "../../model.onnx"), ("", "x"), ("x", "/x")]
        {
            let error = of(name, file).unwrap_err();
            assert!(error.to_string().contains("is not a name"), "{error}");
        }
        assert!(Catalogue::parse("[[model]]\nname = 3").is_err());
    }
}
