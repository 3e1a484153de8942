//! What `cargo metadata` tells of packages: the variables that test processes are given.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use greenlit_sandbox::Sandbox;
use serde::Deserialize;

use crate::cargo::CargoProject;
use crate::cargo::build::Binary;
use crate::error::RunError;
use crate::outcome::{Stopwatch, said};
use crate::scope::Scope;

/// Answers by a hash of the manifests and of where they lie. A daemon asks for the same ones at
/// every save, and cargo takes as long for an answer as for a small build.
static KNOWN: Mutex<BTreeMap<[u8; 32], Metadata>> = Mutex::new(BTreeMap::new());

/// Most answers that are kept.
const KEPT: usize = 64;

/// Package facts by package id.
pub(super) type Metadata = BTreeMap<String, Package>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Package {
    id: String,
    name: String,
    pub(super) manifest_path: PathBuf,
    version: String,
    authors: Vec<String>,
    description: Option<String>,
    homepage: Option<String>,
    repository: Option<String>,
    license: Option<String>,
    license_file: Option<String>,
    rust_version: Option<String>,
    readme: Option<String>,
}

impl CargoProject {
    /// Package facts, asked for again only when a manifest changed.
    pub(super) fn metadata(
        &self,
        sandbox: &mut Sandbox,
        binaries: &[Binary],
        wall: Duration,
        watch: &mut Stopwatch,
    ) -> Result<Metadata, RunError> {
        let mut manifests: BTreeSet<&Path> = BTreeSet::new();
        manifests.extend(binaries.iter().map(|binary| binary.manifest.as_path()));
        let workspace = sandbox.inside(&self.dir).join("Cargo.toml");
        manifests.insert(&workspace);
        let mut hasher = blake3::Hasher::new();
        // Packages are known by the paths that they have inside.
        hasher.update(workspace.as_os_str().as_encoded_bytes()).update(b"\0");
        for manifest in manifests {
            let text = sandbox.read(manifest, 1 << 20).unwrap_or_default().unwrap_or_default();
            hasher.update(&(text.len() as u64).to_le_bytes()).update(&text);
        }
        let key = *hasher.finalize().as_bytes();
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metadata) = known().get(&key) {
            return Ok(metadata.clone());
        }
        let scope = Scope::new(sandbox, &self.root);
        let mut argv: Vec<OsString> = vec![self.cargo.clone().into()];
        argv.extend(
            ["metadata", "--offline", "--no-deps", "--format-version", "1"].map(OsString::from),
        );
        let command = self.command(argv, self.dir.clone(), self.build_env(&scope), wall);
        let outcome = sandbox.exec(&command)?;
        watch.add(&outcome);
        #[derive(Deserialize)]
        struct Answer {
            packages: Vec<Package>,
        }
        // Without it the tests still run; they only miss variables that few of them read.
        let metadata: Metadata = serde_json::from_slice::<Answer>(&outcome.stdout)
            .map(|answer| answer.packages.into_iter().map(|p| (p.id.clone(), p)).collect())
            .unwrap_or_default();
        if metadata.is_empty() {
            tracing::warn!(said = said(&outcome), "cargo metadata told nothing");
            return Ok(metadata);
        }
        let mut known = known();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, metadata.clone());
        Ok(metadata)
    }
}

impl Package {
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (numbers, pre) =
            match self.version.split('+').next().unwrap_or_default().split_once('-') {
                Some((numbers, pre)) => (numbers.to_owned(), pre.to_owned()),
                None => {
                    (self.version.split('+').next().unwrap_or_default().to_owned(), String::new())
                }
            };
        let mut parts = numbers.split('.').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        [
            ("VERSION", self.version.clone()),
            ("VERSION_MAJOR", part()),
            ("VERSION_MINOR", part()),
            ("VERSION_PATCH", part()),
            ("VERSION_PRE", pre),
            ("AUTHORS", self.authors.join(":")),
            ("NAME", self.name.clone()),
            ("DESCRIPTION", text(&self.description)),
            ("HOMEPAGE", text(&self.homepage)),
            ("REPOSITORY", text(&self.repository)),
            ("LICENSE", text(&self.license)),
            ("LICENSE_FILE", text(&self.license_file)),
            ("RUST_VERSION", text(&self.rust_version)),
            ("README", text(&self.readme)),
        ]
        .into_iter()
        .map(|(name, value)| (format!("CARGO_PKG_{name}"), value))
        .collect()
    }
}
