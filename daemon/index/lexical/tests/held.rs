//! Documents that are held in memory at first.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use greenlit_lexical::{Document, Filter, Lexical, Query, Scored};
use proptest::prelude::*;

/// `version` changes what it says.
fn document(id: u64, version: u64) -> Document {
    Document {
        id,
        path: format!("src/f{}.rs", id % 3),
        symbol: vec![format!("name_{id}")],
        names: vec![format!("name_{id}"), format!("version_{version}")],
        text: format!("fn name_{id}() {{ shared(); {} }}", "version ".repeat(version as usize)),
        language: if id.is_multiple_of(2) { "rust" } else { "python" }.to_owned(),
        kind: "function".to_owned(),
    }
}

fn search(lexical: &Lexical, text: &str) -> Vec<Scored> {
    lexical.search(&Query { text, filter: Filter::default(), k: 1000 }).unwrap()
}

fn ids(hits: &[Scored]) -> BTreeSet<u64> {
    let ids: BTreeSet<u64> = hits.iter().map(|hit| hit.id).collect();
    assert_eq!(ids.len(), hits.len(), "a document was found twice");
    ids
}

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<u64>, Vec<(u64, u64)>),
    Hold(Vec<u64>, Vec<(u64, u64)>),
    Fold,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let removed = || prop::collection::vec(0u64..40, 0..4);
    let added = || prop::collection::vec((0u64..40, 1u64..4), 0..5);
    let step = prop_oneof![
        1 => (removed(), added()).prop_map(|(r, a)| Step::Apply(r, a)),
        6 => (removed(), added()).prop_map(|(r, a)| Step::Hold(r, a)),
        1 => Just(Step::Fold),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

fn change(model: &mut BTreeMap<u64, u64>, removed: &[u64], added: &[(u64, u64)]) -> Vec<Document> {
    model.retain(|id, _| !removed.contains(id));
    model.extend(added.iter().copied());
    added.iter().map(|(id, version)| document(*id, *version)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_is_held_stored_or_forgotten_what_is_found_is_right(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut lexical = Lexical::open(dir.path()).unwrap();
        let (mut model, mut stored) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Apply(removed, added) => {
                    let documents = change(&mut model, &removed, &added);
                    lexical.apply(&removed, &documents).unwrap();
                    stored = model.clone();
                }
                Step::Hold(removed, added) => {
                    let documents = change(&mut model, &removed, &added);
                    lexical.hold(&removed, documents).unwrap();
                }
                Step::Fold => {
                    lexical.fold().unwrap();
                    stored = model.clone();
                }
                // What was only held is gone.
                Step::Reopen => {
                    drop(lexical);
                    lexical = Lexical::open(dir.path()).unwrap();
                    model = stored.clone();
                }
            }
            prop_assert_eq!(lexical.len(), model.len() as u64);
            let found = ids(&search(&lexical, "shared"));
            prop_assert_eq!(&found, &model.keys().copied().collect());
            for version in 1..4 {
                let named = lexical.symbols(&format!("version_{version}"), &Filter::default(), 99);
                let wanted = model.iter().filter(|(_, v)| **v == version).map(|(id, _)| *id);
                prop_assert_eq!(ids(&named.unwrap()), wanted.collect());
            }
            let filter = Filter { languages: &["rust"], paths: &["src/f1"], ..Filter::default() };
            let rust = Query { text: "shared", filter, k: 99 };
            let wanted = model.keys().copied().filter(|id| id % 2 == 0 && id % 3 == 1);
            prop_assert_eq!(ids(&lexical.search(&rust).unwrap()), wanted.clone().collect());
            prop_assert_eq!(ids(&lexical.symbols("name", &filter, 99).unwrap()), wanted.collect());
        }
    }
}

#[test]
fn scores_are_those_of_one_index() {
    let (held, whole) = (Lexical::in_memory().unwrap(), Lexical::in_memory().unwrap());
    let documents: Vec<Document> = (0..90).map(|id| document(id, id % 5 + 1)).collect();
    whole.apply(&[], &documents).unwrap();
    held.apply(&[], &documents[..40]).unwrap();
    documents[40..].iter().for_each(|one| held.hold(&[], vec![one.clone()]).unwrap());
    for text in ["shared version", "name_7", "name_77 f2"] {
        let (held, whole) = (search(&held, text), search(&whole, text));
        assert_eq!(held.len(), whole.len());
        for (held, whole) in held.iter().zip(&whole) {
            assert_eq!(held.id, whole.id, "{text}");
            assert!((held.score - whole.score).abs() < 1e-4, "{text}: {held:?} {whole:?}");
        }
    }
}

#[test]
fn what_is_held_while_something_is_stored_is_neither_lost_nor_revived() {
    let dir = tempfile::tempdir().unwrap();
    let lexical = Lexical::open(dir.path()).unwrap();
    lexical.apply(&[], &(0..50).map(|id| document(id, 1)).collect::<Vec<_>>()).unwrap();
    let mut model: BTreeMap<u64, u64> = (0..50).map(|id| (id, 1)).collect();
    std::thread::scope(|scope| {
        let folding = scope.spawn(|| (0..5).try_for_each(|_| lexical.fold()));
        // Removes from what is stored, from what is being stored and from what is held.
        for step in 0..100_u64 {
            let removed = [step * 7 % 70];
            let added = [(step % 70, step), (step * 3 % 70, step)];
            let documents = change(&mut model, &removed, &added);
            lexical.hold(&removed, documents).unwrap();
            let found = ids(&search(&lexical, "shared"));
            assert_eq!(found, model.keys().copied().collect(), "step {step}");
        }
        folding.join().unwrap().unwrap();
    });
    lexical.fold().unwrap();
    drop(lexical);
    let lexical = Lexical::open(dir.path()).unwrap();
    assert_eq!(ids(&search(&lexical, "shared")), model.keys().copied().collect());
    for (id, version) in &model {
        let named =
            lexical.symbols(&format!("version_{version}"), &Filter::default(), 999).unwrap();
        assert!(ids(&named).contains(id), "{id} is not of version {version}");
    }
}
