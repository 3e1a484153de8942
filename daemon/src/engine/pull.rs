//! `greenlit model pull` of a language model.

use std::ops::ControlFlow;
use std::sync::PoisonError;

use greenlit_download::{Client, DownloadError, HUB, Options, Progress};
use greenlit_host::{Listing, PullError, Puller, Recommended, recommended};
use greenlit_protocol::{ErrorKind, ProgressStage, PullItem, PullPlan, PullRequest, RemoteError};
use greenlit_serving::check::Architecture;
use greenlit_workspace::chain;

use super::{Local, refused};
use crate::models::Asked;

/// What is to come.
struct Target {
    /// What it will be called.
    name: String,
    /// `OWNER/NAME[@REVISION]`
    address: String,
    /// Where it is known from the beginning.
    licence: Option<String>,
}

/// The model that a person means; `None` where it is none of ours.
fn target(name: &str) -> Result<Option<Target>, RemoteError> {
    let known = recommended().into_iter().find(|model| model.name == name);
    if let Some(Recommended { name, repo, revision, licence, architecture, .. }) = known {
        if !Architecture::ALL.iter().any(|known| known.name() == architecture) {
            let message = format!("{name} is a {architecture}, which the engine does not run yet");
            return Err(RemoteError::new(ErrorKind::BadRequest, message)
                .hint("`greenlit model list` shows the others"));
        }
        let address = format!("{repo}@{revision}");
        return Ok(Some(Target { name, address, licence: Some(licence) }));
    }
    let Some((_, last)) = name.split_once('/') else { return Ok(None) };
    let last = last.split('@').next().unwrap_or(last);
    Ok(Some(Target { name: last.to_lowercase(), address: name.to_owned(), licence: None }))
}

impl Local {
    /// Downloads a language model; without the person's word, what it would be. `None` where the name is
    /// none of a language model.
    pub(crate) fn pull(
        &self,
        request: &PullRequest,
        asked: &mut Asked<'_>,
    ) -> Result<Option<Option<PullPlan>>, RemoteError> {
        let Some(name) = &request.name else { return Ok(None) };
        let Some(target) = target(name)? else { return Ok(None) };
        let options = Options { offline: self.offline, ..Options::default() };
        let client = Client::new(&options).map_err(|error| not_pulled(&error.into()))?;
        let environment = || std::env::var("HF_ENDPOINT").ok().filter(|url| !url.is_empty());
        let endpoint = request.endpoint.clone().or_else(environment);
        let endpoint = endpoint.unwrap_or_else(|| HUB.to_owned());
        let puller = Puller { client, endpoint, models: self.models() };
        let listing = self.listing(&puller, &target, request.agreed, asked)?;
        let directory = puller.directory(&target.name, &listing);
        let bytes = listing.missing(&directory);
        if bytes > 0 && !request.agreed {
            return Ok(Some(Some(self.plan(&puller, &target, &listing, bytes))));
        }
        let title = format!("Downloading {}", target.name);
        (asked.progress)(ProgressStage::Begin { title });
        let done = self.fetch(&puller, &target, &listing, request.agreed, asked);
        let message = match &done {
            Ok(()) => "done".to_owned(),
            Err(error) => error.message.clone(),
        };
        (asked.progress)(ProgressStage::End { message });
        done.map(|()| Some(None))
    }

    /// What the hub has. Where a person agreed, it is what they were shown.
    fn listing(
        &self,
        puller: &Puller,
        target: &Target,
        agreed: bool,
        asked: &Asked<'_>,
    ) -> Result<Listing, RemoteError> {
        let key = format!("{} {}", puller.endpoint, target.address);
        let shown = || self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if agreed && let Some((_, listing)) = shown().take().filter(|(of, _)| *of == key) {
            return Ok(listing);
        }
        let mut wanted = |_: Progress| match asked.cancel.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let listing = puller.listing(&target.address, &mut wanted).map_err(|e| not_pulled(&e))?;
        *shown() = Some((key, listing.clone()));
        Ok(listing)
    }

    fn plan(&self, puller: &Puller, target: &Target, listing: &Listing, bytes: u64) -> PullPlan {
        let origin = &listing.origin;
        let licence = target.licence.clone().or_else(|| origin.licence.clone());
        let endpoint = puller.endpoint.trim_end_matches('/');
        let item = PullItem {
            name: target.name.clone(),
            kind: "language".to_owned(),
            from: format!("{endpoint}/{} at {:.12}", origin.repo, origin.revision),
            licence: licence.unwrap_or_else(|| "unknown".to_owned()),
            bytes,
        };
        PullPlan { items: vec![item], bytes, directory: self.models() }
    }

    fn fetch(
        &self,
        puller: &Puller,
        target: &Target,
        listing: &Listing,
        agreed: bool,
        asked: &mut Asked<'_>,
    ) -> Result<(), RemoteError> {
        let directory = puller.directory(&target.name, listing);
        let mut told = None;
        let mut step = |now: Progress| {
            let total = now.total.unwrap_or(now.done);
            let percentage = u32::try_from(now.done * 100 / total.max(1)).ok();
            if told != percentage {
                told = percentage;
                let [done, total] = [now.done, total].map(|bytes| bytes as f64 / 1e6);
                let message = format!("{}: {done:.1} of {total:.1} MB", target.name);
                (asked.progress)(ProgressStage::Report { message, percentage });
            }
            // A file of the right size and another content would come again: nobody agreed to that.
            match asked.cancel.is_cancelled() || !agreed {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        puller.fetch(listing, &directory, &mut step).map_err(|error| not_pulled(&error))?;
        let mut origin = listing.origin.clone();
        origin.licence = target.licence.clone().or(origin.licence);
        let wanted = || !asked.cancel.is_cancelled();
        let added = self.shelf.add_model(&directory, Some(&target.name), Some(origin), &wanted);
        added.map(drop).map_err(|error| refused(&error))
    }
}

fn not_pulled(error: &PullError) -> RemoteError {
    let kind = match error {
        PullError::Download(DownloadError::Cancelled) => ErrorKind::Cancelled,
        _ => ErrorKind::BadRequest,
    };
    let said = RemoteError::new(kind, chain(error));
    match error {
        PullError::Download(DownloadError::Offline { .. }) => {
            said.hint("`network.offline` in your configuration forbids downloads")
        }
        PullError::Download(_) => said.hint(
            "try again: the download goes on where it stopped; or name a mirror with `--endpoint`",
        ),
        _ => said,
    }
}
