//! What `greenlit model` and an editor's question lead to. Runs beside the main loop.

use std::path::Path;
use std::sync::Arc;

use greenlit_embed::{Availability, ModelError, Unavailable};
use greenlit_host::Shelf;
use greenlit_index::{Dense, Meaning};
use greenlit_protocol::{
    ErrorKind, ModelAction, ModelEntry, ModelReport, ProgressStage, PullRequest, RemoteError,
    Response,
};
use greenlit_repair::Cancel;

use super::Models;
use crate::engine::Local;
use greenlit_workspace::chain;

/// What an action may use besides the models.
pub(crate) struct Asked<'a> {
    pub(crate) dense: &'a Dense,
    pub(crate) local: &'a Local,
    pub(crate) cancel: &'a Cancel,
    pub(crate) progress: &'a mut dyn FnMut(ProgressStage),
}

/// Does what is wanted and tells what there is then.
pub(crate) fn act(
    models: &Arc<Models>,
    action: &ModelAction,
    mut asked: Asked<'_>,
) -> Result<Response, RemoteError> {
    let (local, cancel) = (asked.local, asked.cancel);
    match action {
        ModelAction::List => {}
        ModelAction::Load { name } => local.load(name, cancel)?,
        ModelAction::Unload { name, kill } => local.unload(name.as_deref(), *kill, cancel)?,
        ModelAction::Bench { name } => return Ok(Response::Bench(local.bench(name, cancel)?)),
        ModelAction::Pull(request) => {
            if let Some(language) = local.pull(request, &mut asked)? {
                return Ok(match language {
                    Some(plan) => Response::PullPlan(plan),
                    None => Response::Models(models.report(asked.dense, local)),
                });
            }
            if let Some(plan) = models.pull(request, &mut asked)? {
                return Ok(Response::PullPlan(plan));
            }
            asked.dense.reload(models.loader());
        }
        ModelAction::Add { path, name } if Shelf::takes(path) => {
            models.must_not_have(name.as_deref(), path)?;
            local.add(path, name.as_deref(), cancel)?;
        }
        ModelAction::Add { path, name } => {
            models.add(path, name.as_deref())?;
            asked.dense.reload(models.loader());
        }
        ModelAction::Remove { name } if name == PullRequest::RUNTIME => {
            models.remove_runtime()?;
        }
        ModelAction::Remove { name } if local.has(name) => local.remove(name, cancel)?,
        ModelAction::Remove { name } => {
            let removed = models.shelf.remove(name).map_err(|error| refused(&error))?;
            tracing::info!(name, added = removed.added, "a model was removed");
            asked.dense.reload(models.loader());
        }
        ModelAction::Decline => models.shelf.decline().map_err(|error| refused(&error))?,
    }
    Ok(Response::Models(models.report(asked.dense, local)))
}

impl Models {
    fn report(&self, dense: &Dense, local: &Local) -> ModelReport {
        let selected = self.selected();
        let in_use = selected.as_ref().ok().and_then(Option::as_ref);
        let installed = self.shelf.installed();
        let offered = &self.shelf.catalogue().models;
        let is_used = |name: &str| in_use.is_some_and(|used| used.name == name);
        let mut models: Vec<ModelEntry> = offered
            .iter()
            .map(|model| {
                let place = installed.iter().find(|known| known.name == model.name);
                ModelEntry {
                    name: model.name.clone(),
                    kind: model.kind.name().to_owned(),
                    about: model.about.clone(),
                    licence: Some(model.licence.clone()),
                    bytes: Some(model.size()),
                    installed: place.is_some(),
                    in_use: is_used(&model.name),
                    path: place.map(|known| known.directory.clone()),
                    fit: None,
                    problem: None,
                }
            })
            .collect();
        let of_person = installed.iter().filter(|known| known.added);
        // One that the configuration names is on no shelf.
        let configured = in_use.filter(|used| used.added && !installed.contains(used));
        models.extend(of_person.chain(configured).map(|known| ModelEntry {
            name: known.name.clone(),
            kind: "embedding".to_owned(),
            about: "added from this machine".to_owned(),
            licence: None,
            bytes: None,
            installed: known.directory.is_dir(),
            in_use: is_used(&known.name),
            path: Some(known.directory.clone()),
            fit: None,
            problem: None,
        }));
        models.extend(self.runtime_entry());
        models.extend(local.entries());
        let unusable = match (&selected, dense.meaning()) {
            (Err(error), _) => Some(format!("{} ({})", chain(error), error.remedy())),
            (Ok(_), Meaning::Degraded { reason, remedy }) => Some(format!("{reason} ({remedy})")),
            (Ok(_), _) => None,
        };
        ModelReport {
            models,
            in_use: in_use.map(|used| used.name.clone()),
            configured: self.config.model.is_some(),
            degraded: unusable.or_else(|| self.problem.clone()),
            declined: self.shelf.is_declined(),
            offline: self.offline,
            directory: self.shelf.directory().to_owned(),
            engine: Some(local.report()),
        }
    }

    /// A language model and an embedding one are told apart by their names.
    fn must_not_have(&self, name: Option<&str>, path: &Path) -> Result<(), RemoteError> {
        let own = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.map_or_else(own, str::to_owned);
        let offered = self.shelf.offered(&name).is_ok();
        if !offered && self.shelf.installed().iter().all(|known| known.name != name) {
            return Ok(());
        }
        let message = format!("there is an embedding model `{name}`");
        Err(RemoteError::new(ErrorKind::BadRequest, message).hint("give another `--name`"))
    }

    /// Takes in a directory, after its model was tried where there is something to try it with.
    fn add(&self, path: &Path, name: Option<&str>) -> Result<(), RemoteError> {
        let (installed, model) = self.shelf.examine(path, name).map_err(|error| refused(&error))?;
        match self.runtime() {
            Ok(found) => {
                let tried = self.trials().map_err(Unavailable::from).and_then(|trials| {
                    trials.pass(&installed, &model, &found).map_err(Unavailable::from)
                });
                tried.map_err(|error| unavailable(&error))?;
            }
            // It is tried when it is first needed.
            Err(error) => tracing::info!(%error, "a model is added untried"),
        }
        self.shelf.adopt(&installed).map_err(|error| refused(&error))
    }
}

/// An error about models, as people see it.
pub(super) fn refused(error: &ModelError) -> RemoteError {
    let kind = match error {
        ModelError::Download { source: greenlit_download::DownloadError::Cancelled, .. } => {
            ErrorKind::Cancelled
        }
        ModelError::Catalogue { .. } => ErrorKind::BadConfiguration,
        _ => ErrorKind::BadRequest,
    };
    RemoteError::new(kind, chain(error)).hint(error.remedy())
}

fn unavailable(error: &Unavailable) -> RemoteError {
    match Availability::from(error) {
        Availability::Ready(_) => RemoteError::new(ErrorKind::Internal, "the model works"),
        Availability::Degraded { reason, remedy } => {
            RemoteError::new(ErrorKind::BadRequest, reason).hint(remedy)
        }
    }
}
