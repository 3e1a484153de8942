//! The tables of what is resident.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use greenlit_protocol::engine::{
    EngineFailure, EngineFailureKind as Kind, LoadedAdapter, LoadedModel, ModelHealth,
};

use super::resident::{InUse, Resident};
use crate::backend::{Plan, failure};
use crate::fit::Need;

/// Models by name.
#[derive(Default)]
pub(super) struct State {
    pub(super) models: BTreeMap<String, Model>,
    /// Grows with each use.
    clock: u64,
}

pub(super) struct Model {
    pub(super) loaded: LoadedModel,
    pub(super) plan: Plan,
    pub(super) need: Need,
    pub(super) adapter_memory: Option<u64>,
    pub(super) base: Resident,
    pub(super) variants: HashMap<String, Variant>,
}

/// The model with an adapter, or several.
pub(super) struct Variant {
    pub(super) resident: Resident,
    pub(super) directories: Vec<PathBuf>,
    pub(super) loaded: LoadedAdapter,
    /// [`State::clock`] at the last use.
    pub(super) used: u64,
}

impl Model {
    pub(super) fn new(
        loaded: LoadedModel,
        plan: Plan,
        need: Need,
        adapter_memory: Option<u64>,
        base: Resident,
    ) -> Self {
        Self { loaded, plan, need, adapter_memory, base, variants: HashMap::new() }
    }

    /// What its adapters take together, in bytes.
    pub(super) fn adapter_bytes(&self) -> u64 {
        self.variants.values().map(|variant| variant.loaded.bytes).sum()
    }

    /// Takes out the adapter that was used longest ago. The one that is about to be replaced serves
    /// until then.
    pub(super) fn evict(&mut self, but: &str) -> Option<(String, Variant)> {
        let others = self.variants.iter().filter(|(name, _)| *name != but);
        let (name, _) = others.min_by_key(|(_, variant)| variant.used)?;
        let name = name.clone();
        self.variants.remove_entry(&name)
    }
}

impl State {
    pub(super) fn model(&self, model: &str) -> Result<&Model, EngineFailure> {
        self.models.get(model).ok_or_else(|| not_loaded(model))
    }

    pub(super) fn model_mut(&mut self, model: &str) -> Result<&mut Model, EngineFailure> {
        self.models.get_mut(model).ok_or_else(|| not_loaded(model))
    }

    pub(super) fn route(
        &mut self,
        model: &str,
        adapter: Option<&str>,
    ) -> Result<InUse, EngineFailure> {
        self.clock += 1;
        let now = self.clock;
        let base = self.model_mut(model)?;
        let Some(adapter) = adapter else { return Ok(base.base.enter()) };
        let variant = base.variants.get_mut(adapter).ok_or_else(|| no_adapter(model, adapter))?;
        variant.used = now;
        Ok(variant.resident.enter())
    }

    /// Makes an adapter known; returns the one that had its name.
    pub(super) fn put(
        &mut self,
        model: &str,
        adapter: String,
        mut variant: Variant,
    ) -> Result<Option<Variant>, EngineFailure> {
        self.clock += 1;
        variant.used = self.clock;
        Ok(self.model_mut(model)?.variants.insert(adapter, variant))
    }

    pub(super) fn remove(&mut self, model: &str) -> Result<Model, EngineFailure> {
        self.models.remove(model).ok_or_else(|| not_loaded(model))
    }

    pub(super) fn remove_adapter(
        &mut self,
        model: &str,
        adapter: &str,
    ) -> Result<Variant, EngineFailure> {
        let removed = self.model_mut(model)?.variants.remove(adapter);
        removed.ok_or_else(|| no_adapter(model, adapter))
    }

    pub(super) fn health(&self) -> Vec<ModelHealth> {
        let health = |model: &Model| {
            let mut adapters: Vec<_> = model.variants.iter().collect();
            adapters.sort_by_key(|(_, variant)| variant.used);
            ModelHealth {
                loaded: model.loaded.clone(),
                adapters: adapters.into_iter().map(|(name, _)| name.clone()).collect(),
            }
        };
        self.models.values().map(health).collect()
    }
}

fn not_loaded(model: &str) -> EngineFailure {
    failure(Kind::NotLoaded, format!("the model {model} is not loaded"))
}

fn no_adapter(model: &str, adapter: &str) -> EngineFailure {
    failure(Kind::NotLoaded, format!("the adapter {adapter} is not loaded for {model}"))
}
