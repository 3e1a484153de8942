//! Which model is used: one is loaded, refused, or given up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use greenlit_store::{Options, Report, SpaceId, Store};
use greenlit_workspace::chain;

use crate::dense::worker::Worker;
use crate::dense::{Load, Meaning, Model};

/// What a person can do about a model.
const REMEDY: &str =
    "`greenlit logs` has the details; choose another model, or try again with `greenlit restart`";

impl Worker {
    pub(super) fn load(&mut self, load: Load) {
        let loaded = match catch_unwind(AssertUnwindSafe(load)) {
            Ok(Ok(Some(embedder))) => embedder,
            Ok(Ok(None)) => {
                let mut state = self.core.lock();
                (state.meaning, state.model, state.kept) = (Meaning::Off, None, None);
                return;
            }
            Ok(Err(error)) => return self.refuse(Meaning::from(&error)),
            Err(_panic) => {
                let reason = "the model could not be loaded by a defect".to_owned();
                return self.refuse(Meaning::Degraded { reason, remedy: REMEDY.to_owned() });
            }
        };
        let identity = loaded.identity().clone();
        let refused = |error: String, remedy: String| Meaning::Degraded { reason: error, remedy };
        let store = match self.store() {
            Ok(store) => store,
            Err(error) => {
                let remedy = format!("look after {}", self.core.options.directory.display());
                return self.refuse(refused(error, remedy));
            }
        };
        let id = SpaceId {
            model: identity.model,
            backend: identity.backend.clone(),
            dims: u32::try_from(identity.dims).unwrap_or(u32::MAX),
        };
        let space = match store.space(&id) {
            Ok(space) => space,
            Err(error) => return self.refuse(refused(chain(&error), REMEDY.to_owned())),
        };
        self.strikes = 0;
        let mut state = self.core.lock();
        // The same one again keeps what was begun with it, under the name that it has now.
        state.model = Some(Arc::new(Model { embedder: loaded, store, space }));
        (state.meaning, state.kept) = (Meaning::Ready(identity), None);
    }

    /// The store, opened once.
    fn store(&mut self) -> Result<Store, String> {
        if let Some(store) = &self.store {
            return Ok(store.clone());
        }
        let options = Options { quota_bytes: self.core.options.quota_bytes };
        let store =
            Store::open(&self.core.options.directory, options).map_err(|error| chain(&error))?;
        self.core.lock().notice = told(store.report());
        self.store = Some(store.clone());
        Ok(store)
    }

    /// Something newer cannot be used: goes on with the model that answers, if there is one.
    fn refuse(&self, why: Meaning) {
        let before = self.core.lock().model.clone();
        self.fall_back(before, why);
    }

    /// A model has shown to be broken: goes on with the one that it was to replace, if there is one.
    pub(super) fn give_up(&self, broken: &Arc<Model>, reason: String) {
        let lanes = self.core.lanes();
        let mut serving = lanes.iter().filter_map(|lane| lane.serving());
        let before = serving.find(|model| !Arc::ptr_eq(model, broken));
        self.fall_back(before, Meaning::Degraded { reason, remedy: REMEDY.to_owned() });
    }

    fn fall_back(&self, to: Option<Arc<Model>>, why: Meaning) {
        let Meaning::Degraded { reason, remedy } = why else { return };
        let Some(model) = to else { return self.core.degrade(reason, remedy) };
        tracing::warn!(reason, "the model is not exchanged");
        let identity = model.embedder.identity().clone();
        let mut state = self.core.lock();
        let name = &identity.name;
        state.kept = Some(format!("{name} goes on to answer: {reason} ({remedy})"));
        state.meaning = Meaning::Ready(identity);
        state.model = Some(model);
    }
}

/// What was wrong with the store, in words.
fn told(report: &Report) -> Option<String> {
    let aside = report.set_aside.as_ref().map(|_| "it was of another version and is set aside");
    let rebuilt = report.rebuilt.as_ref().map(|_| "its ledger was damaged and is made anew");
    let lost = Some(report.lost.len()).filter(|lost| *lost > 0);
    let lost = lost.map(|lost| format!("{lost} of its files are lost"));
    let what: Vec<String> =
        aside.into_iter().chain(rebuilt).map(str::to_owned).chain(lost).collect();
    let what = Some(what.join(", ")).filter(|what| !what.is_empty())?;
    Some(format!(
        "the store of vectors was not as it was left: {what}; what is missing is embedded again"
    ))
}
