//! Indices and slices.

use greenlit_syntax::{Node, Role, Shapes};

use super::family::Family;
use super::sink::Sink;
use super::site::Site;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let pythonic = parsed.table().style.negative_indices;
    for node in site.nodes.iter().copied() {
        match site.role(node) {
            Role::Index => index(site, sink, node, pythonic),
            Role::Slice if pythonic => slice(site, sink, node),
            Role::Identifier | Role::Member => insert(site, sink, node),
            Role::Call => range_start(site, sink, node),
            _ => {}
        }
    }
}

/// `x[0]` and `x[-1]`, and the whole instead of a part.
fn index(site: &Site<'_>, sink: &mut Sink, node: Node<'_>, pythonic: bool) {
    let Some((object, indices)) = site.parsed().index(node) else { return };
    let [only] = indices[..] else { return };
    if site.role(only) == Role::Slice {
        sink.replace(site, Family::SliceInsertion, node, site.text_of(object), 0.6);
        return;
    }
    let own = site.text_of(only);
    for (other, weight) in [("0", 0.8), ("-1", 0.8), ("1", 0.5)] {
        if (other == "-1" && !pythonic) || own == other {
            continue;
        }
        let literal = site.role(only) == Role::Integer || own.starts_with('-');
        let weight = if literal { weight } else { weight * 0.6 };
        sink.replace(site, Family::IndexChange, only, other, weight);
    }
    if !site.parsed().table().style.typed {
        sink.replace(site, Family::IndexChange, node, site.text_of(object), 0.35);
    }
}

/// Start and stop of a Python slice: added, removed, moved to the other side.
fn slice(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let Some(parts) = site.parsed().slice(node) else { return };
    let family = Family::SliceInsertion;
    let start = parts.start.map(|n| site.text_of(n)).unwrap_or_default();
    let stop = parts.stop.map(|n| site.text_of(n)).unwrap_or_default();
    if !start.is_empty() && stop.is_empty() {
        sink.replace(site, family, node, format!(":{start}"), 0.6);
        sink.replace(site, family, node, format!("{start} + 1:"), 0.9);
        sink.replace(site, family, node, format!("{start} - 1:"), 0.6);
        sink.replace(site, family, node, format!("{start}:-1"), 0.5);
    } else if start.is_empty() && !stop.is_empty() {
        sink.replace(site, family, node, format!("{stop}:"), 0.6);
        sink.replace(site, family, node, format!(":{stop} + 1"), 0.9);
        sink.replace(site, family, node, format!(":{stop} - 1"), 0.7);
        sink.replace(site, family, node, format!("1:{stop}"), 0.5);
    } else if !start.is_empty() && !stop.is_empty() {
        // A length that should have been an end.
        let plain = |n: Option<Node<'_>>| n.is_some_and(|n| site.role(n) == Role::Identifier);
        if plain(parts.start) && plain(parts.stop) {
            sink.replace(site, family, node, format!("{start}:{start} + {stop}"), 0.9);
        }
        sink.replace(site, family, node, format!("{start}:"), 0.6);
        sink.replace(site, family, node, format!(":{stop}"), 0.6);
    } else if site.text_of(node) == "::-1" {
        sink.replace(site, family, node, ":", 0.5);
    } else {
        sink.replace(site, family, node, "::-1", 0.6);
    }
}

/// Part of a collection instead of all of it.
fn insert(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some(parent) = site.parent(node) else { return };
    let weight = match site.role(parent) {
        Role::For | Role::ComprehensionFor => match parsed.loop_over(parent) {
            Some((_, source)) if source.id() == node.id() => 1.0,
            _ => return,
        },
        Role::Arguments => 0.6,
        Role::Return => 0.7,
        Role::Assignment | Role::Declarator => match parsed.assignment(parent) {
            Some((_, value)) if value.id() == node.id() => 0.5,
            _ => return,
        },
        Role::Binary => 0.4,
        _ => return,
    };
    let shape = site.shape(node);
    let collections = Shapes::COLLECTION.with(Shapes::STRING);
    let sure = if shape.certainly_fits(collections) {
        1.0
    } else if shape.is_unknown() && !parsed.table().style.typed {
        0.5
    } else {
        return;
    };
    let own = site.text_of(node);
    let style = &parsed.table().style;
    if style.skip.1.is_empty() {
        return;
    }
    let mut counts: Vec<(String, f64)> = vec![("1".into(), 0.9)];
    for binding in site.locals() {
        let shape = site.shape_of_name(&binding.name);
        if binding.name == own || !shape.fits(Shapes::NUMBER) {
            continue;
        }
        if style.typed && !shape.certainly_fits(Shapes::NUMBER) {
            continue;
        }
        counts.push((binding.name.clone(), if shape.is_unknown() { 0.6 } else { 1.0 }));
    }
    for (count, factor) in counts {
        let factor = factor * weight * sure;
        let skip = format!("{}{own}{}{count}{}", style.skip.0, style.skip.1, style.skip.2);
        let take = format!("{}{own}{}{count}{}", style.take.0, style.take.1, style.take.2);
        sink.replace(site, Family::SliceInsertion, node, skip, factor);
        sink.replace(site, Family::SliceInsertion, node, take, factor * 0.8);
    }
    if style.negative_indices {
        sink.replace(
            site,
            Family::SliceInsertion,
            node,
            format!("{own}[:-1]"),
            0.7 * weight * sure,
        );
        sink.replace(
            site,
            Family::SliceInsertion,
            node,
            format!("{own}[::-1]"),
            0.5 * weight * sure,
        );
    }
}

/// `range(n)` becomes `range(1, n)`, `range(a, b)` becomes `range(b)`.
fn range_start(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let Some(call) = site.parsed().call(node) else { return };
    if site.text_of(call.function) != "range" {
        return;
    }
    match call.arguments[..] {
        [stop] => {
            let stop_text = site.text_of(stop);
            sink.replace(site, Family::OffByOne, stop, format!("1, {stop_text}"), 0.8);
            sink.replace(site, Family::OffByOne, stop, format!("1, {stop_text} + 1"), 0.8);
            sink.replace(site, Family::OffByOne, stop, format!("{stop_text} - 1, -1, -1"), 0.4);
        }
        [start, stop] => {
            for (step, weight) in [("+", 0.5), ("-", 0.5)] {
                let text = format!("{} {step} 1", site.text_of(start));
                let own = site.role(start);
                if own != Role::Integer {
                    sink.replace(site, Family::OffByOne, start, text, weight);
                }
            }
            let text = format!("{}, {}, -1", site.text_of(stop), site.text_of(start));
            let span = start.start_byte()..stop.end_byte();
            sink.edit(site, Family::OffByOne, span, text, 0.3, None);
        }
        _ => {}
    }
}
