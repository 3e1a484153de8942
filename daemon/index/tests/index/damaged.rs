//! A stored index that is damaged anywhere.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use greenlit_index::Index;
use proptest::prelude::*;

use crate::kept::{list, workspace};
use crate::support::{PATIENCE, Workspace, found};

/// What happens to a file.
#[derive(Debug, Clone)]
enum Damage {
    /// These bytes are others, from a part of the file on.
    Changed(f64, Vec<u8>),
    /// It ends here.
    Cut(f64),
    /// So many bytes more.
    Longer(usize),
    /// It is gone.
    Gone,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => (0.0..1.0, prop::collection::vec(any::<u8>(), 1..64))
            .prop_map(|(at, bytes)| Damage::Changed(at, bytes)),
        2 => (0.0..1.0).prop_map(Damage::Cut),
        1 => (1_usize..9000).prop_map(Damage::Longer),
        1 => Just(Damage::Gone),
    ]
}

/// A workspace with the files of its stored index.
type Whole = (Workspace, Vec<(PathBuf, Vec<u8>)>);

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_damaged_the_answer_is_right(damages in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..3)) {
        static WHOLE: LazyLock<Whole> = LazyLock::new(|| {
            let workspace = workspace();
            drop(workspace.open());
            let mut files = Vec::new();
            list(&workspace.store(), &mut files);
            files.sort();
            let of_store = |file: PathBuf| {
                let bytes = fs::read(&file).unwrap();
                (file.strip_prefix(workspace.store()).unwrap().to_owned(), bytes)
            };
            let files = files.into_iter().map(of_store).collect();
            (workspace, files)
        });
        let (workspace, files) = &*WHOLE;
        let store = tempfile::tempdir().unwrap();
        let store = store.path().join("store");
        for (file, bytes) in files {
            fs::create_dir_all(store.join(file).parent().unwrap()).unwrap();
            fs::write(store.join(file), bytes).unwrap();
        }
        for (which, damage) in damages {
            let (file, bytes) = &files[which.index(files.len())];
            let file = store.join(file);
            let at = |part: f64| (bytes.len() as f64 * part) as usize;
            let mut bytes = bytes.clone();
            match damage {
                Damage::Changed(part, other) => {
                    let start = at(part);
                    bytes[start..].iter_mut().zip(other).for_each(|(byte, other)| *byte = other);
                }
                Damage::Cut(part) => bytes.truncate(at(part)),
                Damage::Longer(more) => bytes.extend(std::iter::repeat_n(7, more)),
                Damage::Gone => {
                    // It may be gone already.
                    let _ = fs::remove_file(&file);
                    continue;
                }
            }
            fs::write(&file, bytes).unwrap();
        }
        let index = Index::open(&workspace.root(), Some(&store), None, |_| {}).unwrap();
        index.settle(PATIENCE);
        let right = found(&index, &workspace.view(), "value_7") == ["7.py"];
        // Never silently wrong.
        prop_assert!(right || index.status().failed.is_some(), "{:?}", index.status());
    }
}
