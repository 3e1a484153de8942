//! The models of a machine: which are there, and which one is used.
//!
//! Models that were pulled lie in directories of their own beside the record; of those that a person added
//! only the place is recorded.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use greenlit_download::{RecordFile, is_name};
use serde::{Deserialize, Serialize};

use super::hub::{directory, missing};
use super::{Catalogue, Model, ModelError, Overrides, Recommended};

/// The models of a machine. One process owns a directory.
#[derive(Debug)]
pub struct Shelf {
    directory: PathBuf,
    catalogue: Catalogue,
    record: RecordFile<Record>,
}

/// What a person decided.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    /// The model that is used.
    chosen: Option<String>,
    /// Models that are elsewhere on this machine.
    added: BTreeMap<String, PathBuf>,
    /// Whether the person wants no model and no question about one.
    declined: bool,
}

/// A model that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// What a person calls it
    pub name: String,
    /// Where its files are
    pub directory: PathBuf,
    /// How it is used
    pub usage: Overrides,
    /// Whether it was added by a person, and its files are theirs
    pub added: bool,
}

impl Installed {
    /// Reads it.
    ///
    /// # Errors
    /// As [`Model::open`].
    pub fn open(&self) -> Result<Model, ModelError> {
        Model::open(&self.directory, &self.usage)
    }
}

impl Shelf {
    /// The models in a directory, which need not exist. A record that cannot be read is as good as none:
    /// what was pulled is still found.
    #[must_use]
    pub fn open(directory: PathBuf, catalogue: Catalogue) -> Self {
        let record = RecordFile::open(&directory);
        Self { directory, catalogue, record }
    }

    /// Where pulled models lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What can be pulled.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What can be pulled under a name.
    ///
    /// # Errors
    /// When there is no such model.
    pub fn offered(&self, name: &str) -> Result<&Recommended, ModelError> {
        let found = self.catalogue.models.iter().find(|model| model.name == name);
        found.ok_or_else(|| self.unknown(name))
    }

    /// What is there, in the catalogue's order, then by name.
    #[must_use]
    pub fn installed(&self) -> Vec<Installed> {
        let pulled = self.catalogue.models.iter().filter_map(|model| self.pulled(model));
        let record = self.record().clone();
        pulled.chain(record.added.into_iter().map(|(name, place)| added(name, place))).collect()
    }

    /// The model of a name.
    ///
    /// # Errors
    /// When there is none, or it is not installed.
    pub fn find(&self, name: &str) -> Result<Installed, ModelError> {
        if let Some(place) = self.record().added.get(name) {
            return Ok(added(name.to_owned(), place.clone()));
        }
        let offered = self.offered(name)?;
        self.pulled(offered).ok_or_else(|| ModelError::NotInstalled { name: name.to_owned() })
    }

    /// The model that is used: the one that was pulled or added last, else any that is there.
    #[must_use]
    pub fn chosen(&self) -> Option<Installed> {
        let chosen = self.record().chosen.clone();
        let chosen = chosen.and_then(|name| self.find(&name).ok());
        chosen.or_else(|| self.installed().into_iter().next())
    }

    /// Uses a model from now on.
    ///
    /// # Errors
    /// When it is not there, or that cannot be recorded.
    pub fn choose(&self, name: &str) -> Result<Installed, ModelError> {
        let found = self.find(name)?;
        self.change(|record| {
            record.chosen = Some(name.to_owned());
            record.declined = false;
        })?;
        Ok(found)
    }

    /// Reads a model that lies in a directory of the person's, to be called as that or by another name.
    /// Only that its files are there and make sense is known then.
    ///
    /// # Errors
    /// When it is no model, or the name is taken by the catalogue.
    pub fn examine(
        &self,
        place: &Path,
        name: Option<&str>,
    ) -> Result<(Installed, Model), ModelError> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => place.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        };
        let wrong = |reason| ModelError::Name { name: name.clone(), reason };
        if !is_name(&name) {
            return Err(wrong("letters, digits, `-`, `_` and `.` are allowed"));
        }
        if self.offered(&name).is_ok() {
            return Err(wrong("the catalogue has a model of this name"));
        }
        let place = std::path::absolute(place)
            .map_err(|source| ModelError::File { path: place.to_owned(), source })?;
        let found = added(name, place);
        let model = found.open()?;
        Ok((found, model))
    }

    /// Takes in a model that was examined, and uses it from now on.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub fn adopt(&self, examined: &Installed) -> Result<(), ModelError> {
        let Installed { name, directory, .. } = examined.clone();
        self.change(|record| {
            record.added.insert(name.clone(), directory);
            record.chosen = Some(name);
            record.declined = false;
        })
    }

    /// Removes a model that was pulled; forgets one that was added.
    ///
    /// # Errors
    /// When there is no such model, or its files cannot be removed.
    pub fn remove(&self, name: &str) -> Result<Installed, ModelError> {
        let found = self.find(name)?;
        if !found.added {
            fs::remove_dir_all(&found.directory)
                .map_err(|source| ModelError::File { path: found.directory.clone(), source })?;
        }
        self.change(|record| {
            record.added.remove(name);
            if record.chosen.as_deref() == Some(name) {
                record.chosen = None;
            }
        })?;
        Ok(found)
    }

    /// Whether the person wants no model and no question about one.
    #[must_use]
    pub fn is_declined(&self) -> bool {
        self.record().declined
    }

    /// Notes that the person wants no model. Pulling or adding one takes it back.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub fn decline(&self) -> Result<(), ModelError> {
        self.change(|record| record.declined = true)
    }

    fn pulled(&self, model: &Recommended) -> Option<Installed> {
        let directory = directory(&self.directory, model);
        let (name, usage) = (model.name.clone(), model.overrides());
        (missing(model, &directory) == 0).then_some(Installed {
            name,
            directory,
            usage,
            added: false,
        })
    }

    fn unknown(&self, name: &str) -> ModelError {
        let offered = self.catalogue.models.iter().map(|model| model.name.clone());
        let known = offered.chain(self.record().added.keys().cloned()).collect();
        ModelError::Unknown { name: name.to_owned(), known }
    }

    fn record(&self) -> impl Deref<Target = Record> {
        self.record.get()
    }

    /// Changes the record on disk, then here.
    fn change(&self, change: impl FnOnce(&mut Record)) -> Result<(), ModelError> {
        self.record.change(change).map_err(|source| {
            let path = self.record.path().to_owned();
            ModelError::File { path, source }
        })
    }
}

fn added(name: String, directory: PathBuf) -> Installed {
    let usage = Overrides { name: Some(name.clone()), ..Overrides::default() };
    Installed { name, directory, usage, added: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_util::write_tiny_model;

    fn shelf(dir: &Path) -> Shelf {
        Shelf::open(dir.join("models"), Catalogue::built_in())
    }

    fn add(shelf: &Shelf, place: &Path, name: Option<&str>) -> Result<(), ModelError> {
        shelf.adopt(&shelf.examine(place, name)?.0)
    }

    fn tiny(dir: &Path, name: &str) -> PathBuf {
        let place = dir.join(name);
        write_tiny_model(&place).unwrap();
        place
    }

    #[test]
    fn a_directory_that_has_a_model_is_added_used_and_remembered() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(shelf(dir.path()).chosen(), None);
        let (first, second) = (tiny(dir.path(), "first"), tiny(dir.path(), "second"));
        add(&shelf(dir.path()), &first, None).unwrap();
        add(&shelf(dir.path()), &second, Some("other")).unwrap();
        let models = shelf(dir.path());
        let chosen = models.chosen().unwrap();
        assert_eq!((&*chosen.name, &chosen.directory, chosen.added), ("other", &second, true));
        models.choose("first").unwrap();
        assert_eq!(shelf(dir.path()).chosen().unwrap().name, "first");
        models.remove("first").unwrap();
        assert!(first.join("model.onnx").exists(), "a person's files are theirs");
        assert_eq!(models.chosen().unwrap().name, "other");
        let error = models.remove("first").unwrap_err();
        assert!(
            matches!(&error, ModelError::Unknown { known, .. } if known.contains(&"other".to_owned()))
        );
    }

    #[test]
    fn what_is_no_model_is_not_added() {
        let dir = tempfile::tempdir().unwrap();
        let models = shelf(dir.path());
        let error = models.examine(dir.path(), Some("x")).unwrap_err();
        assert!(matches!(error, ModelError::File { .. }), "{error}");
        let place = tiny(dir.path(), "tiny");
        for name in ["../x", "", "all-minilm-l6-v2"] {
            let error = models.examine(&place, Some(name)).unwrap_err();
            assert!(matches!(error, ModelError::Name { .. }), "{error}");
        }
        assert!(models.installed().is_empty());
        assert!(!models.directory().exists());
    }

    #[test]
    fn a_name_of_the_catalogue_says_how_to_get_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = shelf(dir.path()).find("all-minilm-l6-v2").unwrap_err();
        assert_eq!(error.remedy(), "run `greenlit model pull all-minilm-l6-v2`");
        let error = shelf(dir.path()).find("gpt").unwrap_err();
        assert!(error.to_string().contains("all-minilm-l6-v2"), "{error}");
    }

    #[test]
    fn a_refusal_is_kept_until_a_model_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        shelf(dir.path()).decline().unwrap();
        let models = shelf(dir.path());
        assert!(models.is_declined());
        add(&models, &tiny(dir.path(), "tiny"), None).unwrap();
        assert!(!shelf(dir.path()).is_declined());
    }

    #[test]
    fn a_record_that_makes_no_sense_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        shelf(dir.path()).decline().unwrap();
        fs::write(dir.path().join("models/record.json"), "{\"chosen\": [").unwrap();
        let models = shelf(dir.path());
        assert!(!models.is_declined() && models.chosen().is_none());
        models.decline().unwrap();
        assert!(shelf(dir.path()).is_declined());
    }
}
