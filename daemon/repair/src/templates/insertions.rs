//! Inserted statements: missing base cases, guards, updates, additions, jumps.

use std::collections::{BTreeSet, HashSet};

use greenlit_syntax::{BindingKind, Node, Role, Shapes};

use super::conditions::atoms;
use super::family::Family;
use super::returns::returned;
use super::sink::{Sink, short};
use super::site::Site;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    if site.list().is_none() || site.role(site.unit) == Role::Function {
        return;
    }
    if site.function.is_none() {
        return;
    }
    early_returns(site, sink);
    guards(site, sink);
    updates(site, sink);
    additions(site, sink);
    jumps(site, sink);
}

fn insert(
    site: &Site<'_>,
    sink: &mut Sink,
    family: Family,
    lines: &[String],
    behind: bool,
    weight: f64,
) {
    let edit = if behind { site.after(site.unit, lines) } else { site.before(site.unit, lines) };
    let Some((range, text)) = edit else { return };
    let place = if behind { "after" } else { "before" };
    let summary = format!("insert `{}` {place} line {}", short(&lines.join(" ")), site.line);
    sink.edit(site, family, range, text, weight, Some(summary));
}

/// Whether control never reaches what follows the unit.
fn leaves(site: &Site<'_>) -> bool {
    matches!(
        site.role(site.parsed().core(site.unit)),
        Role::Return | Role::Break | Role::Continue | Role::Raise
    )
}

/// `if not xs: return []` before a statement; best at the start of the function.
fn early_returns(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let style = &parsed.table().style;
    let Some(function) = site.function else { return };
    let first = parsed
        .body(function)
        .and_then(|b| {
            let children = parsed.children(b);
            children.into_iter().find(|c| parsed.role(parsed.core(*c)) != Role::Text)
        })
        .is_some_and(|c| c.id() == site.unit.id());
    let place = if first { 1.0 } else { 0.5 };
    let generator = !parsed.descendants(function, |r| r == Role::Yield).is_empty();
    let mut values: Vec<(String, f64)> = Vec::new();
    for text in returned(site) {
        let names = free_names(&text);
        let usable = names.iter().all(|n| {
            site.names.iter().any(|b| b.name == *n)
                || parsed.table().words.builtins.contains(&n.as_str())
        });
        if usable {
            values.push((text, 0.9));
        }
    }
    if !style.typed {
        for (literal, weight) in [
            ("[]", 0.7),
            ("0", 0.7),
            (style.null, 0.6),
            (style.booleans.1, 0.6),
            (style.booleans.0, 0.5),
            ("\"\"", 0.4),
            ("1", 0.3),
            ("-1", 0.3),
        ] {
            values.push((literal.to_owned(), weight));
        }
        for binding in site.locals() {
            values.push((binding.name.clone(), 0.5));
        }
    } else {
        values.extend(site.result_values());
    }
    let mut seen = BTreeSet::new();
    values.retain(|(v, _)| seen.insert(v.clone()));
    values.truncate(10);
    if generator {
        values = vec![(String::new(), 1.0)];
    }
    for (condition, asks) in atoms(site, site.unit).into_iter().take(14) {
        for (value, worth) in &values {
            let statement =
                if value.is_empty() { "return".to_owned() } else { format!("return {value}") };
            let lines = site.if_lines(&condition, &statement);
            let weight = place * asks * worth;
            insert(site, sink, Family::EarlyReturn, &lines, false, weight);
        }
    }
}

/// Identifiers in a short text of source code.
fn free_names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut previous = ' ';
    for word in text.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_')) {
        let name = word.trim_end_matches(|c: char| !(c.is_alphanumeric() || c == '_'));
        let starts = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        if starts && previous != '.' && previous != '"' && previous != '\'' {
            names.push(name.to_owned());
        }
        previous = word.chars().last().unwrap_or(' ');
    }
    names
}

/// The unit only under a condition; inside loops: skip the round otherwise.
fn guards(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let core = parsed.core(site.unit);
    let in_loop = site
        .ancestor(site.unit, |r| r.is_loop() || r.is_function_like())
        .is_some_and(|n| parsed.role(n).is_loop());
    let used: HashSet<&str> = site
        .nodes
        .iter()
        .filter(|n| site.role(**n) == Role::Identifier)
        .map(|n| site.text_of(*n))
        .collect();
    let relevant =
        |condition: &str| free_names(condition).iter().any(|n| used.contains(n.as_str()));
    let simple = (site.is_simple() || matches!(site.role(core), Role::Return | Role::Raise))
        && !matches!(site.role(core), Role::Text);
    if simple && !site.is_tail(site.unit) {
        for (condition, asks) in atoms(site, site.unit).into_iter().take(24) {
            let sure = if relevant(&condition) { 1.0 } else { 0.4 };
            let Some(indent) = site.indent(site.unit) else { break };
            let style = &parsed.table().style;
            let newline = site.file.newline;
            let body = site.text_of(site.unit);
            let mut text = format!(
                "{}{condition}{}{newline}{indent}{}{body}",
                style.if_open.0, style.if_open.1, site.file.unit
            );
            if !style.block_close.is_empty() {
                text.push_str(&format!("{newline}{indent}{}", style.block_close));
            }
            if body.contains('\n') {
                continue;
            }
            let summary = format!("only if `{condition}`: `{}`", short(body));
            let range = site.unit.byte_range();
            sink.edit(site, Family::Guard, range, text, 0.9 * asks * sure, Some(summary));
        }
    }
    if in_loop {
        let (breaks, continues) = parsed.table().style.jumps;
        for (condition, asks) in atoms(site, site.unit).into_iter().take(16) {
            let sure = if relevant(&condition) { 1.0 } else { 0.4 };
            for (jump, weight) in [(continues, 0.9), (breaks, 0.8)] {
                let lines = site.if_lines(&condition, jump);
                insert(site, sink, Family::Guard, &lines, false, weight * asks * sure);
            }
        }
    }
}

/// `a = b`, `i += 1` between statements.
fn updates(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let typed = parsed.table().style.typed;
    let around = site
        .ancestor(site.unit, |r| r.is_loop() || r.is_function_like())
        .filter(|n| parsed.role(*n).is_loop());
    let mut names = site.locals().map(|b| b.name.as_str()).collect::<Vec<_>>();
    names.extend(
        parsed
            .assignment(parsed.core(site.unit))
            .into_iter()
            .flat_map(|(t, _)| parsed.pattern_names(t))
            .map(|n| site.text_of(n)),
    );
    let mut seen = BTreeSet::new();
    names.retain(|n| seen.insert(*n));
    for target in names.iter().copied() {
        let shape = site.shape_of_name(target);
        // Set before the loop, read in the loop, never set in the loop: probably forgotten.
        let stale = around.is_some_and(|l| is_stale(site, l, target));
        let base = if stale {
            1.5
        } else if around.is_some() {
            0.45
        } else {
            0.3
        };
        for value in names.iter().copied().filter(|v| *v != target) {
            let other = site.shape_of_name(value);
            if !shape.fits(other) || (typed && !shape.certainly_fits(other)) {
                continue;
            }
            let sure = if shape.certainly_fits(other) { 1.0 } else { 0.8 };
            let line = [site.terminated(&format!("{target} = {value}"))];
            for behind in [false, true] {
                if behind && leaves(site) {
                    continue;
                }
                insert(site, sink, Family::InsertAssignment, &line, behind, base * sure);
            }
            if shape.certainly_fits(Shapes::NUMBER) && other.certainly_fits(Shapes::NUMBER) {
                let line = [site.terminated(&format!("{target} += {value}"))];
                insert(site, sink, Family::InsertUpdate, &line, false, base * 0.6);
                if !leaves(site) {
                    insert(site, sink, Family::InsertUpdate, &line, true, base * 0.6);
                }
            }
        }
        if shape.overlaps(Shapes::NUMBER) {
            for (update, weight) in [("+= 1", 1.0), ("-= 1", 0.8), ("= 0", 0.6)] {
                let line = [site.terminated(&format!("{target} {update}"))];
                for behind in [false, true] {
                    if behind && leaves(site) {
                        continue;
                    }
                    insert(site, sink, Family::InsertUpdate, &line, behind, base * weight);
                }
            }
        }
    }
}

fn is_stale(site: &Site<'_>, around: Node<'_>, name: &str) -> bool {
    let parsed = site.parsed();
    let mut read = false;
    let mut written = false;
    for node in parsed.descendants(around, |r| {
        matches!(
            r,
            Role::Identifier
                | Role::Assignment
                | Role::AugmentedAssignment
                | Role::Update
                | Role::For
        )
    }) {
        match parsed.role(node) {
            Role::Identifier => read |= site.text_of(node) == name,
            Role::Update => written |= site.text_of(node).contains(name),
            Role::For => {
                if let Some((target, _)) = parsed.loop_over(node) {
                    written |=
                        parsed.pattern_names(target).iter().any(|n| site.text_of(*n) == name);
                }
            }
            _ => {
                if let Some((target, _)) = parsed.assignment(node) {
                    written |=
                        parsed.pattern_names(target).iter().any(|n| site.text_of(*n) == name);
                }
            }
        }
    }
    let local = site
        .names
        .iter()
        .any(|b| b.name == name && b.kind == BindingKind::Local && b.at < around.start_byte());
    read && !written && local
}

/// Something added to a collection: worth most for one that is read and never filled, and before
/// a collection is returned.
fn additions(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let style = &parsed.table().style;
    let text = site.file.text();
    let within = outermost(site).map_or(0..text.len(), |f| f.byte_range());
    let body = &text[within];
    let returns = {
        let core = parsed.core(site.unit);
        (site.role(core) == Role::Return).then(|| parsed.value_of(core)).flatten()
    };
    let elements: Vec<&str> = site
        .locals()
        .map(|b| b.name.as_str())
        .filter(|n| !parsed.table().style.typed || !site.shape_of_name(n).is_unknown())
        .collect();
    for binding in site.locals() {
        let collection = binding.name.as_str();
        if !site.shape_of_name(collection).overlaps(Shapes::COLLECTION) {
            continue;
        }
        let used: Vec<&str> = style
            .adders
            .iter()
            .chain(&style.append)
            .copied()
            .filter(|a| {
                body.contains(&format!("{collection}.{a}("))
                    || body.contains(&format!("{a}({collection},"))
            })
            .collect();
        let filled = !used.is_empty()
            || body.contains(&format!("{collection}["))
                && body.contains("] = ")
                && !body.contains(&format!("{collection}[-1]"))
            || body.contains(&format!("{collection} += "));
        let empty = starts_empty(site, body, collection);
        if binding.kind != BindingKind::Parameter {
            let (before, after) = style.clear;
            let line = [site.terminated(&format!("{before}{collection}{after}"))];
            let clears = !after.is_empty();
            for behind in [false, true] {
                if clears && around_loop(site) && !(behind && leaves(site)) {
                    insert(site, sink, Family::InsertUpdate, &line, behind, 0.35);
                }
            }
        }
        let returned_here =
            returns.is_some_and(|value| site.text_of(value) == collection) && !used.is_empty();
        let (adders, weight): (Vec<&str>, f64) = if let Some(adder) = empty.filter(|_| !filled) {
            (vec![adder], 1.6)
        } else if returned_here {
            (used, 1.0)
        } else if !used.is_empty() {
            (used, 0.4)
        } else {
            continue;
        };
        for element in elements.iter().copied().filter(|e| *e != collection) {
            let own = site.shape_of_name(element);
            let sure = if own.overlaps(Shapes::COLLECTION) && !own.overlaps(Shapes::STRING) {
                0.6
            } else {
                1.0
            };
            let parameter =
                site.names.iter().any(|b| b.name == element && b.kind == BindingKind::Global);
            if parameter {
                continue;
            }
            for adder in &adders {
                let added = if style.append == Some(*adder) {
                    format!("{collection} = {adder}({collection}, {element})")
                } else {
                    format!("{collection}.{adder}({element})")
                };
                let line = [site.terminated(&added)];
                for behind in [false, true] {
                    if behind && leaves(site) {
                        continue;
                    }
                    insert(site, sink, Family::InsertAddition, &line, behind, weight * sure);
                }
            }
        }
    }
}

fn around_loop(site: &Site<'_>) -> bool {
    site.ancestor(site.unit, |r| r.is_loop() || r.is_function_like())
        .is_some_and(|n| site.role(n).is_loop())
}

/// The outermost function around the unit: closures fill collections of the function around them.
fn outermost<'t>(site: &Site<'t>) -> Option<Node<'t>> {
    let mut function = site.function?;
    while let Some(outer) = site.enclosing_function(function) {
        function = outer;
    }
    Some(function)
}

/// Whether a collection is created empty, and the method or function that fills such a one.
fn starts_empty(site: &Site<'_>, body: &str, name: &str) -> Option<&'static str> {
    let forms = site.parsed().table().style.empties;
    forms.iter().find_map(|(form, adder)| {
        ["=", ":="]
            .iter()
            .any(|sign| body.contains(&format!("{name} {sign} {form}")))
            .then_some(*adder)
    })
}

/// A jump at the end of a branch inside a loop.
fn jumps(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    if leaves(site) {
        return;
    }
    let Some(list) = site.list() else { return };
    let last = parsed.children(list).last().is_some_and(|n| n.id() == site.unit.id());
    let in_branch = site
        .parent(list)
        .is_some_and(|p| matches!(site.role(p), Role::If | Role::ElseIf | Role::Else));
    let in_loop = site
        .ancestor(site.unit, |r| r.is_loop() || r.is_function_like())
        .is_some_and(|n| parsed.role(n).is_loop());
    if !last || !in_loop {
        return;
    }
    let (breaks, continues) = parsed.table().style.jumps;
    let weight = if in_branch { 0.9 } else { 0.3 };
    for jump in [breaks, continues] {
        insert(site, sink, Family::Jump, &[site.terminated(jump)], true, weight);
    }
    if in_branch && !parsed.table().style.typed {
        for binding in site.locals().take(6) {
            let line = [site.terminated(&format!("return {}", binding.name))];
            insert(site, sink, Family::Jump, &line, true, 0.35);
        }
    }
}
