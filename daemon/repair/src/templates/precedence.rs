//! Parentheses, where an expression put in place of another needs them.

use greenlit_syntax::{Node, Role};

use super::site::Site;

/// How tightly an operator binds; greater is tighter. Bitwise operators count as loose ones, since
/// languages disagree about them: one pair of parentheses too many does no harm.
pub(super) fn level(operator: &str) -> u8 {
    match operator {
        "=" | "?" => 0,
        "or" | "||" | "??" => 1,
        "and" | "&&" => 2,
        "not" => 3,
        "|" | "^" | "&" => 4,
        "<" | "<=" | ">" | ">=" | "==" | "!=" | "===" | "!==" | "in" | "not in" | "is"
        | "is not" => 5,
        "<<" | ">>" | ">>>" => 6,
        "+" | "-" => 7,
        "*" | "/" | "//" | "%" => 8,
        "u" => 9,
        "**" => 10,
        _ => 4,
    }
}

/// `text`, whose outermost operator is `operator`, in parentheses if it needs them where `node`
/// stands.
pub(super) fn fit(site: &Site<'_>, node: Node<'_>, text: &str, operator: &str) -> String {
    let Some(parent) = site.parent(node) else { return text.to_owned() };
    let parsed = site.parsed();
    let needed = match parsed.role(parent) {
        Role::Binary => parsed.binaries(parent).iter().any(|b| {
            let (_, outer) = parsed.operator_text(b);
            let (outer, inner) = (level(&outer), level(operator));
            let is_left = b.left.id() == node.id();
            let is_right = b.right.id() == node.id();
            (is_left && inner < outer)
                || (is_right && inner <= outer && !(inner == outer && inner <= 2))
                || ((is_left || is_right) && inner == 5 && outer == 5)
        }),
        Role::Unary => match parsed.unary(parent) {
            Some(("not", _)) => level(operator) < 3,
            _ => true,
        },
        Role::Member | Role::Wrapper | Role::Await => true,
        Role::Index => parsed.index(parent).is_some_and(|(object, _)| object.id() == node.id()),
        Role::Call => parsed.call(parent).is_some_and(|call| call.function.id() == node.id()),
        _ => false,
    };
    if needed { format!("({text})") } else { text.to_owned() }
}

/// The outermost operator of a node, `"u"` for prefix operators, nothing for what binds tightest.
pub(super) fn top(site: &Site<'_>, node: Node<'_>) -> Option<String> {
    let parsed = site.parsed();
    match parsed.role(node) {
        Role::Binary => parsed.binaries(node).first().map(|b| parsed.operator_text(b).1),
        Role::Unary => Some(if parsed.unary(node)?.0 == "not" { "not".into() } else { "u".into() }),
        Role::Ternary | Role::Lambda | Role::Yield => Some("?".into()),
        _ => None,
    }
}

/// The text of `operand` as an operand of `operator`.
pub(super) fn operand(site: &Site<'_>, node: Node<'_>, operator: &str) -> String {
    let text = site.text_of(node);
    match top(site, node) {
        Some(inner) if level(&inner) <= level(operator) => format!("({text})"),
        _ if site.role(node) == Role::Tuple && !text.starts_with('(') => format!("({text})"),
        _ => text.to_owned(),
    }
}

/// The text of a node put where `place` stands.
pub(super) fn moved(site: &Site<'_>, node: Node<'_>, place: Node<'_>) -> String {
    match top(site, node) {
        Some(operator) => fit(site, place, site.text_of(node), &operator),
        None => site.text_of(node).to_owned(),
    }
}

/// The negation of a condition: comparisons are turned round, negations removed.
pub(super) fn negation(site: &Site<'_>, node: Node<'_>) -> String {
    let parsed = site.parsed();
    let not = parsed.table().style.not;
    if let Some(inner) = parsed.negated(node) {
        return site.text_of(parsed.bare(inner)).to_owned();
    }
    if let [only] = parsed.binaries(node)[..] {
        let (range, operator) = parsed.operator_text(&only);
        let opposite = match operator.as_str() {
            "<" => ">=",
            "<=" => ">",
            ">" => "<=",
            ">=" => "<",
            "==" => "!=",
            "!=" => "==",
            "===" => "!==",
            "!==" => "===",
            "in" => "not in",
            "not in" => "in",
            "is" => "is not",
            "is not" => "is",
            _ => "",
        };
        if !opposite.is_empty() {
            let text = site.file.text();
            return format!(
                "{}{opposite}{}",
                &text[node.start_byte()..range.start],
                &text[range.end..node.end_byte()]
            );
        }
        return format!("{not}({})", site.text_of(node));
    }
    match top(site, node) {
        Some(_) => format!("{not}({})", site.text_of(node)),
        None => format!("{not}{}", site.text_of(node)),
    }
}
