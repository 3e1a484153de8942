//! Parts of the state without a process.

mod planning;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc as channels};

use greenlit_client::{Paths, outbox};
use greenlit_embed::{EmbedError, Embedder, Identity};
use greenlit_index::{DenseOptions, Index, Stage, Thresholds, Work};
use greenlit_protocol::{CheckState, SessionParams};

use super::*;
use crate::jobs::index_check;
use crate::lifecycle::{Gate, Outgoing};

/// Longer than anything takes that is going to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Says that it was called, and answers when it may.
struct Gated {
    identity: Identity,
    called: channels::Sender<()>,
    may: Mutex<channels::Receiver<()>>,
}

impl Embedder for Gated {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let _nobody_waits = self.called.send(());
        // Open for good when the other end is gone.
        let _ = self.may.lock().unwrap().recv();
        Ok(texts.iter().map(|_| vec![1.0, 0.0]).collect())
    }

    fn embed_query(&self, _: &str) -> Result<Vec<f32>, EmbedError> {
        Ok(vec![1.0, 0.0])
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.len()
    }
}

/// An index of one file, whose embedder waits.
struct Scene {
    dir: tempfile::TempDir,
    dense: Dense,
    index: Index,
    called: channels::Receiver<()>,
    gate: channels::Sender<()>,
}

fn scene(quota_bytes: u64) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a.py"), "def parse(line):\n    return line.split(':')\n").unwrap();
    let (called, calls) = channels::channel();
    let (gate, may) = channels::channel();
    let identity = Identity {
        name: "gated".to_owned(),
        model: [0; 32],
        backend: "test".to_owned(),
        dims: 2,
        max_tokens: 256,
    };
    let embedder: Arc<dyn Embedder> = Arc::new(Gated { identity, called, may: Mutex::new(may) });
    let directory = dir.path().join("vectors");
    let thresholds = Thresholds::default();
    let options = DenseOptions { directory, quota_bytes, thresholds, unload_after: None };
    let dense = Dense::new(options, Box::new(move || Ok(Some(embedder))));
    let index = Index::open(&root, None, Some(&dense), |_| {}).unwrap();
    Scene { dir, dense, index, called: calls, gate }
}

fn context(dir: &Path) -> Context {
    let at = |name: &str| dir.join(name);
    let paths = Paths::new(at("run"), at("state"), at("cache"), at("data"));
    Context {
        socket: paths.socket.clone(),
        log: paths.log.clone(),
        paths,
        started: Instant::now(),
        idle_exit: None,
        gate: Gate::default(),
    }
}

/// A daemon whose index of a root is at work for as long as the gate is there.
fn embedding() -> (State, PathBuf, channels::Sender<()>, tempfile::TempDir) {
    let Scene { dir, dense, index, called, gate } = scene(1 << 30);
    called.recv_timeout(PATIENCE).unwrap();
    let (events, _) = mpsc::unbounded_channel();
    let mut state = State::new(context(dir.path()), events);
    state.dense = dense;
    let root = index.root().to_owned();
    state.indexes.insert(root.clone(), Indexed::new(index));
    (state, root, gate, dir)
}

/// An editor with one root.
fn an_editor(root: &Path) -> SessionParams {
    SessionParams {
        client: "an editor".to_owned(),
        roots: vec![root.to_owned()],
        cwd: root.to_owned(),
        env: BTreeMap::new(),
        settings: None,
        background: true,
    }
}

#[tokio::test]
async fn the_end_does_not_wait_for_a_model_at_work() {
    let (state, _, gate, _dir) = embedding();
    drop(state);
    // Only now may the model end its work: whoever waited for it would wait for ever.
    drop(gate);
}

#[test]
fn the_doctor_tells_when_texts_cannot_be_embedded() {
    let scene = scene(100);
    drop(scene.gate);
    assert!(scene.index.settle(PATIENCE) && scene.dense.settle(PATIENCE));
    let check = index_check(Some(&scene.index));
    assert_eq!(check.state, CheckState::Warning);
    assert!(check.detail.contains("1 chunks are not found by meaning yet: "), "{}", check.detail);
    assert!(check.detail.contains("of 100 are used"), "{}", check.detail);
}

#[tokio::test]
async fn an_editor_that_opens_while_its_index_is_at_work_is_told() {
    let (mut state, root, gate, _dir) = embedding();
    let news = |work, stage| News { work, stage };
    state.index_news(&root, news(Work::Files, Stage::Begin));
    state.index_news(&root, news(Work::Vectors, Stage::Begin));
    state.index_news(&root, news(Work::Files, Stage::End { how: "up to date".to_owned() }));
    let (out, mut told) = outbox(1 << 20);
    state.connected(1, an_editor(&root), Outgoing::new(1, out));
    state.index_news(&root, news(Work::Vectors, Stage::Progress { done: 32, total: 64 }));
    state.roots_changed(1, &[]);
    state.index_news(&root, news(Work::Vectors, Stage::Progress { done: 64, total: 64 }));
    state.disconnected(1);
    drop(gate);
    let mut frames = Vec::new();
    while let Some(frame) = told.next().await {
        frames.push(String::from_utf8_lossy(&frame).into_owned());
    }
    let of_indexing: Vec<_> = frames.iter().filter(|frame| frame.contains("vectors")).collect();
    assert!(of_indexing[0].contains("Embedding"), "{frames:?}");
    assert!(of_indexing[1].contains("32 of 64 chunks"), "{frames:?}");
    // Who closes the folder sees the end of it.
    assert!(of_indexing[2].contains("not open any more"), "{frames:?}");
    assert_eq!(of_indexing.len(), 3, "{frames:?}");
    assert!(!frames.iter().any(|frame| frame.contains("files")), "{frames:?}");
}
