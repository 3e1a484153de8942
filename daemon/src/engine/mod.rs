//! Local language models: the engine that runs them, what is on this machine, and what people ask for.
//!
//! [`Local`] is the one owner of the engine and of the shelf with its models and adapters.

mod adapters;
mod bench;
mod models;
mod pull;
mod rivals;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlit_client::Paths;
use greenlit_generate::{Identity, Model};
use greenlit_host::{
    Engine, EngineError, Listing, LocalModel, Options, Program, Shelf, ShelfError, Wanted,
};
use greenlit_protocol::engine::{Keep, Precision};
use greenlit_protocol::{Check, CheckState, EngineReport, EngineState, ErrorKind, RemoteError};
use greenlit_repair::Cancel;
use greenlit_workspace::config::{self, TierModel};
use greenlit_workspace::{Config, chain};

pub(crate) use adapters::act as act_on_adapters;
pub(crate) use rivals::Rivals;

/// So often the engine is asked how it is. Much longer than any answer takes on a machine that is busy.
const HEALTH: Duration = Duration::from_secs(60);

/// Local language models.
#[derive(Debug)]
pub(crate) struct Local {
    engine: Engine,
    shelf: Shelf,
    /// What quantized weights may take on disk.
    kept_bytes: u64,
    offline: bool,
    /// What a person was shown of a hub, by what they asked for: what they agree to is what comes.
    shown: Mutex<Option<(String, Listing)>>,
}

impl Local {
    /// As the person's own configuration has it. Starts nothing.
    pub(crate) fn new(config: &Config, paths: &Paths) -> Self {
        let own = &config.engine;
        let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
        let shelf = Shelf::open(paths.data_dir.join("engine"));
        let most_bytes = own.kept_mb << 20;
        let keep = Keep { directory: shelf.kept_directory(), most_bytes };
        let options = Options {
            program: Program {
                configured: own.program.clone(),
                beside,
                path: std::env::var_os("PATH"),
            },
            log: paths.state_dir.join("engine.log"),
            precision: match own.precision {
                config::Precision::Auto => Precision::Auto,
                config::Precision::Four => Precision::Four,
                config::Precision::Eight => Precision::Eight,
                config::Precision::Full => Precision::Full,
            },
            context: own.context_tokens.max(1),
            memory: own.memory_mb.map(|mb| mb << 20),
            adapter_memory: own.adapter_memory_mb.map(|mb| mb << 20),
            keep: Some(keep).filter(|keep| keep.most_bytes > 0),
            idle_unload: Some(own.idle_unload_secs)
                .filter(|secs| *secs > 0)
                .map(Duration::from_secs),
            health: HEALTH,
        };
        Self {
            engine: Engine::new(options),
            shelf,
            kept_bytes: most_bytes,
            offline: config.network.offline,
            shown: Mutex::default(),
        }
    }

    /// Removes quantized weights where fewer may be kept than the last time, or none. Blocks.
    pub(crate) fn trim_kept(&self) {
        self.shelf.trim_kept(self.kept_bytes);
    }

    /// How the engine is.
    pub(crate) fn report(&self) -> EngineReport {
        self.engine.report()
    }

    /// Whether a model can be used by a workspace; nothing is started.
    pub(crate) fn usable(&self, model: &str, root: Option<&Path>) -> Result<Wanted, String> {
        let wanted = self.shelf.wanted(model, root).map_err(|error| words(&error))?;
        let report = self.engine.report();
        match (report.state, report.remedy) {
            (EngineState::Absent | EngineState::GivenUp, Some(remedy)) => {
                Err(format!("{} ({remedy})", report.detail))
            }
            _ => Ok(wanted),
        }
    }

    /// The model of a tier for a workspace, with the adapter that is active there. Nothing is loaded yet.
    pub(crate) fn model(
        &self,
        tier: &TierModel,
        root: &Path,
        cancel: &Cancel,
    ) -> Result<Arc<dyn Model>, String> {
        self.wanted_model(tier, self.usable(&tier.model, Some(root))?, cancel)
    }

    /// What is wanted of a model, as a tier asks it.
    fn wanted_model(
        &self,
        tier: &TierModel,
        wanted: Wanted,
        cancel: &Cancel,
    ) -> Result<Arc<dyn Model>, String> {
        let record = self.shelf.model(&tier.model).map_err(|error| words(&error))?;
        let limits = [
            u64::from(tier.context_tokens),
            u64::from(self.engine.options().context),
            record.context,
        ];
        let context = limits.into_iter().min().unwrap_or_default();
        let cancel = cancel.clone();
        Ok(Arc::new(LocalModel {
            engine: self.engine.clone(),
            identity: Identity {
                name: tier.model.clone(),
                digest: Some(record.digest),
                adapter: wanted.adapter.as_ref().map(|(name, _)| name.clone()),
            },
            wanted,
            context: usize::try_from(context).unwrap_or(usize::MAX),
            stop: Arc::new(move || cancel.is_cancelled()),
            until: Instant::now() + Duration::from_secs(tier.timeout_secs.max(1)),
        }))
    }

    /// Where an adapter is active that belongs to another model than a tier's, that is said.
    pub(crate) fn unused_adapter(&self, tier: &str, model: &str, root: &Path) -> Option<String> {
        let active = self.active_adapters(root);
        let (adapter, base) = active.first()?;
        active.iter().all(|(_, base)| base != model).then(|| {
            format!(
                "the adapter `{adapter}` is for {base}, and the tier `{tier}` asks {model}: it is not applied there"
            )
        })
    }

    /// The adapters that are active in a workspace, and the models they are for.
    fn active_adapters(&self, root: &Path) -> Vec<(String, String)> {
        let active = self.shelf.active(root).into_iter();
        active
            .filter_map(|name| Some((name.clone(), self.shelf.adapter(&name).ok()?.1.model)))
            .collect()
    }

    /// What is applied to a model in a workspace, by name.
    pub(crate) fn adapter(&self, model: &str, root: &Path) -> Option<String> {
        self.shelf.wanted(model, Some(root)).ok()?.adapter.map(|(name, _)| name)
    }

    /// A line for `greenlit doctor`.
    pub(crate) fn check(&self, is_wanted: bool) -> Check {
        let report = self.engine.report();
        let state = match report.state {
            EngineState::Absent if !is_wanted => CheckState::Ok,
            EngineState::Absent | EngineState::GivenUp => CheckState::Failed,
            EngineState::Crashed | EngineState::OutOfMemory => CheckState::Warning,
            EngineState::Stopped
            | EngineState::Starting
            | EngineState::Loading
            | EngineState::Ready => CheckState::Ok,
        };
        let program = report.program.as_ref().map(|path| format!(" ({})", path.display()));
        let detail = report.detail + &program.unwrap_or_default();
        Check { name: "engine".to_owned(), state, detail, remedy: report.remedy }
    }

    /// Runs a future of the engine's on a thread that may block; an error when the person stops it.
    fn block<T>(&self, cancel: &Cancel, work: impl Future<Output = T>) -> Result<T, RemoteError> {
        const BEAT: Duration = Duration::from_millis(50);
        self.engine.handle().block_on(async {
            tokio::pin!(work);
            loop {
                if let Ok(done) = tokio::time::timeout(BEAT, &mut work).await {
                    return Ok(done);
                }
                if cancel.is_cancelled() {
                    return Err(RemoteError::new(ErrorKind::Cancelled, "cancelled"));
                }
            }
        })
    }

    /// Where pulled models lie.
    fn models(&self) -> PathBuf {
        self.shelf.models_directory()
    }
}

/// An error of the shelf with its remedy, on one line.
fn words(error: &ShelfError) -> String {
    match error.remedy() {
        Some(remedy) => format!("{} ({remedy})", chain(error)),
        None => chain(error),
    }
}

/// As people see it.
fn refused(error: &ShelfError) -> RemoteError {
    let kind = match error {
        ShelfError::Cancelled => ErrorKind::Cancelled,
        _ => ErrorKind::BadRequest,
    };
    let said = RemoteError::new(kind, chain(error));
    match error.remedy() {
        Some(remedy) => said.hint(remedy),
        None => said,
    }
}

/// As people see it.
fn failed(error: &EngineError) -> RemoteError {
    let said = RemoteError::new(ErrorKind::BadRequest, chain(error));
    match error.remedy() {
        Some(remedy) => said.hint(remedy),
        None => said,
    }
}
