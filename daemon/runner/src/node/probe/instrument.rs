//! Changed copies of a source file in which one function is watched, or handed over to be called.
//!
//! Nothing is added but text on lines that are there: positions in messages stay those of the file.
//! A function must be known by its name alone, and stand where loading the file makes it: at the top
//! level, or as a method of a class there.

use tree_sitter::{Node, Parser, Tree};

/// Calls the recorder inside of a function; wraps one that has no `arguments`.
const SEEN: &str = "globalThis[Symbol.for(\"greenlit.seen\")]";
const WATCHED: &str = "globalThis[Symbol.for(\"greenlit.watched\")]";
/// Takes the function, what it is a method of, and whether that is the class itself.
const TARGET: &str = "globalThis[Symbol.for(\"greenlit.target\")]";

/// How the function is written.
enum Form<'t> {
    /// `function f() {}`, with the statement that holds it.
    Declaration(Node<'t>),
    /// `const f = …`, `exports.f = …`, with the statement, and the text that names it afterwards.
    Value(Node<'t>, &'t str),
    /// A method of a class.
    Method { fixed: bool },
}

struct Function<'t> {
    node: Node<'t>,
    name: &'t str,
    form: Form<'t>,
}

/// A copy that records what the function is called with.
pub(super) fn watched(extension: &str, text: &str, function: &str) -> Option<String> {
    let tree = parse(extension, text)?;
    let function = find(&tree, text, function)?;
    let node = function.node;
    if node.kind() == "arrow_function" {
        let insertions =
            [(node.start_byte(), format!("{WATCHED}(")), (node.end_byte(), ")".into())];
        return Some(with(text, &insertions));
    }
    let (own, method) = match function.form {
        Form::Method { fixed: false } => ("this", format!("\"{}\"", function.name)),
        _ => ("null", "null".to_owned()),
    };
    let call = format!("{SEEN}?.(arguments, {own}, {method});");
    Some(with(text, &[(prologue_end(node, text)?, call)]))
}

/// A copy that hands the function over when it is loaded.
pub(super) fn handed_over(extension: &str, text: &str, function: &str) -> Option<String> {
    let tree = parse(extension, text)?;
    let function = find(&tree, text, function)?;
    let name = function.name;
    let (at, call) = match function.form {
        Form::Declaration(statement) => {
            (statement.end_byte(), format!(";{TARGET}?.({name}, null, false);"))
        }
        Form::Value(statement, place) => {
            (statement.end_byte(), format!(";{TARGET}?.({place}, null, false);"))
        }
        Form::Method { fixed } => {
            let owner = if fixed { "this" } else { "this.prototype" };
            let call = format!("; static {{ {TARGET}?.({owner}.{name}, {owner}, {fixed}); }}");
            (function.node.end_byte(), call)
        }
    };
    Some(with(text, &[(at, call)]))
}

fn parse(extension: &str, text: &str) -> Option<Tree> {
    let grammar = match extension {
        "ts" | "mts" | "cts" => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
        _ => tree_sitter_javascript::LANGUAGE,
    };
    let mut parser = Parser::new();
    parser.set_language(&grammar.into()).ok()?;
    parser.parse(text, None).filter(|tree| !tree.root_node().has_error())
}

/// The one function of this dotted name; `None` when there are others, or it cannot be handed over.
fn find<'t>(tree: &'t Tree, text: &'t str, dotted: &str) -> Option<Function<'t>> {
    let (class, name) = match dotted.rsplit_once('.') {
        Some((class, name)) => (Some(class), name),
        None => (None, dotted),
    };
    let mut found = Vec::new();
    let mut cursor = tree.walk();
    let mut above: Vec<Node<'t>> = Vec::new();
    loop {
        let node = cursor.node();
        if is_function(node) && names(node, text) == Some(name) {
            found.push((node, above.clone()));
        }
        if cursor.goto_first_child() {
            above.push(node);
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                let [(node, above)] = &found[..] else { return None };
                return form(*node, above, text, class).map(|form| Function {
                    node: *node,
                    // From the text, so that it lives as long.
                    name: names(*node, text).unwrap_or_default(),
                    form,
                });
            }
            above.pop();
        }
    }
}

fn is_function(node: Node<'_>) -> bool {
    matches!(
        node.kind(),
        "function_declaration"
            | "generator_function_declaration"
            | "function_expression"
            | "generator_function"
            | "arrow_function"
            | "method_definition"
    )
}

/// The name of a function, or of what it is assigned to.
fn names<'t>(node: Node<'t>, text: &'t str) -> Option<&'t str> {
    let named = node.child_by_field_name("name");
    let bound = || {
        let parent = node.parent()?;
        match parent.kind() {
            "variable_declarator" => parent.child_by_field_name("name"),
            "assignment_expression" => {
                let left = parent.child_by_field_name("left")?;
                left.child_by_field_name("property").or(Some(left))
            }
            _ => None,
        }
    };
    let name = match node.kind() {
        // What an expression calls itself is known inside of it only.
        "function_expression" | "generator_function" => bound().or(named),
        _ => named.or_else(bound),
    };
    name.map(|name| &text[name.byte_range()])
}

fn form<'t>(
    node: Node<'t>,
    above: &[Node<'t>],
    text: &'t str,
    class: Option<&str>,
) -> Option<Form<'t>> {
    if above.iter().any(|outer| is_function(*outer)) {
        return None;
    }
    if node.kind() == "method_definition" {
        let body = node.parent().filter(|parent| parent.kind() == "class_body")?;
        let owner = body.parent()?.child_by_field_name("name")?;
        let plain = node.child_by_field_name("name")?.kind() == "property_identifier";
        let mut cursor = node.walk();
        let mut marks = node.children(&mut cursor).map(|child| child.kind());
        let accessor = marks.any(|kind| kind == "get" || kind == "set");
        let mut cursor = node.walk();
        let fixed = node.children(&mut cursor).any(|child| child.kind() == "static");
        let constructs = names(node, text) == Some("constructor");
        let known = plain && !accessor && !constructs && Some(&text[owner.byte_range()]) == class;
        // A copy of an object has no private state.
        return (known && !holds(body, "private_property_identifier"))
            .then_some(Form::Method { fixed });
    }
    // What it is called on is not known outside of classes.
    if class.is_some() || (node.kind() != "arrow_function" && holds(node, "this")) {
        return None;
    }
    let exported = |statement: Node<'t>| {
        statement.parent().filter(|parent| parent.kind() == "export_statement").unwrap_or(statement)
    };
    let parent = node.parent()?;
    match (node.kind(), parent.kind()) {
        ("function_declaration" | "generator_function_declaration", _) => {
            Some(Form::Declaration(exported(node)))
        }
        (_, "variable_declarator") => {
            let name = parent.child_by_field_name("name")?;
            Some(Form::Value(exported(parent.parent()?), &text[name.byte_range()]))
        }
        (_, "assignment_expression") => {
            let statement = parent.parent().filter(|s| s.kind() == "expression_statement")?;
            let left = parent.child_by_field_name("left")?;
            Some(Form::Value(statement, &text[left.byte_range()]))
        }
        _ => None,
    }
}

fn holds(node: Node<'_>, kind: &str) -> bool {
    let mut cursor = node.walk();
    node.kind() == kind || node.children(&mut cursor).any(|child| holds(child, kind))
}

/// Behind the brace of the body, and behind directives such as `'use strict'`.
fn prologue_end(function: Node<'_>, text: &str) -> Option<usize> {
    let body = function.child_by_field_name("body")?;
    let mut at = body.start_byte() + 1;
    let mut cursor = body.walk();
    for statement in body.named_children(&mut cursor) {
        let directive = statement.kind() == "expression_statement"
            && statement.named_child(0).is_some_and(|only| only.kind() == "string");
        if !directive {
            break;
        }
        at = statement.end_byte();
        if !text[..at].ends_with(';') {
            return None;
        }
    }
    Some(at)
}

fn with(text: &str, insertions: &[(usize, String)]) -> String {
    let mut result = String::with_capacity(text.len() + 128);
    let mut from = 0;
    for (at, inserted) in insertions {
        result.push_str(&text[from..*at]);
        result.push_str(inserted);
        from = *at;
    }
    result.push_str(&text[from..]);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(text: Option<String>) -> String {
        let text = text.unwrap_or_else(|| "declined".into());
        text.replace(SEEN, "SEEN").replace(WATCHED, "WATCHED").replace(TARGET, "TARGET")
    }

    #[test]
    fn each_form_of_a_function_is_watched_and_handed_over() {
        let both = |text: &str, function: &str| {
            [short(watched("ts", text, function)), short(handed_over("ts", text, function))]
        };
        assert_eq!(
            both("export function f(a) { 'use strict'; return a; }\n", "f"),
            [
                "export function f(a) { 'use strict';SEEN?.(arguments, null, null); return a; }\n",
                "export function f(a) { 'use strict'; return a; };TARGET?.(f, null, false);\n",
            ]
        );
        assert_eq!(
            both("export const f = async ({ a }) => a;\n", "f"),
            [
                "export const f = WATCHED(async ({ a }) => a);\n",
                "export const f = async ({ a }) => a;;TARGET?.(f, null, false);\n",
            ]
        );
        assert_eq!(
            both("exports.f = function g(a) { return a }\n", "f"),
            [
                "exports.f = function g(a) {SEEN?.(arguments, null, null); return a }\n",
                "exports.f = function g(a) { return a };TARGET?.(exports.f, null, false);\n",
            ]
        );
        assert_eq!(
            both("class A { f(a: number) { return this.b + a; } static g() {} }\n", "A.f"),
            [
                "class A { f(a: number) {SEEN?.(arguments, this, \"f\"); return this.b + a; } static g() {} }\n",
                "class A { f(a: number) { return this.b + a; }; static { TARGET?.(this.prototype.f, this.prototype, false); } static g() {} }\n",
            ]
        );
        assert_eq!(
            short(handed_over("js", "class A { static g() {} }", "A.g")),
            "class A { static g() {}; static { TARGET?.(this.g, this, true); } }"
        );
    }

    #[test]
    fn what_cannot_be_told_or_reached_is_declined() {
        for (text, function) in [
            ("function f() {}\nconst o = { f() {} };", "f"),
            ("function outer() { function f() {} }", "f"),
            ("const o = { f() {} };", "f"),
            ("function f() { return this.a; }", "f"),
            ("class A { #p = 1; f() { return this.#p; } }", "A.f"),
            ("class A { get f() { return 1; } }", "A.f"),
            ("class A { constructor() {} }", "A.constructor"),
            ("class A { f() {} } class B { f() {} }", "A.f"),
            ("module.exports = exports = function () {};", "exports"),
            ("function f( {}", "f"),
            ("const g = 1;", "f"),
        ] {
            assert_eq!(short(handed_over("js", text, function)), "declined", "{text}");
            assert_eq!(short(watched("js", text, function)), "declined", "{text}");
        }
    }
}
