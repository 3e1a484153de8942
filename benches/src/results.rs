//! Results as JSON lines: appended one by one, so that an interrupted evaluation goes on.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::inject::Fault;
use crate::machine::Machine;
use crate::manifest::{Ecosystem, Role};

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// A run of the benchmark began.
    Run {
        /// Where.
        machine: Machine,
        /// The command line.
        arguments: Vec<String>,
    },
    /// A package was looked at.
    Package(PackageRecord),
    /// A fault was tried.
    Fault(Box<FaultRecord>),
}

/// A package before any fault.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackageRecord {
    /// Language.
    pub ecosystem: Ecosystem,
    /// Name in the registry.
    pub name: String,
    /// Version.
    pub version: String,
    /// What it may be used for.
    pub role: Role,
    /// Why nothing could be measured on it.
    pub problem: Option<String>,
    /// Tests that pass.
    pub tests: u64,
    /// Tests that pass in the product.
    #[serde(default)]
    pub seen: u64,
    /// Median wall time of the plain test command after a source was touched, in milliseconds.
    pub bare_ms: f64,
}

/// One fault, and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Language.
    pub ecosystem: Ecosystem,
    /// Package.
    pub package: String,
    /// Version.
    pub version: String,
    /// What the package may be used for.
    pub role: Role,
    /// Seed of the plan.
    pub seed: u64,
    /// Place in the plan.
    pub number: usize,
    /// What was broken.
    pub fault: Fault,
    /// Why it is no fault to measure with; `None` when it was measured.
    pub discarded: Option<String>,
    /// What the product did.
    pub measured: Option<Measured>,
}

/// What the product did with one fault.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Failing tests that the product was shown.
    pub visible: usize,
    /// Failing tests that only the judge had.
    pub hidden: usize,
    /// What the product said instead of an answer.
    pub error: Option<String>,
    /// For each offered fix, best first: whether the whole suite is green with it.
    pub right: Vec<bool>,
    /// The template family of each offered fix.
    pub rules: Vec<String>,
    /// What else is known of each offered fix.
    #[serde(default)]
    pub features: Vec<Features>,
    /// Candidates proposed.
    pub generated: u64,
    /// Candidates that tests were run on.
    pub run: u64,
    /// Wall time of the command, in milliseconds.
    pub elapsed_ms: f64,
    /// Median wall time of the plain test command, in milliseconds.
    pub bare_ms: f64,
    /// How suspicious lines were found.
    pub method: Option<String>,
    /// Place (1 is first) of the first suspicious line that belongs to the fault.
    pub line_rank: Option<usize>,
    /// Why the first offer is not right, or there is none; see [`crate::fates::why`].
    #[serde(default)]
    pub why: Option<String>,
}

/// What was recorded until now, and the file for more.
pub struct Results {
    file: Option<File>,
    /// Every record, oldest first.
    pub records: Vec<Record>,
}

impl Measured {
    /// Wall time of the command in runs of the plain test command.
    pub fn ratio(&self) -> f64 {
        self.elapsed_ms / self.bare_ms.max(1.0)
    }
}

impl Results {
    /// Reads what a file has, and appends to it from now on; without a file, keeps all in memory.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is of another shape.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self { file: None, records: Vec::new() }) };
        let text = if path.exists() { fs::read_to_string(path)? } else { String::new() };
        let complete = text.rfind('\n').map_or("", |end| &text[..=end]);
        let records = complete
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{} holds other results", path.display()))?;
        let mut options = OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).open(path);
        let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
        // A line that an interruption cut off is written anew.
        file.set_len(complete.len() as u64)?;
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
        Ok(Self { file: Some(file), records })
    }

    /// Keeps a record.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&mut self, record: Record) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all((serde_json::to_string(&record)? + "\n").as_bytes())?;
        }
        self.records.push(record);
        Ok(())
    }

    /// The faults recorded for a package under a seed.
    pub fn faults(
        &self,
        ecosystem: Ecosystem,
        name: &str,
        version: &str,
        seed: u64,
    ) -> Vec<&FaultRecord> {
        let faults = self.records.iter().filter_map(|record| match record {
            Record::Fault(fault) => Some(&**fault),
            _ => None,
        });
        let wanted = |fault: &&FaultRecord| {
            fault.ecosystem == ecosystem
                && fault.package == name
                && fault.version == version
                && fault.seed == seed
        };
        faults.filter(wanted).collect()
    }

    /// The last record of each package.
    pub fn packages(&self) -> Vec<&PackageRecord> {
        let mut seen = BTreeSet::new();
        let newest = self.records.iter().rev().filter_map(|record| match record {
            Record::Package(package) => Some(package),
            _ => None,
        });
        let mut found: Vec<_> =
            newest.filter(|p| seen.insert((p.ecosystem, p.name.clone()))).collect();
        found.reverse();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_is_dropped_and_the_rest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.jsonl");
        let package = |name: &str| {
            Record::Package(PackageRecord {
                ecosystem: Ecosystem::Rust,
                name: name.into(),
                version: "1.0.0".into(),
                role: Role::Development,
                problem: None,
                tests: 3,
                seen: 3,
                bare_ms: 10.0,
            })
        };
        Results::open(Some(&path)).unwrap().add(package("a")).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"kind\":\"pack");
        fs::write(&path, text).unwrap();
        Results::open(Some(&path)).unwrap().add(package("b")).unwrap();
        let read = Results::open(Some(&path)).unwrap();
        let names: Vec<_> = read.packages().iter().map(|p| p.name.clone()).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
