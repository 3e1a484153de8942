//! A model with an adapter and without, to be compared.

use std::sync::Arc;

use greenlit_generate::{ModelAuthor, Settings};
use greenlit_host::Wanted;
use greenlit_protocol::{ErrorKind, EvaluationReport, RemoteError};
use greenlit_repair::Cancel;
use greenlit_workspace::config::TierModel;

use super::{Local, failed, refused};

/// A model with an adapter and without, both asked as the tier of the model is.
pub(crate) struct Rivals {
    local: Arc<Local>,
    tier: &'static str,
    configured: TierModel,
    settings: Settings,
    adapter: String,
    with: Wanted,
    without: Wanted,
}

impl Rivals {
    /// For an adapter, by `name@version` or its name.
    pub(crate) fn new(
        local: Arc<Local>,
        adapter: &str,
        tier: impl FnOnce(&str) -> (&'static str, TierModel, Settings),
    ) -> Result<Self, RemoteError> {
        let (adapter, record) = local.shelf.adapter(adapter).map_err(|error| refused(&error))?;
        let with = local.shelf.wanted_with(&adapter, &record).map_err(|error| refused(&error))?;
        let without = Wanted { adapter: None, ..with.clone() };
        let (tier, configured, settings) = tier(&record.model);
        Ok(Self { local, tier, configured, settings, adapter, with, without })
    }

    /// `name@version`
    pub(crate) fn adapter(&self) -> &str {
        &self.adapter
    }

    /// The model's name.
    pub(crate) fn model(&self) -> &str {
        &self.configured.model
    }

    /// Brings both into memory, so that neither has to wait for that in its time.
    pub(crate) fn load(&self, cancel: &Cancel) -> Result<(), RemoteError> {
        self.local.engine.forgive();
        for wanted in [&self.without, &self.with] {
            let ready = self.local.block(cancel, self.local.engine.ready(wanted))?;
            ready.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// One of them.
    pub(crate) fn author(
        &self,
        with: bool,
        cancel: &Cancel,
    ) -> Result<Arc<ModelAuthor>, RemoteError> {
        let wanted = if with { &self.with } else { &self.without };
        let model = self.local.wanted_model(&self.configured, wanted.clone(), cancel);
        let model = model.map_err(|why| RemoteError::new(ErrorKind::BadRequest, why))?;
        Ok(Arc::new(ModelAuthor::new(self.tier, model, self.settings.clone())))
    }

    /// Keeps what was found, so that a worse one is not activated.
    pub(crate) fn keep(&self, report: &EvaluationReport) -> Result<(), RemoteError> {
        let kept =
            self.local.shelf.evaluated(&self.adapter, &report.root, report.evaluation.clone());
        kept.map_err(|error| refused(&error))
    }
}
