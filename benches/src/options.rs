//! The options that the benchmarks share.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::fetch::Cache;
use crate::manifest::{Ecosystem, Package};
use crate::product::Product;

/// Where results and downloads lie.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Results as JSON; `injected` writes a line per fault and goes on with what the file has
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Downloads, checkouts and what is installed to compare with [default: .tools/bench]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

impl Output {
    /// Downloads and checkouts.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn cache(&self) -> Result<Cache> {
        Cache::open(self.cache.clone())
    }

    /// Writes one object where `--json` says, if it does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, report: &impl Serialize) -> Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        std::fs::write(path, serde_json::to_string_pretty(report)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What repairs, and how long.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Seconds for candidates, per case
    #[arg(long, default_value_t = 60)]
    pub budget: u64,
    /// The product [default: the newest in target/]
    #[arg(long, value_name = "PATH")]
    greenlit: Option<PathBuf>,
    /// Where results and downloads lie.
    #[command(flatten)]
    pub output: Output,
}

impl Common {
    /// The product, isolated.
    ///
    /// # Errors
    /// When there is none.
    pub fn product(&self) -> Result<Product> {
        Product::open(self.greenlit.clone())
    }
}

/// Which faults of which packages.
#[derive(Debug, Clone, Args)]
pub struct Faults {
    /// Language; may be repeated [default: all]
    #[arg(long, value_parser = ["rust", "python", "javascript"])]
    language: Vec<String>,
    /// Package; may be repeated [default: all that the benchmark is for]
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Decides which faults
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Faults {
    /// The languages asked for.
    pub fn ecosystems(&self) -> impl Iterator<Item = Ecosystem> {
        let wanted =
            |e: &Ecosystem| self.language.is_empty() || self.language.iter().any(|l| l == e.name());
        Ecosystem::ALL.into_iter().filter(wanted)
    }

    /// Whether a package was asked for by name; `None` when no names were given.
    pub fn named(&self, package: &Package) -> Option<bool> {
        (!self.package.is_empty()).then(|| self.package.contains(&package.name))
    }
}
