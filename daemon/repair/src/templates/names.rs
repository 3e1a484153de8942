//! Names: variables, attributes, functions.

use std::collections::BTreeSet;

use greenlit_syntax::{BindingKind, Node, Role};

use super::family::Family;
use super::sink::Sink;
use super::site::Site;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    for node in site.nodes.iter().copied() {
        match site.role(node) {
            Role::Identifier => identifier(site, sink, node),
            Role::Member => member(site, sink, node),
            _ => {}
        }
        if matches!(site.role(node), Role::Call | Role::Index | Role::Member | Role::Text) {
            expression_by_name(site, sink, node);
        }
    }
    target(site, sink);
}

/// Whether a node names a function that is called.
fn is_callee(site: &Site<'_>, node: Node<'_>) -> bool {
    site.parent(node)
        .is_some_and(|p| site.parsed().call(p).is_some_and(|c| c.function.id() == node.id()))
}

/// Whether an identifier is a place where a value is read.
pub(super) fn is_read(site: &Site<'_>, node: Node<'_>) -> bool {
    let parsed = site.parsed();
    let Some(parent) = site.parent(node) else { return false };
    if let Some((target, _)) = parsed.assignment(parent)
        && target.id() == node.id()
    {
        return false;
    }
    if let Some((target, _)) = parsed.loop_over(parent)
        && target.id() == node.id()
    {
        return false;
    }
    if let Some((_, name)) = parsed.member(parent)
        && name.id() == node.id()
    {
        return false;
    }
    if parsed.role(parent) == Role::KeywordArgument
        && parent.child_by_field_name("name").is_some_and(|n| n.id() == node.id())
    {
        return false;
    }
    if matches!(
        parsed.role(parent),
        Role::Parameters
            | Role::Function
            | Role::Lambda
            | Role::Tag
            | Role::Path
            | Role::Pattern
            | Role::Macro
    ) {
        return false;
    }
    site.ancestor(node, |r| matches!(r, Role::Parameters | Role::Block | Role::Arm | Role::Pattern))
        .is_none_or(|a| parsed.role(a).is_statement_list())
}

/// How well one name stands in for another: by shape, by how near it is bound, by being unused.
pub(super) fn affinity(site: &Site<'_>, old: &str, new: &str, kind: BindingKind) -> f64 {
    let (a, b) = (site.shape_of_name(old), site.shape_of_name(new));
    let mut weight: f64 = site.likeness(old, new);
    weight *= if a.certainly_fits(b) {
        1.0
    } else if a.fits(b) {
        0.8
    } else {
        0.3
    };
    if site.parsed().table().style.typed && !a.fits(b) {
        return 0.0;
    }
    if kind == BindingKind::Global {
        weight *= 0.5;
    }
    // A value that is computed and never read was meant for something.
    if site.file.reads.get(new).copied().unwrap_or(0) == 0 {
        weight *= 1.35;
    }
    if alike(old, new) {
        weight *= 1.1;
    }
    weight.min(1.3)
}

/// Names that differ in a letter or share a stem (`lo`/`hi` do not, `start`/`start2` do).
fn alike(a: &str, b: &str) -> bool {
    let prefix = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let suffix = a.bytes().rev().zip(b.bytes().rev()).take_while(|(x, y)| x == y).count();
    a.len().abs_diff(b.len()) <= 1 && (a.len() <= 1 || prefix + suffix >= a.len().min(b.len()) / 2)
}

fn identifier(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    if !is_read(site, node) {
        return;
    }
    let old = site.text_of(node);
    if is_callee(site, node) {
        function_name(site, sink, node, old);
        return;
    }
    let parsed = site.parsed();
    if parsed.table().words.builtins.contains(&old) {
        siblings(site, sink, node, old);
        return;
    }
    for binding in parsed.names_at(site.bindings.iter().copied(), node.start_byte()) {
        let new = binding.name.as_str();
        if binding.kind == BindingKind::Function
            || new == old
            || new == "_"
            || matches!(new, "self" | "cls" | "this")
        {
            continue;
        }
        sink.replace(site, Family::Variable, node, new, affinity(site, old, new, binding.kind));
    }
    if parsed.table().style.typed {
        return;
    }
    // A plain name for one of its attributes, and for an attribute of something else.
    for (object, names) in &site.file.members {
        let known = site.names.iter().any(|b| b.name == *object)
            || matches!(object.as_str(), "self" | "this");
        if !known {
            continue;
        }
        for name in names.iter().filter(|n| is_attribute(site, object, n)) {
            let weight = if object == old { 0.6 } else { 0.45 };
            sink.replace(site, Family::Variable, node, format!("{object}.{name}"), weight);
        }
    }
}

/// Whether `object.name` is somewhere in the file other than as a called method.
fn is_attribute(site: &Site<'_>, object: &str, name: &str) -> bool {
    site.file.attributes.contains(&(object.to_owned(), name.to_owned()))
}

/// Another attribute or method.
fn member(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let Some((object, name)) = site.parsed().member(node) else { return };
    let old = site.text_of(name);
    let called = is_callee(site, node);
    let arguments =
        site.parent(node).and_then(|p| site.parsed().call(p)).map(|c| c.arguments.len());
    let likeness = |other: &str| match arguments.filter(|_| called) {
        Some(arguments) => site.likeness_of_functions(old, other, arguments),
        None => site.likeness_of_members(old, other),
    };
    siblings(site, sink, name, old);
    let same = site.file.members.get(site.text_of(object)).map_or(&[][..], Vec::as_slice);
    let mut seen = BTreeSet::from([old]);
    for other in same {
        if seen.insert(other) && is_attribute(site, site.text_of(object), other) != called {
            let weight = 0.95 * likeness(other);
            sink.replace(site, Family::MemberName, name, other.as_str(), weight);
        }
    }
    for (receiver, names) in &site.file.members {
        for other in names {
            if is_attribute(site, receiver, other) != called && seen.insert(other) {
                let weight = 0.6 * likeness(other);
                sink.replace(site, Family::MemberName, name, other.as_str(), weight);
            }
        }
    }
    if !called {
        // The object itself instead of its attribute.
        let object = site.text_of(object);
        let weight = 0.5 * site.likeness_to(node, object);
        sink.replace(site, Family::Variable, node, object, weight);
    }
}

/// Names that the language's users confuse.
fn siblings(site: &Site<'_>, sink: &mut Sink, node: Node<'_>, old: &str) {
    let mut seen = BTreeSet::from([old]);
    for group in site.parsed().table().words.siblings {
        if !group.contains(&old) {
            continue;
        }
        for (rank, other) in group.iter().filter(|o| **o != old).enumerate() {
            if seen.insert(other) {
                let weight = if group.len() == 2 { 1.0 } else { 0.85 - 0.06 * rank as f64 };
                sink.replace(site, Family::FunctionName, node, *other, weight.max(0.3));
            }
        }
    }
}

/// Another function of the file that takes as many arguments.
fn function_name(site: &Site<'_>, sink: &mut Sink, node: Node<'_>, old: &str) {
    siblings(site, sink, node, old);
    let parsed = site.parsed();
    let Some(arguments) = site.parent(node).and_then(|p| parsed.call(p)).map(|c| c.arguments.len())
    else {
        return;
    };
    for function in &site.file.functions {
        let bare = parsed.table().style.bare_members;
        if function.name == old || (function.class.is_some() && !bare) {
            continue;
        }
        let in_scope = site.names.iter().any(|b| b.name == function.name);
        if in_scope {
            let weight = if function.parameters.len() == arguments { 0.9 } else { 0.3 };
            let weight = weight * site.likeness_of_functions(old, &function.name, arguments);
            sink.replace(site, Family::FunctionName, node, function.name.as_str(), weight);
        }
    }
}

/// A whole call or element replaced by a name in scope: the value that is at hand already.
fn expression_by_name(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let Some(parent) = site.parent(node) else { return };
    if site.role(parent) == Role::ExpressionStatement
        || site.role(parent).is_statement_list()
        || is_callee(site, node)
        || site.parsed().assignment(parent).is_some_and(|(t, _)| t.id() == node.id())
    {
        return;
    }
    let shape = site.shape(node);
    for binding in site.locals() {
        let own = site.shape_of_name(&binding.name);
        if !shape.fits(own) || (site.parsed().table().style.typed && !shape.certainly_fits(own)) {
            continue;
        }
        let mut weight = if shape.certainly_fits(own) { 0.7 } else { 0.5 };
        if site.file.reads.get(&binding.name).copied().unwrap_or(0) == 0 {
            weight *= 1.7;
        }
        if site.role(node) == Role::Text {
            weight *= 0.5;
        }
        weight *= site.likeness_to(node, &binding.name);
        sink.replace(site, Family::Variable, node, binding.name.as_str(), weight);
    }
}

/// Another target of an assignment: a name in scope, or an element used on the right.
fn target(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let core = parsed.core(site.unit);
    if !matches!(site.role(core), Role::Assignment | Role::AugmentedAssignment) {
        return;
    }
    let Some((target, value)) = parsed.assignment(core) else { return };
    if matches!(site.role(target), Role::Pattern | Role::Tuple) {
        return;
    }
    let mut seen = BTreeSet::from([site.text_of(target)]);
    for node in parsed.descendants(value, |r| matches!(r, Role::Index | Role::Member)) {
        if !is_callee(site, node) && seen.insert(site.text_of(node)) {
            let weight = if site.role(node) == site.role(target) { 1.0 } else { 0.5 };
            sink.replace(site, Family::AssignmentTarget, target, site.text_of(node), weight);
        }
    }
    if site.role(target) == Role::Identifier {
        for binding in site.locals() {
            if seen.insert(&binding.name) {
                let weight =
                    0.6 * affinity(site, site.text_of(target), &binding.name, binding.kind);
                let name = binding.name.as_str();
                sink.replace(site, Family::AssignmentTarget, target, name, weight);
            }
        }
    }
}
