//! Statements and expressions of the same file, put elsewhere.

use std::collections::{BTreeSet, HashSet};

use greenlit_syntax::{Node, Role, Shapes};

use super::family::Family;
use super::precedence::fit;
use super::sink::{Sink, short};
use super::site::Site;

/// Donors longer than this are not tried.
const LONGEST: usize = 80;
/// Versions of one statement with two names exchanged.
const PAIRS: usize = 12;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    expressions(site, sink);
    if site.list().is_some() && site.function.is_some() && site.role(site.unit) != Role::Function {
        statements(site, sink);
    }
}

/// Whether every name in a node means something where the unit stands.
fn usable(site: &Site<'_>, names: &HashSet<&str>, node: Node<'_>) -> bool {
    site.parsed().descendants(node, |r| r == Role::Identifier).into_iter().all(|n| {
        let text = site.text_of(n);
        let member = site
            .parent(n)
            .and_then(|p| site.parsed().member(p))
            .is_some_and(|(_, name)| name.id() == n.id())
            || site
                .parent(n)
                .and_then(|p| site.parsed().call(p))
                .is_some_and(|call| call.object.is_some() && call.function.id() == n.id());
        member || names.contains(text) || site.parsed().table().words.builtins.contains(&text)
    })
}

fn names_in_scope<'t>(site: &Site<'t>) -> HashSet<&'t str> {
    site.names.iter().map(|b| b.name.as_str()).chain(["self", "this"]).collect()
}

/// Another expression of the same function in place of one here.
fn expressions(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let names = names_in_scope(site);
    let within = site.function.unwrap_or_else(|| parsed.root());
    let mut seen = BTreeSet::new();
    let mut donors: Vec<Node<'_>> = Vec::new();
    for node in parsed.descendants(within, |r| {
        matches!(r, Role::Call | Role::Index | Role::Member | Role::Binary | Role::Unary)
    }) {
        let text = site.text_of(node);
        let called = site
            .parent(node)
            .and_then(|p| parsed.call(p))
            .is_some_and(|c| c.function.id() == node.id());
        if text.len() <= 40 && !called && seen.insert(text) && usable(site, &names, node) {
            donors.push(node);
        }
    }
    donors.truncate(40);
    // Once per donor, not once per donor and place.
    let donors: Vec<_> =
        donors.into_iter().map(|d| (d, site.shape(d), super::precedence::top(site, d))).collect();
    for place in site.nodes.iter().copied() {
        let role = site.role(place);
        if !matches!(
            role,
            Role::Call
                | Role::Index
                | Role::Member
                | Role::Binary
                | Role::Identifier
                | Role::Integer
        ) {
            continue;
        }
        let Some(parent) = site.parent(place) else { continue };
        let used = match site.role(parent) {
            Role::Return
            | Role::Arguments
            | Role::Binary
            | Role::List
            | Role::Tuple
            | Role::Yield => true,
            Role::Index => parsed.index(parent).is_some_and(|(o, _)| o.id() != place.id()),
            Role::Assignment | Role::AugmentedAssignment | Role::Declarator => {
                parsed.assignment(parent).is_some_and(|(_, v)| v.id() == place.id())
            }
            Role::For => parsed.loop_over(parent).is_some_and(|(_, s)| s.id() == place.id()),
            _ => false,
        };
        if !used {
            continue;
        }
        let shape = site.shape(place);
        let own = site.text_of(place);
        for (donor, other, top) in &donors {
            let other = *other;
            let text = site.text_of(*donor);
            let nested =
                donor.start_byte() < place.end_byte() && place.start_byte() < donor.end_byte();
            if text == own || !shape.fits(other) || (nested && text.contains(own)) {
                continue;
            }
            if parsed.table().style.typed && !shape.certainly_fits(other) {
                continue;
            }
            let mut weight = if shape.certainly_fits(other) { 1.0 } else { 0.6 };
            weight *= match (role, site.role(*donor)) {
                (a, b) if a == b => 0.9,
                (Role::Identifier, Role::Member | Role::Index) => 0.7,
                _ => 0.5,
            };
            if matches!(role, Role::Integer) {
                weight *= 0.5;
            }
            let new = match top {
                Some(operator) => fit(site, place, text, operator),
                None => text.to_owned(),
            };
            sink.replace(site, Family::DonorExpression, place, new, weight);
        }
    }
}

/// A simple statement of the same function before or behind the unit, as it is or with one name
/// exchanged.
fn statements(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let mut names = names_in_scope(site);
    let own_target: Vec<&str> = parsed
        .assignment(parsed.core(site.unit))
        .into_iter()
        .flat_map(|(t, _)| parsed.pattern_names(t))
        .map(|n| site.text_of(n))
        .collect();
    let leaves = matches!(
        site.role(parsed.core(site.unit)),
        Role::Return | Role::Break | Role::Continue | Role::Raise
    );
    let within = site.function.unwrap_or_else(|| parsed.root());
    let mut seen = BTreeSet::new();
    let statements = parsed.descendants(within, |r| {
        matches!(
            r,
            Role::ExpressionStatement | Role::Assignment | Role::AugmentedAssignment | Role::Update
        )
    });
    for statement in statements {
        // Go writes assignments without a statement around them.
        let alone = site.role(statement) == Role::ExpressionStatement
            || site
                .parent(statement)
                .is_some_and(|p| matches!(site.role(p), Role::Block | Role::Arm));
        if !alone {
            continue;
        }
        let text = site.text_of(statement);
        let core = parsed.core(statement);
        let simple = matches!(
            site.role(core),
            Role::Call | Role::Assignment | Role::AugmentedAssignment | Role::Update
        );
        if !simple || text.len() > LONGEST || text.contains('\n') || !seen.insert(text) {
            continue;
        }
        let base = match site.role(core) {
            Role::Call => 1.0,
            Role::AugmentedAssignment | Role::Update => 0.9,
            _ => 0.6,
        };
        for behind in [false, true] {
            if behind && leaves {
                continue;
            }
            if behind {
                names.extend(own_target.iter().copied());
            }
            // The names it needs, which may include a new one as assignment target.
            if usable(site, &names, core) {
                put(site, sink, text, behind, 0.6 * base);
            }
            if site.role(core) == Role::Assignment {
                continue;
            }
            let renamed = parsed
                .descendants(core, |r| r == Role::Identifier)
                .into_iter()
                .filter(|n| {
                    site.parent(*n)
                        .and_then(|p| parsed.member(p))
                        .is_none_or(|m| m.1.id() != n.id())
                })
                .collect::<Vec<_>>();
            if usable(site, &names, core) {
                for changed in renamed_twice(site, &renamed, statement) {
                    put(site, sink, &changed, behind, 0.45 * base);
                }
            }
            for name in renamed {
                let old = site.text_of(name);
                if parsed.table().words.builtins.contains(&old) {
                    continue;
                }
                let called = site
                    .parent(name)
                    .and_then(|p| parsed.call(p))
                    .is_some_and(|c| c.function.id() == name.id());
                if called {
                    continue;
                }
                let others = parsed
                    .descendants(core, |r| r == Role::Identifier)
                    .into_iter()
                    .filter(|n| n.id() != name.id())
                    .all(|n| usable(site, &names, n));
                if !others {
                    continue;
                }
                for binding in site.locals() {
                    let new = binding.name.as_str();
                    if new == old || !site.shape_of_name(new).fits(site.shape_of_name(old)) {
                        continue;
                    }
                    let at = name.start_byte() - statement.start_byte();
                    let changed = format!("{}{new}{}", &text[..at], &text[at + old.len()..]);
                    let certain = site.shape_of_name(new).certainly_fits(site.shape_of_name(old));
                    let known = site.shape_of_name(new).overlaps(Shapes::COLLECTION);
                    let weight = if certain && known { 0.8 } else { 0.55 };
                    put(site, sink, &changed, behind, weight * base);
                }
            }
        }
    }
}

/// The statement with two of its names exchanged for locals that fit: what was done for one side,
/// done for the other.
fn renamed_twice(site: &Site<'_>, names: &[Node<'_>], statement: Node<'_>) -> Vec<String> {
    let parsed = site.parsed();
    let text = site.text_of(statement);
    let locals: Vec<&str> = site.locals().map(|b| b.name.as_str()).collect();
    let plain: Vec<_> = names
        .iter()
        .copied()
        .filter(|n| {
            let name = site.text_of(*n);
            let called = site.parent(*n).and_then(|p| parsed.call(p));
            locals.contains(&name)
                && names.iter().filter(|o| site.text_of(**o) == name).count() == 1
                && called.is_none_or(|c| c.function.id() != n.id())
        })
        .collect();
    let used: HashSet<&str> = plain.iter().map(|n| site.text_of(*n)).collect();
    let others = |old: &str| {
        let shape = site.shape_of_name(old);
        let fits = move |new: &&str| site.shape_of_name(new).certainly_fits(shape);
        locals.iter().copied().filter(|n| !used.contains(n)).filter(fits).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for (at, first) in plain.iter().enumerate() {
        for second in &plain[at + 1..] {
            for a in others(site.text_of(*first)) {
                for b in others(site.text_of(*second)).into_iter().filter(|b| *b != a) {
                    let mut changed = text.to_owned();
                    let start = statement.start_byte();
                    for (node, new) in [(second, b), (first, a)] {
                        let range = node.start_byte() - start..node.end_byte() - start;
                        changed.replace_range(range, new);
                    }
                    found.push(changed);
                }
            }
        }
    }
    found.truncate(PAIRS);
    found
}

fn put(site: &Site<'_>, sink: &mut Sink, statement: &str, behind: bool, weight: f64) {
    let lines = [statement.to_owned()];
    let edit = if behind { site.after(site.unit, &lines) } else { site.before(site.unit, &lines) };
    let Some((range, text)) = edit else { return };
    let place = if behind { "after" } else { "before" };
    let summary = format!("insert `{}` {place} line {}", short(statement), site.line);
    sink.edit(site, Family::DonorStatement, range, text, weight, Some(summary));
}
