//! Literals: numbers, truth values, strings; and ±1 on any number.

use std::collections::BTreeSet;

use greenlit_syntax::{Node, Role, Shapes};

use super::family::Family;
use super::precedence::{fit, operand};
use super::sink::Sink;
use super::site::Site;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    for node in site.nodes.iter().copied() {
        match site.role(node) {
            Role::Integer | Role::Float => number(site, sink, node),
            Role::Boolean => boolean(site, sink, node),
            Role::Text => text(site, sink, node),
            Role::Null => null(site, sink, node),
            _ => {}
        }
        if let Some(weight) = worth_a_step(site, node) {
            step(site, sink, node, weight);
        }
    }
}

/// ±1, 0, 1, 2, the negated value, ±2, the double, the half, ten times, and numbers of the file.
fn number(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let text = site.text_of(node);
    by_name(site, sink, node);
    let suffix_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(suffix_at);
    if let Ok(value) = digits.parse::<i64>() {
        let mut tried = BTreeSet::from([value]);
        for (other, weight) in [
            (value.saturating_add(1), 1.0),
            (value.saturating_sub(1), 1.0),
            (0, 0.75),
            (1, 0.75),
            (2, 0.5),
            (-1, 0.4),
            (value.saturating_neg(), 0.45),
            (value.saturating_add(2), 0.35),
            (value.saturating_sub(2), 0.35),
            (value.saturating_mul(2), 0.25),
            (value / 2, 0.25),
            (value.saturating_mul(10), 0.2),
        ] {
            let unsigned = !site.parsed().table().style.negative_literals && other < 0;
            if unsigned || !tried.insert(other) {
                continue;
            }
            let negative = other < 0;
            let plain = format!("{other}{suffix}");
            let new = if negative { fit(site, node, &plain, "u") } else { plain };
            sink.replace(site, Family::Constant, node, new, weight);
        }
        let mut found = 0;
        for value in site.file.integers.iter().copied() {
            if found < 8 && tried.insert(value) {
                found += 1;
                sink.replace(site, Family::Constant, node, value.to_string(), 0.5);
            }
        }
    } else if let Ok(value) = digits.parse::<f64>() {
        for (other, weight) in [(0.0, 0.7), (1.0, 0.7), (value + 1.0, 0.6), (value - 1.0, 0.6)] {
            sink.replace(site, Family::Constant, node, format!("{other:?}{suffix}"), weight);
        }
    }
}

/// A number that should have been a variable.
fn by_name(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    for binding in site.locals() {
        let shape = site.shape_of_name(&binding.name);
        if !shape.overlaps(Shapes::NUMBER) {
            continue;
        }
        let unread = site.file.reads.get(&binding.name).copied().unwrap_or(0) == 0;
        let weight = if unread { 0.9 } else { 0.5 };
        sink.replace(site, Family::Variable, node, binding.name.as_str(), weight);
    }
}

fn boolean(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let (yes, no) = site.parsed().table().style.booleans;
    let other = if site.text_of(node) == yes { no } else { yes };
    // The condition of an endless loop is no mistake by itself.
    let endless = site.role(site.unit) == Role::While;
    sink.replace(site, Family::BooleanLiteral, node, other, if endless { 0.2 } else { 1.0 });
}

/// Other strings of the file, the empty string, one blank.
fn text(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let own = site.text_of(node);
    let Some(quote) = own.chars().find(|c| matches!(c, '"' | '\'' | '`')) else { return };
    let inner = own.trim_matches(quote);
    let character = site.parsed().table().style.typed && quote == '\'';
    if !character {
        if inner.is_empty() {
            sink.replace(site, Family::TextLiteral, node, format!("{quote} {quote}"), 0.8);
        } else {
            sink.replace(site, Family::TextLiteral, node, format!("{quote}{quote}"), 0.8);
        }
        if inner != inner.trim() {
            let new = own.replace(inner, inner.trim());
            sink.replace(site, Family::TextLiteral, node, new, 0.7);
        }
    }
    let mut seen = BTreeSet::from([own]);
    for other in site.file.texts.iter().copied() {
        let text = site.text_of(other);
        if other.kind() == node.kind() && text.len() <= 24 && seen.insert(text) && seen.len() < 14 {
            sink.replace(site, Family::TextLiteral, node, text, 0.8);
        }
    }
}

/// `None` becomes an empty list, 0 or an empty string.
fn null(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let style = &site.parsed().table().style;
    if style.typed {
        return;
    }
    let target = site.ancestor(node, |r| {
        matches!(r, Role::Assignment | Role::Declarator | Role::Arguments | Role::Return)
    });
    if target.is_some() {
        for (new, weight) in [(style.empty_list, 0.6), ("0", 0.6), ("\"\"", 0.4)] {
            sink.replace(site, Family::Constant, node, new, weight);
        }
    }
}

/// Whether ±1 makes sense at a node, and how much.
fn worth_a_step(site: &Site<'_>, node: Node<'_>) -> Option<f64> {
    let parsed = site.parsed();
    let role = site.role(node);
    // ±1 on literals is a constant; on sums with a literal, the literal's matter.
    if !matches!(
        role,
        Role::Identifier
            | Role::Call
            | Role::Member
            | Role::Index
            | Role::Binary
            | Role::Parenthesized
    ) {
        return None;
    }
    let shape = site.shape(node);
    let number = shape.overlaps(Shapes::NUMBER);
    if !number && !shape.is_unknown() {
        return None;
    }
    let sure = if number { 1.0 } else { 0.45 };
    let parent = site.parent(node)?;
    let parent_role = parsed.role(parent);
    let weight = match parent_role {
        Role::Index => {
            let (object, _) = parsed.index(parent)?;
            (object.id() != node.id()).then_some(0.75)?
        }
        Role::Slice => 1.0,
        Role::Subslice => (parsed.children(parent).first()?.id() != node.id()).then_some(1.0)?,
        Role::Tuple => parsed.role(site.parent(parent)?).eq(&Role::Index).then_some(0.7)?,
        Role::Arguments => {
            let call = site.parent(parent)?;
            let name = parsed.call(call).and_then(|c| parsed.callee_name(c.function))?;
            if name == "range" {
                1.0
            } else if site.function.and_then(|f| parsed.function_name(f)) == Some(name) {
                0.9
            } else if parsed.table().words.builtins.contains(&name) {
                0.3
            } else {
                0.5
            }
        }
        Role::Binary => {
            let operator = parsed.binaries(parent).first().map(|b| parsed.operator_text(b).1)?;
            if parsed.table().comparisons.iter().any(|(o, _)| *o == operator) {
                if matches!(operator.as_str(), "in" | "not in" | "is" | "is not") {
                    return None;
                }
                0.6
            } else if operator == "*" && !number {
                0.8
            } else if matches!(operator.as_str(), "*" | "%" | "//" | "/") {
                0.7
            } else if matches!(operator.as_str(), "+" | "-") && number {
                0.45
            } else {
                return None;
            }
        }
        Role::Parenthesized if role != Role::Parenthesized => 0.6,
        Role::Return => 0.7,
        Role::Assignment | Role::Declarator | Role::Declaration | Role::AugmentedAssignment => {
            let (target, _) = parsed.assignment(parent)?;
            (target.id() != node.id()).then_some(0.6)?
        }
        Role::Block if site.is_tail(node) => 0.7,
        _ => return None,
    };
    // A call that is a statement of its own or a function's name has no value to shift.
    if role == Role::Identifier && parsed.call(parent).is_some_and(|c| c.function.id() == node.id())
    {
        return None;
    }
    // Inside the parentheses reads better than around them.
    let around = if role == Role::Parenthesized { 0.5 } else { 1.0 };
    Some(weight * sure * around)
}

fn step(site: &Site<'_>, sink: &mut Sink, node: Node<'_>, weight: f64) {
    for (sign, factor) in [("+", 1.0), ("-", 1.0)] {
        // `a + 1 - 1` is what dropping the operand does already.
        let inner = operand(site, node, "*");
        let inner = if site.role(node) == Role::Binary
            && super::precedence::top(site, node).is_some_and(|o| super::precedence::level(&o) >= 7)
        {
            site.text_of(node).to_owned()
        } else {
            inner
        };
        if site.text_of(node).trim_end_matches(')').ends_with("+ 1")
            || site.text_of(node).trim_end_matches(')').ends_with("- 1")
        {
            continue;
        }
        let text = format!("{inner} {sign} 1");
        let weight = weight * factor * site.likeness_to_integer(node);
        sink.replace(site, Family::OffByOne, node, fit(site, node, &text, sign), weight);
    }
}
