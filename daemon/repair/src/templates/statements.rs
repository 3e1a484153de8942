//! Whole statements: removed, moved, jumps exchanged, branches exchanged.

use greenlit_syntax::{Node, Role};

use super::family::Family;
use super::sink::{Sink, short};
use super::site::{Site, line_start};

pub(super) fn propose(site: &Site<'_>, sink: &mut Sink) {
    jump(site, sink);
    if site.role(site.unit) == Role::If {
        swap_branches(site, sink);
    }
    if site.list().is_some() && site.function.is_some_and(|f| f.id() != site.unit.id()) {
        remove(site, sink);
        exchange(site, sink);
        dedent(site, sink);
        indent(site, sink);
    }
    default_argument(site, sink);
}

/// `break` and `continue`; `return` for `break`.
fn jump(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let (breaks, continues) = parsed.table().style.jumps;
    let core = parsed.core(site.unit);
    let text = site.text_of(core).trim_end_matches(';');
    let range = core.start_byte()..core.start_byte() + text.len();
    if text == breaks {
        sink.edit(site, Family::Jump, range, continues.into(), 1.0, None);
    } else if text == continues {
        sink.edit(site, Family::Jump, range, breaks.into(), 1.0, None);
    }
}

/// The lines of a statement, whole, if nothing else is on them.
fn lines(site: &Site<'_>, node: Node<'_>) -> Option<std::ops::Range<usize>> {
    site.indent(node)?;
    let text = site.file.text();
    let start = line_start(text, node.start_byte());
    let (after, _) = site.after(node, &[String::new()])?;
    Some(start..after.start)
}

fn siblings<'t>(site: &Site<'t>) -> Option<(Vec<Node<'t>>, usize)> {
    let list = site.parsed().statements(site.list()?);
    let at = list.iter().position(|n| n.id() == site.unit.id())?;
    Some((list, at))
}

fn remove(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let Some((list, _)) = siblings(site) else { return };
    let core = parsed.core(site.unit);
    let weight = match site.role(core) {
        Role::Function | Role::Class | Role::Declaration => return,
        Role::Return | Role::Raise => 0.4,
        Role::If | Role::For | Role::While | Role::CountingFor | Role::Try => 0.5,
        Role::Assert => return,
        Role::Call | Role::AugmentedAssignment | Role::Break | Role::Continue => 0.9,
        _ => 0.6,
    };
    let Some(range) = lines(site, site.unit) else { return };
    let summary = format!("remove `{}`", short(site.text_of(site.unit)));
    if list.len() > 1 || !parsed.table().style.block_close.is_empty() {
        sink.edit(site, Family::RemoveStatement, range, String::new(), weight, Some(summary));
    } else {
        let range = site.unit.byte_range();
        sink.edit(site, Family::RemoveStatement, range, "pass".into(), weight, Some(summary));
    }
    // A branch or loop around statements: the statements alone.
    if let Some(body) = parsed.body(core).filter(|b| parsed.role(*b) == Role::Block)
        && site.role(core) == Role::If
        && core.child_by_field_name("alternative").is_none()
        && let (Some(whole), Some(first)) =
            (lines(site, site.unit), parsed.children(body).first().copied())
        && let Some(last) = parsed.children(body).last().copied()
        && let (Some(first), Some(last)) = (lines(site, first), lines(site, last))
        && let Some(outer) = site.indent(site.unit)
    {
        let inner = &site.file.text()[first.start..last.end];
        let text = reindent(inner, &site.file.unit, outer, false);
        let summary = format!("always run what `{}` guards", short(head(site)));
        sink.edit(site, Family::RemoveStatement, whole, text, 0.6, Some(summary));
    }
}

fn head<'t>(site: &Site<'t>) -> &'t str {
    site.text_of(site.unit).lines().next().unwrap_or_default().trim_end()
}

/// Removes or adds one step of indentation on every line that has text.
fn reindent(block: &str, unit: &str, base: &str, deeper: bool) -> String {
    block
        .split_inclusive('\n')
        .map(|line| {
            if line.trim().is_empty() {
                line.to_owned()
            } else if deeper {
                format!("{unit}{line}")
            } else if line.starts_with(&format!("{base}{unit}")) {
                line.replacen(unit, "", 1)
            } else {
                line.to_owned()
            }
        })
        .collect()
}

/// Two neighbours change places; a statement moves to the start or end of its block.
fn exchange(site: &Site<'_>, sink: &mut Sink) {
    let Some((list, at)) = siblings(site) else { return };
    let Some(own) = lines(site, site.unit) else { return };
    let text = site.file.text();
    for (other, weight) in
        [(at.checked_sub(1), 0.8), (at.checked_add(1), 0.8), (at.checked_add(2), 0.4)]
    {
        let Some(other) = other.and_then(|o| list.get(o)) else { continue };
        if site.role(site.parsed().core(*other)) == Role::Return {
            continue;
        }
        let Some(range) = lines(site, *other) else { continue };
        let (first, second) =
            if own.start < range.start { (own.clone(), range) } else { (range, own.clone()) };
        if first.end > second.start || !text[..second.end].ends_with('\n') {
            continue;
        }
        let new = format!(
            "{}{}{}",
            &text[second.clone()],
            &text[first.end..second.start],
            &text[first.clone()]
        );
        let summary = format!("move `{}`", short(site.text_of(site.unit)));
        let span = first.start..second.end;
        sink.edit(site, Family::MoveStatement, span, new, weight, Some(summary));
    }
}

/// The last statement of a block moves out of it, behind it.
fn dedent(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let Some((list, at)) = siblings(site) else { return };
    if at == 0 || at + 1 != list.len() {
        return;
    }
    let Some(owner) = site.list().and_then(|b| site.parent(b)) else { return };
    let compound = matches!(
        site.role(owner),
        Role::If | Role::ElseIf | Role::Else | Role::For | Role::While | Role::CountingFor
    );
    let (Some(own), Some(outer)) = (lines(site, site.unit), site.indent(owner)) else { return };
    if !compound {
        return;
    }
    let text = site.file.text();
    let moved = reindent(&text[own.clone()], &site.file.unit, outer, false);
    let summary = format!("move `{}` out of the block", short(site.text_of(site.unit)));
    if parsed.table().style.block_close.is_empty() {
        // Python: only if nothing of the owner follows.
        let last = owner.end_byte() <= site.unit.end_byte();
        if last {
            sink.edit(site, Family::MoveStatement, own, moved, 1.0, Some(summary));
        }
    } else if let Some(behind) = lines(site, owner) {
        let edits = vec![(own, String::new()), (behind.end..behind.end, moved)];
        sink.edits(site, Family::MoveStatement, edits, 1.0, Some(summary));
    }
}

/// A statement behind a block moves into it, to its end.
fn indent(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let Some((list, at)) = siblings(site) else { return };
    let Some(previous) = at.checked_sub(1).map(|p| list[p]) else { return };
    let previous_core = parsed.core(previous);
    let compound =
        matches!(site.role(previous_core), Role::If | Role::For | Role::While | Role::CountingFor);
    let Some(own) = lines(site, site.unit).filter(|_| compound) else { return };
    let text = site.file.text();
    let base = site.indent(site.unit).unwrap_or_default();
    let moved = reindent(&text[own.clone()], &site.file.unit, base, true);
    let summary = format!("move `{}` into the block before it", short(site.text_of(site.unit)));
    if parsed.table().style.block_close.is_empty() {
        if list.len() > 1 {
            sink.edit(site, Family::MoveStatement, own, moved, 0.8, Some(summary));
        }
    } else if let Some(body) = parsed.body(previous_core)
        && let Some(last) = parsed.children(body).last()
        && let Some(inside) = lines(site, *last)
        && inside.end <= own.start
    {
        let edits = vec![(inside.end..inside.end, moved), (own, String::new())];
        sink.edits(site, Family::MoveStatement, edits, 0.8, Some(summary));
    }
}

/// The blocks of `if` and `else` change places.
fn swap_branches(site: &Site<'_>, sink: &mut Sink) {
    let parsed = site.parsed();
    let core = parsed.core(site.unit);
    let Some(yes) = core.child_by_field_name("consequence") else { return };
    let Some(alternative) = core.child_by_field_name("alternative") else { return };
    let no = match site.role(alternative) {
        Role::Block => alternative,
        Role::Else => match parsed.children(alternative).last().copied() {
            Some(no) => no,
            None => return,
        },
        _ => return,
    };
    if site.role(yes) != Role::Block || site.role(no) != Role::Block {
        return;
    }
    let edits = vec![
        (yes.byte_range(), site.text_of(no).to_owned()),
        (no.byte_range(), site.text_of(yes).to_owned()),
    ];
    let summary = "swap the branches of the `if`".to_owned();
    sink.edits(site, Family::SwapBranches, edits, 1.0, Some(summary));
}

/// Other default values of parameters.
fn default_argument(site: &Site<'_>, sink: &mut Sink) {
    if site.role(site.unit) != Role::Function {
        return;
    }
    let style = &site.parsed().table().style;
    for node in &site.nodes {
        if !matches!(
            node.kind(),
            "default_parameter" | "typed_default_parameter" | "assignment_pattern"
        ) {
            continue;
        }
        let Some(value) =
            node.child_by_field_name("value").or_else(|| node.child_by_field_name("right"))
        else {
            continue;
        };
        for other in ["0", "1", style.null, "[]", "\"\"", style.booleans.0, style.booleans.1] {
            sink.replace(site, Family::DefaultArgument, value, other, 0.5);
        }
    }
}
