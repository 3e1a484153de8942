//! Edits, unsaved buffers, deletions.

use std::time::Duration;

use greenlit_index::{Filter, Query};
use greenlit_workspace::{Change, Changed};

use crate::support::{PATIENCE, Workspace, found, search};

const PARSER: &str = "def parse_header(line):\n    return line.split(':')\n";
const WRITER: &str = "def write_footer(out):\n    out.write('zanzibar')\n";

#[test]
fn a_function_is_found_by_its_words_and_by_its_name() {
    let workspace = Workspace::new(&[("a/parser.py", PARSER), ("writer.py", WRITER)]);
    let index = workspace.open();
    let hits = search(&index, &workspace.view(), "parse_header").hits;
    assert_eq!(hits[0].path, "a/parser.py");
    assert_eq!((hits[0].lines.clone(), &*hits[0].symbol), (0..2, "parse_header"));
    assert_eq!(hits[0].text.trim_end(), PARSER.trim_end());
    assert_eq!(found(&index, &workspace.view(), "zanzibar"), ["writer.py"]);
    assert!(found(&index, &workspace.view(), "quagmire").is_empty());

    let paths = Filter::new(&["a/".to_owned()], &[], &[], false).unwrap();
    let query = Query { text: "zanzibar".into(), k: 5, filter: paths, ..Query::default() };
    assert!(index.search(&query, &workspace.view(), PATIENCE).unwrap().hits.is_empty());
}

#[test]
fn who_asks_for_a_symbol_gets_its_lines() {
    let text = "class Shop:\n    def open_door(self):\n        pass\n\n    def shut_door(self):\n        pass\n";
    let workspace = Workspace::new(&[("shop.py", text), ("notes.md", "open_door is a method\n")]);
    let index = workspace.open();
    let filter = Filter::new(&[], &[], &[], true).unwrap();
    let query = Query { text: "shut_door".into(), k: 9, filter, ..Query::default() };
    let hits = index.search(&query, &workspace.view(), PATIENCE).unwrap().hits;
    let seen: Vec<_> = hits.iter().map(|hit| (&*hit.symbol, hit.lines.clone())).collect();
    assert_eq!(seen, [("Shop.shut_door", 4..6)]);
    assert_eq!(hits[0].kind, "method");
}

#[test]
fn a_changed_file_is_found_by_its_new_text_only() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let index = workspace.open();
    workspace.write("parser.py", PARSER.replace("split", "partition"));
    workspace.write("new.py", "def fresh_words():\n    return 'marmalade'\n");
    index.changed(&workspace.change(&["parser.py", "new.py"], false));
    assert!(found(&index, &workspace.view(), "line.split").is_empty());
    assert_eq!(found(&index, &workspace.view(), "line.partition"), ["parser.py"]);
    assert_eq!(found(&index, &workspace.view(), "marmalade"), ["new.py"]);
    // Only what changed was cut again.
    assert_eq!(index.status().cut, 4);
}

#[test]
fn a_deleted_file_is_gone_before_its_event() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("deep/writer.py", WRITER)]);
    let index = workspace.open();
    std::fs::remove_file(workspace.root().join("parser.py")).unwrap();
    let answer = search(&index, &workspace.view(), "parse_header");
    assert!(answer.hits.is_empty(), "{answer:?}");
    // The search itself made the index look again: nothing is stale any more.
    assert!(!answer.degraded.unwrap_or_default().contains("changing"));
    assert_eq!(index.status().files, 1);

    // A directory goes with one event.
    std::fs::remove_dir_all(workspace.root().join("deep")).unwrap();
    index.changed(&workspace.change(&["deep"], false));
    assert!(index.settle(PATIENCE));
    assert_eq!(index.status().files, 0);
}

#[test]
fn a_file_changed_without_an_event_is_cut_anew_by_the_search() {
    let workspace = Workspace::new(&[("writer.py", WRITER)]);
    let index = workspace.open();
    workspace.write("writer.py", format!("# zanzibar moved\n\n{WRITER}"));
    let mut answer = search(&index, &workspace.view(), "zanzibar");
    if answer.hits.is_empty() {
        // A slow disk: it says so, and has begun to look.
        assert!(answer.degraded.unwrap().contains("changing files"));
        assert!(index.settle(PATIENCE));
        answer = search(&index, &workspace.view(), "zanzibar");
    }
    let hits = answer.hits;
    assert!(hits.iter().any(|hit| hit.text.contains("zanzibar moved")), "{hits:?}");
}

#[test]
fn an_unsaved_buffer_is_found_by_its_session_alone() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let index = workspace.open();
    let edited = workspace.edited("parser.py", &PARSER.replace("split", "rsplit"));
    assert_eq!(found(&index, &edited, "line.rsplit"), ["parser.py"]);
    assert!(found(&index, &edited, "line.split").is_empty());
    assert!(found(&index, &workspace.view(), "line.rsplit").is_empty());
    assert_eq!(found(&index, &workspace.view(), "line.split"), ["parser.py"]);
    // A file that is only in the editor.
    let new = workspace.edited("new.py", "def only_in_the_editor():\n    pass\n");
    assert_eq!(found(&index, &new, "only_in_the_editor"), ["new.py"]);

    // Saved: the buffer's chunks are those of the file.
    let cut = index.status().cut;
    workspace.write("parser.py", PARSER.replace("split", "rsplit"));
    index.changed(&workspace.change(&["parser.py"], false));
    assert_eq!(found(&index, &workspace.view(), "line.rsplit"), ["parser.py"]);
    assert_eq!(index.status().cut, cut);
}

#[test]
fn an_unsaved_buffer_of_an_ignored_file_is_not_found() {
    let workspace = Workspace::new(&[(".gitignore", "*.log.py\n"), ("a.py", PARSER)]);
    let index = workspace.open();
    let edited = workspace.edited("secret.log.py", "def hidden_thing():\n    pass\n");
    assert!(found(&index, &edited, "hidden_thing").is_empty());
}

#[test]
fn a_directory_that_is_left_out_as_such_is_not_looked_into() {
    let workspace = Workspace::new(&[(".gitignore", "build/\n"), ("a.py", PARSER)]);
    let index = workspace.open();
    workspace.write("env/pyvenv.cfg", "home = /usr/bin\n");
    workspace.write("env/lib/x.py", WRITER);
    workspace.write("build/y.py", WRITER);
    index.paths_changed(["env", "build"].map(|dir| workspace.root().join(dir)));
    assert!(index.settle(PATIENCE));
    assert!(found(&index, &workspace.view(), "zanzibar").is_empty());
    assert_eq!(index.status().files, 1, "{:?}", index.status());

    // One that only becomes an environment when some of it was read.
    workspace.write("late/lib/x.py", WRITER);
    index.paths_changed([workspace.root().join("late")]);
    assert_eq!(found(&index, &workspace.view(), "zanzibar"), ["late/lib/x.py"]);
    workspace.write("late/pyvenv.cfg", "home = /usr/bin\n");
    index.paths_changed([workspace.root().join("late")]);
    assert!(index.settle(PATIENCE));
    assert_eq!(index.status().files, 1, "{:?}", index.status());
}

#[test]
fn ignore_rules_that_change_take_files_out_and_in() {
    let workspace = Workspace::new(&[("a.py", PARSER), ("b.py", WRITER)]);
    let index = workspace.open();
    let everything = Change { root: workspace.root(), paths: Changed::Everything, git_head: false };
    workspace.write(".gitignore", "b.py\n");
    index.changed(&everything);
    assert!(found(&index, &workspace.view(), "zanzibar").is_empty());
    workspace.write(".gitignore", "a.py\n");
    index.changed(&everything);
    assert_eq!(found(&index, &workspace.view(), "zanzibar"), ["b.py"]);
    assert!(found(&index, &workspace.view(), "parse_header").is_empty());
}

#[test]
fn lost_events_are_made_up_for_by_a_rescan() {
    let workspace = Workspace::new(&[("a.py", PARSER)]);
    let index = workspace.open();
    for number in 0..300 {
        workspace.write(&format!("many/{number}.py"), format!("def number_{number}(): pass\n"));
    }
    std::fs::remove_file(workspace.root().join("a.py")).unwrap();
    let everything = Change { root: workspace.root(), paths: Changed::Everything, git_head: false };
    index.changed(&everything);
    assert!(index.settle(PATIENCE));
    assert_eq!(index.status().files, 300);
    assert_eq!(found(&index, &workspace.view(), "number_299"), ["many/299.py"]);
}

#[test]
fn a_paused_index_says_so_and_catches_up() {
    let workspace = Workspace::new(&[("a.py", PARSER)]);
    let index = workspace.open();
    index.pause(true);
    workspace.write("b.py", WRITER);
    index.changed(&workspace.change(&["b.py"], false));
    let query = Query { text: "zanzibar".into(), k: 5, ..Query::default() };
    let answer = index.search(&query, &workspace.view(), Duration::from_secs(1)).unwrap();
    assert!(answer.hits.is_empty());
    assert!(answer.degraded.unwrap().contains("paused"));
    assert!(index.status().paused && index.status().staleness > Duration::ZERO);
    drop(index);

    // The pause outlives the process.
    let index =
        greenlit_index::Index::open(&workspace.root(), Some(&workspace.store()), None, |_| {});
    let index = index.unwrap();
    let answer = index.search(&query, &workspace.view(), PATIENCE).unwrap();
    assert!(answer.hits.is_empty() && answer.degraded.unwrap().contains("paused"));
    index.pause(false);
    assert_eq!(found(&index, &workspace.view(), "zanzibar"), ["b.py"]);
    assert!(!index.status().paused);
    assert_eq!(index.status().staleness, Duration::ZERO);
}

#[test]
fn a_context_keeps_within_its_budget() {
    let long = format!("def zanzibar_long():\n{}", "    print('zanzibar')\n".repeat(9));
    let workspace = Workspace::new(&[("long.py", &long), ("short.py", WRITER)]);
    let index = workspace.open();
    let words = |text: &str| text.split_whitespace().count();
    let query = Query { text: "zanzibar".into(), ..Query::default() };
    let context = |budget| {
        let found = index.context(
            std::slice::from_ref(&query),
            &workspace.view(),
            budget,
            &words,
            PATIENCE,
        );
        found.unwrap().0
    };
    let all = context(1000);
    assert_eq!(all.len(), 2);
    let short = words(WRITER);
    let some = context(short);
    assert_eq!(some.len(), 1, "{some:?}");
    assert_eq!((&*some[0].hit.path, some[0].tokens), ("short.py", short));
    assert!(context(1).is_empty());
}

#[test]
fn what_two_questions_find_in_part_is_paid_for_once() {
    let class = "class Store:\n    def zanzibar(self):\n        return self.rows\n\n\
                 \n    def footer(self):\n        return 'zanzibar'\n";
    let workspace = Workspace::new(&[("store.py", class)]);
    let index = workspace.open();
    let asked = |text: &str, named| Query {
        text: text.to_owned(),
        filter: Filter::new(&[], &[], &[], named).unwrap(),
        ..Query::default()
    };
    let questions = [asked("zanzibar", true), asked("footer", false)];
    let words = |text: &str| text.split_whitespace().count();
    let within = |questions: &[Query], budget| {
        index.context(questions, &workspace.view(), budget, &words, PATIENCE).unwrap().0
    };
    let context = |questions: &[Query]| within(questions, 1000);
    let method = context(&questions[..1]);
    assert_eq!(method[0].hit.lines, 1..3, "{method:?}");
    let both = context(&questions);
    assert_eq!(both.len(), 1, "{both:?}");
    assert_eq!((both[0].hit.lines.clone(), &*both[0].hit.text), (0..7, class));
    assert_eq!(both[0].tokens, words(class));
    // Where there is no room for both, the better one stays as it is.
    let [a, b] = [&questions[..1], &questions[1..]].map(|one| context(one)[0].hit.clone());
    let better = if a.score > b.score { a } else { b };
    let one = within(&questions, words(&better.text));
    assert_eq!((one.len(), &one[0].hit.lines), (1, &better.lines), "{one:?}");
}
