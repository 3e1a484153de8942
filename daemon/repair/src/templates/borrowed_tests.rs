//! What other functions and files lend.

use std::path::PathBuf;
use std::sync::Arc;

use super::TemplateGenerator;
use super::tests::apply;
use crate::candidate::{FaultContext, Generator, SourceFile};
use crate::localize::{Localization, Method, Suspicious};
use crate::retrieval::Passage;

/// Candidates for the marked line of a file, and those of them that lead to `expected`.
fn lent(name: &str, marked: &str, neighbours: &[(&str, &str)], expected: &str) -> Vec<String> {
    let path = PathBuf::from("/w").join(name);
    let line = marked.lines().position(|l| l.contains("$0")).expect("a mark") as u32 + 1;
    let text = marked.replace("$0", "");
    let files = [SourceFile { path: path.clone(), text: Arc::from(text.as_str()) }];
    let neighbours: Vec<_> = neighbours
        .iter()
        .map(|(name, text)| SourceFile {
            path: PathBuf::from("/w").join(name),
            text: Arc::from(*text),
        })
        .collect();
    let lines = vec![Suspicious { path, line, score: 1.0 }];
    let localization =
        Localization { method: Method::Spectrum, measured_by: None, changed: false, lines };
    let context = FaultContext {
        files: &files,
        neighbours: &neighbours,
        retrieved: &[],
        localization: &localization,
    };
    let found = TemplateGenerator.candidates(&context);
    let reached = found.iter().filter(|c| apply(&text, c) == expected);
    reached.map(|c| format!("{} {}", c.source.rule, c.summary)).collect()
}

const FAULTY: &str = "def load(path, cache):\n$0    return cache[path.key].value\n";
const MENDED: &str = "def load(path, cache):\n    if path.key not in cache:\n        raise KeyError(path.key)\n    return cache[path.key].value\n";
const DONOR: &str = "def store(path, cache, value):\n    if path.key not in cache:\n        raise KeyError(path.key)\n    cache[path.key].value = value\n";

#[test]
fn a_guard_comes_from_a_neighbour_that_shares_names() {
    assert!(lent("a.py", FAULTY, &[], MENDED).is_empty());
    let found = lent("a.py", FAULTY, &[("b.py", DONOR)], MENDED);
    assert_eq!(
        found,
        [
            "borrowed-guard insert `if path.key not in cache: raise KeyError(path.key)` before line 2"
        ]
    );
}

#[test]
fn a_guard_comes_from_a_sibling_with_a_name_exchanged() {
    let sibling = "def add(total, count):\n    if count <= 3:\n        return total\n    return total * count\n\n\n";
    let faulty = format!("{sibling}def take(total, number):\n$0    return total / number\n");
    let mended = format!(
        "{sibling}def take(total, number):\n    if number <= 3:\n        return total\n    return total / number\n"
    );
    assert_eq!(lent("a.py", &faulty, &[], &mended).len(), 1);
}

#[test]
fn neighbours_of_another_language_and_without_shared_names_lend_nothing() {
    assert!(lent("a.py", FAULTY, &[("b.go", DONOR)], MENDED).is_empty());
    let stranger =
        DONOR.replace("path", "p").replace("cache", "c").replace("key", "k").replace("value", "v");
    assert!(lent("a.py", FAULTY, &[("b.py", &stranger)], MENDED).is_empty());
}

#[test]
fn guards_travel_in_languages_with_braces() {
    let go = "package p\n\nfunc Load(m map[string]int, key string) (int, error) {\n$0\treturn m[key], nil\n}\n";
    let donor = "package p\n\nfunc Store(m map[string]int, key string, v int) (int, error) {\n\tif key == Reserved {\n\t\treturn 0, ErrReserved\n\t}\n\tm[key] = v\n\treturn v, nil\n}\n";
    let faulty = format!("{go}\nvar Reserved, ErrReserved = \"x\", errors.New(\"x\")\n");
    let mended = faulty.replace("$0", "").replace(
        "\treturn m[key], nil",
        "\tif key == Reserved {\n\t\treturn 0, ErrReserved\n\t}\n\treturn m[key], nil",
    );
    assert_eq!(lent("a.go", &faulty, &[("b.go", donor)], &mended).len(), 1);
}

#[test]
fn an_index_gets_its_range_guard() {
    let go = "package p\n\nfunc f(xs []int, i int) int {\n$0\tif xs[i] > 3 {\n\t\treturn 1\n\t}\n\treturn 0\n}\n";
    let mended = go.replace("$0", "").replace("if xs", "if i < len(xs) && xs");
    assert!(lent("a.go", go, &[], &mended).iter().any(|c| c.starts_with("range-guard")));
}

#[test]
fn what_a_search_found_lends_before_what_shares_more_names() {
    let path = PathBuf::from("/w/a.py");
    let files = [SourceFile { path: path.clone(), text: Arc::from(FAULTY.replace("$0", "")) }];
    let near = "def near(path, cache, key, value):\n    return cache[path.key].value\n";
    let far = "def far(path, one, two, three, four, five):\n    if path.key.startswith('x'):\n        return one\n    return two(three, four, five)\n";
    let texts = (0..9).map(|n| (format!("/w/near_{n}.py"), near));
    let neighbours: Vec<_> = texts
        .chain([("/w/far.py".to_owned(), far)])
        .map(|(path, text)| SourceFile { path: path.into(), text: Arc::from(text) })
        .collect();
    let lines = vec![Suspicious { path, line: 2, score: 1.0 }];
    let localization =
        Localization { method: Method::Spectrum, measured_by: None, changed: false, lines };
    let borrowed = |retrieved: &[Passage]| {
        let context = FaultContext {
            files: &files,
            neighbours: &neighbours,
            retrieved,
            localization: &localization,
        };
        let found = TemplateGenerator.candidates(&context);
        found.iter().any(|candidate| candidate.summary.contains("startswith"))
    };
    assert!(!borrowed(&[]));
    let passage = |path: &str, first_line, last_line| Passage {
        path: path.into(),
        first_line,
        last_line,
        symbol: String::new(),
        score: 1.0,
    };
    assert!(!borrowed(&[passage("/w/far.py", 7, 9)]), "it is about other lines");
    assert!(borrowed(&[passage("/w/far.py", 2, 3)]));
}
