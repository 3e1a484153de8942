//! `greenlit adapter`.

use std::path::Path;

use greenlit_host::{AdapterAdd, STACKED};
use greenlit_protocol::{AdapterAction, AdapterEntry, AdapterReport, RemoteError, Response};
use greenlit_repair::Cancel;

use super::{Local, failed, refused};

/// Does what is wanted and tells what there is then. Blocks.
pub(crate) fn act(
    local: &Local,
    action: &AdapterAction,
    cancel: &Cancel,
) -> Result<Response, RemoteError> {
    let mut notes = Vec::new();
    let root = match action {
        AdapterAction::List { root } => root.as_deref(),
        AdapterAction::Add { path, name, version, model, kind } => {
            let add = AdapterAdd {
                place: path,
                name: name.as_deref(),
                version: version.as_deref(),
                model: model.as_deref(),
                kind: *kind,
            };
            let name = local.shelf.add_adapter(&add).map_err(|error| refused(&error))?;
            notes.push(format!("added {name}"));
            None
        }
        AdapterAction::Activate { adapter, root, force } => {
            notes.extend(local.activate(adapter, root, *force, cancel)?);
            Some(root.as_path())
        }
        AdapterAction::Deactivate { root, adapter } => {
            let before = local.shelf.deactivate(root, adapter.as_deref());
            let before = before.map_err(|error| refused(&error))?;
            notes.extend(before.is_empty().then(|| match adapter {
                Some(adapter) => format!("`{adapter}` was not active"),
                None => "no adapter was active".to_owned(),
            }));
            Some(root.as_path())
        }
        AdapterAction::Remove { adapter } => {
            let removed = local.shelf.remove_adapter(adapter);
            let (name, record) = removed.map_err(|error| refused(&error))?;
            // It is of no use any more; requests that use it end first.
            let unloaded =
                local.block(cancel, local.engine.unload_adapter(&record.model, &name))?;
            unloaded.map_err(|error| failed(&error))?;
            None
        }
    };
    Ok(Response::Adapters(local.adapters(root, notes)))
}

impl Local {
    /// A workspace uses an adapter from now on, beside those of other kinds. Where its model is in memory, they are
    /// brought there first, while requests go on as before: none is lost, none waits.
    fn activate(
        &self,
        adapter: &str,
        root: &Path,
        force: bool,
        cancel: &Cancel,
    ) -> Result<Option<String>, RemoteError> {
        let may = self.shelf.may_activate(adapter, root, force);
        let (full, record) = may.map_err(|error| refused(&error))?;
        let wanted = self.shelf.wanted_in(&full, &record, root).map_err(|error| refused(&error))?;
        let resident = self.engine.holds(&record.model);
        if resident {
            let ready = self.block(cancel, self.engine.ready(&wanted))?;
            ready.map_err(|error| failed(&error))?;
        }
        self.shelf.activate(&full, root, force).map_err(|error| refused(&error))?;
        Ok((!resident)
            .then(|| format!("{full} is loaded with {} when that is needed", record.model)))
    }

    fn adapters(&self, root: Option<&Path>, notes: Vec<String>) -> AdapterReport {
        let resident: Vec<_> =
            self.engine.report().models.into_iter().flat_map(|model| model.adapters).collect();
        let entry = |(name, adapter, active_in): (String, _, _)| {
            let greenlit_host::AdapterRecord { model, kind, digest, bytes, rank, targets, .. } =
                adapter;
            let resident = resident.iter().any(|of| of.split(STACKED).any(|part| part == name));
            let evaluations = adapter.evaluations.into_iter().collect();
            AdapterEntry {
                name,
                model,
                kind,
                digest,
                bytes,
                rank,
                targets,
                resident,
                active_in,
                evaluations,
            }
        };
        AdapterReport {
            adapters: self.shelf.adapters().into_iter().map(entry).collect(),
            active: root.map(|root| self.shelf.active(root)).unwrap_or_default(),
            notes,
        }
    }
}
