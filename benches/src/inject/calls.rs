//! Faults of calls: arguments, the function that is called, the call itself.

use std::collections::BTreeSet;

use greenlit_syntax::{Node, Role};

use super::Sites;

pub(super) fn propose<'p>(sites: &mut Sites<'p>, node: Node<'p>) {
    let parsed = sites.parsed;
    let Some(call) = parsed.call(node) else { return };
    let plain = |node: &Node<'p>| {
        !matches!(parsed.role(*node), Role::KeywordArgument | Role::Spread | Role::Comprehension)
    };
    for pair in call.arguments.windows(2) {
        if pair.iter().all(plain) {
            let between = &parsed.text()[pair[0].end_byte()..pair[1].start_byte()];
            let text = format!("{}{between}{}", sites.text(pair[1]), sites.text(pair[0]));
            let range = pair[0].start_byte()..pair[1].end_byte();
            sites.replace("swapped arguments", range, text);
        }
    }
    if let [only] = call.arguments[..]
        && plain(&only)
        && sites.parent(node).is_some_and(|p| parsed.role(p) != Role::ExpressionStatement)
    {
        sites.replace("dropped call", node.byte_range(), sites.text(only));
    }
    sibling(sites, &call.function, call.arguments.len());
}

/// Calls another function of the same file that takes as much, or another method that the file
/// calls with as many arguments.
fn sibling<'p>(sites: &mut Sites<'p>, function: &Node<'p>, arguments: usize) {
    let parsed = sites.parsed;
    let Some(name) = parsed.callee_name(*function) else { return };
    let method = parsed.member(*function);
    let others: BTreeSet<String> = match method {
        None => {
            let functions = parsed.functions();
            let Some(own) = functions.iter().find(|item| item.name == name) else { return };
            let (class, parameters) = (own.class.clone(), own.parameters.len());
            let alike = functions
                .iter()
                .filter(|item| item.class == class && item.parameters.len() == parameters);
            alike.map(|item| item.name.clone()).collect()
        }
        Some(_) => {
            let calls = parsed.descendants(parsed.root(), |role| role == Role::Call);
            calls
                .into_iter()
                .filter_map(|node| parsed.call(node))
                .filter(|call| call.arguments.len() == arguments)
                .filter_map(|call| parsed.member(call.function))
                .map(|(_, name)| sites.text(name).to_owned())
                .collect()
        }
    };
    let range = match method {
        Some((_, name)) => name.byte_range(),
        None if parsed.role(*function) == Role::Identifier => function.byte_range(),
        None => return,
    };
    let name = name.to_owned();
    for other in others.into_iter().filter(|other| *other != name) {
        sites.replace("wrong function", range.clone(), other);
    }
}
