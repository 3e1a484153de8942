//! Search by meaning, with vectors made of words: `parseHttpUrl` is near `parse_http_url`.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use greenlit_embed::{EmbedError, Embedder, OnDemand, Reload};
use greenlit_graph::Thresholds;
use greenlit_index::{Dense, DenseOptions, Filter, GraphStatus, Index, Meaning, Query, Weights};

use crate::counted::{
    Counted, Fault, PARSER, WRITER, just_enough, many, nearest, open, options, with,
};
use crate::support::{PATIENCE, Workspace, found, search};

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
    let below = Filter::new(&["a/".to_owned()], &[], &[], false).unwrap();
    assert_eq!(nearest(&index, &view, "zanzibar footer", below).as_deref(), Some("a/parser.py"));
    let none = Filter::new(&[], &["rust".to_owned()], &[], false).unwrap();
    assert_eq!(nearest(&index, &view, "zanzibar footer", none), None);
    let status = index.status();
    assert_eq!((status.dense_pending, status.model.as_deref()), (0, Some("hash")));
}

#[test]
fn a_definition_is_found_by_what_it_does_and_not_by_what_is_like_its_name() {
    // Small enough to be one chunk.
    let both = format!("{PARSER}\n\n{WRITER}");
    let workspace = Workspace::new(&[("both.py", &both)]);
    let dense = with(options(&workspace), &Counted::new(Fault::None));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let symbols = |text: &str| {
        let filter = Filter::new(&[], &[], &[], true).unwrap();
        let weights = Weights { lexical: 0.0, dense: 1.0, symbol: 0.0, ..Weights::default() };
        let query = Query { text: text.to_owned(), k: 5, filter, weights, ..Query::default() };
        let found = index.search(&query, &workspace.view(), PATIENCE).unwrap();
        found.hits.into_iter().map(|hit| hit.symbol).collect::<Vec<_>>()
    };
    assert_eq!(symbols("parse a url"), ["parse_http_url"]);
    assert_eq!(symbols("split line"), ["parse_http_url", "write_footer"]);
    assert!(symbols("parse").is_empty());
}

#[test]
fn a_long_definition_is_listed_once_and_whole() {
    let long: String = (0..400).map(|n| format!("    total += url_{n}(line, total)\n")).collect();
    let text = format!("import os\n\n\ndef collect(line, total):\n{long}    return total\n");
    let workspace = Workspace::new(&[("long.py", &text)]);
    let dense = with(options(&workspace), &Counted::new(Fault::None));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    assert!(index.status().chunks > 3);
    let filter = Filter::new(&[], &[], &[], true).unwrap();
    let query = Query { text: "total of every line".to_owned(), k: 5, filter, ..Query::default() };
    let hits = index.search(&query, &workspace.view(), PATIENCE).unwrap().hits;
    let seen: Vec<_> = hits.iter().map(|hit| (&*hit.symbol, hit.lines.clone())).collect();
    assert_eq!(seen, [("collect", 3..405)]);
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
    let answer = search(&index, &view, "paintWall brush colour");
    let hits = answer.hits;
    assert!(hits.iter().all(|hit| !hit.text.contains("paint_wall")), "{hits:?}");
    // Nor was one left out for not being in the file.
    assert_eq!(answer.degraded, None);
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
    let answer = search(&index, &workspace.view(), "paintWall");
    let hits = answer.hits;
    assert!(hits.iter().all(|hit| !hit.text.contains("paint_wall")), "{hits:?}");
    assert_eq!(answer.degraded, None);
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
fn a_model_that_nobody_needs_leaves_the_memory_and_comes_back() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let (loads, loaded) = mpsc::channel();
    let loads = Mutex::new(loads);
    let reload: Reload = Box::new(move || {
        loads.lock().unwrap().send(()).unwrap();
        let again: Arc<dyn Embedder> = Counted::new(Fault::None);
        Ok(again)
    });
    let model = Arc::new(OnDemand::new(Counted::new(Fault::None), PATIENCE, reload));
    let in_use: Arc<dyn Embedder> = model.clone();
    let options =
        DenseOptions { unload_after: Some(Duration::from_millis(1)), ..options(&workspace) };
    let dense = Dense::new(options, Box::new(move || Ok(Some(in_use))));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let gone = || {
        let started = Instant::now();
        while model.last_used().is_some() {
            assert!(started.elapsed() < PATIENCE, "it stays in memory");
            std::thread::yield_now();
        }
    };
    for (times, question) in [(1, "zanzibarFooter"), (2, "parse url line")] {
        gone();
        // It may have left between the opening and the first text.
        let _before = loaded.try_iter().count();
        let answer = search(&index, &workspace.view(), question);
        assert_eq!((answer.degraded, answer.model.as_deref()), (None, Some("hash")));
        assert_eq!(loaded.try_iter().count(), 1, "question {times}");
    }
    gone();
    // What is saved is embedded: it comes back for that as well.
    workspace.write("late.py", "def paint_wall(brush):\n    return brush.colour\n");
    index.changed(&workspace.change(&["late.py"], false));
    assert!(index.settle(PATIENCE) && dense.settle(PATIENCE));
    assert_eq!(index.status().dense_pending, 0);
    assert!(loaded.try_iter().count() >= 1);
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
    let embedder = Counted::new(Fault::None);
    let dense = with(options, &embedder);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    assert_eq!(embedder.texts(), 0, "what cannot be kept is not made");
    let answer = search(&index, &workspace.view(), "zanzibar");
    assert_eq!((&*answer.hits[0].path, answer.dense_pending), ("writer.py", 2));
    let degraded = answer.degraded.unwrap();
    assert!(degraded.contains("of 100 are used"), "{degraded}");
}

#[test]
fn two_daemons_on_one_store_of_vectors_are_told_apart() {
    let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
    let first = with(options(&workspace), &Counted::new(Fault::None));
    let one = open(&workspace.root(), &workspace.store(), &first);
    let second = with(options(&workspace), &Counted::new(Fault::None));
    let two = open(&workspace.root(), &workspace.store(), &second);
    assert!(matches!(second.meaning(), Meaning::Degraded { .. }), "{:?}", second.meaning());
    let answer = search(&two, &workspace.view(), "zanzibar");
    assert_eq!((&*answer.hits[0].path, answer.dense_pending), ("writer.py", 2));
    let degraded = answer.degraded.unwrap();
    assert!(degraded.contains("not by meaning: "), "{degraded}");
    let near = nearest(&one, &workspace.view(), "parseHttpUrl", Filter::default());
    assert_eq!(near.as_deref(), Some("parser.py"));
}

#[test]
fn vectors_that_are_damaged_on_disk_are_told_and_embedded_again() {
    let workspace = many("apple");
    let vectors = options(&workspace).directory;
    // With few dimensions several numbers look the same, and any of them may come first.
    let embedder = || Counted::sized("hash", 2048, Fault::None, None);
    let dense = with(options(&workspace), &embedder());
    let near = |index: &Index| {
        let asked = |n: u32| format!("parse http apple{n}");
        [7, 77, 277]
            .map(|n| nearest(index, &workspace.view(), &asked(n), Filter::default()).unwrap())
    };
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let wanted = near(&index);
    assert_eq!(wanted, ["f7.py", "f77.py", "f277.py"]);
    drop((index, dense));
    let whole = read_all(&vectors);
    assert!(whole.len() > 1);
    let mut lost = 0;
    for damaged in 0..whole.len() {
        for kind in 0..3 {
            std::fs::remove_dir_all(&vectors).unwrap();
            for (at, (path, bytes)) in whole.iter().enumerate() {
                let mut bytes = bytes.clone();
                if at == damaged {
                    let middle = bytes.len() / 2;
                    match kind {
                        0 => bytes.truncate(middle),
                        // Records begin here and there.
                        1 => bytes.iter_mut().step_by(997).for_each(|byte| *byte ^= 0x55),
                        // Another file in its place.
                        _ => bytes.clone_from(&whole[(at + 1) % whole.len()].1),
                    }
                }
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            let embedder = embedder();
            let dense = with(options(&workspace), &embedder);
            let index = open(&workspace.root(), &workspace.store(), &dense);
            let (status, of) = (index.status(), &whole[damaged].0);
            assert_eq!(status.dense_pending, 0, "{of:?} {kind}: {status:?}");
            assert!(embedder.texts() == 0 || !status.notices.is_empty(), "{of:?} {kind}");
            lost += embedder.texts();
            assert_eq!(near(&index), wanted, "{of:?} {kind}");
        }
    }
    assert!(lost > 0, "some of it was lost");
}

fn read_all(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(read_all(&path));
        } else {
            all.push((path.clone(), std::fs::read(&path).unwrap()));
        }
    }
    all
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
    while dense.meaning() == Meaning::Loading {
        std::thread::yield_now();
    }
    let answer = search(&index, &workspace.view(), "number7");
    let expected = format!("{} chunks are not found by meaning yet", answer.dense_pending);
    assert_eq!(answer.degraded, Some(expected));
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
fn what_is_open_in_an_editor_is_embedded_first() {
    let workspace = Workspace::new(&[]);
    for n in 0..80 {
        workspace.write(&format!("f{n}.py"), PARSER.replace("url", &format!("number{n}")));
    }
    // Written longest ago: by itself it would be the last one.
    for (name, hours) in [("f33.py", 9), ("f44.py", 8)] {
        let file = std::fs::File::options().write(true).open(workspace.root().join(name)).unwrap();
        let ago = Duration::from_secs(3600 * hours);
        file.set_modified(std::time::SystemTime::now() - ago).unwrap();
    }
    let (gate, closed) = mpsc::channel();
    let embedder = Counted::gated(Fault::None, Some(closed));
    let dense = with(options(&workspace), &embedder);
    let index =
        Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), |_| {}).unwrap();
    index.prefer([workspace.root().join("f33.py")]);
    assert!(index.settle(PATIENCE));
    // Opened when all is read and little is embedded.
    index.prefer([workspace.root().join("f44.py")]);
    assert!(index.settle(PATIENCE));
    assert!(search(&index, &workspace.edited("f1.py", "x = 1\n"), "f1").dense_pending > 0);
    drop(gate);
    assert!(dense.settle(PATIENCE));
    let seen = embedder.seen.lock().unwrap();
    let place = |word: &str| seen.iter().position(|text| text.contains(word)).unwrap();
    // One batch at most was under way before each.
    assert!(place("number33") < 40, "{}", place("number33"));
    assert!(place("number44") < 40, "{}", place("number44"));
    assert_eq!(seen.len(), 81);
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

#[test]
fn two_indexes_that_do_not_fit_together_do_not_drive_each_other_out_for_ever() {
    let (first, second) = (many("apple"), many("pear"));
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&first), &embedder);
    drop((open(&first.root(), &first.store(), &dense), dense));

    let options = just_enough(options(&first), &embedder);
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

    // A save is no reason to drive the other one out, and none to tell less.
    first.write("f7.py", PARSER.replace("url", "plum"));
    one.changed(&first.change(&["f7.py"], false));
    assert!(one.settle(PATIENCE) && dense.settle(PATIENCE));
    assert_eq!(two.status().dense_pending, 0, "{:?}", two.status());
    let status = one.status();
    assert!(status.dense_pending >= 299, "{status:?}");
    assert!(status.degraded.unwrap().contains("needed the room"));

    // When the other one is closed there is room.
    drop(two);
    assert!(dense.settle(PATIENCE));
    assert_eq!(one.status().dense_pending, 0, "{:?}", one.status());
}
