//! What becomes of vectors in the long run: texts that come and go, damage, and want of room.

use std::sync::mpsc;

use greenlit_embed::Embedder;
use greenlit_index::{DenseOptions, Filter, Index};
use greenlit_store::{Options, Owner, Space, SpaceId, Store};

use crate::counted::{Counted, Fault, PARSER, WRITER, many, nearest, open, options, with};
use crate::support::{PATIENCE, Workspace};

fn id(embedder: &Counted) -> SpaceId {
    let identity = embedder.identity();
    SpaceId { model: identity.model, backend: identity.backend.clone(), dims: 64 }
}

fn space(options: &DenseOptions, embedder: &Counted, quota_bytes: u64) -> Space {
    let store = Store::open(&options.directory, Options { quota_bytes }).unwrap();
    store.space(&id(embedder)).unwrap()
}

#[test]
fn a_file_that_is_another_one_at_its_turn_is_embedded_when_it_is_back() {
    let workspace = Workspace::new(&[("z.py", WRITER)]);
    // Newer: they come first, and are more than a batch.
    for n in 0..60 {
        workspace.write(&format!("f{n}.py"), PARSER.replace("url", &format!("number{n}")));
    }
    let (gate, closed) = mpsc::channel();
    let embedder = Counted::gated(Fault::None, Some(closed));
    let dense = with(options(&workspace), &embedder);
    let index =
        Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), |_| {}).unwrap();
    assert!(index.settle(PATIENCE));
    workspace.write("z.py", "def another():\n    pass\n");
    drop(gate);
    assert!(dense.settle(PATIENCE));
    let status = index.status();
    assert_eq!((embedder.texts(), status.dense_pending), (60, 1));
    assert!(
        status.degraded.unwrap().ends_with(": 1 files changed at that moment, and are read again")
    );
    workspace.write("z.py", WRITER);
    index.changed(&workspace.change(&["z.py"], false));
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
    assert_eq!((embedder.texts(), index.status().dense_pending), (61, 0));
}

#[test]
fn damage_is_found_when_a_second_index_is_opened_on_a_warm_daemon() {
    let (first, second) =
        (Workspace::new(&[("parser.py", PARSER)]), Workspace::new(&[("writer.py", WRITER)]));
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&first), &embedder);
    let one = open(&first.root(), &first.store(), &dense);
    let two = open(&second.root(), &second.store(), &dense);
    drop((one, two, dense));

    let text = embedder.seen.lock().unwrap()[1].clone();
    assert!(text.contains("zanzibar"));
    let vector = embedder.hash.embed(&[&text]).unwrap().remove(0);
    let vector: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    let data = options(&first).directory.join("data");
    let spaces = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    let segment = spaces.filter(|path| path.is_dir()).map(|dir| dir.join("00000000")).next();
    let segment = segment.unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(vector.len()).position(|bytes| bytes == vector).unwrap();
    bytes[at + 17] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    let embedder = Counted::new(Fault::None);
    let dense = with(options(&first), &embedder);
    let one = open(&first.root(), &first.store(), &dense);
    let two = open(&second.root(), &second.store(), &dense);
    assert_eq!(embedder.texts(), 1);
    assert_eq!(one.status().notices, Vec::<String>::new());
    let notices = two.status().notices;
    assert_eq!(notices, ["1 vectors were damaged and are computed again"]);
    let near = nearest(&two, &second.view(), "zanzibar", Filter::default());
    assert_eq!(near.as_deref(), Some("writer.py"));
}

#[test]
fn an_index_that_cannot_be_opened_keeps_its_vectors() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    drop((open(&workspace.root(), &workspace.store(), &dense), dense));

    std::fs::remove_dir_all(workspace.store()).unwrap();
    std::fs::write(workspace.store(), "no directory").unwrap();
    let dense = with(options(&workspace), &embedder);
    let index =
        Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), |_| {}).unwrap();
    index.settle(PATIENCE);
    assert!(index.status().failed.is_some());
    assert!(dense.settle(PATIENCE));
    drop((index, dense));
    let repository = workspace.root().display().to_string();
    let owner = Owner { repository, branch: String::new() };
    assert_eq!(space(&options(&workspace), &embedder, 1 << 30).references(&owner).len(), 2);
}

#[test]
fn an_open_index_stays_when_a_closed_one_can_go() {
    let [open_one, closed, new] = ["apple", "pear", "plum"].map(many);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&open_one), &embedder);
    let opened = open(&open_one.root(), &open_one.store(), &dense);
    drop(open(&closed.root(), &closed.store(), &dense));
    drop((opened, dense));

    // Hardly more than these two need.
    let fits = |quota_bytes: u64| {
        let space = space(&options(&open_one), &embedder, quota_bytes);
        space.room_for(1).is_ok()
    };
    let quota_bytes = (1..1000).map(|n| n << 16).find(|quota| fits(*quota)).unwrap();
    let dense = with(DenseOptions { quota_bytes, ..options(&open_one) }, &embedder);
    let one = open(&open_one.root(), &open_one.store(), &dense);
    // Used later, and not any more.
    drop(open(&closed.root(), &closed.store(), &dense));
    let two = open(&new.root(), &new.store(), &dense);
    let pending = [&one, &two].map(|index| index.status().dense_pending);
    assert_eq!(pending, [0, 0]);
}

#[test]
fn a_pause_holds_from_the_start_and_is_told() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let index = workspace.open();
    index.pause(true);
    drop(index);
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    let index =
        Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), |_| {}).unwrap();
    while !(index.status().paused && index.status().files == 2) {
        std::thread::yield_now();
    }
    assert!(dense.settle(PATIENCE));
    assert_eq!((embedder.texts(), index.status().dense_pending), (0, 2));
    let degraded = index.status().degraded.unwrap();
    assert!(degraded.contains("meaning yet: embedding is paused"), "{degraded}");
    index.pause(false);
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
    assert_eq!((embedder.texts(), index.status().dense_pending), (2, 0));
}
