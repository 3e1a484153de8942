//! The packages that faults are injected into: `benches/packages/*.toml`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The languages of the injected faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    /// crates.io, `cargo test`.
    Rust,
    /// PyPI, pytest.
    Python,
    /// npm, `node --test`.
    JavaScript,
}

impl Ecosystem {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Rust, Self::Python, Self::JavaScript];

    /// As in file names and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }
}

/// What a package may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looked at while the repair was tuned.
    Development,
    /// Only ever measured.
    Evaluation,
}

/// One file of `benches/packages/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Installed once for all packages of the file, with versions (PyPI requirements).
    #[serde(default)]
    pub environment: Vec<String>,
    /// The packages.
    pub package: Vec<Package>,
}

/// A package of a registry, with its own tests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Name in the registry.
    pub name: String,
    /// Exact version.
    pub version: String,
    /// Of the archive that the registry gives.
    pub sha256: String,
    /// SPDX expression, as the package states it.
    pub license: String,
    /// What it may be used for.
    pub role: Role,
    /// Files and directories that faults are injected into.
    pub sources: Vec<PathBuf>,
    /// More arguments of the test command.
    #[serde(default)]
    pub test_args: Vec<String>,
    /// Directories for Python's path, relative to the package.
    #[serde(default)]
    pub python_path: Vec<PathBuf>,
    /// Packages that its tests need and its archive does not bring, with versions (npm).
    #[serde(default)]
    pub test_dependencies: Vec<String>,
}

impl Package {
    /// The directory name of its checkout.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.name.replace(['/', '@'], ""), self.version)
    }
}

/// Reads the manifest of a language.
///
/// # Errors
/// When it is missing or malformed.
pub fn load(ecosystem: Ecosystem) -> Result<Manifest> {
    let path = directory().join(format!("{}.toml", ecosystem.name()));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is malformed", path.display()))
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packages")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_manifest_names_ten_packages_with_checksums_for_both_purposes() {
        for ecosystem in Ecosystem::ALL {
            let packages = load(ecosystem).unwrap().package;
            let names: BTreeSet<_> = packages.iter().map(|package| &package.name).collect();
            assert_eq!(names.len(), packages.len(), "{ecosystem:?}");
            let evaluation = packages.iter().filter(|p| p.role == Role::Evaluation).count();
            assert!(evaluation >= 10 && evaluation < packages.len(), "{ecosystem:?}: {evaluation}");
            for package in packages {
                let digits = package.sha256.chars().filter(char::is_ascii_hexdigit).count();
                assert_eq!((digits, package.sha256.len()), (64, 64), "{}", package.name);
                assert!(!package.sources.is_empty() && !package.license.is_empty());
            }
        }
    }
}
