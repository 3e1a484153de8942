//! Branches, worktrees, rebases, stashes.

use crate::support::{PATIENCE, Workspace, found, open};

fn repository() -> Workspace {
    let workspace = Workspace::new(&[("shared.py", "def shared_part():\n    return 'both'\n")]);
    for number in 0..30 {
        let text = format!("def stays_{number}():\n    return {number}\n");
        workspace.write(&format!("stays/{number}.py"), text);
    }
    workspace.git(&["init", "-q"]);
    workspace.write("part.py", "def on_main():\n    return 'maincoon'\n");
    workspace.git(&["add", "."]);
    workspace.git(&["commit", "-qm", "main"]);
    workspace.git(&["checkout", "-qb", "side"]);
    workspace.write("part.py", "def on_side():\n    return 'sidewinder'\n");
    workspace.write("extra.py", "def extra_on_side():\n    return 'extra'\n");
    workspace.git(&["add", "."]);
    workspace.git(&["commit", "-qm", "side"]);
    workspace
}

#[test]
fn git_switching_branches_finds_what_is_there_and_cuts_nothing_twice() {
    let workspace = repository();
    let index = workspace.open();
    let view = workspace.view();
    assert_eq!(found(&index, &view, "sidewinder"), ["part.py"]);
    workspace.git(&["checkout", "-q", "main"]);
    // `HEAD` alone is enough: other events may be lost.
    index.changed(&workspace.change(&[], true));
    assert_eq!(found(&index, &view, "maincoon"), ["part.py"]);
    assert!(found(&index, &view, "sidewinder").is_empty());
    assert!(found(&index, &view, "extra_on_side").is_empty());
    let cut = index.status().cut;
    assert_eq!(cut, 34, "33 files of one branch and one of the other");
    for branch in ["side", "main", "side"] {
        workspace.git(&["checkout", "-q", branch]);
        index.changed(&workspace.change(&[], true));
    }
    assert_eq!(found(&index, &view, "sidewinder"), ["part.py"]);
    assert_eq!(found(&index, &view, "extra_on_side"), ["extra.py"]);
    assert_eq!(index.status().cut, cut);
}

#[test]
fn git_detached_heads_rebases_and_stashes_are_followed() {
    let workspace = repository();
    let index = workspace.open();
    let view = workspace.view();
    workspace.git(&["checkout", "-q", "--detach", "main"]);
    index.changed(&workspace.change(&[], true));
    assert_eq!(found(&index, &view, "maincoon"), ["part.py"]);

    workspace.write("third.py", "def third_thing():\n    return 'third'\n");
    workspace.git(&["add", "."]);
    workspace.git(&["stash", "-q"]);
    index.rescan();
    assert!(found(&index, &view, "third_thing").is_empty());
    workspace.git(&["stash", "pop", "-q"]);
    index.rescan();
    assert_eq!(found(&index, &view, "third_thing"), ["third.py"]);

    workspace.git(&["checkout", "-q", "-b", "third"]);
    workspace.git(&["commit", "-qm", "third"]);
    workspace.git(&["rebase", "-q", "side"]);
    index.changed(&workspace.change(&[], true));
    assert_eq!(found(&index, &view, "sidewinder"), ["part.py"]);
    assert_eq!(found(&index, &view, "third_thing"), ["third.py"]);
}

#[test]
fn git_worktrees_have_indexes_of_their_own() {
    let workspace = repository();
    let tree = workspace.root().parent().unwrap().join("tree");
    workspace.git(&["worktree", "add", "-q", tree.to_str().unwrap(), "main"]);
    let here = workspace.open();
    let there = open(&tree, None);
    let of_tree = greenlit_workspace::View::of_disk(tree);
    assert_eq!(found(&here, &workspace.view(), "sidewinder"), ["part.py"]);
    assert_eq!(found(&there, &of_tree, "maincoon"), ["part.py"]);
    assert!(found(&there, &of_tree, "sidewinder").is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn git_names_that_git_takes_for_one_are_two_files() {
    let workspace = Workspace::new(&[
        ("name.py", "def lower_case():\n    pass\n"),
        ("Name.py", "def upper_case():\n    pass\n"),
    ]);
    workspace.git(&["init", "-q"]);
    workspace.git(&["add", "--all"]);
    workspace.git(&["commit", "-qm", "both"]);
    // As a clone from another system may have it.
    workspace.git(&["config", "core.ignorecase", "true"]);
    let index = workspace.open();
    let found = |words: &str| found(&index, &workspace.view(), words);
    assert_eq!(
        (found("lower_case"), found("upper_case")),
        (vec!["name.py".to_owned()], vec!["Name.py".to_owned()])
    );
    // A new name that differs in nothing else, of which only the old one is told.
    std::fs::remove_file(workspace.root().join("Name.py")).unwrap();
    std::fs::rename(workspace.root().join("name.py"), workspace.root().join("NAME.py")).unwrap();
    index.changed(&workspace.change(&["name.py", "Name.py"], false));
    assert!(index.settle(PATIENCE));
    assert!(found("upper_case").is_empty() && found("lower_case").is_empty());
    index.rescan();
    assert!(index.settle(PATIENCE));
    assert_eq!(found("lower_case"), ["NAME.py"]);
    assert_eq!(index.status().files, 1);
}

#[test]
fn git_submodules_and_sparse_checkouts_are_what_is_on_disk() {
    let inner = repository();
    let workspace = Workspace::new(&[("a.py", "def outer():\n    pass\n")]);
    workspace.git(&["init", "-q"]);
    workspace.git(&["submodule", "--quiet", "add", inner.root().to_str().unwrap(), "inner"]);
    workspace.git(&["add", "."]);
    workspace.git(&["commit", "-qm", "outer"]);
    let index = workspace.open();
    assert_eq!(found(&index, &workspace.view(), "sidewinder"), ["inner/part.py"]);

    let sparse = repository();
    sparse.git(&["sparse-checkout", "set", "--no-cone", "/*.py"]);
    let index = sparse.open();
    assert_eq!(index.status().files, 3);
    sparse.git(&["sparse-checkout", "disable"]);
    index.rescan();
    assert!(index.settle(PATIENCE));
    assert_eq!(index.status().files, 33);
}
