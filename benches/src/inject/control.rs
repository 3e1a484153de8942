//! Faults of control flow: guards, branches, conditions, statements.

use greenlit_syntax::{Node, Role};

use super::Sites;

pub(super) fn propose<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let parsed = sites.parsed;
    let role = parsed.role(node);
    match role {
        Role::If => {
            guard(sites, node);
            branches(sites, node);
        }
        Role::Return => missing_return(sites, node),
        Role::Block => statements(sites, node),
        _ => {}
    }
    if let Some(condition) = parsed.condition(node)
        // `if let`: a pattern is no truth value.
        && !condition.kind().starts_with("let_")
    {
        let negated = format!("{}({})", parsed.table().style.not, sites.text(condition));
        sites.replace("negated condition", condition.byte_range(), negated);
    }
}

/// An `if` without alternative that only leaves is a guard.
fn guard<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let parsed = sites.parsed;
    if node.child_by_field_name("alternative").is_some() {
        return;
    }
    let Some(statement) = sites.statement(node) else { return };
    let Some(body) = parsed.body(node) else { return };
    let last = match parsed.role(body) {
        Role::Block => parsed.children(body).last().copied(),
        _ => Some(body),
    };
    let leaves = last.is_some_and(|last| {
        matches!(
            parsed.role(parsed.core(last)),
            Role::Return | Role::Raise | Role::Break | Role::Continue
        )
    });
    if leaves {
        sites.delete("deleted guard", statement);
    }
}

fn branches<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let parsed = sites.parsed;
    let (Some(yes), Some(other)) = (parsed.body(node), node.child_by_field_name("alternative"))
    else {
        return;
    };
    if parsed.role(other) != Role::Else {
        return;
    }
    let Some(no) = parsed.body(other).or_else(|| parsed.children(other).last().copied()) else {
        return;
    };
    if parsed.role(yes) != Role::Block || parsed.role(no) != Role::Block {
        return;
    }
    let between = &parsed.text()[yes.end_byte()..no.start_byte()];
    let swapped = format!("{}{between}{}", sites.text(no), sites.text(yes));
    sites.replace("swapped branches", yes.start_byte()..no.end_byte(), swapped);
}

fn missing_return<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let style = &sites.parsed.table().style;
    // A typed language does not build without it.
    if style.typed {
        return;
    }
    let Some(value) = sites.parsed.value_of(node) else { return };
    let terminator = if sites.text(node).ends_with(';') { ";" } else { "" };
    let text = format!("{}{terminator}", sites.text(value));
    sites.replace("missing return", node.byte_range(), text);
}

fn statements<'p>(sites: &mut Sites<'p>, block: Node<'p>) {
    let parsed = sites.parsed;
    let statements = parsed.children(block);
    for statement in &statements {
        if droppable(sites, *statement) {
            sites.delete("dropped statement", *statement);
        }
    }
    for pair in statements.windows(2) {
        let simple = |node: Node<'p>| {
            matches!(
                parsed.role(parsed.core(node)),
                Role::Assignment
                    | Role::AugmentedAssignment
                    | Role::Call
                    | Role::Update
                    | Role::Declaration
            )
        };
        // The value of a Rust block is no statement that could move.
        let ends =
            |node: Node<'p>| !parsed.table().style.typed || sites.text(node).ends_with([';', '}']);
        if pair.iter().all(|node| simple(*node) && ends(*node)) {
            let between = &parsed.text()[pair[0].end_byte()..pair[1].start_byte()];
            let text = format!("{}{between}{}", sites.text(pair[1]), sites.text(pair[0]));
            let range = pair[0].start_byte()..pair[1].end_byte();
            sites.replace("swapped statements", range, text);
        }
    }
}

/// A statement whose loss leaves every name defined.
fn droppable<'p>(sites: &Sites<'p>, statement: Node<'p>) -> bool {
    let parsed = sites.parsed;
    let core = parsed.core(statement);
    match parsed.role(core) {
        Role::AugmentedAssignment | Role::Update => true,
        Role::Call => parsed.role(statement) == Role::ExpressionStatement,
        Role::Assignment => {
            let Some((target, _)) = parsed.assignment(core) else { return false };
            let name = sites.text(target);
            parsed.role(target) != Role::Identifier
                || sites.bindings.iter().any(|binding| {
                    binding.name == name
                        && binding.at < target.start_byte()
                        && binding.visible.contains(&target.start_byte())
                })
        }
        _ => false,
    }
}
