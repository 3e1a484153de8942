//! Every operator on a few lines of each language.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;

const PYTHON: &str = "\
def clamp(value, low, high):
    if low > high and value:
        raise ValueError('order')
    if value < low:
        value = low
        note(value)
    else:
        value = high
    total = 0
    for step in range(10):
        total += step
    return max(value, total)

def note(value):
    return str(value)

def other(value):
    return True
";

const RUST: &str = "\
fn clamp(value: i32, low: i32, high: i32) -> i32 {
    if low > high && value > 0 {
        return low;
    }
    let mut sum = 0;
    for step in 0..high {
        sum += step.pow(2).min(value);
    }
    if sum < low { low } else { helper(sum, high) }
}

fn helper(a: i32, b: i32) -> i32 {
    a - b
}

#[cfg(test)]
mod tests {
    #[test]
    fn clamps() {
        let wanted = 3 + 4;
        assert_eq!(super::clamp(1, 2, 3), wanted);
    }
}
";

fn all(path: &str, text: &str) -> Vec<Fault> {
    faults(Path::new(path), &text.into())
}

fn has(faults: &[Fault], operator: &str, old: &str, text: &str, new: &str) -> bool {
    faults
        .iter()
        .any(|f| f.operator == operator && &text[f.start..f.end] == old && f.new_text == new)
}

#[test]
fn python_gets_every_operator() {
    let found = all("clamp.py", PYTHON);
    let operators: BTreeSet<_> = found.iter().map(|fault| fault.operator.as_str()).collect();
    let wanted = BTreeSet::from([
        "deleted guard",
        "dropped call",
        "dropped clause",
        "dropped statement",
        "missing return",
        "negated condition",
        "off by two",
        "shifted bound",
        "swapped arguments",
        "swapped branches",
        "swapped statements",
        "wrong constant",
        "wrong function",
        "wrong operator",
        "wrong variable",
    ]);
    assert_eq!(operators, wanted);
    let guard = "if low > high and value:\n        raise ValueError('order')";
    assert!(has(&found, "deleted guard", guard, PYTHON, ""));
    assert!(has(&found, "shifted bound", "10", PYTHON, "10 - 1"));
    assert!(has(&found, "wrong variable", "low", PYTHON, "high"));
    assert!(has(&found, "missing return", "return str(value)", PYTHON, "str(value)"));
    assert!(has(&found, "dropped clause", "low > high and value", PYTHON, "value"));
}

#[test]
fn rust_tests_in_the_same_file_stay_sound() {
    let found = all("lib.rs", RUST);
    let tests = RUST.find("#[cfg(test)]").unwrap();
    assert!(found.iter().all(|fault| fault.end <= tests), "{found:#?}");
    assert!(has(
        &found,
        "deleted guard",
        "if low > high && value > 0 {\n        return low;\n    }",
        RUST,
        ""
    ));
    assert!(has(&found, "swapped arguments", "sum, high", RUST, "high, sum"));
    assert!(has(&found, "wrong function", "pow", RUST, "min"));
    assert!(has(&found, "shifted bound", "high", RUST, "high - 1"));
    assert!(!found.iter().any(|fault| fault.operator == "missing return"));
}

#[test]
fn a_javascript_counting_loop_is_shifted() {
    let text = "function f (n) {\n  let s = 0;\n  for (let i = 0; i < n; i++) { s += i; }\n  return s;\n}\n";
    let found = all("f.js", text);
    assert!(has(&found, "shifted bound", "n", text, "n - 1"));
    assert!(has(&found, "dropped statement", "s += i;", text, ""));
    assert!(has(&found, "missing return", "return s;", text, "s;"));
}

#[test]
fn every_faulty_text_still_parses_and_differs() {
    for (path, text) in [("clamp.py", PYTHON), ("lib.rs", RUST)] {
        let language = Language::from_path(Path::new(path)).unwrap();
        for fault in all(path, text) {
            let faulty = fault.apply(text);
            assert_ne!(faulty, text);
            let parsed = parse(language, faulty.as_str().into()).unwrap();
            assert_eq!(parsed.error_offsets(), Vec::<usize>::new(), "{fault:?}");
        }
    }
}

#[test]
fn lines_are_those_of_the_faulty_text() {
    let found = all("clamp.py", PYTHON);
    let guard = found.iter().find(|fault| fault.operator == "deleted guard").unwrap();
    assert_eq!((guard.first_line, guard.last_line), (1, 3));
    let bound = found.iter().find(|fault| fault.operator == "shifted bound").unwrap();
    assert!(bound.covers(Path::new("clamp.py"), 10));
    assert!(!bound.covers(Path::new("clamp.py"), 11));
}

#[test]
fn the_seed_decides_the_order_and_operators_take_turns() {
    let files: Vec<(PathBuf, Arc<str>)> = vec![("clamp.py".into(), PYTHON.into())];
    let first = plan(&files, 7);
    assert_eq!(first, plan(&files, 7));
    assert_ne!(first, plan(&files, 8));
    let turn: BTreeSet<_> = first.iter().take(15).map(|fault| fault.operator.as_str()).collect();
    assert_eq!(turn.len(), 15);
}
