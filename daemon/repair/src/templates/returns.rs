//! Return values.

use std::collections::BTreeSet;

use greenlit_syntax::{Node, Role, Shapes};

use super::family::Family;
use super::precedence::operand;
use super::sink::{Sink, short};
use super::site::Site;

/// Weight of an expression that does nothing but have a value.
const EFFECTLESS: f64 = 1.5;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    dropped(site, sink);
    let core = parsed.core(site.unit);
    let value = match site.role(core) {
        Role::Return => parsed.value_of(core),
        _ if site.is_tail(core) && site.list().is_some() => Some(core),
        _ => None,
    };
    let Some(value) = value else {
        generator(site, sink, core);
        return;
    };
    if site.role(value) != Role::If && site.role(value) != Role::Match {
        replace(site, sink, value);
        extend(site, sink, value);
        // Several results: each by itself.
        if parsed.table().style.typed && site.role(value) == Role::Tuple {
            for part in parsed.children(value) {
                extend(site, sink, part);
            }
        }
    }
    generator(site, sink, core);
}

/// Returns what a statement computes and drops. One that has no effect is there for its value.
fn dropped(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let core = parsed.core(site.unit);
    let around = site.ancestor(core, |r| matches!(r, Role::Function | Role::Lambda));
    let Some(around) = around else { return };
    let silent = site.role(around) == Role::Function && parsed.result_types(around).is_empty();
    let fruitless = parsed.table().style.typed && silent;
    // Texts are documentation and directives.
    let no_value = matches!(
        site.role(core),
        Role::Assignment | Role::AugmentedAssignment | Role::Update | Role::Yield | Role::Text
    );
    if site.role(site.unit) != Role::ExpressionStatement
        || core == site.unit
        || fruitless
        || no_value
    {
        return;
    }
    let acts = |role| matches!(role, Role::Call | Role::Macro | Role::Await | Role::Yield);
    let weight = if parsed.descendants(core, acts).is_empty() { EFFECTLESS } else { 0.6 };
    let at = core.start_byte();
    let summary = format!("return `{}`", short(site.text_of(core)));
    sink.edit(site, Family::MissingReturn, at..at, "return ".into(), weight, Some(summary));
}

/// Literals that the function returns elsewhere, as written.
pub(super) fn returned(site: &Site<'_>) -> Vec<String> {
    let parsed = site.parsed();
    let Some(function) = site.function else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for node in parsed.descendants(function, |r| r == Role::Return) {
        let own = site.enclosing_function(node).map(|f| f.id());
        if own != Some(function.id()) {
            continue;
        }
        if let Some(value) = parsed.value_of(node) {
            let text = site.text_of(value);
            if text.len() <= 40 && seen.insert(text) {
                found.push(text.to_owned());
            }
        }
    }
    found
}

fn replace(site: &Site<'_>, sink: &mut Sink, value: Node<'_>) {
    let parsed = site.parsed();
    let style = &parsed.table().style;
    let shape = site.shape(value);
    let own = site.text_of(value);
    for binding in site.locals() {
        let other = site.shape_of_name(&binding.name);
        if style.typed && !shape.certainly_fits(other) {
            continue;
        }
        let unread = site.file.reads.get(&binding.name).copied().unwrap_or(0) == 0;
        let fit = if shape.certainly_fits(other) {
            1.0
        } else if shape.fits(other) {
            0.75
        } else {
            0.4
        };
        let weight = if unread { fit * 1.3 } else { fit };
        sink.replace(site, Family::ReturnValue, value, binding.name.as_str(), weight);
        if !style.typed && style.empty_list == "[]" {
            let simple = matches!(site.role(value), Role::List | Role::Null | Role::Boolean);
            let text = format!("[{}]", binding.name);
            sink.replace(site, Family::WrapReturn, value, text, if simple { 0.9 } else { 0.3 });
        }
    }
    for other in returned(site) {
        sink.replace(site, Family::ReturnValue, value, other, 0.5);
    }
    if !style.typed {
        let literals: &[(&str, f64)] = &[
            ("[]", 0.6),
            ("0", 0.6),
            ("1", 0.5),
            ("\"\"", 0.4),
            (style.null, 0.5),
            (style.booleans.0, 0.5),
            (style.booleans.1, 0.5),
            ("-1", 0.35),
        ];
        for (literal, weight) in literals {
            sink.replace(site, Family::ReturnValue, value, *literal, *weight);
        }
        let wrapped = format!("[{own}]");
        let weight = match site.role(value) {
            Role::List => 1.0,
            Role::Identifier => 0.7,
            _ => 0.4,
        };
        sink.replace(site, Family::WrapReturn, value, wrapped, weight);
    } else {
        for (literal, weight) in site.result_values() {
            if !literal.is_empty() {
                sink.replace(site, Family::ReturnValue, value, literal, weight * 0.8);
            }
        }
        if style.tail_values && (site.role(value) == Role::Null || own == style.null) {
            for binding in site.locals() {
                let text = format!("Some({})", binding.name);
                sink.replace(site, Family::WrapReturn, value, text, 0.6);
            }
        }
    }
}

/// The value together with another one: `return a + b`.
fn extend(site: &Site<'_>, sink: &mut Sink, value: Node<'_>) {
    let parsed = site.parsed();
    let style = &parsed.table().style;
    let shape = site.shape(value);
    let number = shape.overlaps(Shapes::NUMBER);
    if number && matches!(site.role(value), Role::Identifier | Role::Call | Role::Member) {
        sink.replace(site, Family::UnaryMinus, value, format!("-{}", site.text_of(value)), 0.5);
    }
    let collection = shape.overlaps(Shapes::COLLECTION.with(Shapes::STRING));
    if shape.overlaps(Shapes::BOOLEAN) || (style.typed && !number) {
        return;
    }
    // `+` does not join lists in JavaScript.
    if collection && !style.block_close.is_empty() && !shape.overlaps(Shapes::STRING) {
        return;
    }
    for binding in site.locals() {
        let other = site.shape_of_name(&binding.name);
        let name = binding.name.as_str();
        let weight = if shape.certainly_fits(other) {
            0.9
        } else if shape.fits(other) && !style.typed {
            0.6
        } else if style.typed && other.is_unknown() {
            // The compiler knows.
            0.35
        } else {
            continue;
        };
        if site.text_of(value) == name {
            continue;
        }
        let repeated = parsed
            .descendants(value, |r| r == Role::Identifier)
            .iter()
            .any(|n| site.text_of(*n) == name);
        let weight = if repeated { weight * 0.6 } else { weight };
        for operator in if number { &["+", "-", "*"][..] } else { &["+"][..] } {
            let left = operand(site, value, operator);
            let weight = if *operator == "+" { weight } else { weight * 0.5 };
            let after = format!("{left} {operator} {name}");
            let before = format!("{name} {operator} {left}");
            sink.replace(site, Family::ExtendExpression, value, after, weight);
            sink.replace(site, Family::ExtendExpression, value, before, weight * 0.9);
        }
    }
}

/// `yield` and `yield from`, `return` and `yield`, `yield f(x)` and `yield x`.
fn generator(site: &Site<'_>, sink: &mut Sink, core: Node<'_>) {
    let parsed = site.parsed();
    if !parsed.table().style.block_close.is_empty() {
        return;
    }
    let text = site.text_of(core);
    if site.role(core) == Role::Yield {
        let head = core.start_byte();
        if let Some(rest) = text.strip_prefix("yield from") {
            let range = head..core.end_byte() - rest.len();
            sink.edit(site, Family::YieldReturn, range.clone(), "yield".into(), 1.0, None);
            sink.edit(site, Family::YieldReturn, range, "return".into(), 0.5, None);
        } else {
            let range = head..head + "yield".len();
            sink.edit(site, Family::YieldReturn, range.clone(), "yield from".into(), 1.0, None);
            sink.edit(site, Family::YieldReturn, range, "return".into(), 0.4, None);
        }
    } else if site.role(core) == Role::Return && text.starts_with("return ") {
        let in_generator =
            site.function.is_some_and(|f| !parsed.descendants(f, |r| r == Role::Yield).is_empty());
        let range = core.start_byte()..core.start_byte() + "return".len();
        let weight = if in_generator { 1.0 } else { 0.25 };
        sink.edit(site, Family::YieldReturn, range, "yield".into(), weight, None);
    } else if site.role(site.unit) == Role::ExpressionStatement && site.role(core) == Role::Call {
        let at = core.start_byte();
        let in_generator =
            site.function.is_some_and(|f| !parsed.descendants(f, |r| r == Role::Yield).is_empty());
        if in_generator {
            sink.edit(site, Family::YieldReturn, at..at, "yield from ".into(), 0.9, None);
        }
    }
}
