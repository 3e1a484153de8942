//! Adapters, and which one a workspace uses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use greenlit_download::is_name;
use greenlit_protocol::{AdapterKind, Evaluation};
use greenlit_serving::{check, keep};
use serde::{Deserialize, Serialize};

use super::digest::digest;
use super::{Active, Record, STACKED, Shelf, ShelfError, name_of};
use crate::Wanted;

/// An adapter on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdapterRecord {
    /// The name of the model that it is for.
    pub model: String,
    /// What that model's files hash to.
    pub model_digest: String,
    /// What it is for.
    pub kind: AdapterKind,
    /// blake3 (hex) of its files; names its directory.
    pub digest: String,
    /// Of its files.
    pub bytes: u64,
    /// Its rank.
    pub rank: u64,
    /// The linear layers that it changes.
    pub targets: Vec<String>,
    /// What evaluations found, by workspace.
    #[serde(default)]
    pub evaluations: BTreeMap<PathBuf, Evaluation>,
}

/// An adapter to take in.
#[derive(Debug, Clone)]
pub struct AdapterAdd<'a> {
    /// A PEFT directory.
    pub place: &'a Path,
    /// What it is called; `None` for the directory's name.
    pub name: Option<&'a str>,
    /// Its version; `None` for the next number.
    pub version: Option<&'a str>,
    /// The model that it is for; `None` where there is only one.
    pub model: Option<&'a str>,
    /// What it is for.
    pub kind: AdapterKind,
}

const FILES: [&str; 2] = ["adapter_config.json", "adapter_model.safetensors"];

impl Shelf {
    /// All of them, by `name@version`, with the workspaces that use it.
    #[must_use]
    pub fn adapters(&self) -> Vec<(String, AdapterRecord, Vec<PathBuf>)> {
        let record = self.record();
        let entry = |(name, adapter): (&String, &AdapterRecord)| {
            let roots = record.active.iter().filter(|(_, active)| active.0.contains(name));
            (name.clone(), adapter.clone(), roots.map(|(root, _)| root.clone()).collect())
        };
        record.adapters.iter().map(entry).collect()
    }

    /// Takes in a copy of an adapter, after it was checked against its model. Gives its `name@version`.
    ///
    /// # Errors
    /// When it cannot be used with the model, or the version exists with another content.
    pub fn add_adapter(&self, add: &AdapterAdd<'_>) -> Result<String, ShelfError> {
        let name = name_of(add.name, add.place)?;
        let model_name = self.model_for(add.model)?;
        let model = self.model(&model_name)?;
        let files = check::model(&model.directory)?;
        let checked = check::adapter(add.place, &files)?;
        let from = FILES.map(|file| add.place.join(file));
        let digest = digest(&from, &|| true)?;
        let directory = self.adapter_directory(&digest);
        let copied = copy(&from, &directory);
        let bytes = copied.map_err(|source| ShelfError::Write { path: directory, source })?;
        let record = AdapterRecord {
            model: model_name,
            model_digest: model.digest,
            kind: add.kind,
            digest,
            bytes,
            rank: checked.rank,
            targets: checked.targets,
            evaluations: BTreeMap::new(),
        };
        let version = match add.version {
            Some(version) if !is_name(version) => {
                return Err(ShelfError::Name { name: version.to_owned() });
            }
            Some(version) => version.to_owned(),
            None => self.record().next_version(&name),
        };
        let full = format!("{name}@{version}");
        let known = self.record().adapters.get(&full).cloned();
        // The same content stays what it was found to be.
        let evaluations = known.as_ref().map(|known| known.evaluations.clone()).unwrap_or_default();
        let record = AdapterRecord { evaluations, ..record };
        if known.is_some_and(|known| known != record) {
            return Err(ShelfError::Taken { what: "adapter", name: full });
        }
        self.change(|all| all.adapters.insert(full.clone(), record))?;
        Ok(full)
    }

    /// The adapter of a name; without a version, the newest one.
    ///
    /// # Errors
    /// When there is none.
    pub fn adapter(&self, name: &str) -> Result<(String, AdapterRecord), ShelfError> {
        let record = self.record();
        let full = match name.contains('@') {
            true => Some(name.to_owned()),
            false => record.newest(name),
        };
        let found = full.and_then(|full| Some((full.clone(), record.adapters.get(&full)?.clone())));
        found.ok_or_else(|| ShelfError::Unknown {
            what: "adapter",
            name: name.to_owned(),
            known: record.adapters.keys().cloned().collect(),
        })
    }

    /// Keeps what an evaluation of an adapter in a workspace found; the last one counts.
    ///
    /// # Errors
    /// When there is no such adapter any more, or that cannot be recorded.
    pub fn evaluated(
        &self,
        full: &str,
        root: &Path,
        evaluation: Evaluation,
    ) -> Result<(), ShelfError> {
        self.adapter(full)?;
        self.change(|all| {
            if let Some(adapter) = all.adapters.get_mut(full) {
                adapter.evaluations.insert(root.to_owned(), evaluation);
            }
        })
    }

    /// Whether a workspace may use an adapter. `force`: also where an evaluation there says that the model is
    /// better without it.
    ///
    /// # Errors
    /// When there is none, its model is not the one it was checked against, or it was found to be worse than none.
    pub fn may_activate(
        &self,
        name: &str,
        root: &Path,
        force: bool,
    ) -> Result<(String, AdapterRecord), ShelfError> {
        let (full, adapter) = self.adapter(name)?;
        self.wanted_with(&full, &adapter)?;
        if let Some(found) = adapter.evaluations.get(root).filter(|found| found.is_worse())
            && !force
        {
            return Err(ShelfError::Worse { adapter: full, evaluation: found.clone() });
        }
        Ok((full, adapter))
    }

    /// A workspace uses an adapter from now on, beside those of other kinds and for other models.
    ///
    /// # Errors
    /// As [`Self::may_activate`], or when that cannot be recorded.
    pub fn activate(&self, name: &str, root: &Path, force: bool) -> Result<(), ShelfError> {
        let (full, adapter) = self.may_activate(name, root, force)?;
        let active = Active(self.with(root, &full, &adapter));
        self.change(|all| drop(all.active.insert(root.to_owned(), active)))
    }

    /// What would be active in a workspace with another adapter: it takes the place of one of its kind.
    fn with(&self, root: &Path, full: &str, adapter: &AdapterRecord) -> Vec<String> {
        let stays = |name: &String| {
            let known = self.adapter(name).ok();
            known.is_some_and(|(_, other)| {
                (other.kind, &other.model) != (adapter.kind, &adapter.model)
            })
        };
        let mut active: Vec<_> = self.active(root).into_iter().filter(stays).collect();
        active.push(full.to_owned());
        active
    }

    /// A workspace uses an adapter no more, or none at all; says which it did use.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub fn deactivate(&self, root: &Path, name: Option<&str>) -> Result<Vec<String>, ShelfError> {
        let is_meant = |active: &mut String| match name {
            None => true,
            Some(name) if name.contains('@') => active == name,
            Some(name) => active.split_once('@').is_some_and(|(known, _)| known == name),
        };
        self.change(|all| {
            let active = all.active.get_mut(root);
            let gone: Vec<_> = active
                .map(|active| active.0.extract_if(.., is_meant).collect())
                .unwrap_or_default();
            all.active.retain(|_, active| !active.0.is_empty());
            gone
        })
    }

    /// The adapters that a workspace uses.
    #[must_use]
    pub fn active(&self, root: &Path) -> Vec<String> {
        self.record().active.get(root).map(|active| active.0.clone()).unwrap_or_default()
    }

    /// Forgets an adapter; its files go with the last one that has them.
    ///
    /// # Errors
    /// When there is none, or its files cannot be removed.
    pub fn remove_adapter(&self, name: &str) -> Result<(String, AdapterRecord), ShelfError> {
        let (full, adapter) = self.adapter(name)?;
        let shared = self.change(|all| {
            all.adapters.remove(&full);
            for active in all.active.values_mut() {
                active.0.retain(|active| *active != full);
            }
            all.active.retain(|_, active| !active.0.is_empty());
            all.adapters.values().any(|other| other.digest == adapter.digest)
        })?;
        if !shared {
            let path = self.adapter_directory(&adapter.digest);
            fs::remove_dir_all(&path).map_err(|source| ShelfError::Write { path, source })?;
            keep::forget(&self.kept_directory(), &adapter.model_digest, Some(&adapter.digest));
        }
        Ok((full, adapter))
    }

    /// What is to be in memory for a model, with the adapters of a workspace where there are some for it.
    ///
    /// # Errors
    /// When the model or an adapter cannot be used.
    pub fn wanted(&self, model: &str, root: Option<&Path>) -> Result<Wanted, ShelfError> {
        let found = self.model(model)?;
        let active = root.map(|root| self.active(root)).unwrap_or_default();
        let adapter = self.stacked(model, &active)?;
        Ok(Wanted {
            model: model.to_owned(),
            directory: found.directory,
            digest: found.digest,
            adapter,
        })
    }

    /// What is to be in memory once an adapter is active in a workspace beside those that are.
    ///
    /// # Errors
    /// When a model or an adapter cannot be used.
    pub fn wanted_in(
        &self,
        full: &str,
        adapter: &AdapterRecord,
        root: &Path,
    ) -> Result<Wanted, ShelfError> {
        let active = self.with(root, full, adapter);
        let alone = self.wanted_with(full, adapter)?;
        Ok(Wanted { adapter: self.stacked(&adapter.model, &active)?, ..alone })
    }

    /// Those of the active adapters that are for a model, as one: what a model does better first, then what it is
    /// kept from.
    fn stacked(
        &self,
        model: &str,
        active: &[String],
    ) -> Result<Option<(String, Vec<PathBuf>)>, ShelfError> {
        let mut own = Vec::new();
        for name in active {
            let (full, adapter) = self.adapter(name)?;
            if adapter.model == model {
                own.push((adapter.kind == AdapterKind::Guardrail, full, adapter));
            }
        }
        own.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        let mut names = Vec::new();
        let mut directories = Vec::new();
        for (_, full, adapter) in own {
            directories.extend(
                self.wanted_with(&full, &adapter)?.adapter.into_iter().flat_map(|one| one.1),
            );
            names.push(full);
        }
        Ok((!names.is_empty()).then(|| (names.join(STACKED), directories)))
    }

    /// What is to be in memory for an adapter alone.
    ///
    /// # Errors
    /// When its model is not the one it was checked against, or its files are gone.
    pub fn wanted_with(&self, full: &str, adapter: &AdapterRecord) -> Result<Wanted, ShelfError> {
        let model = self.model(&adapter.model)?;
        if model.digest != adapter.model_digest {
            return Err(ShelfError::OtherWeights {
                adapter: full.to_owned(),
                model: adapter.model.clone(),
            });
        }
        let directory = self.adapter_directory(&adapter.digest);
        let missing =
            FILES.map(|file| directory.join(file)).into_iter().find(|file| !file.is_file());
        if let Some(path) = missing {
            return Err(ShelfError::Changed { name: full.to_owned(), path });
        }
        Ok(Wanted {
            model: adapter.model.clone(),
            directory: model.directory,
            digest: model.digest,
            adapter: Some((full.to_owned(), vec![directory])),
        })
    }

    fn adapter_directory(&self, digest: &str) -> PathBuf {
        self.directory.join("adapters").join(digest)
    }

    fn model_for(&self, named: Option<&str>) -> Result<String, ShelfError> {
        if let Some(name) = named {
            return Ok(name.to_owned());
        }
        let known: Vec<_> = self.record().models.keys().cloned().collect();
        match <[String; 1]>::try_from(known) {
            Ok([only]) => Ok(only),
            Err(known) => Err(ShelfError::WhichModel { known }),
        }
    }
}

impl Record {
    fn versions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.adapters.keys().filter_map(|full| full.split_once('@'));
        all.filter(move |(known, _)| *known == name).map(|(_, version)| version)
    }

    fn next_version(&self, name: &str) -> String {
        let numbers = self.versions(name).filter_map(|version| version.parse::<u64>().ok());
        (numbers.max().unwrap_or(0) + 1).to_string()
    }

    /// Numbers count as such and come after words.
    fn newest(&self, name: &str) -> Option<String> {
        let order = |version: &&str| (version.parse::<u64>().ok(), (*version).to_owned());
        self.versions(name).max_by_key(order).map(|version| format!("{name}@{version}"))
    }
}

/// Copies files into a directory, which appears whole; gives their size.
fn copy(from: &[PathBuf], to: &Path) -> std::io::Result<u64> {
    let beside = to.with_extension("new");
    fs::create_dir_all(&beside)?;
    let mut bytes = 0;
    for path in from {
        bytes += fs::copy(path, beside.join(path.file_name().unwrap_or_default()))?;
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::rename(beside, to)?;
    Ok(bytes)
}
