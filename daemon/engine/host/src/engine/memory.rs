//! What is in its memory: models, and adapters beside them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use greenlit_protocol::engine::{
    EngineAnswer, EngineFailure, EngineFailureKind as Kind, EngineRequest, Keep, LoadModel,
};
use greenlit_serving::CallError;

use super::{InUse, Inner};
use crate::Wanted;
use crate::error::EngineError;
use crate::shelf::STACKED;
use crate::state::{Resident, Running};

impl Inner {
    /// Nothing is ended for being idle meanwhile.
    pub(super) async fn ready(self: Arc<Self>, wanted: &Wanted) -> Result<InUse, EngineError> {
        self.state.send_modify(|state| state.waiting += 1);
        let ready = Arc::clone(&self).bring(wanted).await;
        self.state.send_modify(|state| {
            state.waiting -= 1;
            state.touched = Instant::now();
        });
        ready
    }

    async fn bring(self: Arc<Self>, wanted: &Wanted) -> Result<InUse, EngineError> {
        loop {
            let running = self.running().await?;
            let (loaded, adapter) = self.state.borrow().has(wanted);
            let Some(loaded) = loaded else {
                let name = wanted.model.clone();
                match self.during(name, self.load(&running, wanted)).await {
                    // It was just told to end, because nobody had used it: another one is started.
                    Err(EngineError::Failed(failure)) if failure.kind == Kind::Draining => {}
                    done => done?,
                }
                continue;
            };
            if let (false, Some((name, directories))) = (adapter, &wanted.adapter) {
                let work = self.load_adapter(&running, &wanted.model, name, directories);
                self.during(name.clone(), work).await?;
                continue;
            }
            let taken = self.state.send_if_modified(|state| {
                let same = state.running.as_ref().is_some_and(|now| Arc::ptr_eq(now, &running));
                let model = state.models.get_mut(&wanted.model).filter(|_| same);
                model.map(|model| model.active += 1).is_some()
            });
            if taken {
                return Ok(InUse { running, inner: Arc::clone(&self), loaded });
            }
        }
    }

    async fn load(&self, running: &Arc<Running>, wanted: &Wanted) -> Result<(), EngineError> {
        let Wanted { model, directory, digest, .. } = wanted;
        let keep = self.options.keep.as_ref();
        let elsewhere = self.state.borrow().models.contains_key(model);
        if elsewhere {
            self.unload(model).await?;
        }
        let request = LoadModel {
            model: model.clone(),
            directory: directory.clone(),
            precision: self.options.precision,
            context: Some(self.options.context),
            memory: self.options.memory,
            adapter_memory: self.options.adapter_memory,
            keep: keep.map(|all| Keep { directory: all.directory.join(digest), ..*all }),
        };
        loop {
            let asked = running.client.ask(EngineRequest::Load(request.clone())).await;
            let error = match asked {
                Ok(EngineAnswer::Loaded(loaded)) => {
                    self.state.send_modify(|state| {
                        state.refused = None;
                        let resident = Resident {
                            directory: directory.clone(),
                            loaded,
                            adapters: Vec::new(),
                            active: 0,
                            used: Instant::now(),
                        };
                        // Somebody else may have waited for the same.
                        state.models.entry(model.clone()).or_insert(resident);
                    });
                    return Ok(());
                }
                Ok(_) => return Err(confused()),
                Err(error) => error,
            };
            let no_room =
                matches!(&error, CallError::Failed(failure) if failure.kind == Kind::DoesNotFit);
            // Where the person set a limit, nobody else's room would help.
            let helps = no_room && self.options.memory.is_none();
            let idle = self.state.borrow().idlest(model).filter(|_| helps);
            if let Some(other) = idle {
                tracing::info!(other, model, "a model that nobody uses makes room");
                self.unload(&other).await?;
                continue;
            }
            let error = self.failed(running, error).await;
            if no_room {
                self.state.send_modify(|state| state.refused = Some(error.to_string()));
            }
            return Err(error);
        }
    }

    async fn load_adapter(
        &self,
        running: &Arc<Running>,
        model: &str,
        adapter: &str,
        directories: &[PathBuf],
    ) -> Result<(), EngineError> {
        let request = EngineRequest::LoadAdapter {
            model: model.to_owned(),
            adapter: adapter.to_owned(),
            directories: directories.to_vec(),
        };
        match running.client.ask(request).await {
            Ok(EngineAnswer::AdapterLoaded(loaded)) => {
                self.state.send_modify(|state| {
                    if let Some(resident) = state.models.get_mut(model) {
                        resident.adapters.retain(|known| {
                            !loaded.evicted.contains(known) && *known != loaded.adapter
                        });
                        resident.adapters.push(loaded.adapter);
                    }
                });
                Ok(())
            }
            Ok(_) => Err(confused()),
            Err(CallError::Failed(failure)) if failure.kind == Kind::NotLoaded => {
                // The model left the memory meanwhile: it is loaded again.
                self.state.send_modify(|state| drop(state.models.remove(model)));
                Ok(())
            }
            Err(error) => Err(self.failed(running, error).await),
        }
    }

    pub(crate) async fn unload(&self, model: &str) -> Result<(), EngineError> {
        let running = self.state.borrow().running.clone();
        let mut known = false;
        self.state.send_modify(|state| known = state.models.remove(model).is_some());
        let (Some(running), true) = (running, known) else {
            let message = format!("{model} is not in memory");
            return Err(EngineFailure { kind: Kind::NotLoaded, message }.into());
        };
        let request = EngineRequest::Unload { model: model.to_owned() };
        match running.client.ask(request).await {
            Ok(_) => Ok(()),
            Err(CallError::Failed(failure)) if failure.kind == Kind::NotLoaded => Ok(()),
            Err(error) => Err(self.failed(&running, error).await),
        }
    }

    pub(super) async fn unload_adapter(
        &self,
        model: &str,
        adapter: &str,
    ) -> Result<(), EngineError> {
        let running = self.state.borrow().running.clone();
        let mut with_it = Vec::new();
        self.state.send_modify(|state| {
            if let Some(model) = state.models.get_mut(model) {
                let has_it = |of: &mut String| of.split(STACKED).any(|part| part == adapter);
                with_it = model.adapters.extract_if(.., has_it).collect();
            }
        });
        let Some(running) = running else { return Ok(()) };
        for adapter in with_it {
            let request = EngineRequest::UnloadAdapter { model: model.to_owned(), adapter };
            match running.client.ask(request).await {
                Ok(_) => {}
                Err(CallError::Failed(failure)) if failure.kind == Kind::NotLoaded => {}
                Err(error) => return Err(self.failed(&running, error).await),
            }
        }
        Ok(())
    }

    /// Work that is shown as loading while it lasts.
    async fn during<T>(&self, name: String, work: impl Future<Output = T>) -> T {
        self.state.send_modify(|state| state.loading.push(name.clone()));
        let done = work.await;
        self.state.send_modify(|state| {
            if let Some(at) = state.loading.iter().position(|known| *known == name) {
                state.loading.remove(at);
            }
        });
        done
    }
}

fn confused() -> EngineError {
    let message = "the engine answers something else than it was asked".to_owned();
    EngineFailure { kind: Kind::Backend, message }.into()
}
