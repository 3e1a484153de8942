//! Search by meaning, with vectors made of words: `parseHttpUrl` is near `parse_http_url`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use greenlit_embed::test_util::HashEmbedder;
use greenlit_embed::{EmbedError, Embedder, Identity};
use greenlit_graph::Thresholds;
use greenlit_index::{Dense, DenseOptions, Filter, GraphStatus, Index, Meaning, Query, Weights};
use greenlit_store::{Options, Owner, SpaceId, Store};
use greenlit_workspace::View;

use crate::support::{PATIENCE, Workspace, found, search};

const PARSER: &str = "def parse_http_url(line):\n    return line.split(':')\n";
const WRITER: &str = "def write_footer(out):\n    out.write('zanzibar')\n";

/// What goes wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    NotFinite,
    Panic,
    Error,
    Length,
    Few,
}

struct Counted {
    hash: HashEmbedder,
    texts: AtomicUsize,
    fault: Fault,
    questions_fail: AtomicBool,
    /// Each call waits for one of these, where there are any.
    gate: Option<Mutex<mpsc::Receiver<()>>>,
    seen: Mutex<Vec<String>>,
}

impl Counted {
    fn new(fault: Fault) -> Arc<Self> {
        Self::gated(fault, None)
    }

    fn gated(fault: Fault, gate: Option<mpsc::Receiver<()>>) -> Arc<Self> {
        Arc::new(Self {
            hash: HashEmbedder::new(64),
            texts: AtomicUsize::new(0),
            fault,
            questions_fail: AtomicBool::new(false),
            gate: gate.map(Mutex::new),
            seen: Mutex::default(),
        })
    }

    fn texts(&self) -> usize {
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

fn options(workspace: &Workspace) -> DenseOptions {
    let directory: PathBuf = workspace.store().with_file_name("vectors");
    DenseOptions { directory, quota_bytes: 1 << 30, thresholds: Thresholds::default() }
}

fn with(options: DenseOptions, embedder: &Arc<Counted>) -> Dense {
    let embedder: Arc<dyn Embedder> = embedder.clone();
    Dense::new(options, Box::new(move || Ok(Some(embedder))))
}

fn open(root: &Path, store: &Path, dense: &Dense) -> Index {
    let index = Index::open(root, Some(store), Some(dense), |_| {}).unwrap();
    assert!(index.settle(PATIENCE), "{:?}", index.status());
    assert!(dense.settle(PATIENCE));
    index
}

/// The best hit by meaning alone.
fn nearest(index: &Index, view: &View, text: &str, filter: Filter) -> Option<String> {
    let weights = Weights { lexical: 0.0, dense: 1.0, symbol: 0.0 };
    let query = Query { text: text.to_owned(), k: 5, filter, weights, ..Query::default() };
    let mut hits = index.search(&query, view, PATIENCE).unwrap().hits;
    // What only words found counts nothing.
    hits.retain(|hit| hit.score > 0.0);
    hits.into_iter().next().map(|hit| hit.path)
}

#[test]
fn a_chunk_is_found_by_meaning_and_nothing_is_pending() {
    let workspace = Workspace::new(&[("a/parser.py", PARSER), ("writer.py", WRITER)]);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    assert_eq!(dense.meaning(), Meaning::Loading);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    assert!(matches!(dense.meaning(), Meaning::Ready(_)));
    let view = workspace.view();
    let answer = search(&index, &view, "parse url");
    assert_eq!((answer.dense_pending, answer.degraded), (0, None));
    let open = Filter::default();
    assert_eq!(
        nearest(&index, &view, "parseHttpUrl", open.clone()).as_deref(),
        Some("a/parser.py")
    );
    assert_eq!(nearest(&index, &view, "zanzibar footer", open).as_deref(), Some("writer.py"));
    let below = Filter::new(&["a/".to_owned()], &[], &[], false);
    assert_eq!(nearest(&index, &view, "zanzibar footer", below).as_deref(), Some("a/parser.py"));
    let none = Filter::new(&[], &["rust".to_owned()], &[], false);
    assert_eq!(nearest(&index, &view, "zanzibar footer", none), None);
    let status = index.status();
    assert_eq!((status.dense_pending, status.model.as_deref()), (0, Some("hash")));
}

#[test]
fn a_restart_embeds_nothing_again() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    drop((open(&workspace.root(), &workspace.store(), &dense), dense));
    assert_eq!(embedder.texts(), 2);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    assert_eq!((embedder.texts(), index.status().dense_pending), (0, 0));
    let near = nearest(&index, &workspace.view(), "parseHttpUrl", Filter::default());
    assert_eq!(near.as_deref(), Some("parser.py"));
    // Nor does an index that is made anew, or the same text in another workspace.
    index.rebuild();
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
    let other = Workspace::new(&[("moved/parser.py", PARSER)]);
    let second = open(&other.root(), &other.store(), &dense);
    assert_eq!((embedder.texts(), index.status().dense_pending), (0, 0));
    assert_eq!(second.status().dense_pending, 0);
}

#[test]
fn git_switching_branches_embeds_only_what_is_new() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    for arguments in [&["init", "-q"][..], &["add", "."], &["commit", "-qm", "one"]] {
        workspace.git(arguments);
    }
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let view = workspace.view();
    workspace.git(&["checkout", "-qb", "other"]);
    workspace.write("writer.py", "def paint_wall(brush):\n    return brush.colour\n");
    workspace.git(&["commit", "-qam", "two"]);
    index.changed(&workspace.change(&[], true));
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
    assert_eq!((embedder.texts(), index.status().dense_pending), (3, 0));
    let wall = |index| nearest(index, &view, "paintWall", Filter::default());
    assert_eq!(wall(&index).as_deref(), Some("writer.py"));
    workspace.git(&["checkout", "-q", "main"]);
    index.changed(&workspace.change(&[], true));
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
    assert_eq!((embedder.texts(), index.status().dense_pending), (3, 0));
    let hits = search(&index, &view, "paintWall brush colour").hits;
    assert!(hits.iter().all(|hit| !hit.text.contains("paint_wall")), "{hits:?}");
}

#[test]
fn an_unsaved_buffer_is_found_by_meaning_in_its_session_alone() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let edited = workspace.edited("writer.py", "def paint_wall(brush):\n    return brush.colour\n");
    search(&index, &edited, "wall");
    assert!(dense.settle(PATIENCE));
    assert_eq!(search(&index, &edited, "wall").dense_pending, 0);
    let near = nearest(&index, &edited, "paintWall", Filter::default());
    assert_eq!(near.as_deref(), Some("writer.py"));
    let hits = search(&index, &workspace.view(), "paintWall").hits;
    assert!(hits.iter().all(|hit| !hit.text.contains("paint_wall")), "{hits:?}");
    // Saved, it costs nothing more.
    workspace.write("writer.py", "def paint_wall(brush):\n    return brush.colour\n");
    index.changed(&workspace.change(&["writer.py"], false));
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
    assert_eq!((embedder.texts(), index.status().dense_pending), (3, 0));
}

#[test]
fn a_broken_model_leaves_the_words_and_says_so() {
    for fault in [Fault::NotFinite, Fault::Panic, Fault::Error, Fault::Length, Fault::Few] {
        let files =
            ["a", "b", "c", "d"].map(|name| (format!("{name}.py"), PARSER.replace("url", name)));
        let workspace = Workspace::new(&[("writer.py", WRITER)]);
        files.iter().for_each(|(path, text)| workspace.write(path, text));
        let embedder = Counted::new(fault);
        let dense = with(options(&workspace), &embedder);
        let index = open(&workspace.root(), &workspace.store(), &dense);
        assert!(matches!(dense.meaning(), Meaning::Degraded { .. }), "{:?}", dense.meaning());
        let answer = search(&index, &workspace.view(), "zanzibar");
        assert_eq!(answer.hits[0].path, "writer.py");
        assert_eq!(answer.dense_pending, 5);
        let degraded = answer.degraded.unwrap();
        assert!(degraded.contains("not by meaning: "), "{degraded}");
    }
}

#[test]
fn a_model_that_cannot_be_loaded_or_is_not_configured_is_told() {
    let workspace = Workspace::new(&[("writer.py", WRITER)]);
    for (load, said) in [
        (Box::new(|| Ok(None)) as greenlit_index::Load, "no embedding model"),
        (Box::new(|| Err(EmbedError::Panicked("no".to_owned()).into())), "does not work"),
        (Box::new(|| panic!("gone")), "by a defect"),
    ] {
        let dense = Dense::new(options(&workspace), load);
        let index = open(&workspace.root(), &workspace.store(), &dense);
        let answer = search(&index, &workspace.view(), "zanzibar");
        assert_eq!(answer.hits[0].path, "writer.py");
        assert!(answer.degraded.clone().unwrap().contains(said), "{answer:?}");
    }
}

#[test]
fn a_question_that_cannot_be_embedded_is_answered_by_words() {
    let workspace = Workspace::new(&[("writer.py", WRITER)]);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    embedder.questions_fail.store(true, Ordering::Relaxed);
    let answer = search(&index, &workspace.view(), "zanzibar");
    assert_eq!(answer.hits[0].path, "writer.py");
    assert!(answer.degraded.unwrap().contains("length zero"));
}

#[test]
fn a_full_store_keeps_the_words_and_says_so() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let options = DenseOptions { quota_bytes: 100, ..options(&workspace) };
    let dense = with(options, &Counted::new(Fault::None));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let answer = search(&index, &workspace.view(), "zanzibar");
    assert_eq!((&*answer.hits[0].path, answer.dense_pending), ("writer.py", 2));
    let degraded = answer.degraded.unwrap();
    assert!(degraded.contains("of 100 are used"), "{degraded}");
}

#[test]
fn what_was_changed_last_is_embedded_first() {
    let files: Vec<(String, String)> = (0..60)
        .map(|n| (format!("f{n}.py"), PARSER.replace("url", &format!("number{n}"))))
        .collect();
    let workspace = Workspace::new(&[]);
    files.iter().for_each(|(path, text)| workspace.write(path, text));
    let (gate, closed) = mpsc::channel();
    let embedder = Counted::gated(Fault::None, Some(closed));
    let dense = with(options(&workspace), &embedder);
    let index =
        Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), |_| {}).unwrap();
    assert!(index.settle(PATIENCE));
    let answer = search(&index, &workspace.view(), "number7");
    assert!(answer.dense_pending > 0 && answer.degraded.unwrap().contains("not"), "waits");
    workspace.write("new.py", WRITER);
    index.changed(&workspace.change(&["new.py"], false));
    assert!(index.settle(PATIENCE));
    drop(gate);
    assert!(dense.settle(PATIENCE));
    let seen = embedder.seen.lock().unwrap();
    let place = seen.iter().position(|text| text.contains("zanzibar")).unwrap();
    // The batch that was under way comes before it.
    assert!(place <= 32, "{place} of {}", seen.len());
    assert_eq!(seen.len(), 61);
}

#[test]
fn what_is_preferred_is_embedded_before_what_waits() {
    let name = |n: usize| (format!("f{n}.py"), PARSER.replace("url", &format!("number{n}")));
    let workspace = Workspace::new(&[]);
    let write = |files: std::ops::Range<usize>| -> Vec<String> {
        let written = files.map(name).map(|(path, text)| {
            workspace.write(&path, text);
            path
        });
        written.collect()
    };
    write(0..60);
    let (gate, closed) = mpsc::channel();
    let embedder = Counted::gated(Fault::None, Some(closed));
    let dense = with(options(&workspace), &embedder);
    let index =
        Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), |_| {}).unwrap();
    assert!(index.settle(PATIENCE));
    // Each change comes before what waited: the first one is the last of these.
    let follow = |paths: &[String]| {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        index.changed(&workspace.change(&paths, false));
        assert!(index.settle(PATIENCE));
    };
    workspace.write("wanted.py", WRITER);
    follow(&["wanted.py".to_owned()]);
    follow(&write(60..160));
    index.prefer(&["gone.py", "wanted.py"].map(|path| workspace.root().join(path)));
    drop(gate);
    assert!(dense.settle(PATIENCE));
    let seen = embedder.seen.lock().unwrap();
    let place = seen.iter().position(|text| text.contains("zanzibar")).unwrap();
    // Behind the batch that was under way, and within its own.
    assert!(place < 64, "{place} of {}", seen.len());
    assert_eq!(seen.len(), 161);
}

#[test]
fn a_damaged_graph_is_told_and_built_anew() {
    let workspace = Workspace::new(&[]);
    for n in 0..12 {
        workspace.write(&format!("f{n}.py"), PARSER.replace("url", &format!("number{n}")));
    }
    let thresholds = Thresholds { smallest: 4, largest: 100, tail: 1, ..Thresholds::default() };
    let options = DenseOptions { thresholds, ..options(&workspace) };
    let graph = workspace.store().join("graph");
    let graph_of_all = GraphStatus { built: true, members: 12, tail: 0 };
    let dense = with(options.clone(), &Counted::new(Fault::None));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let status = index.status();
    assert_eq!(status.graph, Some(graph_of_all));
    drop((index, dense));
    let whole = std::fs::read(&graph).unwrap();

    let dense = with(options.clone(), &Counted::new(Fault::None));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    assert_eq!(index.status().notices, Vec::<String>::new());
    drop((index, dense));

    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&graph, &damaged).unwrap();
    let dense = with(options, &Counted::new(Fault::None));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let notices = index.status().notices;
    assert!(notices.iter().any(|notice| notice.contains("graph")), "{notices:?}");
    assert_eq!(found(&index, &workspace.view(), "number7"), ["f7.py"]);
    assert_eq!(index.status().graph, Some(graph_of_all));
    drop((index, dense));
    assert_ne!(std::fs::read(&graph).unwrap(), damaged);
}

fn many(marker: &str) -> Workspace {
    let workspace = Workspace::new(&[]);
    for n in 0..300 {
        workspace.write(&format!("f{n}.py"), PARSER.replace("url", &format!("{marker}{n}")));
    }
    workspace
}

#[test]
fn two_indexes_that_do_not_fit_together_do_not_drive_each_other_out_for_ever() {
    let (first, second) = (many("apple"), many("pear"));
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&first), &embedder);
    drop((open(&first.root(), &first.store(), &dense), dense));

    // Hardly more than the first one needs.
    let identity = embedder.identity();
    let id = SpaceId { model: identity.model, backend: identity.backend.clone(), dims: 64 };
    let fits = |quota_bytes: u64| {
        let store = Store::open(&options(&first).directory, Options { quota_bytes }).unwrap();
        let vector = embedder.embed_query("another").unwrap();
        let owner = Owner { repository: "another".to_owned(), branch: String::new() };
        let key = id.key(0, &[0; 32]);
        store.space(&id).unwrap().append(&owner, &[(key, &vector)]).is_ok()
    };
    let quota_bytes = (1..1000).map(|n| n << 16).find(|quota| fits(*quota)).unwrap();

    let options = DenseOptions { quota_bytes, ..options(&first) };
    let embedder = Counted::new(Fault::None);
    let dense = with(options, &embedder);
    let one = open(&first.root(), &first.store(), &dense);
    assert_eq!((embedder.texts(), one.status().dense_pending), (0, 0));
    let two = open(&second.root(), &second.store(), &dense);
    assert!(embedder.texts() <= 300, "{}", embedder.texts());
    assert_eq!(two.status().dense_pending, 0, "{:?}", two.status());
    let status = one.status();
    assert_eq!(status.dense_pending, 300);
    assert!(status.degraded.unwrap().contains("needed the room"));
    assert_eq!(found(&one, &first.view(), "apple7"), ["f7.py"]);
}
