//! Guards for what an index or a function's end leaves open: indices within range, values returned.

use greenlit_syntax::{Node, Role, Shapes};

use super::conditions::is_condition_owner;
use super::family::Family;
use super::sink::{Sink, short};
use super::site::Site;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    if site.function.is_none_or(|f| f.id() == site.unit.id()) {
        return;
    }
    ranges(site, sink);
    missing_return(site, sink);
}

/// `xs[i]` only where `i < len(xs)`: as a further clause of a condition, or around a statement.
fn ranges(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let style = &parsed.table().style;
    for node in site.nodes.iter().copied() {
        let Some((object, indices)) = parsed.index(node) else { continue };
        let [only] = indices[..] else { continue };
        let plain = matches!(site.role(object), Role::Identifier | Role::Member);
        // Mappings are asked by key: only what is certainly a number is an index.
        if !plain
            || site.role(only).is_literal()
            || site.role(only) == Role::Slice
            || !site.shape(only).certainly_fits(Shapes::NUMBER)
        {
            continue;
        }
        let index = site.text_of(only);
        let below = format!("{index} < {}", site.length(site.text_of(object)));
        for (test, weight) in [(below, 1.0), (format!("{index} >= 0"), 0.7)] {
            clause(site, sink, node, &test, weight);
            if let Some(edit) = only_if(site, &test) {
                let summary = format!("only if `{test}`: `{}`", short(site.text_of(site.unit)));
                sink.edit(site, Family::RangeGuard, edit.0, edit.1, weight * 0.8, Some(summary));
            }
        }
        if style.chains_comparisons {
            let both = format!("0 <= {index} < {}", site.length(site.text_of(object)));
            clause(site, sink, node, &both, 0.6);
        }
    }
}

/// The test before the condition that the node is in.
fn clause(site: &Site<'_>, sink: &mut Sink, node: Node<'_>, test: &str, weight: f64) {
    let parsed = site.parsed();
    let owner = site.nodes.iter().copied().find_map(|owner| {
        let condition = is_condition_owner(site.role(owner)).then(|| parsed.condition(owner))??;
        let inside =
            condition.start_byte() <= node.start_byte() && node.end_byte() <= condition.end_byte();
        inside.then_some(condition)
    });
    let Some(condition) = owner else { return };
    let own = site.text_of(condition);
    if own.contains(test) {
        return;
    }
    let and = parsed.table().style.and;
    let rest = super::precedence::operand(site, condition, and);
    // The same connective needs no parentheses.
    let same = parsed.binaries(condition).iter().any(|b| parsed.operator_text(b).1 == and);
    let text = format!("{test} {and} {}", if same { own } else { rest.as_str() });
    sink.replace(site, Family::RangeGuard, condition, text, weight);
}

/// The unit, if it is one simple line, inside an `if`.
fn only_if(site: &Site<'_>, test: &str) -> Option<(std::ops::Range<usize>, String)> {
    let body = site.text_of(site.unit);
    let indent = site.indent(site.unit)?;
    if !site.is_simple() || body.contains('\n') || site.list().is_none() {
        return None;
    }
    let style = &site.parsed().table().style;
    let newline = site.file.newline;
    let unit = &site.file.unit;
    let mut text =
        format!("{}{test}{}{newline}{indent}{unit}{body}", style.if_open.0, style.if_open.1);
    if !style.block_close.is_empty() {
        text.push_str(&format!("{newline}{indent}{}", style.block_close));
    }
    Some((site.unit.byte_range(), text))
}

/// The function's end, or a branch's, is reached without a value although others return one.
fn missing_return(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let Some((function, list)) = site.function.zip(site.list()) else { return };
    let core = parsed.core(site.unit);
    let last = parsed.children(list).last().is_some_and(|n| n.id() == site.unit.id());
    let leaves =
        matches!(site.role(core), Role::Return | Role::Raise | Role::Break | Role::Continue);
    let of_function = parsed.body(function).is_some_and(|b| b.id() == list.id());
    let of_branch = site
        .parent(list)
        .is_some_and(|p| matches!(site.role(p), Role::If | Role::ElseIf | Role::Else));
    if !last || leaves || site.is_tail(core) || !(of_function || of_branch) {
        return;
    }
    let base = if of_function { 1.0 } else { 0.6 };
    let mut values: Vec<(String, f64)> = Vec::new();
    if parsed.table().style.typed {
        values.extend(site.result_values());
    } else {
        let own = parsed.assignment(core).map(|(target, _)| site.text_of(target).to_owned());
        values.extend(own.map(|name| (name, 1.0)));
        values.extend(site.locals().map(|b| (b.name.clone(), 0.8)));
    }
    values.truncate(8);
    for (value, weight) in values.into_iter().filter(|(v, _)| !v.is_empty()) {
        let line = [site.terminated(&format!("return {value}"))];
        let Some((range, text)) = site.after(site.unit, &line) else { return };
        let summary = format!("insert `return {value}` after line {}", site.line);
        sink.edit(site, Family::InsertReturn, range, text, base * weight, Some(summary));
    }
}
