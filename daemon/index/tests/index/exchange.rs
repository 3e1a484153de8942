//! One model takes the place of another while searches go on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use greenlit_embed::{EmbedError, Embedder};
use greenlit_index::{Answer, Dense, Filter, Index, Load, Meaning};

use crate::counted::{
    Counted, Fault, PARSER, WRITER, just_enough, many, nearest, open, options, with,
};
use crate::support::{PATIENCE, Workspace, search};

fn load(embedder: &Arc<Counted>) -> Load {
    let embedder: Arc<dyn Embedder> = embedder.clone();
    Box::new(move || Ok(Some(embedder)))
}

/// Asks until the answer is as wanted: the worker has its own thread.
fn until(index: &Index, workspace: &Workspace, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let started = Instant::now();
    loop {
        let answer = search(index, &workspace.view(), "parse url");
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{answer:?}");
        std::thread::yield_now();
    }
}

fn finds(index: &Index, workspace: &Workspace) {
    let near = nearest(index, &workspace.view(), "zanzibarFooter", Filter::default());
    assert_eq!(near.as_deref(), Some("writer.py"));
}

fn two_files() -> Workspace {
    Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)])
}

#[test]
fn the_old_model_answers_until_the_new_one_has_every_vector() {
    let workspace = two_files();
    let old = Counted::new(Fault::None);
    let dense = with(options(&workspace), &old);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let (gate, closed) = mpsc::channel();
    let new = Counted::sized("new", 32, Fault::None, Some(closed));
    dense.reload(load(&new));
    let answer = until(&index, &workspace, |answer| answer.dense_pending > 0);
    assert_eq!((answer.dense_pending, answer.model.as_deref()), (2, Some("hash")));
    assert_eq!(answer.degraded, None, "the old model knows everything");
    finds(&index, &workspace);
    let status = index.status();
    assert_eq!((status.model.as_deref(), status.dense_pending), (Some("hash"), 2));
    let notices = status.notices.join("; ");
    assert!(notices.contains("2 chunks to embed with new, hash answers until then"), "{notices}");
    // What changes meanwhile is embedded for the new one alone.
    workspace.write("late.py", "def paint_wall(brush):\n    return brush.colour\n");
    index.changed(&workspace.change(&["late.py"], false));
    assert!(index.settle(PATIENCE));
    drop(gate);
    assert!(dense.settle(PATIENCE));
    let answer = search(&index, &workspace.view(), "parse url");
    assert_eq!((answer.dense_pending, answer.model.as_deref()), (0, Some("new")));
    assert_eq!(answer.degraded, None);
    finds(&index, &workspace);
    assert_eq!((old.texts(), new.texts()), (2, 3));
    assert_eq!(index.status().notices, Vec::<String>::new());
    // The vectors of before are still there.
    dense.reload(load(&old));
    until(&index, &workspace, |answer| answer.model.as_deref() == Some("hash"));
    assert!(dense.settle(PATIENCE));
    assert_eq!((old.texts(), index.status().dense_pending), (3, 0));
}

#[test]
fn the_same_model_again_embeds_nothing_and_loses_nothing() {
    let workspace = two_files();
    let embedder = Counted::new(Fault::None);
    let dense = with(options(&workspace), &embedder);
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let again = Counted::sized("renamed", 64, Fault::None, None);
    dense.reload(load(&again));
    until(&index, &workspace, |answer| answer.model.as_deref() == Some("renamed"));
    assert!(dense.settle(PATIENCE));
    finds(&index, &workspace);
    assert_eq!((embedder.texts(), again.texts()), (2, 0));
}

#[test]
fn a_model_that_cannot_take_over_leaves_the_old_one_and_is_told() {
    let broken = Counted::sized("new", 32, Fault::Error, None);
    let loads: [(Load, &str); 3] = [
        (Box::new(|| Err(EmbedError::Panicked("no".to_owned()).into())), "the runtime gave up"),
        (Box::new(|| panic!("gone")), "by a defect"),
        (load(&broken), "not finite"),
    ];
    for (load, said) in loads {
        let workspace = Workspace::new(&[("parser.py", PARSER), ("writer.py", WRITER)]);
        workspace.write("third.py", PARSER.replace("url", "third"));
        let dense = with(options(&workspace), &Counted::new(Fault::None));
        let index = open(&workspace.root(), &workspace.store(), &dense);
        dense.reload(load);
        let started = Instant::now();
        while !index.status().notices.iter().any(|notice| notice.contains("goes on to answer")) {
            assert!(started.elapsed() < PATIENCE, "{:?}", index.status());
            std::thread::yield_now();
        }
        assert!(dense.settle(PATIENCE));
        let notices = index.status().notices.join("; ");
        assert!(notices.contains("hash goes on to answer") && notices.contains(said), "{notices}");
        let answer = search(&index, &workspace.view(), "parse url");
        assert_eq!((answer.dense_pending, answer.model.as_deref()), (0, Some("hash")));
        finds(&index, &workspace);
    }
}

#[test]
fn a_model_can_come_and_go() {
    let workspace = two_files();
    let dense = Dense::new(options(&workspace), Box::new(|| Ok(None)));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    assert_eq!(dense.meaning(), Meaning::Off);
    let answer = search(&index, &workspace.view(), "parse url");
    assert_eq!((answer.dense_pending, answer.model), (2, None));
    let embedder = Counted::new(Fault::None);
    dense.reload(load(&embedder));
    until(&index, &workspace, |answer| answer.model.is_some() && answer.dense_pending == 0);
    finds(&index, &workspace);
    dense.reload(Box::new(|| Ok(None)));
    let answer = until(&index, &workspace, |answer| answer.model.is_none());
    assert!(answer.degraded.unwrap().contains("no embedding model"));
    assert_eq!(index.status().dense_pending, 2);
    dense.reload(load(&embedder));
    until(&index, &workspace, |answer| answer.model.is_some() && answer.dense_pending == 0);
    assert_eq!(embedder.texts.load(Ordering::Relaxed), 2);
}

#[test]
fn two_models_that_do_not_fit_are_exchanged_at_once() {
    let workspace = many("apple");
    let old = Counted::new(Fault::None);
    let dense = with(options(&workspace), &old);
    drop((open(&workspace.root(), &workspace.store(), &dense), dense));
    let options = just_enough(options(&workspace), &old);
    let dense = with(options, &Counted::new(Fault::None));
    let index = open(&workspace.root(), &workspace.store(), &dense);
    let new = Counted::sized("new", 48, Fault::None, None);
    dense.reload(load(&new));
    until(&index, &workspace, |answer| answer.model.as_deref() == Some("new"));
    assert!(dense.settle(PATIENCE));
    assert_eq!(index.status().dense_pending, 0, "{:?}", index.status());
}

#[test]
fn two_indexes_take_another_model_where_only_one_model_fits() {
    let (first, second) = (many("apple"), many("pear"));
    let old = Counted::new(Fault::None);
    let dense = with(options(&first), &old);
    let one = open(&first.root(), &first.store(), &dense);
    drop((one, open(&second.root(), &second.store(), &dense), dense));
    let options = just_enough(options(&first), &old);
    let dense = with(options, &old);
    let one = open(&first.root(), &first.store(), &dense);
    let two = open(&second.root(), &second.store(), &dense);
    assert_eq!((one.status().dense_pending, two.status().dense_pending), (0, 0));
    dense.reload(load(&Counted::sized("new", 60, Fault::None, None)));
    for (index, workspace) in [(&one, &first), (&two, &second)] {
        until(index, workspace, |answer| answer.model.as_deref() == Some("new"));
    }
    assert!(dense.settle(PATIENCE));
    for index in [&one, &two] {
        let status = index.status();
        assert_eq!((status.dense_pending, &status.degraded), (0, &None), "{status:?}");
    }
}

#[test]
fn a_paused_index_keeps_what_answers_although_another_one_needs_the_room() {
    let (first, second) = (many("apple"), many("pear"));
    let old = Counted::new(Fault::None);
    let dense = with(options(&first), &old);
    drop((open(&first.root(), &first.store(), &dense), dense));
    let options = just_enough(options(&first), &old);
    let dense = with(options, &old);
    let paused = open(&first.root(), &first.store(), &dense);
    paused.pause(true);
    dense.reload(load(&Counted::sized("new", 60, Fault::None, None)));
    let other = open(&second.root(), &second.store(), &dense);
    assert!(dense.settle(PATIENCE));

    let answer = search(&paused, &first.view(), "parse apple142");
    assert_eq!((answer.model.as_deref(), answer.degraded), (Some("hash"), None));
    assert_eq!(paused.status().dense_pending, 300);
    let why = other.status().degraded.unwrap();
    assert!(why.contains("not found by meaning yet") && why.contains("are used"), "{why}");

    // Taken up again, it is exchanged as any other. There may not be room for all of both.
    paused.pause(false);
    until(&paused, &first, |answer| answer.model.as_deref() == Some("new"));
}

#[test]
fn what_waits_for_the_first_model_keeps_its_order() {
    let workspace = many("apple");
    let dense = Dense::without_model(options(&workspace));
    let index =
        Index::open(&workspace.root(), Some(&workspace.store()), Some(&dense), |_| {}).unwrap();
    assert!(index.settle(PATIENCE));
    index.prefer([workspace.root().join("f142.py")]);
    workspace.write("late.py", WRITER);
    index.changed(&workspace.change(&["late.py"], false));
    assert!(index.settle(PATIENCE));
    let embedder = Counted::new(Fault::None);
    dense.reload(load(&embedder));
    until(&index, &workspace, |answer| answer.model.is_some() && answer.dense_pending == 0);
    let seen = embedder.seen.lock().unwrap();
    let place = |word: &str| seen.iter().position(|text| text.contains(word));
    assert_eq!((place("zanzibar"), place("apple142"), seen.len()), (Some(0), Some(1), 301));
}
