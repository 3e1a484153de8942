//! The embedding model of the person's configuration, for all indexes of the daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use greenlit_client::Paths;
use greenlit_embed::{
    Accelerator, Embedder, Model, ONNXRUNTIME_VARIABLE, OnnxEmbedder, Overrides, Prober, Runtime,
    RuntimeError, Search, Unavailable, find,
};
use greenlit_index::{Dense, DenseOptions, Meaning};
use greenlit_protocol::{Check, CheckState};
use greenlit_workspace::Embedding;

/// The hidden subcommand that tries an ONNX Runtime: the daemon starts itself for it.
pub(crate) const PROBE: &str = "probe-onnxruntime";

/// Why the graphics card is not used although it may be.
static DECLINED: RwLock<Option<String>> = RwLock::new(None);

/// Search by meaning, when a model is configured. Nothing is loaded before an index is opened.
pub(crate) fn dense(config: &Embedding, paths: &Paths) -> Option<Dense> {
    let model = config.model.clone()?;
    let options = DenseOptions {
        directory: paths.cache_dir.join("vectors"),
        quota_bytes: config.store_mb << 20,
        thresholds: greenlit_index::Thresholds::default(),
    };
    let runtimes = paths.state_dir.join("onnxruntime");
    let config = config.clone();
    let load = move || load(model, &config, runtimes).map(Some);
    Some(Dense::new(options, Box::new(load)))
}

fn load(
    model: PathBuf,
    config: &Embedding,
    runtimes: PathBuf,
) -> Result<Arc<dyn Embedder>, Unavailable> {
    let model = Model::open(&model, &Overrides::default())?;
    let program = std::env::current_exe().map_err(|source| {
        let program = PathBuf::from("greenlitd");
        RuntimeError::Probe { program, source }
    })?;
    let search = Search {
        configured: config
            .onnxruntime
            .clone()
            .or_else(|| std::env::var_os(ONNXRUNTIME_VARIABLE).map(PathBuf::from)),
        directories: vec![runtimes],
        accelerator: if config.gpu { Accelerator::Auto } else { Accelerator::None },
    };
    let found = find(&search, &Prober::new(program, vec![OsString::from(PROBE)]))?;
    if let Some(why) = &found.declined {
        tracing::warn!(why, "embedding on the processor");
    }
    DECLINED.write().unwrap_or_else(PoisonError::into_inner).clone_from(&found.declined);
    let runtime = Runtime::load(&found)?;
    // Tests and editors want the other half.
    let threads = std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2));
    Ok(Arc::new(OnnxEmbedder::load(model, &runtime, threads)?))
}

/// A line for `greenlit doctor`.
pub(crate) fn check(dense: Option<&Dense>) -> Check {
    let (state, detail, remedy) = match dense.map(Dense::meaning) {
        None | Some(Meaning::Off) => {
            let detail = "no model is configured: search finds words and names";
            let remedy = "`embedding.model` in your own configuration file names one";
            (CheckState::Ok, detail.to_owned(), Some(remedy.to_owned()))
        }
        Some(Meaning::Loading) => {
            (CheckState::Ok, "the model is loaded when it is first needed".to_owned(), None)
        }
        Some(Meaning::Ready(identity)) => {
            let used = format!("{} on {}", identity.name, identity.backend);
            match &*DECLINED.read().unwrap_or_else(PoisonError::into_inner) {
                None => (CheckState::Ok, used, None),
                Some(why) => {
                    let detail = format!("{used}; the graphics card is not used: {why}");
                    let remedy = "`embedding.gpu = false` says that it need not be";
                    (CheckState::Warning, detail, Some(remedy.to_owned()))
                }
            }
        }
        Some(Meaning::Degraded { reason, remedy }) => (CheckState::Failed, reason, Some(remedy)),
    };
    Check { name: "search by meaning".to_owned(), state, detail, remedy }
}
