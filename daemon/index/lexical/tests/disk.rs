//! An index on disk: kept, locked, damaged in every file.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use greenlit_lexical::{Document, Filter, Lexical, OpenError, Query, Scored};
use proptest::prelude::*;

fn document(id: u64) -> Document {
    Document {
        id,
        path: format!("src/f{}.rs", id % 7),
        symbol: vec![format!("function_{id}")],
        names: vec![format!("function_{id}")],
        text: format!("fn function_{id}() {{ call_{}(); shared(); }}", id % 5),
        language: "rust".to_owned(),
        kind: "function".to_owned(),
    }
}

/// Two segments, one of them with deletions.
fn build(dir: &Path) {
    let lexical = Lexical::create(dir).unwrap();
    lexical.apply(&[], &(0..60).map(document).collect::<Vec<_>>()).unwrap();
    lexical.apply(&[3, 4], &(60..80).map(document).collect::<Vec<_>>()).unwrap();
}

fn answers(lexical: &Lexical) -> Vec<Vec<Scored>> {
    let ask = |text| lexical.search(&Query { text, filter: Filter::default(), k: 100 }).unwrap();
    let mut answers: Vec<_> =
        ["shared", "function_17", "call_3 f2", "rs"].into_iter().map(ask).collect();
    answers.push(lexical.symbols("function_1", &Filter::default(), 50).unwrap());
    answers
}

/// An index that is built once, and its answers.
fn sound() -> &'static (tempfile::TempDir, Vec<Vec<Scored>>) {
    static SOUND: OnceLock<(tempfile::TempDir, Vec<Vec<Scored>>)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        build(dir.path());
        let right = answers(&Lexical::open(dir.path()).unwrap());
        (dir, right)
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn an_index_is_there_after_it_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    let lexical = Lexical::open(dir.path()).unwrap();
    assert_eq!(lexical.len(), 78);
    assert_eq!(answers(&lexical)[0].len(), 78);
    lexical.apply(&[5], &[document(3)]).unwrap();
    assert!(lexical.bytes().unwrap() > 0);
    drop(lexical);
    assert_eq!(Lexical::open(dir.path()).unwrap().len(), 78);
}

#[test]
fn a_directory_that_does_not_exist_becomes_an_empty_index() {
    let dir = tempfile::tempdir().unwrap();
    let lexical = Lexical::open(&dir.path().join("a/b")).unwrap();
    assert!(lexical.is_empty());
}

#[test]
fn a_second_writer_is_told_of_the_first_and_destroys_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let first = Lexical::open(dir.path()).unwrap();
    first.apply(&[], &[document(1)]).unwrap();
    assert!(matches!(Lexical::open(dir.path()), Err(OpenError::Locked { .. })));
    assert!(matches!(Lexical::create(dir.path()), Err(OpenError::Locked { .. })));
    first.apply(&[], &[document(2)]).unwrap();
    assert_eq!(first.len(), 2);
}

#[test]
fn another_version_is_named_and_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    build(dir.path());
    fs::write(dir.path().join("version"), "0\n").unwrap();
    let error = Lexical::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::OtherVersion { .. }) && error.wants_rebuild());
    assert!(Lexical::create(dir.path()).unwrap().is_empty());
    assert!(Lexical::open(dir.path()).unwrap().is_empty());
}

#[test]
fn a_file_that_is_gone_is_damage() {
    let whole = tempfile::tempdir().unwrap();
    build(whole.path());
    let right = answers(&Lexical::open(whole.path()).unwrap());
    for entry in fs::read_dir(whole.path()).unwrap() {
        let name = entry.unwrap().file_name();
        let dir = tempfile::tempdir().unwrap();
        copy(whole.path(), dir.path());
        fs::remove_file(dir.path().join(&name)).unwrap();
        check(dir.path(), &right, &format!("without {name:?}"));
    }
}

/// Either an error that asks for a new index, or the right answers; then a new index works.
fn check(dir: &Path, right: &[Vec<Scored>], what: &str) {
    match Lexical::open(dir) {
        Ok(lexical) => assert_eq!(answers(&lexical), right, "{what}"),
        Err(error) => {
            assert!(error.wants_rebuild(), "{what}: {error}");
            let anew = Lexical::create(dir).unwrap();
            anew.apply(&[], &[document(1)]).unwrap();
            assert_eq!(anew.len(), 1, "{what}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn damage_anywhere_is_an_error_or_harmless(
        file in 0usize..64,
        at in 0.0f64..1.0,
        damage in prop_oneof![
            Just(None),
            (0u8..8).prop_map(|bit| Some(1u8 << bit)),
            (1u8..=255).prop_map(Some),
        ],
    ) {
        let (sound, right) = sound();
        let whole = tempfile::tempdir().unwrap();
        copy(sound.path(), whole.path());
        let mut names: Vec<_> =
            fs::read_dir(whole.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        let path = &names[file % names.len()];
        let mut bytes = fs::read(path).unwrap();
        let at = (at * bytes.len() as f64) as usize;
        match damage {
            None => bytes.truncate(at),
            Some(mask) => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
        }
        fs::write(path, bytes).unwrap();
        check(whole.path(), right, &format!("{} at {at}: {damage:?}", path.display()));
    }
}
