//! Operators: comparison, arithmetic, augmented, connective, negation, dropped operands.

use greenlit_syntax::{Binary, Node, Role, Shapes};

use super::family::Family;
use super::precedence::{fit, moved, negation, operand};
use super::sink::Sink;
use super::site::Site;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    for node in site.nodes.iter().copied() {
        for binary in parsed.binaries(node) {
            let (_, operator) = parsed.operator_text(&binary);
            let style = &parsed.table().style;
            if operator == style.and || operator == style.or {
                connective(site, sink, node, &binary, &operator);
            } else if parsed.table().comparisons.iter().any(|(o, _)| *o == operator) {
                comparison(site, sink, &binary, &operator);
            } else {
                arithmetic(site, sink, node, &binary, &operator);
            }
        }
        match parsed.role(node) {
            Role::AugmentedAssignment => augmented(site, sink, node),
            Role::Assignment => plain_assignment(site, sink, node),
            Role::Update => update(site, sink, node),
            Role::Unary => unary(site, sink, node),
            Role::Slice => range_kind(site, sink, node),
            _ => {}
        }
    }
}

/// `<` becomes `<=`, `>` and so on.
fn comparison(site: &Site<'_>, sink: &mut Sink, binary: &Binary<'_>, operator: &str) {
    let parsed = site.parsed();
    let (range, _) = parsed.operator_text(binary);
    let Some((_, others)) = parsed.table().comparisons.iter().find(|(o, _)| *o == operator) else {
        return;
    };
    let collections = site.shape(binary.right).overlaps(Shapes::COLLECTION)
        || site.shape(binary.left).overlaps(Shapes::COLLECTION);
    // What has no order does not compile.
    let unordered = parsed.table().style.typed
        && [binary.left, binary.right].into_iter().any(|side| {
            matches!(site.role(side), Role::Null | Role::Boolean)
                || matches!(site.shape(side), Shapes::BOOLEAN | Shapes::OBJECT | Shapes::COLLECTION)
        });
    let cases = is_case(site, binary.left) || is_case(site, binary.right);
    let equality = matches!(operator, "==" | "!=" | "===" | "!==" | "in" | "not in");
    for (rank, other) in others.iter().enumerate() {
        let ordering = matches!(*other, "<" | "<=" | ">" | ">=");
        if ordering && unordered {
            continue;
        }
        let mut weight = [1.0, 0.85, 0.7, 0.45, 0.35, 0.3][rank.min(5)];
        if equality && ordering && collections {
            weight *= 0.5;
        }
        if equality && ordering && cases {
            weight *= 0.15;
        }
        sink.edit(site, Family::Comparison, range.clone(), (*other).to_owned(), weight, None);
        // An inclusive bound is often off by one as well: `== 0` for `<= 1`.
        if site.role(binary.right) == Role::Integer
            && let Ok(bound) = site.text_of(binary.right).parse::<i64>()
        {
            for (step, factor) in [(1, 1.0), (-1, 0.6)] {
                let both = range.start..binary.right.end_byte();
                let text = format!("{other} {}", bound + step);
                let weight = weight * factor;
                if bound + step >= 0 && ordering {
                    sink.edit(site, Family::ComparisonAndBound, both, text, weight, None);
                }
            }
        }
    }
    if parsed.table().style.chains_comparisons && matches!(operator, "<" | "<=" | ">" | ">=") {
        chained(site, sink, binary, operator);
    }
}

/// Whether a node names a case of an enumeration: `Kind::Bit`. Constants are all capitals.
fn is_case(site: &Site<'_>, node: Node<'_>) -> bool {
    let name = site.text_of(node).rsplit("::").next().unwrap_or_default();
    site.role(node) == Role::Path
        && name.starts_with(char::is_uppercase)
        && name.contains(char::is_lowercase)
}

/// `a < b` becomes `0 <= a < b`.
fn chained(site: &Site<'_>, sink: &mut Sink, binary: &Binary<'_>, operator: &str) {
    let whole = binary.left.start_byte()..binary.right.end_byte();
    let (left, right) = (site.text_of(binary.left), site.text_of(binary.right));
    for bound in ["0", "1"] {
        if left == bound || right == bound {
            continue;
        }
        let text = if operator.starts_with('<') {
            format!("{bound} {} {left} {operator} {right}", if bound == "0" { "<=" } else { "<" })
        } else {
            format!("{left} {operator} {right} >= {bound}")
        };
        sink.edit(site, Family::ChainedComparison, whole.clone(), text, 0.6, None);
    }
}

/// `+` becomes `-` and so on; operands are dropped and swapped.
fn arithmetic(
    site: &Site<'_>,
    sink: &mut Sink,
    node: Node<'_>,
    binary: &Binary<'_>,
    operator: &str,
) {
    let parsed = site.parsed();
    let (range, _) = parsed.operator_text(binary);
    let text = operator;
    let concatenation = text == "+"
        && [binary.left, binary.right].into_iter().any(|side| {
            site.shape(side).overlaps(Shapes::COLLECTION.with(Shapes::STRING))
                && !site.shape(side).overlaps(Shapes::NUMBER)
        });
    if let Some((_, others)) = parsed.table().arithmetic.iter().find(|(o, _)| *o == text) {
        for (rank, other) in others.iter().enumerate() {
            let division = matches!((text, *other), ("/", "//") | ("//", "/"));
            let mut weight = [1.0, 0.8, 0.65, 0.5, 0.45][rank.min(4)];
            if concatenation && parsed.table().style.typed {
                continue;
            }
            if concatenation {
                weight *= 0.25;
            }
            let family = if division { Family::Division } else { Family::Arithmetic };
            sink.edit(site, family, range.clone(), (*other).to_owned(), weight, None);
        }
    }
    if text == "/" {
        for (before, after) in parsed.table().words.rounders {
            let own = site.text_of(node);
            let new = if after.is_empty() {
                fit(site, node, &format!("{before}({own})"), "u")
            } else {
                format!("{before}{own}{after}")
            };
            sink.replace(site, Family::Division, node, new, 0.7);
        }
    }
    for (kept, dropped, weight) in
        [(binary.left, binary.right, 0.9), (binary.right, binary.left, 1.0)]
    {
        // Dropping a variable operand loses more than dropping a literal one gains.
        let literal = site.role(dropped).is_literal();
        let weight = weight * if literal { 1.0 } else { 0.75 };
        sink.replace(site, Family::DropOperand, node, moved(site, kept, node), weight);
    }
    let swappable = concatenation || !matches!(text, "+" | "*" | "&" | "|" | "^");
    let unknown = text == "+" && site.shape(binary.left).is_unknown();
    if swappable || unknown {
        let new = format!(
            "{}{}{}",
            operand(site, binary.right, text),
            &site.file.text()[binary.left.end_byte()..binary.right.start_byte()],
            operand(site, binary.left, text)
        );
        let weight = if concatenation { 1.0 } else { 0.7 };
        sink.replace(site, Family::SwapOperands, node, new, weight);
    }
}

/// `and` becomes `or`; either clause alone.
fn connective(
    site: &Site<'_>,
    sink: &mut Sink,
    node: Node<'_>,
    binary: &Binary<'_>,
    operator: &str,
) {
    let style = &site.parsed().table().style;
    let other = if operator == style.and { style.or } else { style.and };
    let (range, _) = site.parsed().operator_text(binary);
    sink.edit(site, Family::Connective, range, other.to_owned(), 1.0, None);
    for (kept, weight) in [(binary.left, 0.9), (binary.right, 1.0)] {
        sink.replace(site, Family::DropClause, node, moved(site, kept, node), weight);
    }
    for side in [binary.left, binary.right] {
        sink.replace(site, Family::Negate, side, negated_operand(site, side, operator), 0.8);
    }
    let text = format!(
        "{}{}{}",
        site.text_of(binary.right),
        &site.file.text()[binary.left.end_byte()..binary.right.start_byte()],
        site.text_of(binary.left)
    );
    sink.replace(site, Family::SwapOperands, node, text, 0.5);
}

fn negated_operand(site: &Site<'_>, side: Node<'_>, operator: &str) -> String {
    let negation = negation(site, side);
    let loose = site.parsed().table().style.and == operator
        && site.parsed().negated(side).is_some_and(|inner| {
            super::precedence::top(site, site.parsed().bare(inner))
                .is_some_and(|o| super::precedence::level(&o) < super::precedence::level(operator))
        });
    if loose { format!("({negation})") } else { negation }
}

/// `+=` becomes `-=`, `=`.
fn augmented(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some(operator) = parsed.augmented_operator(node) else { return };
    let text = parsed.text_of(operator);
    let Some(plain) = text.strip_suffix('=') else { return };
    if let Some((_, others)) = parsed.table().arithmetic.iter().find(|(o, _)| *o == plain) {
        for (rank, other) in others.iter().enumerate() {
            let weight = [1.0, 0.85, 0.7, 0.6][rank.min(3)];
            sink.replace(site, Family::AugmentedOperator, operator, format!("{other}="), weight);
        }
    }
    sink.replace(site, Family::AssignmentKind, operator, "=", 0.8);
    let Some((target, value)) = parsed.assignment(node) else { return };
    if plain == "+" && site.shape(value).fits(Shapes::STRING.with(Shapes::COLLECTION)) {
        let (target, value) = (site.text_of(target), operand(site, value, "+"));
        let text = format!("{target} = {value} + {target}");
        let unknown = site.shape(node).is_unknown();
        sink.replace(site, Family::SwapOperands, node, text, if unknown { 0.5 } else { 0.8 });
    }
}

/// `=` becomes `+=`.
fn plain_assignment(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some(operator) = parsed.assignment_operator(node) else { return };
    let Some((target, value)) = parsed.assignment(node) else { return };
    if matches!(site.role(target), Role::Pattern | Role::Tuple)
        || site.text_of(value).contains(site.text_of(target))
    {
        return;
    }
    let literal = site.role(value).is_literal();
    for (other, weight) in [("+=", 1.0), ("-=", 0.5)] {
        let weight = if literal && site.role(value) != Role::Integer { 0.2 } else { weight };
        sink.replace(site, Family::AssignmentKind, operator, other, weight);
    }
}

/// `i++` becomes `i--`.
fn update(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let text = site.text_of(node);
    let other =
        if text.contains("++") { text.replace("++", "--") } else { text.replace("--", "++") };
    sink.replace(site, Family::AugmentedOperator, node, other, 0.7);
}

/// Removes a prefix operator.
fn unary(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some((operator, inner)) = parsed.unary(node) else { return };
    let text = moved(site, parsed.bare(inner), node);
    if parsed.negated(node).is_some() {
        sink.replace(site, Family::Negate, node, text, 1.0);
    } else if matches!(operator, "-" | "~" | "*") {
        sink.replace(site, Family::UnaryMinus, node, text, 1.0);
    }
}

/// `a..b` becomes `a..=b`.
fn range_kind(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let Some(parts) = site.parsed().slice(node) else { return };
    if parts.stop.is_none() {
        return;
    }
    let range = parts.operator..parts.operator_end;
    let other = match &site.file.text()[range.clone()] {
        ".." => "..=",
        "..=" => "..",
        _ => return,
    };
    sink.edit(site, Family::OffByOne, range, other.to_owned(), 1.0, None);
}
