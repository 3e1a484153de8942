//! The product's index over a corpus, with a real model; vectors are kept between runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use greenlit_benches::embedder::load;
use greenlit_benches::fetch::Cache;
use greenlit_embed::Embedder;
use greenlit_index::{Dense, DenseOptions, Index, Query, Status, Thresholds, Weights};
use greenlit_workspace::View;

use crate::corpus::{Corpus, K, Place, Question};

/// A first run embeds everything.
const PATIENCE: Duration = Duration::from_secs(3 * 3600);
const QUOTA: u64 = 1 << 30;

pub(crate) struct Meaning(Dense);

pub(crate) fn open(
    model: &Path,
    runtime: Option<PathBuf>,
    cache: &Cache,
) -> Result<(Arc<dyn Embedder>, Meaning)> {
    let embedder = load(model, runtime)?;
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
