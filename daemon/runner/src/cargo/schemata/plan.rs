//! Which function bodies each variant changes, found by comparing it with the original text.

use std::ops::Range;

use similar::{ChangeTag, TextDiff};
use tree_sitter::Node;

use crate::cargo::source::{attributes, contains, functions, is_const, parse};

/// A function or closure of the original text that may hold several bodies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The whole function or closure.
    pub(super) item: Range<usize>,
    /// Its block, braces included.
    pub(super) body: Range<usize>,
    /// Modules of the file around it.
    pub(super) depth: usize,
    /// Nothing says what type it returns: bodies whose types differ are no error of theirs.
    pub(super) opaque: bool,
    /// Where a function like this one may stand beside it.
    pub(super) sibling: Option<Sibling>,
}

/// What it takes to write a function that differs from one only in name and body.
#[derive(Debug, Clone)]
pub(super) struct Sibling {
    /// From behind the visibility to the body.
    pub(super) head: Range<usize>,
    pub(super) name: Range<usize>,
    /// Its `cfg` attributes.
    pub(super) conditions: String,
}

/// One body of one variant.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub(super) variant: usize,
    /// Index into the file's places.
    pub(super) place: usize,
    /// The new block, braces included.
    pub(super) body: String,
}

/// Functions whose body can be switched. Each closure has a type of its own, so that two bodies of a
/// function that returns one never have the same type: there, the closures are switched instead.
pub(super) fn places(text: &str) -> Vec<Place> {
    let Some(tree) = parse(text) else { return Vec::new() };
    let mut places = Vec::new();
    for function in functions(&tree, text) {
        let (node, body, depth) = (function.node, function.body, function.depth);
        if is_const(node, text) || !can_be_copied(node, body, text) {
            continue;
        }
        let result = node.child_by_field_name("return_type");
        let opaque =
            result.is_some_and(|kind| contains(kind, &|node| node.kind() == "abstract_type"));
        if opaque && contains(body, &is_closure) {
            inner_closures(body, &mut |item, body| {
                let (item, body) = (item.byte_range(), body.byte_range());
                places.push(Place { item, body, depth, opaque: true, sibling: None });
            });
            continue;
        }
        let sibling = sibling(node, body, text);
        let (item, body) = (node.byte_range(), body.byte_range());
        places.push(Place { item, body, depth, opaque, sibling });
    }
    places
}

/// Whether each occurrence of a node has a type of its own.
fn is_closure(node: Node<'_>) -> bool {
    matches!(node.kind(), "closure_expression" | "async_block" | "gen_block")
}

/// Closures in which there is no other, with their blocks, in the order of the text.
fn inner_closures<'t>(node: Node<'t>, found: &mut impl FnMut(Node<'t>, Node<'t>)) {
    let mut cursor = node.walk();
    for child in node.named_children(&mut cursor) {
        let inner = || {
            let mut cursor = child.walk();
            child.named_children(&mut cursor).any(|part| contains(part, &is_closure))
        };
        if !is_closure(child) || inner() {
            inner_closures(child, found);
            continue;
        }
        let mut cursor = child.walk();
        let block = child.named_children(&mut cursor).find(|part| part.kind() == "block");
        if let Some(block) = block {
            found(child, block);
        }
    }
}

/// `None` in the implementation of a trait, which has no room for more.
fn sibling(function: Node<'_>, body: Node<'_>, text: &str) -> Option<Sibling> {
    let of_trait = function
        .parent()
        .and_then(|list| list.parent())
        .is_some_and(|item| item.child_by_field_name("trait").is_some());
    let mut cursor = function.walk();
    let first = function.children(&mut cursor).find(|c| c.kind() != "visibility_modifier")?;
    let conditions = attributes(function)
        .iter()
        .map(|attribute| &text[attribute.byte_range()])
        .filter(|text| text.trim_start_matches("#[").trim_start().starts_with("cfg"))
        .collect();
    let name = function.child_by_field_name("name")?.byte_range();
    let head = first.start_byte()..body.start_byte();
    (!of_trait).then_some(Sibling { head, name, conditions })
}

/// Whether a body may stand in its function more than once. Implementations would conflict,
/// exported symbols too; inner attributes belong to the function; a naked function has no code.
fn can_be_copied(function: Node<'_>, body: Node<'_>, text: &str) -> bool {
    let naked = attributes(function).iter().any(|a| text[a.byte_range()].contains("naked"));
    !naked
        && !contains(body, &|node| match node.kind() {
            "impl_item" | "inner_attribute_item" => true,
            "attribute_item" => {
                let attribute = &text[node.byte_range()];
                ["no_mangle", "export_name", "macro_export"].iter().any(|a| attribute.contains(a))
            }
            _ => false,
        })
}

/// The bodies that `variant` has in place of the original ones; `None` when it changes anything
/// else, or when a body is not one well-formed block.
pub(super) fn edits(
    index: usize,
    original: &str,
    places: &[Place],
    variant: &str,
) -> Option<Vec<Edit>> {
    let whole = single(original, variant);
    let lies_in_one = places.iter().any(|place| within(place, &whole.old));
    let hunks = if lies_in_one { vec![whole] } else { lines(original, variant) };
    let mut edits: Vec<Edit> = Vec::new();
    let mut done = 0;
    for (at, place) in places.iter().enumerate() {
        let mine: Vec<&Hunk> = hunks.iter().filter(|hunk| within(place, &hunk.old)).collect();
        let (Some(first), Some(last)) = (mine.first(), mine.last()) else { continue };
        done += mine.len();
        let start = first.new.start - (first.old.start - place.body.start);
        let end = last.new.end + (place.body.end - last.old.end);
        let body = variant.get(start..end)?;
        if !is_block(body) {
            return None;
        }
        edits.push(Edit { variant: index, place: at, body: body.to_owned() });
    }
    (done > 0 && done == hunks.len()).then_some(edits)
}

#[derive(Debug)]
struct Hunk {
    old: Range<usize>,
    new: Range<usize>,
}

fn within(place: &Place, range: &Range<usize>) -> bool {
    place.body.start < range.start && range.end < place.body.end
}

/// What lies between the common beginning and the common end.
fn single(old: &str, new: &str) -> Hunk {
    let (a, b) = (old.as_bytes(), new.as_bytes());
    let mut start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    while !(old.is_char_boundary(start) && new.is_char_boundary(start)) {
        start -= 1;
    }
    let longest = a.len().min(b.len()) - start;
    let tail = a.iter().rev().zip(b.iter().rev()).take(longest);
    let mut tail = tail.take_while(|(a, b)| a == b).count();
    while !(old.is_char_boundary(a.len() - tail) && new.is_char_boundary(b.len() - tail)) {
        tail -= 1;
    }
    Hunk { old: start..a.len() - tail, new: start..b.len() - tail }
}

/// Changed groups of lines, each narrowed to what differs in it.
fn lines(old: &str, new: &str) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut a, mut b) = (0, 0);
    for change in TextDiff::from_lines(old, new).iter_all_changes() {
        let length = change.value().len();
        let (in_old, in_new) = match change.tag() {
            ChangeTag::Equal => {
                a += length;
                b += length;
                continue;
            }
            ChangeTag::Delete => (length, 0),
            ChangeTag::Insert => (0, length),
        };
        match hunks.last_mut() {
            Some(hunk) if hunk.old.end == a && hunk.new.end == b => {
                hunk.old.end += in_old;
                hunk.new.end += in_new;
            }
            _ => hunks.push(Hunk { old: a..a + in_old, new: b..b + in_new }),
        }
        a += in_old;
        b += in_new;
    }
    for hunk in &mut hunks {
        let inner = single(&old[hunk.old.clone()], &new[hunk.new.clone()]);
        let at = (hunk.old.start, hunk.new.start);
        hunk.old = at.0 + inner.old.start..at.0 + inner.old.end;
        hunk.new = at.1 + inner.new.start..at.1 + inner.new.end;
    }
    hunks
}

/// Whether a text is exactly one block, so that it cannot reach out of the place it is put in.
fn is_block(body: &str) -> bool {
    let text = format!("fn f() {body}");
    let Some(tree) = parse(&text) else { return false };
    let root = tree.root_node();
    let only = root.named_child(0);
    !root.has_error()
        && root.named_child_count() == 1
        && only.is_some_and(|item| {
            item.kind() == "function_item" && item.byte_range() == (0..text.len())
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "use x::y;\n\nfn one(a: u32) -> u32 {\n    a + 1\n}\n\nmod deep {\n    impl T {\n        fn two(&self) {\n            call(self);\n        }\n    }\n}\n\nconst fn three() -> u32 {\n    3\n}\n\nmacro_rules! m {\n    () => { fn four() { 4 } };\n}\n\n#[cfg(test)]\nmod tests {\n    fn five() {\n        5\n    }\n}\n";

    fn of(variant: &str) -> Option<Vec<(usize, String)>> {
        let edits = edits(0, TEXT, &places(TEXT), variant)?;
        Some(edits.into_iter().map(|edit| (edit.place, edit.body)).collect())
    }

    fn replaced(pairs: &[(&str, &str)]) -> Option<Vec<(usize, String)>> {
        let mut variant = TEXT.to_owned();
        for (from, to) in pairs {
            assert!(variant.contains(from), "{from}");
            variant = variant.replace(from, to);
        }
        of(&variant)
    }

    #[test]
    fn an_edit_inside_a_body_gives_the_new_body() {
        let one = |body: &str| Some(vec![(0, body.to_owned())]);
        assert_eq!(replaced(&[("a + 1", "a + 2")]), one("{\n    a + 2\n}"));
        assert_eq!(
            replaced(&[("    a + 1\n", "    if a > 1 {\n        return 0;\n    }\n    a + 1\n")]),
            one("{\n    if a > 1 {\n        return 0;\n    }\n    a + 1\n}")
        );
        assert_eq!(replaced(&[("    a + 1\n", "")]), one("{\n}"));
    }

    #[test]
    fn edits_of_two_functions_are_told_apart() {
        let both = replaced(&[("a + 1", "ä + 2"), ("call(self);", "self.call();\n")]).unwrap();
        assert_eq!(both[0], (0, "{\n    ä + 2\n}".to_owned()));
        assert_eq!(both[1].0, 1);
        assert!(both[1].1.contains("self.call();\n\n        }"), "{both:?}");
        assert_eq!(places(TEXT)[1].depth, 1);
    }

    #[test]
    fn of_a_function_that_returns_closures_the_innermost_blocks_are_switched() {
        let text = "fn f(n: u32) -> impl Iterator<Item = u32> {\n    let top = n + 1;\n    (0..top).flat_map(move |a| {\n        let from = a;\n        (from..n).map(move |b| { a + b })\n    }).map(|c| c + 1)\n}\nfn g() -> impl Sized {\n    1\n}\n";
        let places = places(text);
        let bodies: Vec<&str> = places.iter().map(|place| &text[place.body.clone()]).collect();
        assert_eq!(bodies, ["{ a + b }", "{\n    1\n}"]);
        assert!(places.iter().all(|place| place.opaque));
        let body = |from: &str, to: &str| {
            let edits = edits(0, text, &places, &text.replace(from, to))?;
            Some(edits[0].body.clone())
        };
        assert_eq!(body("a + b", "a - b").as_deref(), Some("{ a - b }"));
        assert_eq!(body("n + 1", "n - 1"), None, "two bodies would have different types");
        assert_eq!(body("c + 1", "c - 1"), None);
    }

    #[test]
    fn edits_elsewhere_are_refused() {
        for (from, to) in [
            ("use x::y;", "use x::z;"),
            ("a: u32", "a: u64"),
            ("    3", "    4"),
            ("{ 4 }", "{ 5 }"),
            ("        5", "        6"),
            ("a + 1\n}", "a + 1\n}\nfn more() {\n}"),
            ("a + 1", "a } fn g() { 1"),
        ] {
            assert_eq!(replaced(&[(from, to)]), None, "{from} → {to}");
        }
        assert_eq!(replaced(&[("a + 1", "a"), ("use x::y;", "")]), None);
        assert_eq!(of(TEXT), None, "no change at all has no place");
    }

    proptest! {
        #[test]
        fn any_change_is_taken_whole_or_refused(
            at in 0..TEXT.len(), length in 0usize..40, insert in "[a-z{}() \n;ä]{0,12}"
        ) {
            let end = (at + length).min(TEXT.len());
            let variant = format!("{}{insert}{}", &TEXT[..at], &TEXT[end..]);
            let places = places(TEXT);
            if let Some(edits) = edits(0, TEXT, &places, &variant) {
                let mut rebuilt = TEXT.to_owned();
                for edit in edits.iter().rev() {
                    rebuilt.replace_range(places[edit.place].body.clone(), &edit.body);
                }
                prop_assert_eq!(rebuilt, variant);
            }
        }
    }
}
