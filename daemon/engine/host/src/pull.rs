//! Bringing a language model from a hub: what it has, and its coming.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use greenlit_download::{
    Client, Digest, DownloadError, Progress, Size, Wanted, hub_listing_url, hub_url, is_name,
};
use greenlit_serving::check::Architecture;
use serde::Deserialize;

use crate::shelf::Origin;

/// Longest answer of a hub about a repository, in bytes.
const LONGEST_LISTING: u64 = 16 << 20;
/// Besides weights; what is not there is not needed, or will be missed when the model is checked.
const SMALL: [&str; 5] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
];

/// Why a model is not pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No address.
    #[error("`{0}` is no model: a name of `greenlit model list`, or OWNER/NAME[@REVISION]")]
    Name(String),
    /// The hub's answer makes no sense.
    #[error("{url} did not answer as a model hub does: {why}")]
    Listing {
        /// What was asked.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The engine cannot run it.
    #[error("{repo} is a {architecture}, which the engine does not run; it runs {}", runs())]
    Architecture {
        /// The repository.
        repo: String,
        /// What it is.
        architecture: String,
    },
    /// There is nothing to load.
    #[error("{repo} has no safetensors")]
    NoWeights {
        /// The repository.
        repo: String,
    },
    /// The network, or the disk.
    #[error(transparent)]
    Download(#[from] DownloadError),
}

fn runs() -> String {
    Architecture::ALL.map(Architecture::name).join(", ")
}

/// What a hub has of a model at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Where it would come from.
    pub origin: Origin,
    files: Vec<HubFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct HubFile {
    name: String,
    size: u64,
    /// Of large files; the hub knows no SHA-256 of small ones.
    sha256: Option<Digest>,
}

/// Brings models.
#[derive(Debug, Clone)]
pub struct Puller {
    /// Proxies, patience, and whether there is a network at all.
    pub client: Client,
    /// A hub or a mirror.
    pub endpoint: String,
    /// Each model gets a directory in here.
    pub models: PathBuf,
}

#[derive(Deserialize)]
struct Info {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData")]
    card: Option<Card>,
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

#[derive(Deserialize)]
struct Card {
    license: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    architectures: Vec<String>,
}

/// `OWNER/NAME[@REVISION]`
///
/// # Errors
/// When it is something else.
pub(crate) fn address(text: &str) -> Result<(String, String), PullError> {
    let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
    let valid = repo.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name));
    match valid && is_name(revision) {
        true => Ok((repo.to_owned(), revision.to_owned())),
        false => Err(PullError::Name(text.to_owned())),
    }
}

impl Puller {
    /// Asks the hub what it has. `address` is `OWNER/NAME[@REVISION]`.
    ///
    /// # Errors
    /// When the hub does not say, or the engine could not run it.
    pub fn listing(
        &self,
        address: &str,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Listing, PullError> {
        let (repo, revision) = self::address(address)?;
        let url = hub_listing_url(&self.endpoint, &repo, &revision);
        let to = self.models.join(format!(".listing-{}", repo.replace('/', "-")));
        let _none_of_before = fs::remove_file(&to);
        let size = Size::AtMost(LONGEST_LISTING);
        let wanted = Wanted { url: &url, to: &to, size, sha256: None };
        let fetched = self.client.fetch(&wanted, progress);
        let text = fetched.map(|fetched| fs::read(&fetched.path).unwrap_or_default());
        let _not_kept = fs::remove_file(&to);
        let text = text?;
        let wrong = |why: String| PullError::Listing { url: url.clone(), why };
        let info: Info = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        read(repo, info).map_err(|problem| match problem {
            Problem::Wrong(why) => wrong(why),
            Problem::Refused(error) => error,
        })
    }

    /// The directory of a model and commit.
    #[must_use]
    pub fn directory(&self, name: &str, listing: &Listing) -> PathBuf {
        let revision = &listing.origin.revision;
        self.models.join(format!("{name}-{}", revision.get(..12).unwrap_or(revision)))
    }

    /// Brings the files into a directory, verified; what is there is not fetched again.
    ///
    /// # Errors
    /// Why not. What came is kept, and the next call goes on there.
    pub fn fetch(
        &self,
        listing: &Listing,
        directory: &Path,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), PullError> {
        let total = Some(listing.bytes());
        let mut before = 0;
        for file in &listing.files {
            let Origin { repo, revision, .. } = &listing.origin;
            let url = hub_url(&self.endpoint, repo, revision, &file.name);
            let to = directory.join(&file.name);
            let size = Size::Exactly(file.size);
            let wanted = Wanted { url: &url, to: &to, size, sha256: file.sha256 };
            let mut step = |now: Progress| progress(Progress { done: before + now.done, total });
            self.client.fetch(&wanted, &mut step)?;
            before += file.size;
        }
        Ok(())
    }
}

impl Listing {
    /// Of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Of the files that are not in a directory with their size.
    #[must_use]
    pub fn missing(&self, directory: &Path) -> u64 {
        let there = |file: &&HubFile| {
            fs::metadata(directory.join(&file.name)).is_ok_and(|found| found.len() == file.size)
        };
        self.files.iter().filter(|file| !there(file)).map(|file| file.size).sum()
    }
}

enum Problem {
    Wrong(String),
    Refused(PullError),
}

fn read(repo: String, info: Info) -> Result<Listing, Problem> {
    if !is_name(&info.sha) {
        return Err(Problem::Wrong("it names no commit".to_owned()));
    }
    let known = |name: &str| Architecture::ALL.iter().any(|known| known.name() == name);
    let named = info.config.iter().flat_map(|config| &config.architectures);
    if let Some(architecture) = named.into_iter().find(|name| !known(name)) {
        let architecture = architecture.clone();
        return Err(Problem::Refused(PullError::Architecture { repo, architecture }));
    }
    let mut files = Vec::new();
    for sibling in info.siblings {
        let name = sibling.rfilename;
        let weights = is_name(&name) && name.starts_with("model") && name.ends_with(".safetensors");
        if !weights && !SMALL.contains(&name.as_str()) {
            continue;
        }
        let size = sibling.lfs.as_ref().map(|lfs| lfs.size).or(sibling.size);
        let size = size.ok_or_else(|| Problem::Wrong(format!("{name} has no size")))?;
        let sha256 = sibling.lfs.map(|lfs| lfs.sha256.parse()).transpose();
        let sha256 = sha256.map_err(|_| Problem::Wrong(format!("{name} has no digest")))?;
        if weights && sha256.is_none() {
            return Err(Problem::Wrong(format!("{name} has no digest")));
        }
        files.push(HubFile { name, size, sha256 });
    }
    if !files.iter().any(|file| file.name.ends_with(".safetensors")) {
        return Err(Problem::Refused(PullError::NoWeights { repo }));
    }
    // What can be refused at once comes first.
    files.sort_by(|a, b| a.size.cmp(&b.size).then(a.name.cmp(&b.name)));
    let licence = info.card.and_then(|card| Some(card.license?.as_str()?.to_owned()));
    Ok(Listing { origin: Origin { repo, revision: info.sha, licence }, files })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHA: &str = "2e1fd397ee46e1388853d2af2c993145b0f1098a";

    fn listing(info: &serde_json::Value) -> Result<Listing, String> {
        let info = serde_json::from_value(info.clone()).unwrap();
        read("a/b".to_owned(), info).map_err(|problem| match problem {
            Problem::Wrong(why) => why,
            Problem::Refused(error) => error.to_string(),
        })
    }

    fn info() -> serde_json::Value {
        let digest = "ab".repeat(32);
        json!({
            "sha": SHA,
            "cardData": { "license": "apache-2.0" },
            "config": { "architectures": ["Qwen2ForCausalLM"] },
            "siblings": [
                { "rfilename": "model.safetensors", "size": 900, "lfs": { "sha256": digest, "size": 900 } },
                { "rfilename": "config.json", "size": 9 },
                { "rfilename": "tokenizer.json", "size": 99 },
                { "rfilename": "../../evil.safetensors", "size": 1 },
                { "rfilename": "pytorch_model.bin", "size": 1 },
                { "rfilename": "onnx/model.onnx", "size": 1 },
            ],
        })
    }

    #[test]
    fn only_what_is_needed_is_wanted_small_files_first() {
        let listing = listing(&info()).unwrap();
        let names: Vec<_> = listing.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["config.json", "tokenizer.json", "model.safetensors"]);
        assert_eq!(listing.bytes(), 1008);
        assert_eq!(listing.origin.revision, SHA);
        assert_eq!(listing.origin.licence.as_deref(), Some("apache-2.0"));
    }

    #[test]
    fn what_could_not_be_run_or_verified_is_refused_before_it_comes() {
        let mut other = info();
        other["config"]["architectures"] = json!(["Qwen3MoeForCausalLM"]);
        let error = listing(&other).unwrap_err();
        assert!(error.contains("a/b is a Qwen3MoeForCausalLM"), "{error}");
        let mut other = info();
        other["siblings"][0]["lfs"] = json!(null);
        assert_eq!(listing(&other).unwrap_err(), "model.safetensors has no digest");
        let mut other = info();
        other["siblings"][0]["rfilename"] = json!("weights.bin");
        assert_eq!(listing(&other).unwrap_err(), "a/b has no safetensors");
        let mut other = info();
        other["sha"] = json!("../x/y");
        assert_eq!(listing(&other).unwrap_err(), "it names no commit");
    }

    #[test]
    fn addresses_name_an_owner_a_model_and_perhaps_a_revision() {
        assert_eq!(address("a/b").unwrap(), ("a/b".to_owned(), "main".to_owned()));
        assert_eq!(address("a/b@0123").unwrap(), ("a/b".to_owned(), "0123".to_owned()));
        for wrong in ["a", "a/", "/b", "a/b/c", "../b", "a/b@", "a/b@x/y", "a?x/b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
