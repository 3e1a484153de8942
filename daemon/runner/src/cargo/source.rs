//! Rust source text as far as instrumentation must understand it.

use tree_sitter::{Node, Parser, Tree};

/// A tree deeper than this is not walked: code that nests so deeply is generated.
const DEEPEST: usize = 800;

/// Parses Rust; `None` when the parser gives up, or the tree is too deep to be walked.
pub(super) fn parse(text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_rust::LANGUAGE.into()).ok()?;
    parser.parse(text, None).filter(is_shallow)
}

/// A function with a body that no other function surrounds.
pub(super) struct Function<'t> {
    /// The whole item.
    pub(super) node: Node<'t>,
    /// Its block.
    pub(super) body: Node<'t>,
    /// Modules of the same file around it.
    pub(super) depth: usize,
}

/// Functions of modules, implementations and traits, in order. Tests and test modules are left
/// out; what stands in a macro's definition or call is no function to the grammar.
pub(super) fn functions<'t>(tree: &'t Tree, text: &str) -> Vec<Function<'t>> {
    let mut found = Vec::new();
    collect(tree.root_node(), text, 0, &mut found);
    found
}

fn collect<'t>(parent: Node<'t>, text: &str, depth: usize, found: &mut Vec<Function<'t>>) {
    let mut cursor = parent.walk();
    for node in parent.named_children(&mut cursor) {
        let body = node.child_by_field_name("body");
        let (Some(body), false) = (body, is_test(node, text)) else { continue };
        match node.kind() {
            "mod_item" => collect(body, text, depth + 1, found),
            "impl_item" | "trait_item" => collect(body, text, depth, found),
            "function_item" => found.push(Function { node, body, depth }),
            _ => {}
        }
    }
}

/// Whether an item is a test or a module of tests.
pub(super) fn is_test(item: Node<'_>, text: &str) -> bool {
    attributes(item).iter().any(|attribute| {
        let inner: String = text[attribute.byte_range()]
            .trim_start_matches("#[")
            .trim_end_matches(']')
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect();
        let path = inner.split('(').next().unwrap_or_default();
        let named = path.rsplit("::").next().unwrap_or_default();
        ["test", "rstest", "test_case", "quickcheck", "bench"].contains(&named)
            || inner == "cfg(test)"
            || inner.starts_with("cfg(all(test")
    })
}

/// The attributes in front of an item or statement.
pub(super) fn attributes(node: Node<'_>) -> Vec<Node<'_>> {
    let mut attributes = Vec::new();
    let mut before = node.prev_sibling();
    while let Some(sibling) = before {
        match sibling.kind() {
            "attribute_item" => attributes.push(sibling),
            "line_comment" | "block_comment" => {}
            _ => break,
        }
        before = sibling.prev_sibling();
    }
    attributes.reverse();
    attributes
}

/// Whether a function is declared `const`.
pub(super) fn is_const(function: Node<'_>, text: &str) -> bool {
    let mut cursor = function.walk();
    function
        .children(&mut cursor)
        .filter(|child| child.kind() == "function_modifiers")
        .any(|child| text[child.byte_range()].split_whitespace().any(|word| word == "const"))
}

/// Whether `node` or something in it satisfies `wanted`.
pub(super) fn contains(node: Node<'_>, wanted: &dyn Fn(Node<'_>) -> bool) -> bool {
    if wanted(node) {
        return true;
    }
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| contains(child, wanted))
}

/// The path from a module that is `depth` levels inside a file to an item `name` at its top.
pub(super) fn path_up(depth: usize, name: &str) -> String {
    format!("{}{name}", "super::".repeat(depth))
}

fn is_shallow(tree: &Tree) -> bool {
    let mut cursor = tree.walk();
    let mut depth = 0;
    loop {
        if cursor.goto_first_child() {
            depth += 1;
            if depth > DEEPEST {
                return false;
            }
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return true;
            }
            depth -= 1;
        }
    }
}
