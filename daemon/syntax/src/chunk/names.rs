//! What a definition is called, grammar by grammar.

use tree_sitter::Node;

use super::document::Document;
use super::kind::ChunkKind;
use crate::role::Role;

/// Longer names are expressions that look like names.
const MAX_NAME: usize = 120;

/// Kind and name of a definition, outermost part first; `None` where the node defines nothing.
pub(super) fn of(
    document: &Document,
    node: Node<'_>,
    kind: ChunkKind,
) -> Option<(ChunkKind, Vec<String>)> {
    let value = node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"));
    let callable = value.is_some_and(|v| document.role(v) == Role::Lambda);
    let class = value.is_some_and(|v| document.role(v) == Role::Class);
    let given = match () {
        () if callable => ChunkKind::Function,
        () if class => ChunkKind::Class,
        () => kind,
    };
    let names = match node.kind() {
        // Forward declarations and mentions of a type define nothing.
        "class_specifier" | "struct_specifier" | "union_specifier" | "enum_specifier"
            if node.child_by_field_name("body").is_none() =>
        {
            return None;
        }
        "mod_item" if node.child_by_field_name("body").is_none() => return None,
        "impl_item" => vec![base(document.text_of(node.child_by_field_name("type")?))],
        "method_declaration" => {
            let mut names: Vec<String> = receiver(document, node).into_iter().collect();
            names.push(field(document, node, "name")?);
            names
        }
        "type_spec" | "type_alias" => {
            let kind = match node.child_by_field_name("type").map(|t| t.kind()) {
                Some("struct_type") => ChunkKind::Class,
                Some("interface_type") => ChunkKind::Interface,
                _ => kind,
            };
            return Some((kind, vec![field(document, node, "name")?]));
        }
        "assignment" => {
            let left = node.child_by_field_name("left")?;
            if left.kind() != "identifier" {
                return None;
            }
            vec![document.text_of(left).to_owned()]
        }
        // `A.prototype.f = function () {}`: other assignments define nothing.
        "assignment_expression" => {
            if !(callable || class) {
                return None;
            }
            dotted(document.text_of(node.child_by_field_name("left")?))
        }
        "pair" => {
            if !callable {
                return None;
            }
            let key = document.text_of(node.child_by_field_name("key")?);
            vec![key.trim_matches(['"', '\'']).to_owned()]
        }
        "field_definition" => vec![field(document, node, "property")?],
        "function_definition" | "declaration" | "field_declaration" | "type_definition"
            if node.child_by_field_name("declarator").is_some() =>
        {
            return declared(document, node, kind);
        }
        // `namespace a::b`, `namespace A.B`
        _ if kind == ChunkKind::Module => {
            let name = field(document, node, "name")?;
            name.split("::").flat_map(|n| n.split('.')).map(|n| n.trim().to_owned()).collect()
        }
        _ => vec![field(document, node, "name")?],
    };
    let fits = |name: &String| !name.is_empty() && name.len() <= MAX_NAME && !name.contains('\n');
    (!names.is_empty() && names.iter().all(fits)).then_some((given, names))
}

fn field(document: &Document, node: Node<'_>, name: &str) -> Option<String> {
    let text = document.text_of(node.child_by_field_name(name)?);
    Some(text.trim_matches(['"', '\'']).to_owned())
}

/// A type without its path, its arguments and what refers to it.
fn base(text: &str) -> String {
    let text = text.trim_start_matches(['&', '*', ' ']).trim_start_matches("mut ");
    let text = text.split(['<', '[']).next().unwrap_or(text);
    text.rsplit("::").next().unwrap_or(text).trim().to_owned()
}

/// The type that a Go method belongs to.
fn receiver(document: &Document, node: Node<'_>) -> Option<String> {
    let text = document.text_of(node.child_by_field_name("receiver")?);
    let text = text.split('[').next().unwrap_or(text).trim_matches(['(', ')', ' ']);
    let name = text.rsplit(['*', ' ']).next().unwrap_or(text);
    (!name.is_empty()).then(|| name.to_owned())
}

fn dotted(text: &str) -> Vec<String> {
    text.split('.')
        .map(str::trim)
        .filter(|part| !matches!(*part, "prototype" | "exports" | "module" | "this" | "window"))
        .map(str::to_owned)
        .collect()
}

/// The name inside C's declarators, with the classes that qualify it.
fn declared(
    document: &Document,
    node: Node<'_>,
    kind: ChunkKind,
) -> Option<(ChunkKind, Vec<String>)> {
    let mut inner = node;
    let mut kind = kind;
    while let Some(next) = inner
        .child_by_field_name("declarator")
        .or_else(|| inner.named_child(0).filter(|c| c.kind().ends_with("_declarator")))
    {
        if next.kind() == "function_declarator" && kind == ChunkKind::Variable {
            kind = ChunkKind::Function;
        }
        inner = next;
    }
    let mut names: Vec<String> = Vec::new();
    // Template arguments may hold `::` themselves.
    let mut level = 0usize;
    let mut plain = String::new();
    let text = document.text_of(inner);
    for c in text.chars() {
        match c {
            '<' if !text.starts_with("operator") => level += 1,
            '>' if level > 0 => level -= 1,
            _ if level == 0 => plain.push(c),
            _ => {}
        }
    }
    names.extend(plain.split("::").map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()));
    let fits = |name: &String| name.len() <= MAX_NAME && !name.contains('\n');
    (!names.is_empty() && names.iter().all(fits)).then_some((kind, names))
}
