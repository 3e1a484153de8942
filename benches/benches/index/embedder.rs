//! Vectors, of a model or of nothing but hashed words, and who asked for them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use greenlit_embed::test_util::HashEmbedder;
use greenlit_embed::{EmbedError, Embedder, Identity};
use greenlit_graph::Thresholds;
use greenlit_index::{Dense, DenseOptions};

use crate::Args;

/// More than the vectors of any corpus take.
const QUOTA_BYTES: u64 = 1 << 40;

/// Counts the texts that are embedded, and keeps them.
pub(crate) struct Counted {
    embedder: Arc<dyn Embedder>,
    /// Vectors of questions that were asked before.
    questions: Mutex<HashMap<String, Vec<f32>>>,
    texts: AtomicUsize,
    /// One JSON string per line.
    kept: Option<Mutex<BufWriter<File>>>,
}

impl Counted {
    /// With the model that is named.
    pub(crate) fn new(args: &Args, kept: Option<&Path>) -> Result<Arc<Self>> {
        let kept = kept.map(|path| {
            let file = File::create(path);
            file.with_context(|| format!("cannot write {}", path.display()))
        });
        let kept = kept.transpose()?.map(|file| Mutex::new(BufWriter::new(file)));
        let embedder: Arc<dyn Embedder> = match &args.model {
            Some(model) => greenlit_benches::embedder::load(model, args.onnxruntime.clone())?,
            None => Arc::new(HashEmbedder::new(args.dims)),
        };
        let (questions, texts) = (Mutex::default(), AtomicUsize::new(0));
        Ok(Arc::new(Self { embedder, questions, texts, kept }))
    }

    /// What its vectors are.
    pub(crate) fn described(args: &Args) -> String {
        match &args.model {
            Some(model) => format!("of the model in {}", model.display()),
            None => format!("hashed words, {} values: no meaning, no cost", args.dims),
        }
    }

    pub(crate) fn texts(&self) -> usize {
        self.texts.load(Ordering::Relaxed)
    }

    /// Search by meaning with it.
    pub(crate) fn dense(self: &Arc<Self>, directory: &Path) -> Dense {
        let options = DenseOptions {
            directory: directory.to_owned(),
            quota_bytes: QUOTA_BYTES,
            thresholds: Thresholds::default(),
            unload_after: None,
        };
        let embedder: Arc<dyn Embedder> = self.clone();
        Dense::new(options, Box::new(move || Ok(Some(embedder))))
    }
}

impl Embedder for Counted {
    fn identity(&self) -> &Identity {
        self.embedder.identity()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.texts.fetch_add(texts.len(), Ordering::Relaxed);
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            for text in texts {
                let line = serde_json::to_string(text).expect("a text is JSON");
                writeln!(kept, "{line}").expect("the scratch directory has room");
            }
        }
        self.embedder.embed(texts)
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let questions = || self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = questions().get(text) {
            return Ok(known.clone());
        }
        let vector = self.embedder.embed_query(text)?;
        questions().insert(text.to_owned(), vector.clone());
        Ok(vector)
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.embedder.count_tokens(text)
    }
}
