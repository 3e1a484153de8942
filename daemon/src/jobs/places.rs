//! Where tests are written, as far as their ids and the syntax of their files tell.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use greenlit_protocol::{TestEntry, TestPlace};
use greenlit_repair::relative;
use greenlit_syntax::{Language, Parsed, parse};
use greenlit_workspace::{Inputs, StatCache, View};

use super::reports::short_name;

/// The places of tests, by id. Tests that are not found, or at several places, have none.
pub(crate) fn places(
    view: &View,
    tests: &[TestEntry],
    cache: &Mutex<StatCache>,
) -> BTreeMap<String, TestPlace> {
    let mut texts = Texts { view, parsed: HashMap::new() };
    let mut sources = None;
    let mut places = BTreeMap::new();
    for test in tests {
        let id = test.id.as_str();
        let head = id.split("::").next().unwrap_or(id);
        let candidates = if !is_below(head) {
            // Whoever wrote the tests wrote the ids: they must not make us read elsewhere.
            Vec::new()
        } else if head.starts_with('.') {
            texts.go_files(&view.root().join(head))
        } else if view.root().join(head).is_file() {
            vec![view.root().join(head)]
        } else {
            let sources = sources.get_or_insert_with(|| rust_files(view, tests, cache));
            sources.get(short_name(id)).cloned().unwrap_or_default()
        };
        if let Some(place) = texts.place(id, &candidates) {
            places.insert(id.to_owned(), place);
        }
    }
    places
}

/// Whether a path that is relative to the root stays there.
fn is_below(path: &str) -> bool {
    let stays = |part| matches!(part, Component::CurDir | Component::Normal(_));
    Path::new(path).components().all(stays)
}

/// Files of Rust that may hold functions of these names: `fn` and the name stand in them.
fn rust_files(
    view: &View,
    tests: &[TestEntry],
    cache: &Mutex<StatCache>,
) -> HashMap<String, Vec<PathBuf>> {
    let wanted: BTreeSet<&str> = tests.iter().map(|test| short_name(&test.id)).collect();
    let inputs = {
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        Inputs::scan(view.root(), view, &mut cache)
    };
    let mut found: HashMap<String, Vec<PathBuf>> = HashMap::new();
    let Ok(inputs) = inputs else { return found };
    for path in inputs.paths().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let path = view.root().join(path);
        let Ok(text) = view.read_text(&path) else { continue };
        let names = text.split("fn ").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            &rest[..end.unwrap_or(rest.len())]
        });
        for name in names.filter(|name| wanted.contains(name)).collect::<BTreeSet<_>>() {
            found.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    found
}

struct Texts<'a> {
    view: &'a View,
    parsed: HashMap<PathBuf, Option<Parsed>>,
}

impl Texts<'_> {
    /// Go names the directory of a package only.
    fn go_files(&self, directory: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let files = entries.map(|entry| entry.path());
        let is_test = |path: &PathBuf| path.to_str().is_some_and(|p| p.ends_with("_test.go"));
        files.filter(is_test).collect()
    }

    fn place(&mut self, id: &str, candidates: &[PathBuf]) -> Option<TestPlace> {
        let mut found: Vec<(usize, PathBuf, u32)> = Vec::new();
        for path in candidates {
            let lines = self.lines(path, id);
            let shared = shared_words(self.view.root(), path, id);
            found.extend(lines.into_iter().map(|line| (shared, path.clone(), line)));
        }
        let root = self.view.root();
        let best = found.iter().map(|(shared, ..)| *shared).max();
        let mut best = found.iter().filter(|(shared, ..)| Some(*shared) == best);
        match (best.next(), best.next(), candidates) {
            (Some((_, path, line)), None, _) => {
                Some(TestPlace { path: relative(root, path), line: Some(*line) })
            }
            // Which line it is is not known, the file is.
            (_, _, [only]) => Some(TestPlace { path: relative(root, only), line: None }),
            _ => None,
        }
    }

    /// Lines where a function of the test's name begins, or a test is given the name.
    fn lines(&mut self, path: &Path, id: &str) -> Vec<u32> {
        let name = short_name(id);
        let Some(parsed) = self.parsed(path) else { return Vec::new() };
        let class = id.rsplit("::").nth(1);
        // A subtest of Go is named after its function.
        let function = name.split('/').next().unwrap_or(name);
        let named = parsed.functions().into_iter().filter(|item| item.name == function);
        let named: Vec<_> = named.collect();
        let of = |wanted: Option<&str>| {
            let items = named.iter().filter(|item| item.class.as_deref() == wanted);
            items.map(|item| item.start_line).collect::<Vec<_>>()
        };
        let own = if class.is_some() { of(class) } else { Vec::new() };
        let functions = if own.is_empty() { of(None) } else { own };
        if !functions.is_empty() {
            return functions;
        }
        let quoted = ['"', '\'', '`'].map(|quote| format!("({quote}{name}{quote}"));
        let lines = parsed.text().lines().zip(1..);
        lines.filter(|(text, _)| quoted.iter().any(|q| text.contains(q))).map(|(_, n)| n).collect()
    }

    fn parsed(&mut self, path: &Path) -> Option<&Parsed> {
        let view = self.view;
        let read = || parse(Language::from_path(path)?, view.read_text(path).ok()?).ok();
        self.parsed.entry(path.to_owned()).or_insert_with(read).as_ref()
    }
}

/// How many words of an id are in the path: modules of Rust are files.
fn shared_words(root: &Path, path: &Path, id: &str) -> usize {
    let path = relative(root, path);
    let words: BTreeSet<&str> = path.split(['/', '.']).collect();
    id.split("::").filter(|word| words.contains(word)).count()
}

#[cfg(test)]
mod tests {
    use greenlit_protocol::TestOutcome;

    use super::*;

    fn found(files: &[(&str, &str)], ids: &[&str]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let test = |id: &&str| TestEntry {
            id: (*id).to_owned(),
            outcome: TestOutcome::Passed,
            file: None,
            line: None,
            message: None,
            duration_ms: 0,
        };
        let tests: Vec<_> = ids.iter().map(test).collect();
        let places = places(&View::of_disk(root), &tests, &Mutex::default());
        let show = |id: &&str| match places.get(*id) {
            Some(TestPlace { path, line: Some(line) }) => format!("{path}:{line}"),
            Some(TestPlace { path, line: None }) => path.clone(),
            None => "nowhere".to_owned(),
        };
        ids.iter().map(show).collect()
    }

    #[test]
    fn functions_are_found_in_their_class() {
        let text = "def test_a():\n    pass\n\nclass TestB:\n    def test_a(self):\n        pass\n";
        let ids = ["t/test_x.py::test_a", "t/test_x.py::TestB::test_a[1-2]", "t/test_x.py::gone"];
        let expected = ["t/test_x.py:1", "t/test_x.py:5", "t/test_x.py"];
        assert_eq!(found(&[("t/test_x.py", text)], &ids), expected);
    }

    #[test]
    fn named_tests_are_found_by_their_name() {
        let text = "suite('s', () => {\n  test('adds one', () => {});\n});\n";
        assert_eq!(found(&[("a.test.js", text)], &["a.test.js::s > adds one"]), ["a.test.js:2"]);
    }

    #[test]
    fn packages_of_go_are_directories() {
        let text = "package p\n\nfunc TestTotal(t *testing.T) {}\n";
        let ids = ["./p::TestTotal/no_items"];
        assert_eq!(found(&[("p/p_test.go", text)], &ids), ["p/p_test.go:3"]);
    }

    #[test]
    fn ids_do_not_lead_out_of_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("out_test.go");
        std::fs::write(&outside, "package p\n\nfunc TestX(t *testing.T) {}\n").unwrap();
        let name = dir.path().file_name().unwrap().to_str().unwrap();
        let absolute = format!("{}::TestX", outside.display());
        let ids =
            [format!("./../{name}::TestX"), format!("../{name}/out_test.go::TestX"), absolute];
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(found(&[], &ids), ["nowhere"; 3]);
    }

    #[test]
    fn modules_tell_functions_of_one_name_apart() {
        let text = "mod tests {\n    #[test]\n    fn works() {}\n}\n";
        let files = [("src/one.rs", text), ("src/two.rs", text), ("src/lib.rs", "mod one;")];
        let ids = ["c::two::tests::works", "c::tests::works", "c::gone"];
        assert_eq!(found(&files, &ids), ["src/two.rs:3", "nowhere", "nowhere"]);
    }
}
