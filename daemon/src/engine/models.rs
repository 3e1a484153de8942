//! `greenlit model`, as far as it is about language models.

use std::path::Path;

use greenlit_host::{ModelRecord, recommended};
use greenlit_protocol::{FitReport, ModelEntry, RemoteError};
use greenlit_repair::Cancel;
use greenlit_serving::check::{self, ModelFiles};
use greenlit_serving::fit;
use greenlit_workspace::chain;

use super::{Local, failed, refused};

impl Local {
    /// Whether a name is that of a language model on this machine.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.shelf.has_model(name)
    }

    /// Takes in a directory.
    pub(crate) fn add(
        &self,
        path: &Path,
        name: Option<&str>,
        cancel: &Cancel,
    ) -> Result<(), RemoteError> {
        let wanted = || !cancel.is_cancelled();
        let name = self.shelf.add_model(path, name, None, &wanted).map_err(|e| refused(&e))?;
        tracing::info!(name, path = %path.display(), "a language model was added");
        Ok(())
    }

    /// Forgets a model; it leaves the memory first.
    pub(crate) fn remove(&self, name: &str, cancel: &Cancel) -> Result<(), RemoteError> {
        if self.engine.holds(name) {
            // One that is gone meanwhile need not be unloaded.
            let _gone = self.block(cancel, self.engine.unload(name))?;
        }
        self.shelf.remove_model(name).map_err(|error| refused(&error))
    }

    /// Brings a model into memory. A person asks for it: earlier crashes do not count any more.
    pub(crate) fn load(&self, name: &str, cancel: &Cancel) -> Result<(), RemoteError> {
        let wanted = self.shelf.wanted(name, None).map_err(|error| refused(&error))?;
        self.engine.forgive();
        let ready = self.block(cancel, self.engine.ready(&wanted))?;
        ready.map(drop).map_err(|error| failed(&error))
    }

    /// Takes a model, or all of them, out of memory.
    pub(crate) fn unload(
        &self,
        name: Option<&str>,
        kill: bool,
        cancel: &Cancel,
    ) -> Result<(), RemoteError> {
        match (name, kill) {
            (_, true) => self.block(cancel, self.engine.kill()),
            (None, false) => self.block(cancel, self.engine.shutdown()),
            (Some(name), false) => {
                let unloaded = self.block(cancel, self.engine.unload(name))?;
                unloaded.map_err(|error| failed(&error))
            }
        }
    }

    /// Those that are here, then those that could be pulled.
    pub(crate) fn entries(&self) -> Vec<ModelEntry> {
        let here = self.shelf.models();
        let mut entries: Vec<_> =
            here.iter().map(|(name, model)| self.entry(name, model)).collect();
        let others = recommended().into_iter().filter(|model| !self.shelf.has_model(&model.name));
        entries.extend(others.map(|model| {
            let known = check::Architecture::ALL.iter().any(|of| of.name() == model.architecture);
            ModelEntry {
                problem: (!known)
                    .then(|| format!("the engine does not run a {} yet", model.architecture)),
                name: model.name,
                kind: "language".to_owned(),
                about: model.about,
                licence: Some(model.licence),
                bytes: None,
                installed: false,
                in_use: false,
                path: None,
                fit: None,
            }
        }));
        entries
    }

    fn entry(&self, name: &str, model: &ModelRecord) -> ModelEntry {
        let from = match &model.origin {
            Some(origin) => format!("{}@{:.12}", origin.repo, origin.revision),
            None => "added from this machine".to_owned(),
        };
        let changed = model.changed().map(|path| {
            format!("{} is not what it was; remove the model and add it again", path.display())
        });
        let (problem, fit) = match changed {
            Some(changed) => (Some(changed), None),
            None => match check::model(&model.directory) {
                Ok(files) => (None, Some(self.fit(&files))),
                Err(error) => (Some(chain(&error)), None),
            },
        };
        ModelEntry {
            name: name.to_owned(),
            kind: "language".to_owned(),
            about: format!("{}, {} tokens; {from}", model.architecture, model.context),
            licence: model.origin.as_ref().and_then(|origin| origin.licence.clone()),
            bytes: Some(model.bytes),
            installed: model.directory.exists(),
            in_use: self.engine.holds(name),
            path: Some(model.directory.clone()),
            fit,
            problem,
        }
    }

    /// What the engine would compute before it loads the model.
    fn fit(&self, files: &ModelFiles) -> FitReport {
        let options = self.engine.options();
        let context = files.shape.context.min(options.context.into());
        let free = greenlit_serving::free();
        let limit = options.memory.unwrap_or_else(|| fit::share(free)).min(free);
        let chosen = fit::choose(options.precision, files, context, limit);
        let fits = chosen.is_ok();
        let need = chosen.unwrap_or_else(|refused| refused.need);
        FitReport {
            fits,
            precision: need.precision,
            weights: need.weights,
            cache: need.cache,
            working: need.working,
            total: need.total(),
            limit,
            context,
        }
    }
}
