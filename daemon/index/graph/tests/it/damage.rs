//! Graph files that are not what was written.

use std::fs;
use std::path::Path;

use greenlit_graph::{Graph, LoadError, Stamp};

use crate::support::{all, built, clustered};

const STAMP: Stamp = Stamp { space: [9; 32], generation: 4 };

fn load(path: &Path) -> Result<Graph, LoadError> {
    Graph::load(path, &STAMP, 600)
}

#[test]
fn a_graph_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("graph");
    let vectors = clustered(600, 1);
    let first = built(&vectors, &all(&vectors));
    let second = built(&vectors, &(100..500).collect());
    for graph in [&first, &second] {
        graph.save(&path, &STAMP).unwrap();
        assert_eq!(load(&path).unwrap(), **graph);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left aside");
}

#[test]
fn no_byte_can_be_changed_or_missing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("graph");
    let vectors = clustered(600, 1);
    built(&vectors, &all(&vectors)).save(&path, &STAMP).unwrap();
    let whole = fs::read(&path).unwrap();
    // All of the head, then steps through the rest; the first and the last byte of it as well.
    let places = (0..200).chain((200..whole.len()).step_by(997)).chain([whole.len() - 1]);
    for at in places {
        for bytes in [changed(&whole, at), whole[..at].to_vec()] {
            fs::write(&path, &bytes).unwrap();
            let error = load(&path).expect_err("a damaged file was read");
            assert!(matches!(error, LoadError::Damaged), "{error} at {at} of {}", bytes.len());
        }
    }
    fs::write(&path, [whole.as_slice(), b"\0"].concat()).unwrap();
    assert!(matches!(load(&path), Err(LoadError::Damaged)));
    fs::write(&path, whole.repeat(2)).unwrap();
    assert!(matches!(load(&path), Err(LoadError::Damaged)));
}

fn changed(whole: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bytes[at] ^= 0x10;
    bytes
}

#[test]
fn graphs_of_other_vectors_are_stale() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("graph");
    assert!(matches!(load(&path), Err(LoadError::Read(_))));
    let vectors = clustered(600, 1);
    built(&vectors, &all(&vectors)).save(&path, &STAMP).unwrap();
    let stale =
        |stamp: Stamp, slots| matches!(Graph::load(&path, &stamp, slots), Err(LoadError::Stale));
    assert!(stale(Stamp { space: [8; 32], ..STAMP }, 600));
    assert!(stale(Stamp { generation: 5, ..STAMP }, 600));
    assert!(stale(STAMP, 599));
    assert!(!stale(STAMP, 600));
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let vectors = clustered(60, 1);
    let graph = built(&vectors, &all(&vectors));
    assert!(graph.save(&dir.path().join("missing/graph"), &STAMP).is_err());
    // A directory in the place of the file cannot be replaced by one.
    fs::create_dir_all(dir.path().join("graph/full")).unwrap();
    assert!(graph.save(&dir.path().join("graph"), &STAMP).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was left aside");
}
