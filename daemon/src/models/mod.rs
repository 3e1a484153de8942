//! The models of this machine: which one is used, how one is loaded, and what `greenlit model` asks for.
//!
//! The shelf and the record on it are changed here alone. Nothing is downloaded but by [`pull`], and there
//! not without the person's word.

mod act;
mod pull;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use greenlit_client::Paths;
use greenlit_embed::{
    Accelerator, Catalogue, Embedder, Found, Installed, ModelError, ONNXRUNTIME_VARIABLE, OnDemand,
    OnnxEmbedder, Overrides, Prober, Reload, Runtime, RuntimeError, Search, Shelf, Trials,
    Unavailable, find,
};
use greenlit_index::{Dense, DenseOptions, Load, Meaning};
use greenlit_protocol::{Check, CheckState, PullPlan};
use greenlit_workspace::{Config, Embedding};

use greenlit_workspace::chain;

pub(crate) use act::{Asked, act};

/// The hidden subcommand that tries an ONNX Runtime, and models in it: the daemon starts itself for it.
pub(crate) const PROBE: &str = "probe-onnxruntime";

/// So long a search waits for a model that was unloaded; then it is answered by words.
const RELOAD_PATIENCE: Duration = Duration::from_secs(2);

/// The models.
#[derive(Debug)]
pub(crate) struct Models {
    shelf: Shelf,
    config: Embedding,
    offline: bool,
    /// Where a pulled ONNX Runtime lies.
    runtimes: PathBuf,
    /// Remembers which models passed a trial.
    trials: PathBuf,
    /// What is wrong with the person's catalogue.
    problem: Option<String>,
    /// What who has no model is asked for.
    offered: OnceLock<Option<PullPlan>>,
    /// Why the graphics card is not used although it may be.
    declined: RwLock<Option<String>>,
}

impl Models {
    /// As the person's own configuration has it.
    pub(crate) fn new(config: &Config, paths: &Paths) -> Self {
        let mut catalogue = Catalogue::built_in();
        let mut problem = None;
        if let Some(path) = &config.embedding.catalogue {
            let read = std::fs::read_to_string(path).map_err(|error| error.to_string());
            let parsed =
                read.and_then(|text| Catalogue::parse(&text).map_err(|error| chain(&error)));
            match parsed {
                Ok(more) => catalogue = catalogue.with(more),
                Err(why) => problem = Some(format!("{}: {why}", path.display())),
            }
        }
        Self {
            shelf: Shelf::open(paths.data_dir.join("models"), catalogue),
            config: config.embedding.clone(),
            offline: config.network.offline,
            runtimes: paths.data_dir.join("onnxruntime"),
            trials: paths.cache_dir.join("trials"),
            problem,
            offered: OnceLock::new(),
            declined: RwLock::default(),
        }
    }

    /// Search by meaning with the model in use. Nothing is loaded before an index is opened.
    pub(crate) fn dense(self: &Arc<Self>, paths: &Paths) -> Dense {
        let options = DenseOptions {
            directory: paths.cache_dir.join("vectors"),
            quota_bytes: self.config.store_mb << 20,
            thresholds: greenlit_index::Thresholds::default(),
            unload_after: Some(self.config.idle_unload_secs)
                .filter(|secs| *secs > 0)
                .map(Duration::from_secs),
        };
        match self.selected() {
            Ok(None) => Dense::without_model(options),
            _ => Dense::new(options, self.loader()),
        }
    }

    /// Where pulled models lie.
    pub(crate) fn directory(&self) -> &Path {
        self.shelf.directory()
    }

    /// Loads the model that is in use when it is called.
    fn loader(self: &Arc<Self>) -> Load {
        let models = self.clone();
        Box::new(move || models.load())
    }

    fn load(self: &Arc<Self>) -> Result<Option<Arc<dyn Embedder>>, Unavailable> {
        let Some(installed) = self.selected()? else { return Ok(None) };
        let found = self.runtime()?;
        if let Some(why) = &found.declined {
            tracing::warn!(why, "embedding on the processor");
        }
        self.declined.write().unwrap_or_else(PoisonError::into_inner).clone_from(&found.declined);
        let loaded = self.embedder(&installed, &found)?;
        let models = self.clone();
        let again: Reload = Box::new(move || models.embedder(&installed, &found));
        Ok(Some(Arc::new(OnDemand::new(loaded, RELOAD_PATIENCE, again))))
    }

    fn embedder(
        &self,
        installed: &Installed,
        found: &Found,
    ) -> Result<Arc<dyn Embedder>, Unavailable> {
        let model = installed.open()?;
        self.trials()?.pass(installed, &model, found)?;
        let runtime = Runtime::load(found)?;
        // Tests and editors want the other half.
        let threads = std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        Ok(Arc::new(OnnxEmbedder::load(model, &runtime, threads)?))
    }

    /// The model that is used: the configured one, else the one that was taken last.
    fn selected(&self) -> Result<Option<Installed>, ModelError> {
        let Some(named) = &self.config.model else { return Ok(self.shelf.chosen()) };
        let path = PathBuf::from(named);
        if !path.is_absolute() {
            return self.shelf.find(named).map(Some);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let usage = Overrides::default();
        Ok(Some(Installed { name, directory: path, usage, added: true }))
    }

    /// The first ONNX Runtime that works: what the person names, what was pulled, what came with
    /// Greenlit, what the system has.
    fn runtime(&self) -> Result<Found, RuntimeError> {
        let mut directories = vec![self.runtimes.clone()];
        if let Ok(program) = std::env::current_exe()
            && let Some(beside) = program.parent()
        {
            directories.push(beside.to_owned());
            directories.extend(beside.parent().map(|prefix| prefix.join("lib/greenlit")));
        }
        let named = || std::env::var_os(ONNXRUNTIME_VARIABLE).map(PathBuf::from);
        let search = Search {
            configured: self.config.onnxruntime.clone().or_else(named),
            directories,
            accelerator: if self.config.gpu { Accelerator::Auto } else { Accelerator::None },
        };
        find(&search, &prober()?)
    }

    fn trials(&self) -> Result<Trials, RuntimeError> {
        Ok(Trials { prober: prober()?, directory: Some(self.trials.clone()) })
    }
    /// A line for `greenlit doctor`.
    pub(crate) fn check(&self, dense: &Dense) -> Check {
        let (state, detail, remedy) = match dense.meaning() {
            Meaning::Off => {
                let detail = "there is no model: search finds words and names";
                let remedy = "run `greenlit model pull`";
                (CheckState::Ok, detail.to_owned(), Some(remedy.to_owned()))
            }
            Meaning::Loading => {
                (CheckState::Ok, "the model is loaded when it is first needed".to_owned(), None)
            }
            Meaning::Ready(identity) => {
                let used = format!("{} on {}", identity.name, identity.backend);
                let used = match dense.usage().map(|(of, quota)| (of >> 20, quota >> 20)) {
                    Some((bytes, quota)) => format!("{used}; {bytes} of {quota} MiB of vectors"),
                    None => used,
                };
                match &*self.declined.read().unwrap_or_else(PoisonError::into_inner) {
                    None => (CheckState::Ok, used, None),
                    Some(why) => {
                        let detail = format!("{used}; the graphics card is not used: {why}");
                        let remedy = "`embedding.gpu = false` says that it need not be";
                        (CheckState::Warning, detail, Some(remedy.to_owned()))
                    }
                }
            }
            Meaning::Degraded { reason, remedy } => (CheckState::Failed, reason, Some(remedy)),
        };
        Check { name: "search by meaning".to_owned(), state, detail, remedy }
    }
}

/// Starts this program as a child that may crash.
fn prober() -> Result<Prober, RuntimeError> {
    let program = std::env::current_exe().map_err(|source| {
        let program = PathBuf::from("greenlitd");
        RuntimeError::Probe { program, source }
    })?;
    Ok(Prober::new(program, vec![OsString::from(PROBE)]))
}
