//! Tests and examples inside source files.

use std::collections::BTreeMap;
use std::ops::Range;

use greenlit_syntax::{Language, Node, Parsed, Role};

/// Byte ranges of tests inside a source file: Rust's `#[cfg(test)]` items and `#[test]` functions
/// with their attributes; elsewhere what the language's table names as marks of tests.
pub(crate) fn test_regions(parsed: &Parsed) -> Vec<Range<usize>> {
    let mut regions: Vec<Range<usize>> = Vec::new();
    if parsed.language() != Language::Rust {
        return parsed.marked_tests();
    }
    for attribute in parsed.descendants(parsed.root(), |r| r == Role::Decorator) {
        if !is_test_attribute(parsed.text_of(attribute)) {
            continue;
        }
        let range = if attribute.kind() == "inner_attribute_item" {
            attribute.parent().unwrap_or(attribute).byte_range()
        } else {
            let mut item = attribute;
            while let Some(next) = item.next_named_sibling() {
                item = next;
                if !matches!(parsed.role(item), Role::Decorator | Role::Comment) {
                    break;
                }
            }
            first_attribute(parsed, attribute).start_byte()..item.end_byte()
        };
        if !regions.iter().any(|r| r.start <= range.start && range.end <= r.end) {
            regions.push(range);
        }
    }
    regions
}

fn first_attribute<'t>(parsed: &Parsed, attribute: Node<'t>) -> Node<'t> {
    let mut first = attribute;
    while let Some(previous) =
        first.prev_named_sibling().filter(|p| parsed.role(*p) == Role::Decorator)
    {
        first = previous;
    }
    first
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(any(test, …))]`, `#[rstest]`; not
/// `#[cfg(not(test))]`, which is the opposite.
pub(super) fn is_test_attribute(text: &str) -> bool {
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = compact.trim_start_matches(['#', '!', '[']).trim_end_matches(']');
    let path = inner.split('(').next().unwrap_or_default();
    if path == "cfg" {
        let words = || inner.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        return words().any(|w| w == "test") && !inner.contains("not(test)");
    }
    let last = path.rsplit("::").next().unwrap_or_default();
    matches!(last, "test" | "rstest" | "test_case" | "proptest" | "bench" | "wasm_bindgen_test")
}

/// The test regions' texts.
pub(super) fn texts(parsed: &Parsed) -> Vec<String> {
    test_regions(parsed).into_iter().map(|r| parsed.text()[r].to_owned()).collect()
}

/// Texts that are run as examples: Python's doctests, Rust's fenced documentation.
pub(super) fn examples(parsed: &Parsed) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    match parsed.language() {
        Language::Python => {
            for node in parsed.descendants(parsed.root(), |r| r == Role::Text) {
                let text = parsed.text_of(node);
                if text.contains(">>>") {
                    *found.entry(text.to_owned()).or_insert(0) += 1;
                }
            }
        }
        Language::Rust => {
            let mut fenced = false;
            for node in parsed.descendants(parsed.root(), |r| r == Role::Comment) {
                let text = parsed.text_of(node).trim();
                if !text.starts_with("//") && text.contains("```") {
                    *found.entry(text.to_owned()).or_insert(0) += 1;
                }
                if !(text.starts_with("///") || text.starts_with("//!")) {
                    continue;
                }
                let fence = text[3..].trim_start().starts_with("```");
                if fence || fenced {
                    *found.entry(text.to_owned()).or_insert(0) += 1;
                }
                if fence {
                    fenced = !fenced;
                }
            }
        }
        _ => {}
    }
    found
}
