//! One place that templates work on.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use greenlit_syntax::{Binding, BindingKind, Node, Parsed, Role, Shapes};

use super::declared::Types;
use super::file::File;

/// A statement (for compound ones: its head) with its surroundings.
pub(super) struct Site<'t> {
    pub(super) file: &'t File<'t>,
    /// The statement, or the branch.
    pub(super) unit: Node<'t>,
    /// The named nodes of its head, parents first.
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) suspicion: f64,
    /// The most suspected line of it, 1-based.
    pub(super) line: u32,
    /// Bindings that are visible somewhere in it.
    pub(super) bindings: Vec<&'t Binding>,
    /// Names in scope before it.
    pub(super) names: Vec<&'t Binding>,
    pub(super) function: Option<Node<'t>>,
    pub(super) shapes: Rc<HashMap<String, Shapes>>,
    pub(super) types: Rc<Types>,
}

impl<'t> Site<'t> {
    pub(super) fn parsed(&self) -> &'t Parsed {
        self.file.parsed
    }

    pub(super) fn role(&self, node: Node<'_>) -> Role {
        self.file.parsed.role(node)
    }

    pub(super) fn text_of(&self, node: Node<'_>) -> &'t str {
        self.file.text().get(node.byte_range()).unwrap_or_default()
    }

    pub(super) fn shape(&self, node: Node<'_>) -> Shapes {
        self.parsed().shape_of(node, &self.shapes)
    }

    pub(super) fn shape_of_name(&self, name: &str) -> Shapes {
        self.shapes.get(name).copied().unwrap_or_default()
    }

    /// The node around a node.
    pub(super) fn parent(&self, node: Node<'_>) -> Option<Node<'t>> {
        self.file.parent(node)
    }

    /// The nearest node around a node with a role for which `keep` holds.
    pub(super) fn ancestor(&self, node: Node<'_>, keep: impl Fn(Role) -> bool) -> Option<Node<'t>> {
        self.file.ancestor(node, keep)
    }

    /// The named function around a node.
    pub(super) fn enclosing_function(&self, node: Node<'_>) -> Option<Node<'t>> {
        self.ancestor(node, |r| r == Role::Function)
    }

    /// Names that hold values: no functions of the file.
    pub(super) fn values(&self) -> impl Iterator<Item = &'t Binding> + '_ {
        self.names.iter().copied().filter(|b| b.kind != BindingKind::Function)
    }

    /// Values bound in the function itself or around it: what insertions may use.
    pub(super) fn locals(&self) -> impl Iterator<Item = &'t Binding> + '_ {
        self.values().filter(|b| {
            matches!(b.kind, BindingKind::Parameter | BindingKind::Local | BindingKind::LoopTarget)
                && !matches!(b.name.as_str(), "self" | "cls" | "this")
        })
    }

    /// The statement list that the unit stands in, if it stands in one.
    pub(super) fn list(&self) -> Option<Node<'t>> {
        self.parent(self.unit).filter(|p| self.role(*p).is_statement_list())
    }

    /// White space before the statement, if nothing else is on its line before it.
    pub(super) fn indent(&self, node: Node<'_>) -> Option<&'t str> {
        let start = line_start(self.file.text(), node.start_byte());
        let indent = self.file.text().get(start..node.start_byte())?;
        indent.chars().all(|c| c == ' ' || c == '\t').then_some(indent)
    }

    /// Whether the unit may be a value that its block returns (no terminator in a language that has
    /// one): nothing can stand after it.
    pub(super) fn is_tail(&self, node: Node<'_>) -> bool {
        let style = &self.parsed().table().style;
        style.tail_values && self.role(node).is_expression()
    }

    /// Whether the unit is a statement on its own that jumps nowhere and declares nothing.
    pub(super) fn is_simple(&self) -> bool {
        matches!(
            self.role(self.unit),
            Role::ExpressionStatement | Role::Assignment | Role::AugmentedAssignment | Role::Update
        )
    }

    /// Whether a name may hold nothing, as far as declared types and conventions say.
    pub(super) fn may_be_absent(&self, name: &str) -> bool {
        self.shapes.contains_key(&format!("{name}?"))
            || self.parsed().table().words.absent.contains(&name)
    }

    /// How the length of a named collection is written: as the file does it, else as usual.
    pub(super) fn length(&self, name: &str) -> String {
        let lengths = self.parsed().table().style.lengths;
        let written = |form: &&(&str, &str)| {
            self.file.text().contains(&format!("{}{name}{}", form.0, form.1))
        };
        let form = lengths.iter().find(written).or(lengths.first());
        form.map_or_else(String::new, |(before, after)| format!("{before}{name}{after}"))
    }

    /// Values that fit what the function declares to return, with weights: literals and names in
    /// scope. One empty text where it declares that it returns nothing.
    pub(super) fn result_values(&self) -> Vec<(String, f64)> {
        let parsed = self.parsed();
        let types = self.function.map(|f| parsed.result_types(f)).unwrap_or_default();
        match &types[..] {
            [] => vec![(String::new(), 0.8)],
            [only] => {
                let shape = parsed.shape_of_type(only);
                let names =
                    self.locals().filter(|b| self.shape_of_name(&b.name).certainly_fits(shape));
                let names = names.map(|b| (b.name.clone(), 0.5));
                self.values_of(only).into_iter().chain(names).collect()
            }
            several => {
                let first = |t: &String| self.values_of(t).into_iter().next().map(|v| v.0);
                let Some(zeros) = several.iter().map(first).collect::<Option<Vec<_>>>() else {
                    return Vec::new();
                };
                // What says that something went wrong stands last by convention.
                let last = zeros.len() - 1;
                let absent = self
                    .names
                    .iter()
                    .filter(|b| parsed.table().words.absent.contains(&b.name.as_str()));
                let mut found: Vec<_> = absent
                    .map(|b| (format!("{}, {}", zeros[..last].join(", "), b.name), 0.9))
                    .collect();
                found.push((zeros.join(", "), 0.6));
                found
            }
        }
    }

    /// Literals of a type as written.
    fn values_of(&self, written: &str) -> Vec<(String, f64)> {
        let parsed = self.parsed();
        let shape = parsed.shape_of_type(written);
        let letters = [
            ('n', Shapes::NUMBER),
            ('b', Shapes::BOOLEAN),
            ('c', Shapes::COLLECTION),
            ('s', Shapes::STRING),
        ];
        let absent = parsed.may_be_absent(written);
        parsed
            .table()
            .style
            .values
            .iter()
            .filter(|(letter, _)| {
                letters.iter().any(|(l, s)| l == letter && shape.overlaps(*s))
                    || (*letter == 'o' && absent)
            })
            .flat_map(|(_, values)| values.iter().map(|(v, w)| ((*v).to_owned(), *w)))
            .collect()
    }

    /// A statement of one line, terminated.
    pub(super) fn terminated(&self, statement: &str) -> String {
        format!("{statement}{}", self.parsed().table().style.terminator)
    }

    /// The lines of `if condition { statement }`, relative to the indentation of the `if`.
    pub(super) fn if_lines(&self, condition: &str, statement: &str) -> Vec<String> {
        let style = &self.parsed().table().style;
        let mut lines = vec![
            format!("{}{condition}{}", style.if_open.0, style.if_open.1),
            format!("{}{}", self.file.unit, self.terminated(statement)),
        ];
        if !style.block_close.is_empty() {
            lines.push(style.block_close.to_owned());
        }
        lines
    }

    /// Edit that puts lines before a statement.
    pub(super) fn before(
        &self,
        node: Node<'_>,
        lines: &[String],
    ) -> Option<(Range<usize>, String)> {
        let indent = self.indent(node)?;
        let at = line_start(self.file.text(), node.start_byte());
        let text =
            lines.iter().map(|l| format!("{indent}{l}{}", self.file.newline)).collect::<String>();
        Some((at..at, text))
    }

    /// Edit that puts lines after a statement, at its indentation.
    pub(super) fn after(&self, node: Node<'_>, lines: &[String]) -> Option<(Range<usize>, String)> {
        if self.is_tail(node) {
            return None;
        }
        let indent = self.indent(node)?;
        let text = self.file.text();
        let end = statement_end(text, node.end_byte());
        let rest = &text[end..];
        let line_end = rest.find('\n').map_or(text.len(), |at| end + at + 1);
        let tail = text[end..line_end].trim();
        if !(tail.is_empty() || tail.starts_with('#') || tail.starts_with("//")) {
            return None;
        }
        let newline = self.file.newline;
        let mut inserted = String::new();
        if !text[..line_end].ends_with('\n') {
            inserted.push_str(newline);
        }
        for line in lines {
            inserted.push_str(&format!("{indent}{line}{newline}"));
        }
        Some((line_end..line_end, inserted))
    }
}

/// The end of a node, or of the semicolon that closes it.
fn statement_end(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if rest[blank..].starts_with(';') { end + blank + 1 } else { end }
}

/// 1-based line on which a node starts.
pub(super) fn row(node: Node<'_>) -> u32 {
    u32::try_from(node.start_position().row).unwrap_or(u32::MAX).saturating_add(1)
}

/// The start of the line that an offset is on.
pub(super) fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|t| t.rfind('\n')).map_or(0, |n| n + 1)
}
