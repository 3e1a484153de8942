//! Conditions: negation, clauses, replacement, loop conditions.

use std::collections::BTreeSet;

use greenlit_syntax::{Node, Role, Shapes};

use super::family::Family;
use super::precedence::{fit, negation, operand};
use super::sink::Sink;
use super::site::Site;

/// Conditions per place that clause addition and replacement draw on.
const ATOMS: usize = 40;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    for node in site.nodes.iter().copied() {
        if let Some(condition) = parsed.condition(node) {
            change(site, sink, node, condition);
        }
    }
    boolean_returns(site, sink);
}

/// Whether a node of this role has a condition that a statement can lend or take.
pub(super) fn is_condition_owner(role: Role) -> bool {
    matches!(role, Role::If | Role::ElseIf | Role::While | Role::Ternary)
}

fn change(site: &Site<'_>, sink: &mut Sink, owner: Node<'_>, condition: Node<'_>) {
    let style = &site.parsed().table().style;
    if condition.kind() == "let_condition" || condition.kind() == "let_chain" {
        return;
    }
    let own = site.text_of(condition);
    let endless = own == style.booleans.0 || own == "1";
    if !endless {
        sink.replace(site, Family::Negate, condition, negation(site, condition), 0.9);
    }
    let is_loop = site.role(owner) == Role::While;
    let atoms = atoms(site, condition);
    for (atom, weight) in &atoms {
        if endless && is_loop {
            sink.replace(site, Family::LoopCondition, condition, atom.as_str(), *weight);
            continue;
        }
        let family = if is_loop { Family::LoopCondition } else { Family::ConditionReplacement };
        let factor = if is_loop { 0.6 } else { 1.0 };
        sink.replace(site, family, condition, atom.as_str(), weight * factor);
        let loose = atom.contains(" and ") || atom.contains(" or ") || atom.contains("||");
        if loose {
            continue;
        }
        for (operator, factor) in [(style.or, 1.0), (style.and, 0.9)] {
            let joined = operand_of(site, condition, operator);
            // A check for absence must come before what it protects.
            let guard = is_guard(site, atom, own);
            for (first, second, factor) in [
                (joined.as_str(), atom.as_str(), if guard { factor * 0.5 } else { factor }),
                (atom.as_str(), joined.as_str(), if guard { factor * 1.1 } else { factor * 0.6 }),
            ] {
                let text = format!("{first} {operator} {second}");
                let text = fit(site, condition, &text, operator);
                sink.replace(site, Family::ClauseAddition, condition, text, weight * factor);
            }
        }
    }
    if is_loop && !endless {
        let text = style.booleans.0;
        sink.replace(site, Family::LoopCondition, condition, text, 0.25);
    } else if !is_loop && site.role(owner) != Role::Ternary {
        sink.replace(site, Family::ConditionReplacement, condition, style.booleans.0, 0.5);
        sink.replace(site, Family::ConditionReplacement, condition, style.booleans.1, 0.5);
    }
}

fn operand_of(site: &Site<'_>, condition: Node<'_>, operator: &str) -> String {
    let parsed = site.parsed();
    let style = &parsed.table().style;
    // The same connective needs no parentheses.
    if let [only] = parsed.binaries(condition)[..]
        && parsed.operator_text(&only).1 == operator
    {
        return site.text_of(condition).to_owned();
    }
    // `a or b` in an `and` needs them, `a and b` in an `or` does not.
    if operator == style.or {
        return match super::precedence::top(site, condition).as_deref() {
            Some("?") => format!("({})", site.text_of(condition)),
            _ => site.text_of(condition).to_owned(),
        };
    }
    operand(site, condition, operator)
}

/// Whether an atom tests for absence something that the condition looks into.
fn is_guard(site: &Site<'_>, atom: &str, condition: &str) -> bool {
    let style = &site.parsed().table().style;
    let name: String = atom
        .trim_start_matches(style.not)
        .chars()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '.'))
        .collect();
    !name.is_empty()
        && (condition.contains(&format!("{name}.")) || condition.contains(&format!("{name}[")))
}

/// Things that can be asked here, best first: conditions of the function, presence and emptiness
/// of names, comparisons of numbers.
pub(super) fn atoms(site: &Site<'_>, place: Node<'_>) -> Vec<(String, f64)> {
    let parsed = site.parsed();
    let style = &parsed.table().style;
    let (not, null) = (style.not, style.is_null);
    let own = site.text_of(place);
    let mut found: Vec<(String, f64)> = Vec::new();
    let own_names: BTreeSet<&str> = parsed
        .descendants(place, |r| r == Role::Identifier)
        .into_iter()
        .map(|n| site.text_of(n))
        .collect();
    let scope: BTreeSet<&str> = parsed
        .names_at(site.bindings.iter().copied(), place.start_byte())
        .into_iter()
        .map(|b| b.name.as_str())
        .chain(["self", "cls", "this"])
        .collect();
    let near = |name: &str| -> f64 { if own_names.contains(name) { 1.0 } else { 0.75 } };
    let locals: BTreeSet<&str> = site.locals().map(|l| l.name.as_str()).collect();
    let names: Vec<_> = parsed
        .names_at(site.bindings.iter().copied(), place.start_byte())
        .into_iter()
        .filter(|b| locals.contains(b.name.as_str()) || site.role(site.unit) == Role::While)
        .filter(|b| {
            b.kind != greenlit_syntax::BindingKind::Function
                && b.kind != greenlit_syntax::BindingKind::Global
                && !matches!(b.name.as_str(), "self" | "cls" | "this" | "_")
        })
        .collect();
    for binding in &names {
        let name = binding.name.as_str();
        let shape = site.shape_of_name(name);
        let near = near(name);
        let known = !shape.is_unknown();
        if shape.overlaps(Shapes::COLLECTION.with(Shapes::STRING)) || (!known && style.truthiness) {
            let sure = if known { 1.0 } else { 0.6 };
            if style.truthiness && style.block_close.is_empty() {
                found.push((format!("{not}{name}"), 1.0 * sure * near));
                found.push((name.to_owned(), 0.95 * sure * near));
            } else if known {
                let empty = format!("{}{name}{}", style.is_empty.0, style.is_empty.1);
                found.push((empty, 1.0 * near));
                found.push((format!("{} > 0", site.length(name)), 0.9 * near));
            } else {
                found.push((format!("{not}{name}"), 0.6 * near));
                found.push((name.to_owned(), 0.6 * near));
            }
            if known {
                let length = site.length(name);
                found.push((format!("{length} == 1"), 0.35 * near));
                found.push((format!("{length} <= 1"), 0.35 * near));
            }
        }
        if !style.typed && !shape.overlaps(Shapes::NUMBER.with(Shapes::COLLECTION)) {
            let sure = if shape.overlaps(Shapes::OBJECT) { 1.0 } else { 0.55 };
            found.push((format!("{name}{}", null.0), 0.95 * sure * near));
            found.push((format!("{name}{}", null.1), 0.8 * sure * near));
        } else if site.may_be_absent(name) {
            found.push((format!("{name}{}", null.0), 0.95 * near));
            found.push((format!("{name}{}", null.1), 0.9 * near));
        }
        if shape.overlaps(Shapes::BOOLEAN) {
            found.push((name.to_owned(), 0.9 * near));
            found.push((format!("{not}{name}"), 0.9 * near));
        }
        if shape.overlaps(Shapes::NUMBER) {
            for (test, weight) in [
                ("== 0", 0.7),
                ("< 0", 0.55),
                ("> 0", 0.55),
                ("!= 0", 0.45),
                ("<= 0", 0.4),
                ("== 1", 0.4),
            ] {
                found.push((format!("{name} {test}"), weight * near));
            }
            for other in &names {
                if other.name != name && site.shape_of_name(&other.name).overlaps(Shapes::NUMBER) {
                    for (operator, weight) in [("<", 0.5), ("<=", 0.4), ("==", 0.4), ("!=", 0.3)] {
                        let text = format!("{name} {operator} {}", other.name);
                        found.push((text, weight * near));
                    }
                }
            }
        }
        if let Some(operator) = style.membership {
            for other in &names {
                if other.name != name
                    && site.shape_of_name(&other.name).overlaps(Shapes::COLLECTION)
                    && !shape.overlaps(Shapes::COLLECTION)
                {
                    let text = format!("{name} {operator} {}", other.name);
                    found.push((text, 0.35 * near));
                    found.push((format!("{name} not {operator} {}", other.name), 0.35 * near));
                }
            }
        }
    }
    // Attributes of what is in scope.
    for (object, name) in &site.file.attributes {
        let receiver = matches!(object.as_str(), "self" | "this");
        if !receiver && !names.iter().any(|b| b.name == *object) {
            continue;
        }
        let text = format!("{object}.{name}");
        let shape = site.shape_of_name(&text);
        if shape.overlaps(Shapes::COLLECTION) {
            let empty = if style.truthiness && style.block_close.is_empty() {
                format!("{not}{text}")
            } else {
                format!("{}{text}{}", style.is_empty.0, style.is_empty.1)
            };
            found.push((empty, 0.6));
        } else if !style.typed && !shape.overlaps(Shapes::NUMBER) {
            found.push((format!("{text}{}", null.0), 0.5));
            found.push((format!("{text}{}", null.1), 0.4));
        }
        if shape.overlaps(Shapes::BOOLEAN) {
            found.push((format!("{not}{text}"), 0.5));
            found.push((text, 0.5));
        }
    }
    // Other conditions of the same function.
    let within = site.function.unwrap_or_else(|| parsed.root());
    for node in parsed.descendants(within, |r| {
        matches!(r, Role::If | Role::ElseIf | Role::While | Role::Ternary | Role::ComprehensionIf)
    }) {
        let Some(condition) = parsed.condition(node) else { continue };
        if condition.kind().starts_with("let_") {
            continue;
        }
        let text = site.text_of(condition);
        // One that uses names of another place cannot be asked here.
        let asked_here = parsed.descendants(condition, |r| r == Role::Identifier).iter().all(|n| {
            let name = site.text_of(*n);
            scope.contains(name)
                || !site.file.bound.contains(name)
                || site.parent(*n).is_some_and(|p| {
                    parsed.member(p).is_some_and(|m| m.1.id() == n.id())
                        || parsed.call(p).is_some_and(|c| c.function.id() == n.id())
                })
        });
        if condition.id() != place.id() && text != own && text.len() <= 60 && asked_here {
            found.push((text.to_owned(), 0.6));
            found.push((negation(site, condition), 0.55));
        }
    }
    let mut seen = BTreeSet::from([own.to_owned()]);
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found.retain(|(text, _)| seen.insert(text.clone()));
    found.truncate(ATOMS);
    found
}

/// `return True` becomes `return x == 0` and the like.
fn boolean_returns(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let core = parsed.core(site.unit);
    let value = if site.role(core) == Role::Return {
        parsed.value_of(core)
    } else if site.is_tail(core) {
        Some(core)
    } else {
        None
    };
    let Some(value) = value else { return };
    if site.role(value) == Role::Boolean {
        for (atom, weight) in atoms(site, value) {
            sink.replace(site, Family::ConditionReplacement, value, atom, weight);
        }
    } else if site.shape(value) == Shapes::BOOLEAN && site.role(value) != Role::Binary {
        sink.replace(site, Family::Negate, value, negation(site, value), 0.7);
    } else if site.shape(value) == Shapes::BOOLEAN {
        let style = &parsed.table().style;
        sink.replace(site, Family::Negate, value, negation(site, value), 0.7);
        for (atom, weight) in atoms(site, value) {
            for operator in [style.and, style.or] {
                let text = format!("{} {operator} {atom}", operand_of(site, value, operator));
                sink.replace(site, Family::ClauseAddition, value, text, weight * 0.8);
            }
        }
    }
}
