//! An embedder that counts, waits and fails as it is told, and indexes with it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use greenlit_embed::test_util::HashEmbedder;
use greenlit_embed::{EmbedError, Embedder, Identity};
use greenlit_graph::Thresholds;
use greenlit_index::{Dense, DenseOptions, Filter, Index, Query, Weights};
use greenlit_store::{Options, Owner, SpaceId, Store};
use greenlit_workspace::View;

use crate::support::{PATIENCE, Workspace};

pub(crate) const PARSER: &str = "def parse_http_url(line):\n    return line.split(':')\n";
pub(crate) const WRITER: &str = "def write_footer(out):\n    out.write('zanzibar')\n";

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    None,
    NotFinite,
    Panic,
    Error,
    Length,
    Few,
}

pub(crate) struct Counted {
    pub(crate) hash: HashEmbedder,
    pub(crate) texts: AtomicUsize,
    fault: Fault,
    pub(crate) questions_fail: AtomicBool,
    /// Each call waits for one of these, where there are any.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
    pub(crate) seen: Mutex<Vec<String>>,
}

impl Counted {
    pub(crate) fn new(fault: Fault) -> Arc<Self> {
        Self::gated(fault, None)
    }

    pub(crate) fn gated(fault: Fault, gate: Option<mpsc::Receiver<()>>) -> Arc<Self> {
        Self::sized("hash", 64, fault, gate)
    }

    pub(crate) fn sized(
        name: &str,
        dims: usize,
        fault: Fault,
        gate: Option<mpsc::Receiver<()>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            hash: HashEmbedder::new(dims).named(name),
            texts: AtomicUsize::new(0),
            fault,
            questions_fail: AtomicBool::new(false),
            gate: gate.map(Mutex::new),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn texts(&self) -> usize {
        self.texts.load(Ordering::Relaxed)
    }
}

impl Embedder for Counted {
    fn identity(&self) -> &Identity {
        self.hash.identity()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        if let Some(gate) = &self.gate {
            // Open for good when the other end is gone.
            let _ = gate.lock().unwrap().recv();
        }
        self.texts.fetch_add(texts.len(), Ordering::Relaxed);
        self.seen.lock().unwrap().extend(texts.iter().map(|text| (*text).to_owned()));
        let mut vectors = self.hash.embed(texts)?;
        match self.fault {
            Fault::None => {}
            Fault::NotFinite => vectors[0][0] = f32::NAN,
            Fault::Panic => panic!("the runtime is gone"),
            Fault::Error => return Err(EmbedError::NotFinite { index: 0 }),
            Fault::Length => vectors[0][0] += 7.0,
            Fault::Few => drop(vectors.pop()),
        }
        Ok(vectors)
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        if self.questions_fail.load(Ordering::Relaxed) {
            return Err(EmbedError::NoDirection { index: 0 });
        }
        self.hash.embed_query(text)
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.hash.count_tokens(text)
    }
}

pub(crate) fn options(workspace: &Workspace) -> DenseOptions {
    options_at(&workspace.store().with_file_name("vectors"))
}

fn options_at(directory: &Path) -> DenseOptions {
    let (directory, thresholds) = (directory.to_owned(), Thresholds::default());
    DenseOptions { directory, quota_bytes: 1 << 30, thresholds, unload_after: None }
}

pub(crate) fn dense_at(directory: &Path, embedder: &Arc<Counted>) -> Dense {
    with(options_at(directory), embedder)
}

pub(crate) fn with(options: DenseOptions, embedder: &Arc<Counted>) -> Dense {
    let embedder: Arc<dyn Embedder> = embedder.clone();
    Dense::new(options, Box::new(move || Ok(Some(embedder))))
}

pub(crate) fn open(root: &Path, store: &Path, dense: &Dense) -> Index {
    let index = Index::open(root, Some(store), Some(dense), |_| {}).unwrap();
    assert!(index.settle(PATIENCE), "{:?}", index.status());
    assert!(dense.settle(PATIENCE));
    index
}

/// The best hit by meaning alone.
pub(crate) fn nearest(index: &Index, view: &View, text: &str, filter: Filter) -> Option<String> {
    let weights = Weights { lexical: 0.0, dense: 1.0, symbol: 0.0, ..Weights::default() };
    let query = Query { text: text.to_owned(), k: 5, filter, weights, ..Query::default() };
    let hits = index.search(&query, view, PATIENCE).unwrap().hits;
    hits.into_iter().next().map(|hit| hit.path)
}

pub(crate) fn many(marker: &str) -> Workspace {
    let workspace = Workspace::new(&[]);
    for n in 0..300 {
        workspace.write(&format!("f{n}.py"), PARSER.replace("url", &format!("{marker}{n}")));
    }
    workspace
}

/// Hardly more room than the vectors take that are there.
pub(crate) fn just_enough(options: DenseOptions, embedder: &Counted) -> DenseOptions {
    let identity = embedder.identity();
    let dims = u32::try_from(identity.dims).unwrap();
    let id = SpaceId { model: identity.model, backend: identity.backend.clone(), dims };
    let fits = |quota_bytes: u64| {
        let store = Store::open(&options.directory, Options { quota_bytes }).unwrap();
        let vector = embedder.embed_query("another").unwrap();
        let owner = Owner { repository: "another".to_owned(), branch: String::new() };
        let key = id.key(0, &[0; 32]);
        store.space(&id).unwrap().append(&owner, &[(key, &vector)]).is_ok()
    };
    let quota_bytes = (1..1000).map(|n| n << 16).find(|quota| fits(*quota)).unwrap();
    DenseOptions { quota_bytes, ..options }
}
