//! Downloads: what would have to come, and its coming.

use std::ops::ControlFlow;

use greenlit_download::{Client, HUB, Options, Progress};
use greenlit_embed::{Consent, Hub, PACKAGES, Packages, Recommended, Wheel, WheelError};
use greenlit_protocol::{
    ErrorKind, ModelEntry, ProgressStage, PullItem, PullPlan, PullRequest, RemoteError,
};

use super::Models;
use super::act::{Asked, refused};
use greenlit_workspace::chain;

/// What a request is about.
struct Pull<'a> {
    /// `None` for the library alone.
    model: Option<&'a Recommended>,
    /// `None` when one works already.
    runtime: Option<&'a Wheel>,
    hub: Hub,
    packages: Packages,
}

impl Models {
    /// What the person would be asked for; `None` where there is nothing to ask.
    pub(crate) fn offer(&self) -> Option<PullPlan> {
        if self.offline || self.config.model.is_some() || self.shelf.is_declined() {
            return None;
        }
        if self.shelf.chosen().is_some() {
            return None;
        }
        // Each search asks, and whether there is an ONNX Runtime is costly to find out.
        let plan = || self.planned(&PullRequest::default()).ok()?.plan(self);
        self.offered.get_or_init(plan).clone()
    }

    /// Downloads what is missing and uses it from then on; without the person's word, what it would be.
    pub(super) fn pull(
        &self,
        request: &PullRequest,
        asked: &mut Asked<'_>,
    ) -> Result<Option<PullPlan>, RemoteError> {
        let pull = self.planned(request)?;
        let plan = pull.plan(self);
        if plan.is_some() && !request.agreed {
            return Ok(plan);
        }
        if let Some(plan) = plan {
            let title = "Downloading".to_owned();
            (asked.progress)(ProgressStage::Begin { title });
            let fetched = pull.fetch(&plan, asked);
            let message = match &fetched {
                Ok(()) => "done".to_owned(),
                Err(error) => error.message.clone(),
            };
            (asked.progress)(ProgressStage::End { message });
            fetched?;
        }
        if let Some(model) = pull.model {
            self.shelf.choose(&model.name).map_err(|error| refused(&error))?;
        }
        Ok(None)
    }

    fn planned(&self, request: &PullRequest) -> Result<Pull<'_>, RemoteError> {
        let wants_library = request.name.as_deref() == Some(PullRequest::RUNTIME);
        let model = match &request.name {
            _ if wants_library => None,
            Some(name) => Some(self.shelf.offered(name).map_err(|error| refused(&error))?),
            None => self.shelf.catalogue().models.first(),
        };
        let wheel = self.shelf.catalogue().runtime();
        if wants_library && wheel.is_none() {
            let message = "no ONNX Runtime is known for this kind of machine";
            return Err(RemoteError::new(ErrorKind::BadRequest, message)
                .hint("install one and name it in `embedding.onnxruntime`"));
        }
        // One that the person has, wherever it is, need not be downloaded; unless it is asked for.
        let runtime = wheel.filter(|_| wants_library || self.runtime().is_err());
        let client = Client::new(&Options { offline: self.offline, ..Options::default() });
        let client = client.map_err(|e| RemoteError::new(ErrorKind::Internal, chain(&e)))?;
        let or =
            |named: &Option<String>, public: &str| named.clone().unwrap_or_else(|| public.into());
        let hub = Hub {
            client: client.clone(),
            endpoint: or(&request.endpoint, HUB),
            models: self.shelf.directory().to_owned(),
        };
        let packages = self.packages(client, or(&request.packages, PACKAGES));
        Ok(Pull { model, runtime, hub, packages })
    }

    fn packages(&self, client: Client, endpoint: String) -> Packages {
        Packages { client, endpoint, directory: self.runtimes.clone() }
    }

    /// ONNX Runtime among the models.
    pub(super) fn runtime_entry(&self) -> Option<ModelEntry> {
        let wheel = self.shelf.catalogue().runtime()?;
        let client = Client::new(&Options { offline: true, ..Options::default() }).ok()?;
        let packages = self.packages(client, String::new());
        let found = self.runtime().ok();
        let installed = packages.has(wheel);
        Some(ModelEntry {
            name: PullRequest::RUNTIME.to_owned(),
            kind: "runtime".to_owned(),
            about: match &found {
                Some(found) => format!("runs the models; 1.{} is used", found.minor),
                None => format!("runs the models; {} can be downloaded", wheel.version),
            },
            licence: Some(wheel.licence.clone()),
            bytes: Some(wheel.size),
            installed: installed || found.is_some(),
            in_use: found.is_some(),
            path: found
                .map(|found| found.path)
                .or_else(|| installed.then(|| packages.library(wheel))),
            fit: None,
            problem: None,
        })
    }

    /// Removes a pulled ONNX Runtime. One that is loaded stays in use until the daemon ends.
    pub(super) fn remove_runtime(&self) -> Result<(), RemoteError> {
        match std::fs::remove_dir_all(&self.runtimes) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(RemoteError::new(ErrorKind::BadRequest, "no ONNX Runtime was downloaded"))
            }
            Err(error) => {
                let message = format!("cannot remove {}: {error}", self.runtimes.display());
                Err(RemoteError::new(ErrorKind::Internal, message))
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Pull<'_> {
    /// What is not here yet; `None` when nothing is missing.
    fn plan(&self, models: &Models) -> Option<PullPlan> {
        let mut items = Vec::new();
        if let Some(model) = self.model {
            let bytes = self.hub.missing(model);
            items.extend((bytes > 0).then(|| PullItem {
                name: model.name.clone(),
                kind: model.kind.name().to_owned(),
                from: format!("{}/{}", self.hub.endpoint.trim_end_matches('/'), model.repo),
                licence: model.licence.clone(),
                bytes,
            }));
        }
        if let Some(wheel) = self.runtime.filter(|wheel| !self.packages.has(wheel)) {
            items.push(PullItem {
                name: format!("ONNX Runtime {}", wheel.version),
                kind: "runtime".to_owned(),
                from: self.packages.endpoint.clone(),
                licence: wheel.licence.clone(),
                bytes: wheel.size,
            });
        }
        let bytes = items.iter().map(|item| item.bytes).sum();
        let directory = models.shelf.directory().to_owned();
        (!items.is_empty()).then_some(PullPlan { items, bytes, directory })
    }

    fn fetch(&self, plan: &PullPlan, asked: &mut Asked<'_>) -> Result<(), RemoteError> {
        let mut told = None;
        let names: Vec<&str> = plan.items.iter().map(|item| item.name.as_str()).collect();
        let names = names.join(", ");
        let mut step = |before: u64, now: Progress| {
            let (done, total) = (before + now.done, before + now.total.unwrap_or(now.done));
            let percentage = u32::try_from(done * 100 / total.max(1)).ok();
            if told != Some((before, percentage)) {
                told = Some((before, percentage));
                let [done, total] = [done, total].map(|bytes| bytes as f64 / 1e6);
                let message = format!("{names}: {done:.1} of {total:.1} MB");
                (asked.progress)(ProgressStage::Report { message, percentage });
            }
            match asked.cancel.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        if let Some(model) = self.model {
            self.hub
                .fetch(model, Consent::Given, &mut |now| step(0, now))
                .map_err(|error| refused(&error))?;
        }
        if let Some(wheel) = self.runtime {
            let before = self.model.map_or(0, Recommended::size);
            self.packages
                .fetch(wheel, Consent::Given, &mut |now| step(before, now))
                .map_err(|error| no_library(&error))?;
        }
        Ok(())
    }
}

fn no_library(error: &WheelError) -> RemoteError {
    let kind = match error {
        WheelError::Download(greenlit_download::DownloadError::Cancelled) => ErrorKind::Cancelled,
        _ => ErrorKind::BadRequest,
    };
    RemoteError::new(kind, chain(error)).hint(
        "try again: the download goes on where it stopped; or name a mirror with `--packages`",
    )
}
