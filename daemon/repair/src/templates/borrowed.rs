//! Guards, conditions, statements and expressions of other functions: of the same file, and of the
//! files that were retrieved as its neighbours.
//!
//! Functions are chosen by the names that they share with the suspected one. A name that means
//! nothing where the donor is put is exchanged for a local, if it is the only such name.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use greenlit_syntax::{Node, Parsed, Role};

use super::conditions::is_condition_owner;
use super::family::Family;
use super::sink::{Sink, short};
use super::site::Site;

/// Functions that lend to one site: the most similar ones.
const FUNCTIONS: usize = 8;
/// Donors of one kind that one function lends.
const PER_FUNCTION: usize = 6;
/// Locals that an unknown name is exchanged for.
const RENAMINGS: usize = 4;
/// A donor longer than this is not tried, in bytes.
const LONGEST: usize = 100;
/// What a donor of another file is worth beside one of the same file.
const NEIGHBOUR: f64 = 0.6;
/// How alike at least a function is that a search found near the fault.
const FOUND: f64 = 0.8;

/// What one function can lend: texts with the names that they need.
#[derive(Debug)]
pub(super) struct Lender {
    /// Which function of which file, to leave out the suspected one.
    file: Option<usize>,
    start: usize,
    names: BTreeSet<String>,
    /// A search found it, or a part of it, near the fault.
    found: bool,
    guards: Vec<Donor>,
    conditions: Vec<Donor>,
    statements: Vec<Donor>,
    expressions: Vec<Donor>,
}

#[derive(Debug)]
struct Donor {
    text: Arc<str>,
    /// Plain names with their places in the text.
    names: BTreeMap<String, Vec<usize>>,
}

/// The lenders of a file; `file` is its number where it is one of the suspected files, `found` are the
/// lines of it that a search found.
pub(super) fn lenders(
    parsed: &Parsed,
    file: Option<usize>,
    found: &[RangeInclusive<u32>],
) -> Vec<Lender> {
    let tests = crate::reject::test_regions(parsed);
    parsed
        .descendants(parsed.root(), |r| r == Role::Function)
        .into_iter()
        .filter(|f| !tests.iter().any(|t| t.contains(&f.start_byte())))
        .map(|function| {
            let (first, last) =
                (line(function.start_position().row), line(function.end_position().row));
            let near = found.iter().any(|lines| *lines.start() <= last && first <= *lines.end());
            Lender { found: near, ..lender(parsed, function, file) }
        })
        .collect()
}

fn line(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1)
}

fn lender(parsed: &Parsed, function: Node<'_>, file: Option<usize>) -> Lender {
    let mut found = Lender {
        file,
        start: function.start_byte(),
        names: names_of(parsed, function),
        found: false,
        guards: Vec::new(),
        conditions: Vec::new(),
        statements: Vec::new(),
        expressions: Vec::new(),
    };
    parsed.walk(function, &mut |node| {
        let role = parsed.role(node);
        if node != function && role == Role::Function {
            return false;
        }
        if role == Role::If && is_guard(parsed, node) {
            push(&mut found.guards, parsed, node);
        }
        if is_condition_owner(role)
            && let Some(condition) = parsed.condition(node)
        {
            push(&mut found.conditions, parsed, condition);
        }
        let simple = matches!(
            parsed.role(parsed.core(node)),
            Role::Call | Role::Assignment | Role::AugmentedAssignment | Role::Update
        );
        let stands_alone =
            parsed.parent(node).is_some_and(|p| matches!(parsed.role(p), Role::Block | Role::Arm))
                && simple;
        if stands_alone {
            push(&mut found.statements, parsed, node);
        }
        if role == Role::Return
            && let Some(value) = parsed.value_of(node)
            && matches!(parsed.role(value), Role::Call | Role::Binary | Role::Index)
        {
            push(&mut found.expressions, parsed, value);
        }
        true
    });
    found
}

/// `if condition { return … }` and the like: one branch, one statement, which leaves.
fn is_guard(parsed: &Parsed, node: Node<'_>) -> bool {
    if node.child_by_field_name("alternative").is_some() {
        return false;
    }
    let Some(body) = parsed.body(node) else { return false };
    let [only] = parsed.children(body)[..] else { return false };
    matches!(
        parsed.role(parsed.core(only)),
        Role::Return | Role::Raise | Role::Break | Role::Continue
    )
}

fn push(donors: &mut Vec<Donor>, parsed: &Parsed, node: Node<'_>) {
    let text = parsed.text_of(node);
    let known = donors.iter().any(|d| *d.text == *text);
    if donors.len() >= PER_FUNCTION || text.len() > LONGEST || text.is_empty() || known {
        return;
    }
    let mut names: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for name in plain_names(parsed, node) {
        let places = names.entry(parsed.text_of(name).to_owned()).or_default();
        places.push(name.start_byte() - node.start_byte());
    }
    donors.push(Donor { text: text.into(), names });
}

/// Identifiers that are not names behind a dot.
fn plain_names<'t>(parsed: &'t Parsed, node: Node<'t>) -> Vec<Node<'t>> {
    let mut found = Vec::new();
    parsed.walk_with_ancestors(node, &mut |n, above| {
        if parsed.role(n) == Role::Type {
            return false;
        }
        let behind = above.last().is_some_and(|p| {
            parsed.member(*p).is_some_and(|(_, name)| name == n)
                || parsed.call(*p).is_some_and(|c| c.object.is_some() && c.function == n)
        });
        if parsed.role(n) == Role::Identifier && !behind {
            found.push(n);
        }
        true
    });
    found
}

fn names_of(parsed: &Parsed, function: Node<'_>) -> BTreeSet<String> {
    let named = |r| matches!(r, Role::Identifier | Role::MemberName);
    parsed
        .descendants(function, named)
        .into_iter()
        .map(|n| parsed.text_of(n).to_owned())
        .filter(|n| n.len() > 1)
        .collect()
}

/// How alike two functions are by their names: shared ones, less for long functions.
#[expect(clippy::cast_precision_loss, reason = "functions hold fewer names than a double counts")]
fn likeness(own: &BTreeSet<String>, other: &BTreeSet<String>) -> f64 {
    let shared = own.intersection(other).count();
    shared as f64 / ((own.len().max(1) * other.len().max(1)) as f64).sqrt()
}

/// Proposes what `lenders` lend for the site; `file` is the number of the site's file.
pub(super) fn propose(site: &Site<'_>, sink: &mut Sink, lenders: &[&Lender], file: usize) {
    let Some(function) = site.function.filter(|f| f.id() != site.unit.id()) else { return };
    let parsed = site.parsed();
    let own = names_of(parsed, function);
    let mut chosen: Vec<(f64, &Lender)> = lenders
        .iter()
        .filter(|l| l.file != Some(file) || l.start != function.start_byte())
        .map(|l| {
            let near = if l.file == Some(file) { 1.0 } else { NEIGHBOUR };
            // What was found has more in common than names.
            let found = if l.found { FOUND } else { 0.0 };
            ((likeness(&own, &l.names) * (1.0 - found) + found) * near, *l)
        })
        .filter(|(likeness, _)| *likeness > 0.0)
        .collect();
    chosen.sort_by(|a, b| b.0.total_cmp(&a.0));
    chosen.truncate(FUNCTIONS);
    for (_, lender) in chosen {
        let worth = if lender.file == Some(file) { 1.0 } else { NEIGHBOUR };
        if site.list().is_some() {
            statements(site, sink, &lender.guards, Family::BorrowedGuard, worth);
            statements(site, sink, &lender.statements, Family::BorrowedStatement, worth);
        }
        for node in site.nodes.iter().copied() {
            if is_condition_owner(site.role(node))
                && let Some(condition) = parsed.condition(node)
            {
                conditions(site, sink, &lender.conditions, condition, worth);
            }
        }
        let core = parsed.core(site.unit);
        if site.role(core) == Role::Return
            && let Some(value) = parsed.value_of(core)
        {
            for (text, weight) in fitted(site, &lender.expressions) {
                sink.replace(site, Family::BorrowedExpression, value, text, weight * worth);
            }
        }
    }
}

/// Donors whose names all mean something at the site, one of them exchanged if need be.
fn fitted(site: &Site<'_>, donors: &[Donor]) -> Vec<(String, f64)> {
    let words = &site.parsed().table().words;
    let known: BTreeSet<&str> = site.names.iter().map(|b| b.name.as_str()).collect();
    let mut found = Vec::new();
    for donor in donors {
        let unknown: Vec<_> = donor
            .names
            .iter()
            .filter(|(name, _)| {
                // What the file reads without binding it comes from an import.
                let imported = site.file.reads.contains_key(name.as_str())
                    && !site.file.bound.contains(name.as_str());
                !imported
                    && !known.contains(name.as_str())
                    && !words.builtins.contains(&name.as_str())
                    && !matches!(name.as_str(), "self" | "cls" | "this")
            })
            .collect();
        match unknown[..] {
            [] => found.push((donor.text.to_string(), 1.0)),
            [(old, places)] => {
                for binding in site.locals().take(RENAMINGS) {
                    let mut text = donor.text.to_string();
                    for at in places.iter().rev() {
                        text.replace_range(*at..at + old.len(), &binding.name);
                    }
                    found.push((text, 0.6));
                }
            }
            _ => {}
        }
    }
    found
}

fn statements(site: &Site<'_>, sink: &mut Sink, donors: &[Donor], family: Family, worth: f64) {
    for (text, weight) in fitted(site, donors) {
        let Some(lines) = relined(site, &text) else { continue };
        let Some((range, new)) = site.before(site.unit, &lines) else { continue };
        let summary = format!("insert `{}` before line {}", short(&text), site.line);
        sink.edit(site, family, range, new, weight * worth, Some(summary));
    }
}

/// The lines of a donor relative to its own indentation, with the file's unit for what is deeper.
fn relined(site: &Site<'_>, text: &str) -> Option<Vec<String>> {
    let style = &site.parsed().table().style;
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    match lines[..] {
        [only] => {
            let ended = only.ends_with(style.terminator) || only.ends_with('}');
            Some(vec![if ended { only.to_owned() } else { site.terminated(only) }])
        }
        [head, body] if style.block_close.is_empty() => {
            Some(vec![head.to_owned(), format!("{}{body}", site.file.unit)])
        }
        [head, body, close] if close == style.block_close && !close.is_empty() => {
            Some(vec![head.to_owned(), format!("{}{body}", site.file.unit), close.to_owned()])
        }
        _ => None,
    }
}

fn conditions(site: &Site<'_>, sink: &mut Sink, donors: &[Donor], condition: Node<'_>, worth: f64) {
    let style = &site.parsed().table().style;
    let own = site.text_of(condition);
    for (text, weight) in fitted(site, donors) {
        if text == own || text.contains('\n') {
            continue;
        }
        let weight = weight * worth;
        for operator in [style.and, style.or] {
            let joined = format!("({own}) {operator} ({text})");
            sink.replace(site, Family::BorrowedCondition, condition, joined, weight * 0.7);
        }
        sink.replace(site, Family::BorrowedCondition, condition, text, weight);
    }
}
