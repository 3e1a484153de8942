//! Models.

use std::fs;
use std::path::{Path, PathBuf};

use greenlit_serving::check::{self, Beside, Format, ModelFiles};
use greenlit_serving::keep;
use serde::{Deserialize, Serialize};

use super::digest::{Mark, digest};
use super::{Shelf, ShelfError, name_of};

/// A language model on this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Where its files are, or its GGUF file.
    pub directory: PathBuf,
    /// blake3 (hex) of its files.
    pub digest: String,
    /// Of its files.
    pub bytes: u64,
    /// As its configuration writes it.
    pub architecture: String,
    /// Longest sequence that it can read, in tokens.
    pub context: u64,
    /// Where it was pulled from; `None` for one of the person's own.
    pub origin: Option<Origin>,
    /// Its files as they were checked.
    pub(super) files: Vec<Mark>,
}

/// Where a model was pulled from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its repository in the hub.
    pub repo: String,
    /// A commit of the repository.
    pub revision: String,
    /// SPDX expression, or what the hub says.
    pub licence: Option<String>,
}

impl ModelRecord {
    /// What is not as it was when it was checked.
    #[must_use]
    pub fn changed(&self) -> Option<&Path> {
        self.files.iter().find(|mark| !mark.holds()).map(|mark| mark.path.as_path())
    }
}

/// Whether a path holds a language model rather than an embedding one, as far as its names tell.
pub(crate) fn looks_like_one(path: &Path) -> bool {
    !path.join("model.onnx").exists()
}

impl Shelf {
    /// Whether a path is to be taken for a language model: one without `model.onnx`.
    #[must_use]
    pub fn takes(path: &Path) -> bool {
        looks_like_one(path)
    }

    /// All of them, by name.
    #[must_use]
    pub fn models(&self) -> Vec<(String, ModelRecord)> {
        self.record().models.clone().into_iter().collect()
    }

    /// Takes in a model that lies in a directory or a GGUF file, after its files were checked.
    ///
    /// # Errors
    /// When it cannot be used, its name is taken, or nobody wants it any more.
    pub fn add_model(
        &self,
        place: &Path,
        name: Option<&str>,
        origin: Option<Origin>,
        wanted: &dyn Fn() -> bool,
    ) -> Result<String, ShelfError> {
        let name = name_of(name, place)?;
        let place = std::path::absolute(place)
            .map_err(|source| ShelfError::Read { path: place.to_owned(), source })?;
        let known = self.record().models.get(&name).map(|model| model.directory.clone());
        if known.is_some_and(|directory| directory != place) {
            return Err(ShelfError::Taken { what: "model", name });
        }
        let found = check::model(&place)?;
        let files = paths(&found);
        let marks: Vec<_> = files.iter().map(|path| Mark::of(path)).collect::<Result<_, _>>()?;
        let record = ModelRecord {
            digest: digest(&files, wanted)?,
            bytes: marks.iter().map(|mark| mark.size).sum(),
            architecture: found.shape.architecture.name().to_owned(),
            context: found.shape.context,
            directory: place,
            origin,
            files: marks,
        };
        let before = self.change(|all| {
            let before = all.models.insert(name.clone(), record)?.digest;
            (!all.models.values().any(|other| other.digest == before)).then_some(before)
        })?;
        // Of what its files were before nobody asks again.
        if let Some(before) = before {
            keep::forget(&self.kept_directory(), &before, None);
        }
        Ok(name)
    }

    /// A model that can be loaded: its files are those that were checked.
    ///
    /// # Errors
    /// When there is none, or it changed.
    pub fn model(&self, name: &str) -> Result<ModelRecord, ShelfError> {
        let found = self.known_model(name)?;
        match found.changed() {
            None => Ok(found),
            Some(path) => Err(ShelfError::Changed { name: name.to_owned(), path: path.to_owned() }),
        }
    }

    /// Whether there is one of this name.
    #[must_use]
    pub fn has_model(&self, name: &str) -> bool {
        self.record().models.contains_key(name)
    }

    /// Forgets a model; one that was pulled is removed. Its adapters stay.
    ///
    /// # Errors
    /// When there is none, or its files cannot be removed.
    pub fn remove_model(&self, name: &str) -> Result<(), ShelfError> {
        let found = self.known_model(name)?;
        if found.origin.is_some() && found.directory.starts_with(self.models_directory()) {
            match fs::remove_dir_all(&found.directory) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ShelfError::Write { path: found.directory, source });
                }
                _ => {}
            }
        }
        let shared = self.change(|all| {
            all.models.remove(name);
            all.models.values().any(|other| other.digest == found.digest)
        })?;
        if !shared {
            keep::forget(&self.kept_directory(), &found.digest, None);
        }
        Ok(())
    }

    fn known_model(&self, name: &str) -> Result<ModelRecord, ShelfError> {
        let record = self.record();
        record.models.get(name).cloned().ok_or_else(|| ShelfError::Unknown {
            what: "language model",
            name: name.to_owned(),
            known: record.models.keys().cloned().collect(),
        })
    }
}

/// Everything that decides what the model writes.
fn paths(files: &ModelFiles) -> Vec<PathBuf> {
    let beside: Vec<Option<&PathBuf>> = match &files.format {
        Format::Safetensors(Beside {
            config,
            tokenizer,
            template,
            generation,
            tokenizer_config,
            ..
        }) => {
            // A template may lie in it. If it has a file of its own, this one still names the special tokens.
            let settings =
                tokenizer_config.as_ref().filter(|path| Some(*path) != template.as_ref());
            vec![Some(config), Some(tokenizer), template.as_ref(), settings, generation.as_ref()]
        }
        Format::Gguf { tokenizer, .. } => vec![tokenizer.as_ref()],
    };
    beside.into_iter().flatten().chain(&files.weights).cloned().collect()
}
