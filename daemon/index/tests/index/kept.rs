//! What is stored: restarts, damage, a second process.

use std::fs;
use std::path::Path;

use crate::support::{PATIENCE, Workspace, found, open};

pub(crate) fn workspace() -> Workspace {
    let workspace = Workspace::new(&[]);
    for number in 0..20 {
        let text = format!("def number_{number}():\n    return 'value_{number}'\n");
        workspace.write(&format!("{number}.py"), text);
    }
    workspace
}

#[test]
fn a_restart_cuts_only_what_changed_meanwhile() {
    let workspace = workspace();
    drop(workspace.open());
    fs::remove_file(workspace.root().join("3.py")).unwrap();
    workspace.write("4.py", "def four():\n    return 'quattro'\n");
    let index = workspace.open();
    assert_eq!(index.status().cut, 1);
    assert_eq!(index.status().files, 19);
    assert_eq!(found(&index, &workspace.view(), "value_7"), ["7.py"]);
    assert_eq!(found(&index, &workspace.view(), "quattro"), ["4.py"]);
    assert!(found(&index, &workspace.view(), "value_3").is_empty());
    assert!(index.status().bytes_disk > 0);
}

#[test]
fn a_rebuild_starts_over() {
    let workspace = workspace();
    let index = workspace.open();
    assert_eq!(index.status().cut, 20);
    index.rebuild();
    assert!(index.settle(PATIENCE));
    assert_eq!((index.status().cut, index.status().files), (20, 20));
    assert_eq!(found(&index, &workspace.view(), "value_7"), ["7.py"]);
}

#[test]
fn a_second_process_keeps_its_index_in_memory_and_says_so() {
    let workspace = workspace();
    let first = workspace.open();
    let second = workspace.open();
    assert!(first.status().notices.is_empty());
    assert!(second.status().notices[0].contains("another process"), "{:?}", second.status());
    assert_eq!(found(&second, &workspace.view(), "value_7"), ["7.py"]);
    assert_eq!(found(&first, &workspace.view(), "value_7"), ["7.py"]);
    drop((first, second));
    assert_eq!(workspace.open().status().cut, 0);
}

#[test]
fn a_rebuild_keeps_the_pause_and_leaves_the_files_of_another_process_alone() {
    let workspace = workspace();
    let first = workspace.open();
    let second = workspace.open();
    second.rebuild();
    assert!(second.settle(PATIENCE));
    assert_eq!(found(&second, &workspace.view(), "value_7"), ["7.py"]);
    assert!(second.status().notices[0].contains("another process"), "{:?}", second.status());
    drop((first, second));
    let index = workspace.open();
    assert_eq!((index.status().cut, index.status().files), (0, 20));

    index.pause(true);
    index.rebuild();
    // Nobody can wait for an index that is paused.
    while index.status().files > 0 {
        std::thread::yield_now();
    }
    drop(index);
    let index =
        greenlit_index::Index::open(&workspace.root(), Some(&workspace.store()), None, |_| {});
    let index = index.unwrap();
    let answer = crate::support::search(&index, &workspace.view(), "value_7");
    assert!(answer.hits.is_empty() && answer.degraded.unwrap().contains("paused"));
    index.pause(false);
    assert_eq!(found(&index, &workspace.view(), "value_7"), ["7.py"]);
}

#[test]
fn words_of_another_index_are_not_believed() {
    let (workspace, other) = (workspace(), Workspace::new(&[]));
    for number in 0..20 {
        // As many chunks, in other places.
        let text = format!("def other_{number}():\n    return 'value_{}'\n", 19 - number);
        other.write(&format!("{number}.py"), text);
    }
    drop((workspace.open(), other.open()));
    fs::remove_dir_all(workspace.store().join("words")).unwrap();
    fs::rename(other.store().join("words"), workspace.store().join("words")).unwrap();
    let index = workspace.open();
    assert_eq!(found(&index, &workspace.view(), "value_7"), ["7.py"]);
    assert_eq!(index.status().cut, 20);
    assert!(index.status().notices[0].contains("not those of this index"), "{:?}", index.status());
}

#[test]
fn a_damaged_store_is_made_anew_or_serves_right() {
    let workspace = workspace();
    drop(workspace.open());
    let mut files = Vec::new();
    list(&workspace.store(), &mut files);
    assert!(files.len() > 1);
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    for (file, bytes) in files.iter().zip(&whole) {
        let flipped = |at: usize| {
            let mut bytes = bytes.clone();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x55;
            }
            bytes
        };
        for damaged in [Vec::new(), bytes[..bytes.len() / 2].to_vec(), flipped(bytes.len() / 3)] {
            fs::remove_dir_all(workspace.store()).unwrap();
            for (file, bytes) in files.iter().zip(&whole) {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, bytes).unwrap();
            }
            fs::write(file, damaged).unwrap();
            let index = open(&workspace.root(), Some(&workspace.store()));
            let found = found(&index, &workspace.view(), "value_7");
            assert_eq!(found, ["7.py"], "{}: {:?}", file.display(), index.status());
        }
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_a_failure_that_searches_tell() {
    let workspace = workspace();
    fs::write(workspace.store(), "a file").unwrap();
    let index =
        greenlit_index::Index::open(&workspace.root(), Some(&workspace.store()), None, |_| {});
    let index = index.unwrap();
    assert!(!index.settle(PATIENCE));
    assert!(index.status().failed.is_some());
    let answer = crate::support::search(&index, &workspace.view(), "value_7");
    assert!(answer.degraded.unwrap().contains("nothing is indexed"));
    // The cause is gone: a rebuild mends it.
    fs::remove_file(workspace.store()).unwrap();
    index.rebuild();
    assert!(index.settle(PATIENCE));
    assert_eq!(found(&index, &workspace.view(), "value_7"), ["7.py"]);
}

pub(crate) fn list(dir: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

#[test]
fn what_a_kill_forgets_is_read_again() {
    let workspace = workspace();
    drop(workspace.open());
    let index = workspace.open();
    let killed_at = |name: &str| {
        let store = workspace.store().with_file_name(name);
        fs::create_dir_all(store.join("words")).unwrap();
        for part in ["", "words"] {
            for entry in fs::read_dir(workspace.store().join(part)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    fs::copy(&path, store.join(part).join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        store
    };
    workspace.write("3.py", "def three():\n    return 'drei'\n");
    fs::remove_file(workspace.root().join("4.py")).unwrap();
    index.changed(&workspace.change(&["3.py", "4.py"], false));
    assert_eq!(found(&index, &workspace.view(), "drei"), ["3.py"]);
    let held = killed_at("held");
    drop(index);
    let stored = killed_at("stored");
    for (store, cut) in [(held, 1), (stored, 0)] {
        let index = open(&workspace.root(), Some(&store));
        assert_eq!(index.status().cut, cut, "{}", store.display());
        assert_eq!(index.status().notices, [""; 0]);
        assert_eq!(index.status().files, 19);
        assert_eq!(found(&index, &workspace.view(), "drei"), ["3.py"]);
        assert!(found(&index, &workspace.view(), "value_3").is_empty());
        assert!(found(&index, &workspace.view(), "value_4").is_empty());
    }
}

#[test]
fn more_is_changed_than_is_held() {
    let workspace = workspace();
    let index = workspace.open();
    for round in 0..3 {
        for number in 0..20 {
            let functions = (0..15).map(|n| {
                let lines = format!("    print('padding')\n    print({n})\n").repeat(40);
                format!("def part_{n}():\n    return 'round_{round}_{number}'\n{lines}\n\n")
            });
            let path = format!("{number}.py");
            workspace.write(&path, functions.collect::<String>());
            index.changed(&workspace.change(&[&path], false));
            assert!(index.settle(PATIENCE), "{:?}", index.status());
        }
        let wanted = format!("round_{round}_7");
        assert_eq!(found(&index, &workspace.view(), &wanted), ["7.py"]);
        if round > 0 {
            let before = format!("round_{}_7", round - 1);
            assert!(found(&index, &workspace.view(), &before).is_empty());
        }
    }
    assert!(index.status().chunks > 200, "{:?}", index.status());
    drop(index);
    let index = workspace.open();
    assert_eq!((index.status().cut, index.status().notices.len()), (0, 0));
    assert_eq!(found(&index, &workspace.view(), "round_2_7"), ["7.py"]);
}
