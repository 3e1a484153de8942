//! A lane by itself: what it finds, for whom, and what it keeps.

use std::sync::{Mutex, PoisonError};

use greenlit_embed::EmbedError;
use greenlit_embed::test_util::HashEmbedder;
use greenlit_lexical::Lexical;
use greenlit_store::Owner;

use super::*;
use crate::file;
use crate::record::{Record, RecordId, parts};
use crate::retrieve::Filter;
use crate::snapshot::{Scope, Snapshot};

const PATIENCE: Duration = Duration::from_secs(60);
const PARSER: &str = "def parse_http_url(line):\n    return line.split(':')\n";
const WRITER: &str = "def write_footer(out):\n    out.write('zanzibar')\n";
const PAINTER: &str = "def paint_wall(brush):\n    return brush.colour\n";

type Meanwhile = Box<dyn FnOnce() + Send>;

/// Something happens while it embeds a question.
struct Slow {
    hash: HashEmbedder,
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl Embedder for Slow {
    fn identity(&self) -> &Identity {
        self.hash.identity()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.hash.embed(texts)
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let meanwhile = self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take();
        meanwhile.into_iter().for_each(|meanwhile| meanwhile());
        self.hash.embed_query(text)
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.hash.count_tokens(text)
    }
}

/// A lane of files on disk, with all vectors.
struct Scene {
    dir: tempfile::TempDir,
    embedder: Arc<Slow>,
    dense: Dense,
    lane: Arc<Lane>,
    snapshot: Snapshot,
}

const QUOTA: u64 = 1 << 30;

impl Scene {
    fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, Thresholds::default())
    }

    fn with(files: &[(&str, &str)], thresholds: Thresholds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hash = HashEmbedder::new(64);
        let embedder = Arc::new(Slow { hash, meanwhile: Mutex::default() });
        let options = DenseOptions {
            directory: dir.path().join("vectors"),
            quota_bytes: QUOTA,
            thresholds,
            unload_after: None,
        };
        let loaded: Arc<dyn Embedder> = embedder.clone();
        let dense = Dense::new(options, Box::new(move || Ok(Some(loaded))));
        let lane = dense.join(dir.path(), Some(dir.path()), Arc::new(|_| {})).unwrap();
        let snapshot = Snapshot::empty(Arc::new(Lexical::in_memory().unwrap()));
        let mut scene = Self { dir, embedder, dense, lane, snapshot };
        for (path, text) in files {
            std::fs::write(scene.dir.path().join(path), text).unwrap();
            let number = scene.record(path, text);
            scene.snapshot.live.insert(number);
        }
        scene.lane.follow(&scene.snapshot, false);
        scene.lane.settle();
        assert!(scene.dense.settle(PATIENCE));
        scene
    }

    fn record(&mut self, path: &str, text: &str) -> RecordId {
        let number = (0..).find(|number| self.snapshot.records.get(*number).is_none()).unwrap();
        let record: Record =
            file::chunk(path, text, *blake3::hash(text.as_bytes()).as_bytes()).unwrap().record;
        self.snapshot.records.set(number, Arc::new(record));
        number
    }

    /// An unsaved buffer.
    fn show(&mut self, path: &str, text: &str) -> RecordId {
        let number = self.record(path, text);
        self.lane.show(&self.snapshot, &[number], &|_| Some(text.into()));
        assert!(self.dense.settle(PATIENCE));
        number
    }

    /// The records of what is found, in order of their numbers.
    fn found(&self, hidden: &[RecordId], shown: &[RecordId], filter: Option<&Filter>) -> Vec<u32> {
        let scope = Scope::new(&self.snapshot, hidden, shown);
        let found = self.lane.search("paint the wall", &scope, filter, 10);
        assert_eq!((found.pending, found.degraded), (0, None));
        let mut records: Vec<u32> =
            found.documents.iter().map(|document| parts(*document).0).collect();
        records.sort_unstable();
        records
    }
}

#[test]
fn a_session_finds_its_buffers_and_no_other_one_does() {
    let mut scene = Scene::new(&[("a.py", PARSER), ("b.py", WRITER)]);
    let buffer = scene.show("b.py", PAINTER);
    // Of another session; the same vector as that of a file.
    let copy = scene.show("c.py", PARSER);
    assert_eq!(scene.found(&[], &[], None), [0, 1]);
    assert_eq!(scene.found(&[1], &[buffer], None), [0, buffer]);
    assert_eq!(scene.found(&[], &[copy], None), [0, 1, copy]);
    let of_b = Filter::new(&["b.py".to_owned()], &[], &[], false).unwrap();
    assert_eq!(scene.found(&[], &[], Some(&of_b)), [1]);
    assert_eq!(scene.found(&[1], &[buffer], Some(&of_b)), [buffer]);
    assert_eq!(scene.found(&[], &[copy], Some(&of_b)), [1]);
}

#[test]
fn the_text_of_a_buffer_is_kept_until_it_has_its_vector() {
    let mut scene = Scene::new(&[("a.py", PARSER)]);
    scene.lane.pause(true);
    let buffer = scene.show("b.py", PAINTER);
    assert_eq!(scene.lane.read().texts.len(), 1);
    scene.lane.pause(false);
    assert!(scene.dense.settle(PATIENCE));
    assert_eq!(scene.found(&[], &[buffer], None), [0, buffer]);
    assert_eq!(scene.lane.read().texts.len(), 0);
}

#[test]
fn vectors_that_move_while_a_question_is_embedded_are_found() {
    let scene = Scene::new(&[("a.py", PARSER), ("b.py", WRITER)]);
    let lane = scene.lane.clone();
    let move_all = move || {
        let model = lane.read().serving.bound.as_ref().unwrap().model.clone();
        let other = Owner { repository: "other".to_owned(), branch: String::new() };
        let vector = model.embedder.embed(&["another"]).unwrap().remove(0);
        let key = model.space.id().key(0, &[0; 32]);
        model.space.append(&other, &[(key, &vector)]).unwrap();
        let before = lane.read().serving.slots.members().clone();
        // More than it can have: everything is moved that can be.
        let room = model.store.make_room(QUOTA, &[(model.space.id(), &lane.owner())]);
        assert!(!room.moved.is_empty());
        lane.rebind(false);
        assert_ne!(*lane.read().serving.slots.members(), before);
    };
    *scene.embedder.meanwhile.lock().unwrap() = Some(Box::new(move_all));
    assert_eq!(scene.found(&[], &[], None), [0, 1]);
    assert!(scene.embedder.meanwhile.lock().unwrap().is_none());
}

#[test]
fn a_stored_graph_outlasts_an_index_that_is_slow_to_open() {
    let texts: Vec<String> = (0..12).map(|n| format!("def f{n}():\n    return {n}\n")).collect();
    let names: Vec<String> = (0..12).map(|n| format!("f{n}.py")).collect();
    let files: Vec<(&str, &str)> =
        names.iter().zip(&texts).map(|(name, text)| (&**name, &**text)).collect();
    let thresholds = Thresholds { smallest: 4, largest: 100, tail: 1, ..Thresholds::default() };
    let scene = Scene::with(&files, thresholds);
    let graph = scene.dir.path().join("graph");
    let built = std::fs::metadata(&graph).unwrap().modified().unwrap();

    // The worker comes to it before the index has said what lives.
    scene.lane.close();
    let lane =
        scene.dense.join(scene.dir.path(), Some(scene.dir.path()), Arc::new(|_| {})).unwrap();
    assert!(scene.dense.settle(PATIENCE));
    assert_eq!(std::fs::metadata(&graph).unwrap().modified().unwrap(), built);
    lane.follow(&scene.snapshot, false);
    lane.settle();
    assert!(scene.dense.settle(PATIENCE));
    let (.., status) = lane.described().unwrap();
    assert_eq!((status.built, status.members, status.tail), (true, 12, 0));
    assert_eq!(std::fs::metadata(&graph).unwrap().modified().unwrap(), built);
}
