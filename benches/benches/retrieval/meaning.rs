//! The product's index over a corpus, with a real model; vectors are kept between runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use greenlit_benches::fetch::Cache;
use greenlit_embed::{
    Accelerator, Embedder, Model, OnnxEmbedder, Overrides, Prober, Runtime, Search, find,
    probe_child,
};
use greenlit_index::{Dense, DenseOptions, Index, Query, Status, Thresholds, Weights};
use greenlit_workspace::View;

use crate::corpus::{Corpus, K, Place, Question};

/// The word that makes this program try a runtime library.
const PROBE: &str = "probe-onnxruntime";
/// A first run embeds everything.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
const QUOTA: u64 = 1 << 30;

/// How it went, when this process was started to try a library.
pub(crate) fn probe() -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [word, library, device] if word == PROBE => Some(probe_child(library.as_ref(), device)),
        _ => None,
    }
}

pub(crate) struct Meaning(Dense);

pub(crate) fn open(
    model: &Path,
    runtime: Option<PathBuf>,
    cache: &Cache,
) -> Result<(Arc<dyn Embedder>, Meaning)> {
    let here = |path: &Path| match path.exists() {
        true => path.to_owned(),
        false => greenlit_benches::repository().join(path),
    };
    let directories = vec![greenlit_benches::repository().join(".tools/onnxruntime")];
    let search = Search { configured: runtime, directories, accelerator: Accelerator::None };
    let found = find(&search, &Prober::new(std::env::current_exe()?, vec![PROBE.into()]))?;
    let model = Model::open(&here(model), &Overrides::default())?;
    let runtime = Runtime::load(&found)?;
    let embedder: Arc<dyn Embedder> = Arc::new(OnnxEmbedder::load(model, &runtime, 1)?);
    let options = DenseOptions {
        directory: cache.directory("retrieval/vectors")?,
        quota_bytes: QUOTA,
        thresholds: Thresholds::default(),
        unload_after: None,
    };
    let used = embedder.clone();
    Ok((embedder, Meaning(Dense::new(options, Box::new(move || Ok(Some(used)))))))
}

impl Meaning {
    /// Indexes a corpus; returns when everything is embedded.
    pub(crate) fn index(&self, corpus: &Corpus) -> Result<Searched> {
        let root = corpus.root()?;
        let index = Index::open(&root, None, Some(&self.0), |_| {})?;
        if !index.settle(PATIENCE) || !self.0.settle(PATIENCE) {
            bail!("the index is not ready after {} s", PATIENCE.as_secs());
        }
        Ok(Searched { index, view: View::of_disk(root) })
    }
}

/// An index over a corpus.
pub(crate) struct Searched {
    index: Index,
    view: View,
}

impl Searched {
    pub(crate) fn status(&self) -> Status {
        self.index.status()
    }

    /// What the product answers, best first.
    pub(crate) fn search(
        &self,
        question: &Question,
        weights: Weights,
        near: bool,
    ) -> Result<Vec<Place>> {
        let near = if near { question.near.clone() } else { Vec::new() };
        let text = question.text.clone();
        let query = Query { text, k: K, near, weights, ..Query::default() };
        let answer = self.index.search(&query, &self.view, PATIENCE)?;
        if let Some(why) = answer.degraded {
            bail!("a search is degraded: {why}");
        }
        Ok(answer.hits.iter().map(|hit| Place::new(&hit.path, &hit.lines)).collect())
    }
}
