//! Faults of values: operators, literals, names, bounds.

use std::collections::BTreeSet;

use greenlit_syntax::{BindingKind, Node, Role};

use super::Sites;

pub(super) fn propose<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    match sites.parsed.role(node) {
        Role::Binary => binary(sites, node),
        Role::Integer => integer(sites, node),
        Role::Text => text(sites, node),
        Role::Boolean => {
            let (yes, no) = sites.parsed.table().style.booleans;
            let other = if sites.text(node) == yes { no } else { yes };
            sites.replace("wrong constant", node.byte_range(), other);
        }
        Role::Identifier => variable(sites, node),
        Role::Slice => slice(sites, node),
        Role::Call => range(sites, node),
        Role::CountingFor => {
            let bound = sites.parsed.condition(node).and_then(|c| sites.parsed.binaries(c).pop());
            if let Some(bound) = bound {
                shift(sites, bound.right, "-");
            }
        }
        _ => {}
    }
}

fn binary<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let parsed = sites.parsed;
    let table = parsed.table();
    let (and, or) = (table.style.and, table.style.or);
    for part in parsed.binaries(node) {
        let (range, operator) = parsed.operator_text(&part);
        if operator == and || operator == or {
            sites.replace("dropped clause", node.byte_range(), sites.text(part.left));
            sites.replace("dropped clause", node.byte_range(), sites.text(part.right));
            let other = if operator == and { or } else { and };
            sites.replace("wrong operator", range, other);
            continue;
        }
        for class in [table.comparisons, table.arithmetic] {
            if class.iter().any(|(known, _)| *known == operator) {
                for (other, _) in class.iter().filter(|(other, _)| *other != operator) {
                    sites.replace("wrong operator", range.clone(), *other);
                }
            }
        }
    }
}

fn integer<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let Ok(value) = sites.text(node).parse::<u64>() else { return };
    sites.replace("off by two", node.byte_range(), (value.saturating_add(2)).to_string());
    if value >= 2 {
        sites.replace("off by two", node.byte_range(), (value - 2).to_string());
    }
    // Another number of the file, and no neighbour of this one.
    for other in literals(sites, Role::Integer) {
        if other.parse::<u64>().is_ok_and(|other| other.abs_diff(value) > 2) {
            sites.replace("wrong constant", node.byte_range(), other);
        }
    }
}

fn text<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let own = sites.text(node);
    let statement = sites.parent(node).map(|parent| sites.parsed.role(parent));
    // A documentation string is no value, and one with parts is more than a constant.
    if statement == Some(Role::ExpressionStatement) || own.contains(['{', '$', '\\', '\n']) {
        return;
    }
    let quote = own.chars().next();
    for other in literals(sites, Role::Text) {
        if other != own && other.chars().next() == quote && !other.contains(['{', '$', '\n']) {
            sites.replace("wrong constant", node.byte_range(), other);
        }
    }
}

/// The literals of a kind in the file, each once.
fn literals<'p>(sites: &Sites<'p>, role: Role) -> BTreeSet<&'p str> {
    let parsed = sites.parsed;
    let all = parsed.descendants(parsed.root(), |r| r == role);
    all.into_iter().map(|node| sites.text(node)).collect()
}

/// A use of a variable becomes a use of another one in scope.
fn variable<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let parsed = sites.parsed;
    let Some(parent) = sites.parent(node) else { return };
    let at = node.start_byte();
    let is_name = match parsed.role(parent) {
        Role::Call => parsed.call(parent).is_some_and(|call| call.function == node),
        Role::KeywordArgument => parent.child_by_field_name("name") == Some(node),
        Role::Pattern | Role::Parameters | Role::Path | Role::Declarator => {
            parent.child_by_field_name("value") != Some(node)
        }
        _ => false,
    };
    if is_name || sites.bindings.iter().any(|binding| binding.at == at) {
        return;
    }
    let variable = |kind| {
        matches!(kind, BindingKind::Parameter | BindingKind::Local | BindingKind::LoopTarget)
    };
    let own = sites.text(node);
    let in_scope = parsed.names_at(&sites.bindings, at);
    if !in_scope.iter().any(|binding| binding.name == own && variable(binding.kind)) {
        return;
    }
    let others: Vec<_> = in_scope
        .iter()
        .filter(|binding| variable(binding.kind) && binding.name != own)
        .map(|binding| binding.name.clone())
        .collect();
    for other in others {
        sites.replace("wrong variable", node.byte_range(), other);
    }
}

fn slice<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let Some(parts) = sites.parsed.slice(node) else { return };
    if let Some(stop) = parts.stop {
        shift(sites, stop, "-");
    }
    if let Some(start) = parts.start {
        shift(sites, start, "+");
    }
}

/// Python's counting loop is a call.
fn range<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let parsed = sites.parsed;
    let Some(call) = parsed.call(node) else { return };
    if parsed.callee_name(call.function) != Some("range") {
        return;
    }
    match call.arguments[..] {
        [stop] => shift(sites, stop, "-"),
        [start, stop, ..] => {
            shift(sites, start, "+");
            shift(sites, stop, "-");
        }
        [] => {}
    }
}

/// One more or less than it should be.
fn shift<'p>(sites: &mut Sites<'p>, bound: Node<'p>, operator: &str) {
    let text = sites.text(bound);
    let simple = !sites.parsed.role(bound).eq(&Role::Binary);
    let shifted =
        if simple { format!("{text} {operator} 1") } else { format!("({text}) {operator} 1") };
    sites.replace("shifted bound", bound.byte_range(), shifted);
}
