//! What is resident: models, each with its adapters, and who is asked for a text.

mod resident;
mod state;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use greenlit_protocol::engine::{
    EngineFailure, EngineFailureKind as Kind, LoadModel, LoadedAdapter, LoadedModel, ModelHealth,
};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, Plan, cancelled, failure};
use crate::check::{self, BadFile};
use crate::fit::{self, DoesNotFit, Need};
use crate::memory;
pub(crate) use resident::InUse;
use resident::Resident;
use state::{Model, State, Variant};
use thread::on_fresh_thread;
pub(crate) use thread::words;

/// The one owner of what is resident.
pub(crate) struct Models {
    backend: Arc<dyn Backend>,
    state: Mutex<State>,
    /// Held while memory is taken or given back: what fits is decided before it is taken.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Models {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self { backend, state: Mutex::default(), turn: Arc::default() }
    }

    /// Whom to ask for a text.
    pub(crate) fn route(&self, model: &str, adapter: Option<&str>) -> Result<InUse, EngineFailure> {
        self.state().route(model, adapter)
    }

    /// What is resident.
    pub(crate) fn health(&self) -> Vec<ModelHealth> {
        self.state().health()
    }

    /// Makes a model resident.
    pub(crate) async fn load(
        self: Arc<Self>,
        request: LoadModel,
        stop: CancellationToken,
    ) -> Result<LoadedModel, EngineFailure> {
        let turn = self.turn().await;
        if let Some(model) = self.state().models.get(&request.model) {
            return known(model, &request);
        }
        let began = Instant::now();
        let (plan, need, runner) = {
            let (backend, request) = (Arc::clone(&self.backend), request.clone());
            on_fresh_thread(request.directory.display().to_string(), move || {
                let (plan, need) = plan(&request)?;
                let runner = backend.load(&plan)?;
                Ok((plan, need, runner))
            })
            .await?
        };
        let resident = Resident::new(runner);
        if stop.is_cancelled() {
            resident.retire().await;
            return Err(cancelled());
        }
        let loaded = LoadedModel {
            model: request.model.clone(),
            architecture: plan.files.shape.architecture.name().to_owned(),
            precision: plan.precision,
            context: u32::try_from(plan.context).unwrap_or(u32::MAX),
            bytes: need.total(),
            load_ms: millis(began.elapsed()),
        };
        let model = Model::new(loaded.clone(), plan, need, request.adapter_memory, resident);
        self.state().models.insert(request.model, model);
        drop(turn);
        Ok(loaded)
    }

    /// Makes a model with an adapter, or several as one, resident beside the model. One of the same name is replaced when
    /// the new one is ready.
    pub(crate) async fn load_adapter(
        self: Arc<Self>,
        model: String,
        adapter: String,
        directories: Vec<PathBuf>,
        stop: CancellationToken,
    ) -> Result<LoadedAdapter, EngineFailure> {
        let turn = self.turn().await;
        let began = Instant::now();
        let (plan, need) = {
            let state = self.state();
            let base = state.model(&model)?;
            if let Some(variant) = base.variants.get(&adapter)
                && variant.directories == directories
            {
                return Ok(LoadedAdapter { evicted: Vec::new(), ..variant.loaded.clone() });
            }
            // The files are mapped and the working memory is there already.
            (base.plan.clone(), Need { working: 0, ..base.need })
        };
        let plan = {
            let (directories, files) = (directories.clone(), Arc::clone(&plan.files));
            let checked = on_fresh_thread(adapter.clone(), move || {
                let checked = directories.iter().map(|one| check::adapter(one, &files));
                checked.collect::<Result<Vec<_>, _>>().map_err(bad_files)
            });
            Plan { adapters: checked.await?, ..plan }
        };
        let evicted = self.make_room(&model, &adapter, need, &plan).await?;
        let runner = {
            let backend = Arc::clone(&self.backend);
            on_fresh_thread(adapter.clone(), move || backend.load(&plan)).await?
        };
        let resident = Resident::new(runner);
        if stop.is_cancelled() {
            resident.retire().await;
            return Err(cancelled());
        }
        let loaded = LoadedAdapter {
            model: model.clone(),
            adapter: adapter.clone(),
            bytes: need.total(),
            load_ms: millis(began.elapsed()),
            evicted,
        };
        let variant = Variant { resident, directories, loaded: loaded.clone(), used: 0 };
        let replaced = self.state().put(&model, adapter, variant)?;
        if let Some(old) = replaced {
            // Its memory counts until it is gone: nobody else loads before.
            tokio::spawn(async move {
                old.resident.retire().await;
                drop(turn);
            });
        }
        Ok(loaded)
    }

    /// Forgets a model and its adapters.
    pub(crate) async fn unload(self: Arc<Self>, model: String) -> Result<(), EngineFailure> {
        let _turn = self.turn().await;
        let removed = self.state().remove(&model)?;
        for variant in removed.variants.into_values() {
            variant.resident.retire().await;
        }
        removed.base.retire().await;
        Ok(())
    }

    /// Forgets an adapter.
    pub(crate) async fn unload_adapter(
        self: Arc<Self>,
        model: String,
        adapter: String,
    ) -> Result<(), EngineFailure> {
        let _turn = self.turn().await;
        let removed = self.state().remove_adapter(&model, &adapter)?;
        removed.resident.retire().await;
        Ok(())
    }

    /// Removes adapters that were used longest ago until another one fits; says which.
    async fn make_room(
        &self,
        model: &str,
        adapter: &str,
        need: Need,
        plan: &Plan,
    ) -> Result<Vec<String>, EngineFailure> {
        let mut evicted = Vec::new();
        loop {
            let free = fit::share(memory::free());
            let victim = {
                let mut state = self.state();
                let base = state.model_mut(model)?;
                let taken = base.adapter_bytes();
                let limit = base.adapter_memory.unwrap_or(u64::MAX).min(taken + free);
                if taken + need.total() <= limit {
                    return Ok(evicted);
                }
                base.evict(adapter).ok_or(limit)
            };
            let (name, variant) = match victim {
                Ok(victim) => victim,
                Err(limit) => {
                    let refused = DoesNotFit { need, limit, context: plan.context };
                    return Err(does_not_fit(&plan.files.place, &refused));
                }
            };
            tracing::info!(model, adapter = name, "an adapter has to go");
            variant.resident.retire().await;
            evicted.push(name);
        }
    }

    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the state")
    }
}

/// The same model again is an answer; another one of that name is a mistake.
fn known(model: &Model, request: &LoadModel) -> Result<LoadedModel, EngineFailure> {
    let place = &model.plan.files.place;
    if *place == request.directory {
        return Ok(model.loaded.clone());
    }
    Err(failure(
        Kind::BadRequest,
        format!("{} is loaded from {}; unload it first", request.model, place.display()),
    ))
}

/// Checks a model's files and what it needs.
fn plan(request: &LoadModel) -> Result<(Plan, Need), EngineFailure> {
    let files = check::model(&request.directory).map_err(bad_files)?;
    let context = match request.context {
        None => files.shape.context,
        Some(0) => return Err(failure(Kind::BadRequest, "a context of no tokens")),
        Some(context) => files.shape.context.min(context.into()),
    };
    let free = memory::free();
    let limit = request.memory.unwrap_or_else(|| fit::share(free)).min(free);
    let need = fit::choose(request.precision, &files, context, limit)
        .map_err(|refused| does_not_fit(&request.directory, &refused))?;
    let plan = Plan {
        files: Arc::new(files),
        precision: need.precision,
        context,
        adapters: Vec::new(),
        weights: need.weights,
        keep: request.keep.clone(),
    };
    Ok((plan, need))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn bad_files(error: BadFile) -> EngineFailure {
    failure(Kind::BadFiles, error.to_string())
}

fn does_not_fit(directory: &Path, refused: &DoesNotFit) -> EngineFailure {
    failure(Kind::DoesNotFit, format!("{}: {refused}", directory.display()))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
