//! What the asker works on decides between what is equally good.

use greenlit_index::Query;

use crate::support::{PATIENCE, Workspace};

/// The best hit of a question that `a.py` and `b.py` answer equally well, for who works on `asker.py`.
fn best(asker: &str) -> String {
    let text =
        |name: &str| format!("def {name}_one(rows):\n    return {name}_sum(rows.zanzibar)\n");
    let files = [("a.py", &*text("a")), ("b.py", &*text("b")), ("asker.py", asker)];
    let workspace = Workspace::new(&files);
    let index = workspace.open();
    let near = vec![workspace.root().join("asker.py")];
    let query = Query { text: "zanzibar".to_owned(), k: 4, near, ..Query::default() };
    let hits = index.search(&query, &workspace.view(), PATIENCE).unwrap().hits;
    assert_eq!(hits.len(), 2, "{hits:?}");
    hits[0].path.clone()
}

#[test]
fn what_the_askers_file_calls_imports_or_is_called_by_comes_first() {
    let kinds: [fn(&str) -> String; 3] = [
        |name| format!("def report(rows):\n    return {name}_one(rows)\n"),
        |name| format!("import {name}\n"),
        |name| format!("def {name}_sum(rows):\n    return rows\n"),
    ];
    for asker in kinds {
        // Without it the same one would come first both times.
        for name in ["a", "b"] {
            assert_eq!(best(&asker(name)), format!("{name}.py"), "{}", asker(name));
        }
    }
}

#[test]
fn a_file_that_is_gone_is_near_to_nothing() {
    let workspace = Workspace::new(&[("a.py", "def zanzibar():\n    return 1\n")]);
    let index = workspace.open();
    let near = vec![workspace.root().join("gone.py")];
    let query = Query { text: "zanzibar".to_owned(), k: 4, near, ..Query::default() };
    assert_eq!(index.search(&query, &workspace.view(), PATIENCE).unwrap().hits.len(), 1);
}
