//! The packages of `benches/packages/retrieval.toml`.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use greenlit_benches::checkout::{Checkout, prepare};
use greenlit_benches::fetch::Cache;
use greenlit_benches::manifest::{Ecosystem, Package, Role};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// What Python's tests run in.
    pub(crate) environment: Vec<String>,
    rust: Vec<Package>,
    python: Vec<Package>,
    javascript: Vec<Package>,
}

pub(crate) fn load() -> Result<List> {
    let path = greenlit_benches::repository().join("benches/packages/retrieval.toml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
}

/// The packages of one role.
pub(crate) struct Chosen<'a> {
    pub(crate) cache: &'a Cache,
    pub(crate) list: &'a List,
    pub(crate) python: &'a Path,
    pub(crate) role: Role,
}

impl Chosen<'_> {
    /// Checkouts of one language.
    pub(crate) fn of(&self, ecosystem: Ecosystem) -> Result<Vec<Checkout>> {
        let all = match ecosystem {
            Ecosystem::Rust => &self.list.rust,
            Ecosystem::Python => &self.list.python,
            Ecosystem::JavaScript => &self.list.javascript,
        };
        let python = (ecosystem == Ecosystem::Python).then_some(self.python);
        let chosen = all.iter().filter(|package| package.role == self.role);
        chosen.map(|package| prepare(self.cache, ecosystem, package, python)).collect()
    }
}

/// The sources of a checkout by their place in a corpus.
pub(crate) fn sources(checkout: &Checkout) -> Result<Vec<(String, Arc<str>)>> {
    let below = format!("{}/{}", checkout.ecosystem.name(), checkout.package.directory());
    let name = |path: &Path| {
        let parts: Vec<_> =
            path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        format!("{below}/{}", parts.join("/"))
    };
    Ok(checkout.sources()?.into_iter().map(|(path, text)| (name(&path), text)).collect())
}
