//! Calls: arguments, elements, wrapping and unwrapping, recursion.

use greenlit_syntax::{BindingKind, Node, Role, Shapes};

use super::family::Family;
use super::names::{affinity, is_read};
use super::precedence::{fit, moved, operand};
use super::sink::{Sink, short};
use super::site::Site;

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    for node in site.nodes.iter().copied() {
        match site.role(node) {
            Role::Call => call(site, sink, node),
            Role::Tuple | Role::List => {
                swaps(site, sink, &site.parsed().children(node), Family::SwapElements);
            }
            Role::Index => {
                if let Some((_, indices)) = site.parsed().index(node) {
                    swaps(site, sink, &indices, Family::SwapElements);
                }
            }
            Role::Ternary => branches(site, sink, node),
            Role::Tokens => tokens(site, sink, node),
            _ => {}
        }
        wrap(site, sink, node);
        clamp(site, sink, node);
        power(site, sink, node);
    }
    as_assignment(site, sink);
}

/// Exchanges any two of at most five.
fn swaps(site: &Site<'_>, sink: &mut Sink, items: &[Node<'_>], family: Family) {
    if items.len() > 5 || items.iter().any(|i| site.role(*i) == Role::KeywordArgument) {
        return;
    }
    for (at, first) in items.iter().enumerate() {
        for (distance, second) in items[at + 1..].iter().enumerate() {
            let (a, b) = (site.text_of(*first), site.text_of(*second));
            // Values of different kinds change places less often.
            let fits = site.shape(*first).fits(site.shape(*second));
            if !fits && site.parsed().table().style.typed {
                continue;
            }
            let weight = if fits { 1.0 } else { 0.5 } * 0.9_f64.powi(distance as i32);
            let weight = if items.len() == 2 { weight } else { weight * 0.85 };
            let edits =
                vec![(first.byte_range(), b.to_owned()), (second.byte_range(), a.to_owned())];
            let summary = format!("swap `{}` and `{}`", short(a), short(b));
            sink.edits(site, family, edits, weight, Some(summary));
        }
    }
}

/// The arguments of a macro are plain tokens: only two plain names change places.
fn tokens(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let children = site.parsed().children(node);
    if let [first, second] = children[..]
        && site.role(first) == Role::Identifier
        && site.role(second) == Role::Identifier
    {
        swaps(site, sink, &[first, second], Family::SwapArguments);
    }
}

fn call(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some(call) = parsed.call(node) else { return };
    swaps(site, sink, &call.arguments, Family::SwapArguments);
    // A function of the file that takes as many arguments takes neither more nor fewer.
    let complete = parsed.table().style.typed
        && parsed.callee_name(call.function).is_some_and(|name| {
            let mut functions = site.file.functions.iter().filter(|f| f.name == name);
            functions.any(|f| f.class.is_none() && f.parameters.len() == call.arguments.len())
        });
    if !complete {
        arguments(site, sink, &call.arguments, call.list);
    }
    unwrap(site, sink, node);
    let name = parsed.callee_name(call.function);
    let own = site.function.and_then(|f| parsed.function_name(f));
    let recursive =
        name.is_some() && (name == own || enclosing_names(site).any(|n| Some(n) == name));
    if recursive {
        let parameters = site.function.map(|f| parsed.parameters(f)).unwrap_or_default();
        for (at, argument) in call.arguments.iter().enumerate() {
            let unchanged =
                parameters.get(at).is_some_and(|p| site.text_of(*p) == site.text_of(*argument));
            recursion(site, sink, *argument, if unchanged { 1.0 } else { 0.7 });
        }
    } else {
        for argument in &call.arguments {
            shifted(site, sink, *argument);
        }
    }
}

/// `a` becomes `b + a` in the arguments of other calls: a length that should have been an end.
fn shifted(site: &Site<'_>, sink: &mut Sink, argument: Node<'_>) {
    if !matches!(site.role(argument), Role::Identifier | Role::Member)
        || !site.shape(argument).overlaps(Shapes::NUMBER)
    {
        return;
    }
    let own = site.text_of(argument);
    for binding in site.locals() {
        if binding.name != own && site.shape_of_name(&binding.name).overlaps(Shapes::NUMBER) {
            let sum = format!("{} + {own}", binding.name);
            let difference = format!("{own} - {}", binding.name);
            sink.replace(site, Family::ExtendExpression, argument, sum, 0.6);
            sink.replace(site, Family::ExtendExpression, argument, difference, 0.6);
        }
    }
}

fn enclosing_names<'t>(site: &'t Site<'_>) -> impl Iterator<Item = &'t str> {
    let parsed = site.parsed();
    let mut current = site.function;
    std::iter::from_fn(move || {
        let function = current?;
        current = site.enclosing_function(function);
        Some(parsed.function_name(function).unwrap_or_default())
    })
}

/// Drops an argument, adds one from the scope.
fn arguments(site: &Site<'_>, sink: &mut Sink, arguments: &[Node<'_>], list: Node<'_>) {
    if site.role(list) != Role::Arguments {
        return;
    }
    let text = site.file.text();
    for (at, argument) in arguments.iter().enumerate() {
        let range = match (at, arguments.get(at + 1)) {
            (_, Some(next)) => argument.start_byte()..next.start_byte(),
            (0, None) => argument.byte_range(),
            (_, None) => arguments[at - 1].end_byte()..argument.end_byte(),
        };
        let weight = if arguments.len() == 1 { 0.4 } else { 0.9 };
        let summary = format!("drop argument `{}`", short(site.text_of(*argument)));
        sink.edit(site, Family::DropArgument, range, String::new(), weight, Some(summary));
    }
    let at = list.end_byte().saturating_sub(1);
    if text.get(at..list.end_byte()) != Some(")") || arguments.len() > 4 {
        return;
    }
    let end = arguments.last().map_or(at, Node::end_byte);
    for binding in site.locals() {
        let new =
            if arguments.is_empty() { binding.name.clone() } else { format!(", {}", binding.name) };
        let summary = format!("add argument `{}`", binding.name);
        let weight = if arguments.is_empty() { 0.7 } else { 0.5 };
        sink.edit(site, Family::AddArgument, end..end, new, weight, Some(summary));
        if let Some(first) = arguments.first() {
            let start = first.start_byte();
            let new = format!("{}, ", binding.name);
            let summary = format!("add argument `{}`", binding.name);
            sink.edit(site, Family::AddArgument, start..start, new, 0.4, Some(summary));
        }
    }
    for literal in ["0", "1"] {
        if !arguments.is_empty() {
            let summary = format!("add argument `{literal}`");
            let new = format!(", {literal}");
            sink.edit(site, Family::AddArgument, end..end, new, 0.4, Some(summary));
        }
    }
}

/// What is passed to the function itself must get smaller.
fn recursion(site: &Site<'_>, sink: &mut Sink, argument: Node<'_>, weight: f64) {
    let shape = site.shape(argument);
    let style = &site.parsed().table().style;
    let text = site.text_of(argument);
    let family = Family::RecursionArgument;
    let simple = matches!(site.role(argument), Role::Identifier | Role::Member);
    if shape.fits(Shapes::NUMBER) {
        let inner = operand(site, argument, "-");
        let sure = if shape.is_unknown() { 0.7 } else { 1.0 };
        for binding in site.locals() {
            let own = site.shape_of_name(&binding.name);
            let fits = if style.typed {
                own.certainly_fits(Shapes::NUMBER)
            } else {
                own.fits(Shapes::NUMBER)
            };
            if fits && binding.name != text && own != Shapes::FUNCTION {
                let certain = if own.certainly_fits(Shapes::NUMBER) { 1.0 } else { 0.6 };
                for (operator, factor) in [("-", 1.0), ("+", 0.6)] {
                    let new = format!("{inner} {operator} {}", binding.name);
                    let weight = weight * sure * certain * factor;
                    sink.replace(site, family, argument, new, weight);
                }
            }
        }
        if simple {
            let half = if style.block_close.is_empty() { "//" } else { "/" };
            if site.parsed().table().arithmetic.iter().any(|(o, _)| *o == half) {
                let new = format!("{inner} {half} 2");
                sink.replace(site, family, argument, new, weight * sure * 0.5);
            }
        }
    }
    if shape.fits(Shapes::COLLECTION.with(Shapes::STRING)) && simple && !style.skip.1.is_empty() {
        let sure = if shape.is_unknown() { 0.7 } else { 1.0 };
        let new = format!("{}{text}{}1{}", style.skip.0, style.skip.1, style.skip.2);
        sink.replace(site, family, argument, new, weight * sure);
        if style.negative_indices {
            sink.replace(site, family, argument, format!("{text}[:-1]"), weight * sure * 0.6);
        }
    }
}

/// Puts a built-in around a value.
fn wrap(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some(parent) = site.parent(node) else { return };
    let role = site.role(node);
    let place = site.role(parent);
    if !role.is_expression()
        || role.is_literal()
        || matches!(
            role,
            Role::Lambda
                | Role::Parenthesized
                | Role::Comprehension
                | Role::Mapping
                | Role::List
                | Role::Set
        )
        || matches!(
            place,
            Role::ExpressionStatement
                | Role::Block
                | Role::Arm
                | Role::Root
                | Role::Parameters
                | Role::Pattern
                | Role::Path
                | Role::Macro
                | Role::Tokens
                | Role::Decorator
                | Role::Function
                | Role::Lambda
        )
        || parsed.call(parent).is_some_and(|c| c.function.id() == node.id())
        || parsed.assignment(parent).is_some_and(|(t, _)| t.id() == node.id())
        || parsed.loop_over(parent).is_some_and(|(t, _)| t.id() == node.id())
        || parsed.member(parent).is_some()
        || (place == Role::KeywordArgument && role == Role::Identifier)
        || (role == Role::Identifier && !is_read(site, node))
    {
        return;
    }
    let shape = site.shape(node);
    let own = site.text_of(node);
    let base = match place {
        Role::Return => 1.0,
        Role::Arguments | Role::For | Role::ComprehensionFor => 0.8,
        Role::Binary => 0.7,
        _ => 0.7,
    };
    for (before, after, letters) in parsed.table().words.wrappers {
        if own.starts_with(before) && !before.is_empty() {
            continue;
        }
        let wants = wants(letters);
        if !shape.fits(wants) || (parsed.table().style.typed && !shape.certainly_fits(wants)) {
            continue;
        }
        let sure = if shape.certainly_fits(wants) { 1.0 } else { 0.6 };
        let inner = match super::precedence::top(site, node) {
            // A method or a cast binds more tightly than any operator.
            Some(_) if before.is_empty() || before.ends_with(' ') => format!("({own})"),
            _ => own.to_owned(),
        };
        let text = format!("{before}{inner}{after}");
        let text = if before.ends_with(' ') { fit(site, node, &text, "u") } else { text };
        sink.replace(site, Family::WrapCall, node, text, base * sure);
    }
}

/// The shapes that letters of a table stand for.
fn wants(letters: &str) -> Shapes {
    letters.chars().fold(Shapes::UNKNOWN, |all, letter| {
        all.with(match letter {
            'n' => Shapes::NUMBER,
            'c' => Shapes::COLLECTION,
            's' => Shapes::STRING,
            'b' => Shapes::BOOLEAN,
            _ => Shapes::UNKNOWN,
        })
    })
}

/// A call with one argument that is no method: the argument itself. For methods without arguments:
/// the object.
fn unwrap(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some(call) = parsed.call(node) else { return };
    let Some(parent) = site.parent(node) else { return };
    if site.role(parent) == Role::ExpressionStatement {
        return;
    }
    let object = call.object;
    match (&call.arguments[..], object) {
        ([], Some(object)) => {
            sink.replace(site, Family::UnwrapCall, node, moved(site, object, node), 0.6);
        }
        (arguments, object) => {
            let many = arguments.len() > 1;
            for argument in arguments {
                if site.role(*argument) == Role::KeywordArgument {
                    continue;
                }
                let weight = if many { 0.55 } else { 0.9 };
                let weight = if object.is_some() { weight * 0.6 } else { weight };
                let new = moved(site, *argument, node);
                sink.replace(site, Family::UnwrapCall, node, new, weight);
            }
        }
    }
}

/// Keeps a value above or below another: `max(0, x + y)`, `max(best, n)`.
fn clamp(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    let Some(parent) = site.parent(node) else { return };
    let place = site.role(parent);
    let mut target = None;
    match place {
        Role::Assignment | Role::Declarator => {
            let Some((left, right)) = parsed.assignment(parent) else { return };
            if right.id() != node.id() {
                return;
            }
            target = Some(left);
        }
        Role::Return | Role::Arguments => {}
        _ => return,
    }
    let role = site.role(node);
    if !matches!(role, Role::Binary | Role::Identifier | Role::Call | Role::Index)
        || !site.shape(node).fits(Shapes::NUMBER)
        || (parsed.table().style.typed && !site.shape(node).certainly_fits(Shapes::NUMBER))
    {
        return;
    }
    let style = &parsed.table().style;
    let own = site.text_of(node);
    let receiver = if style.maximum.0.is_empty() && super::precedence::top(site, node).is_some() {
        format!("({own})")
    } else {
        own.to_owned()
    };
    let base = match (place, role) {
        (Role::Arguments, _) => 0.35,
        (_, Role::Binary) => 1.0,
        _ => 0.5,
    };
    let sure = if site.shape(node).certainly_fits(Shapes::NUMBER) { 1.0 } else { 0.8 };
    let mut bounds: Vec<(String, f64)> = Vec::new();
    if let Some(target) = target
        && site.role(parent) == Role::Assignment
    {
        bounds.push((site.text_of(target).to_owned(), 1.0));
    }
    bounds.push(("0".into(), 0.9));
    bounds.push(("1".into(), 0.4));
    for binding in site.locals() {
        if binding.kind != BindingKind::Function
            && site.shape_of_name(&binding.name).certainly_fits(Shapes::NUMBER)
            && binding.name != own
        {
            bounds.push((binding.name.clone(), 0.4));
        }
    }
    for (bound, weight) in bounds {
        for (form, factor) in [(style.maximum, 1.0), (style.minimum, 0.7)] {
            let (first, second) =
                if form.0.is_empty() { (&receiver, &bound) } else { (&bound, &receiver) };
            let text = format!("{}{first}{}{second}{}", form.0, form.1, form.2);
            let weight = base * sure * weight * factor;
            sink.replace(site, Family::Clamp, node, text, weight);
        }
    }
}

/// `x` becomes `x ** 2`, `x * x`; for operands of sums and differences.
fn power(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let parsed = site.parsed();
    if site.role(node) != Role::Identifier || !site.shape(node).overlaps(Shapes::NUMBER) {
        return;
    }
    let Some(parent) = site.parent(node).filter(|p| site.role(*p) == Role::Binary) else { return };
    let arithmetic = parsed.binaries(parent).iter().any(|b| {
        let operator = parsed.operator_text(b).1;
        matches!(operator.as_str(), "+" | "-" | "*" | "/" | "<" | "<=" | ">" | ">=")
    });
    if !arithmetic {
        return;
    }
    let own = site.text_of(node);
    let forms = if parsed.table().arithmetic.iter().any(|(o, _)| *o == "**") {
        vec![(format!("{own} ** 2"), "**", 1.0), (format!("{own} * {own}"), "*", 0.5)]
    } else {
        vec![(format!("{own} * {own}"), "*", 1.0)]
    };
    for (text, operator, weight) in forms {
        sink.replace(site, Family::Power, node, fit(site, node, &text, operator), weight);
    }
    let doubled = format!("2 * {own}");
    sink.replace(site, Family::Power, node, fit(site, node, &doubled, "*"), 0.6);
}

/// The two values of a ternary change places.
fn branches(site: &Site<'_>, sink: &mut Sink, node: Node<'_>) {
    let Some((yes, no)) = site.parsed().ternary(node) else { return };
    swaps(site, sink, &[yes, no], Family::SwapBranches);
    for value in [yes, no] {
        let number = site.shape(value).overlaps(Shapes::NUMBER);
        if number && matches!(site.role(value), Role::Identifier | Role::Call | Role::Member) {
            let text = format!("-{}", site.text_of(value));
            sink.replace(site, Family::UnaryMinus, value, text, 0.6);
        }
    }
    for kept in [yes, no] {
        sink.replace(site, Family::DropClause, node, moved(site, kept, node), 0.5);
    }
}

/// `a.update(b)` becomes `a = b`, and `a = b` becomes `a.extend(b)`.
fn as_assignment(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let core = parsed.core(site.unit);
    if let Some(call) = parsed.call(core)
        && core.id() != site.unit.id()
        && let [only] = call.arguments[..]
        && let Some(object) = call.object
        && matches!(site.role(object), Role::Identifier | Role::Member | Role::Index)
    {
        let text = format!("{} = {}", site.text_of(object), site.text_of(only));
        sink.replace(site, Family::CallToAssignment, core, text, 1.0);
    }
    if site.role(core) == Role::Assignment
        && let Some((target, value)) = parsed.assignment(core)
        && !matches!(site.role(target), Role::Pattern | Role::Tuple)
        && site.shape(target).overlaps(Shapes::COLLECTION)
    {
        for adder in parsed.table().style.adders {
            let text = format!("{}.{adder}({})", site.text_of(target), site.text_of(value));
            sink.replace(site, Family::CallToAssignment, core, text, 0.5);
        }
    }
    // The value that is at hand in scope and fits: `f(a)` for `f(b)` is the variable family's.
    if let Some((_, value)) = parsed.assignment(core)
        && site.role(value) == Role::Call
    {
        for binding in site.locals() {
            let weight = 0.2 * affinity(site, site.text_of(value), &binding.name, binding.kind);
            sink.replace(site, Family::Variable, value, binding.name.as_str(), weight);
        }
    }
}
