//! A real embedding model.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use greenlit_embed::{
    Accelerator, Embedder, Model, OnnxEmbedder, Overrides, Prober, Runtime, Search, find,
    probe_child,
};

/// The word that makes a benchmark try a runtime library.
const PROBE: &str = "probe-onnxruntime";

/// How it went, when this process was started to try a library.
pub fn probe() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [word, library, device] if word == PROBE => Some(probe_child(library.as_ref(), device)),
        _ => None,
    }
}

/// Loads the model of a directory, which may be relative to the repository, with the runtime that is named or
/// the one of the repository.
///
/// # Errors
/// When one of them is missing or unusable.
pub fn load(model: &Path, runtime: Option<PathBuf>) -> Result<Arc<dyn Embedder>> {
    let here = |path: &Path| match path.exists() {
        true => path.to_owned(),
        false => crate::repository().join(path),
    };
    let directories = vec![crate::repository().join(".tools/onnxruntime")];
    let search = Search { configured: runtime, directories, accelerator: Accelerator::None };
    let found = find(&search, &Prober::new(std::env::current_exe()?, vec![PROBE.into()]))?;
    let model = Model::open(&here(model), &Overrides::default())?;
    let runtime = Runtime::load(&found)?;
    Ok(Arc::new(OnnxEmbedder::load(model, &runtime, 1)?))
}

/// What a model is called in a report.
pub fn described(embedder: &dyn Embedder) -> String {
    let model = embedder.identity();
    format!("{} on {}", model.name, model.backend)
}
