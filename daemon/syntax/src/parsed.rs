//! A parsed text and the questions that can be asked about its nodes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use thiserror::Error;
use tree_sitter::{InputEdit, Node, ParseOptions, ParseState, Parser, Point, Tree};

use crate::language::Language;
use crate::role::Role;
use crate::table::{Table, When};

/// Why a text could not be parsed.
#[derive(Debug, Error)]
pub enum ParseError {
    /// The compiled grammar does not fit the parser library.
    #[error("the grammar for {language} does not fit the parser")]
    Grammar {
        /// Which language.
        language: String,
        /// What the library said.
        #[source]
        source: tree_sitter::LanguageError,
    },
    /// Offsets are 32 bits wide.
    #[error("a text of {bytes} bytes is too large to parse")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The parser found no end within its bound: the text is far from the language.
    #[error("the parser gave up")]
    GaveUp,
}

/// Parses a text. Syntax errors are no failure: see [`Parsed::error_offsets`].
///
/// # Errors
///
/// [`ParseError`] when there is no tree at all.
pub fn parse(language: Language, text: Arc<str>) -> Result<Parsed, ParseError> {
    let tree = tree(&language.grammar(), &text, None)?;
    Ok(Parsed { language, text, tree })
}

/// The tree of a text, built upon an edited older one where there is one.
pub(crate) fn tree(
    grammar: &tree_sitter::Language,
    text: &str,
    old: Option<&Tree>,
) -> Result<Tree, ParseError> {
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError::TooLarge { bytes: text.len() });
    }
    let mut parser = Parser::new();
    parser.set_language(grammar).map_err(|source| ParseError::Grammar {
        language: grammar.name().unwrap_or("a language").to_owned(),
        source,
    })?;
    bounded(&mut parser, text, old)
}

/// The smallest edit that makes one text of another.
pub(crate) fn difference(old: &str, new: &str) -> InputEdit {
    let (a, b) = (old.as_bytes(), new.as_bytes());
    let start = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let room = a.len().min(b.len()) - start;
    let same = a.iter().rev().zip(b.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let (old_end, new_end) = (a.len() - same, b.len() - same);
    InputEdit {
        start_byte: start,
        old_end_byte: old_end,
        new_end_byte: new_end,
        start_position: point(old, start),
        old_end_position: point(old, old_end),
        new_end_position: point(new, new_end),
    }
}

/// Parses within a bound on its work: on mangled texts the recovery of some grammars (C++) does not
/// come to an end by itself. The parser asks once per hundred steps; honest texts take fewer steps
/// than they have bytes.
fn bounded(parser: &mut Parser, text: &str, old: Option<&Tree>) -> Result<Tree, ParseError> {
    let mut left = 200 + text.len() / 4;
    let mut progress = |_: &ParseState| {
        left = left.saturating_sub(1);
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut read = |at: usize, _: Point| text.as_bytes().get(at..).unwrap_or_default();
    let options = ParseOptions::new().progress_callback(&mut progress);
    parser.parse_with_options(&mut read, old, Some(options)).ok_or(ParseError::GaveUp)
}

/// Row and byte column of an offset.
fn point(text: &str, at: usize) -> Point {
    let before = &text.as_bytes()[..at];
    let row = before.iter().filter(|b| **b == b'\n').count();
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    Point::new(row, at - start)
}

/// Fields of an arm that hold its labels and not its statements.
const ARM_LABELS: &[&str] = &["value", "type", "communication"];

/// A text with its syntax tree.
#[derive(Debug, Clone)]
pub struct Parsed {
    language: Language,
    text: Arc<str>,
    tree: Tree,
}

/// One infix operation. Python's `a < b < c` is two of them.
#[derive(Debug, Clone, Copy)]
pub struct Binary<'t> {
    /// Left operand.
    pub left: Node<'t>,
    /// First token of the operator.
    pub operator: Node<'t>,
    /// Right operand.
    pub right: Node<'t>,
}

/// The parts of a call.
#[derive(Debug, Clone)]
pub struct CallParts<'t> {
    /// What is called: the member expression of a method call; its name where the grammar has no
    /// such node.
    pub function: Node<'t>,
    /// What a method is called on.
    pub object: Option<Node<'t>>,
    /// The node that holds the arguments with its parentheses.
    pub list: Node<'t>,
    /// The arguments.
    pub arguments: Vec<Node<'t>>,
}

/// The parts of `a:b:c` or `a..b`.
#[derive(Debug, Clone, Copy)]
pub struct SliceParts<'t> {
    /// Where it starts.
    pub start: Option<Node<'t>>,
    /// Where it stops.
    pub stop: Option<Node<'t>>,
    /// Start of the first operator token, in bytes.
    pub operator: usize,
    /// End of that token.
    pub operator_end: usize,
}

impl Parsed {
    /// Parses a changed version of the text, reusing what did not change.
    ///
    /// # Errors
    ///
    /// See [`parse`].
    pub fn reparse(&self, text: Arc<str>) -> Result<Parsed, ParseError> {
        let mut edited = self.tree.clone();
        edited.edit(&difference(&self.text, &text));
        let tree = tree(&self.language.grammar(), &text, Some(&edited))?;
        Ok(Parsed { language: self.language, text, tree })
    }

    /// The language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The language's table.
    pub fn table(&self) -> &'static Table {
        self.language.table()
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The outermost node.
    pub fn root(&self) -> Node<'_> {
        self.tree.root_node()
    }

    /// Where the grammar found errors or had to invent tokens, in bytes.
    pub fn error_offsets(&self) -> Vec<usize> {
        let mut found = Vec::new();
        if self.root().has_error() {
            self.walk(self.root(), &mut |node| {
                if node.is_error() || node.is_missing() {
                    found.push(node.start_byte());
                }
                node.has_error()
            });
        }
        found
    }

    /// The role of a node.
    pub fn role(&self, node: Node<'_>) -> Role {
        let Some(kind) = self.language.kinds().get(usize::from(node.kind_id())) else {
            return Role::Other;
        };
        if kind.depends {
            let rules = self.table().refined.iter().filter(|(name, ..)| *name == node.kind());
            for (_, when, role) in rules {
                if self.holds(node, *when) {
                    return *role;
                }
            }
        }
        kind.role
    }

    fn holds(&self, node: Node<'_>, when: When) -> bool {
        match when {
            When::Child(kind) => {
                let mut cursor = node.walk();
                node.named_children(&mut cursor).any(|c| c.kind() == kind)
            }
            When::Children(count) => node.named_child_count() == count,
            When::Operator(operator) => {
                node.child_by_field_name("operator").is_some_and(|o| o.kind() == operator)
            }
            When::Field(field, role) => {
                node.child_by_field_name(field).is_some_and(|f| self.role(f) == role)
            }
        }
    }

    /// The node around a node; groups are passed over.
    pub fn parent<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        let mut parent = node.parent()?;
        while self.role(parent) == Role::Group {
            parent = parent.parent()?;
        }
        Some(parent)
    }

    /// The value of a field, also of one that belongs to a group inside the node.
    pub fn field<'t>(&self, node: Node<'t>, name: &str) -> Option<Node<'t>> {
        if let Some(found) = node.child_by_field_name(name) {
            return Some(self.ungrouped(found));
        }
        let mut cursor = node.walk();
        node.named_children(&mut cursor)
            .filter(|c| self.role(*c) == Role::Group)
            .find_map(|group| self.field(group, name))
    }

    /// What a group stands for where one value is meant; other nodes as they are.
    pub(crate) fn ungrouped<'t>(&self, node: Node<'t>) -> Node<'t> {
        let mut node = node;
        while self.role(node) == Role::Group {
            let value = node.child_by_field_name("value");
            let Some(inner) = value.or_else(|| self.children(node).last().copied()) else { break };
            node = inner;
        }
        node
    }

    /// A field of a node or of the nearest declarator inside it: C's `int *f(int a)` hides name and
    /// parameters behind one declarator per token.
    pub(crate) fn declared<'t>(&self, node: Node<'t>, field: &str) -> Option<Node<'t>> {
        let mut node = node;
        loop {
            if let Some(found) = self.field(node, field) {
                return Some(found);
            }
            node = node
                .child_by_field_name("declarator")
                .or_else(|| node.named_child(0).filter(|c| c.kind().ends_with("_declarator")))?;
        }
    }

    /// The text of a node.
    pub fn text_of(&self, node: Node<'_>) -> &str {
        self.text.get(node.byte_range()).unwrap_or_default()
    }

    /// Visits a node and everything below it, parents first; `visit` says whether to go deeper.
    pub fn walk<'t>(&self, node: Node<'t>, visit: &mut dyn FnMut(Node<'t>) -> bool) {
        self.walk_with_ancestors(node, &mut |node, _| visit(node));
    }

    /// Like [`Parsed::walk`], with the nodes between the start and each node, outermost first.
    /// Asking a node for its parent descends from the root each time; this costs nothing.
    pub fn walk_with_ancestors<'t>(
        &self,
        node: Node<'t>,
        visit: &mut dyn FnMut(Node<'t>, &[Node<'t>]) -> bool,
    ) {
        let mut cursor = node.walk();
        let mut above = Vec::new();
        loop {
            let current = cursor.node();
            if visit(current, &above) && cursor.goto_first_child() {
                above.push(current);
                continue;
            }
            loop {
                if above.is_empty() {
                    return;
                }
                if cursor.goto_next_sibling() {
                    break;
                }
                cursor.goto_parent();
                above.pop();
            }
        }
    }

    /// The parent of every node, by node id.
    pub fn parents(&self) -> HashMap<usize, Node<'_>> {
        let mut parents = HashMap::new();
        self.walk_with_ancestors(self.root(), &mut |node, above| {
            if let Some(parent) = above.iter().rev().find(|n| self.role(**n) != Role::Group) {
                parents.insert(node.id(), *parent);
            }
            true
        });
        parents
    }

    /// Every node below `node` (itself included) for which `keep` holds, in source order.
    pub fn descendants<'t>(&self, node: Node<'t>, keep: impl Fn(Role) -> bool) -> Vec<Node<'t>> {
        let mut found = Vec::new();
        self.walk(node, &mut |n| {
            if keep(self.role(n)) {
                found.push(n);
            }
            true
        });
        found
    }

    /// Named children without comments, those of groups included.
    pub fn children<'t>(&self, node: Node<'t>) -> Vec<Node<'t>> {
        let mut found = Vec::new();
        let mut cursor = node.walk();
        for child in node.named_children(&mut cursor) {
            match self.role(child) {
                Role::Comment => {}
                Role::Group => found.extend(self.children(child)),
                _ => found.push(child),
            }
        }
        found
    }

    /// The nearest node around `node` with a role for which `keep` holds.
    pub fn ancestor<'t>(&self, node: Node<'t>, keep: impl Fn(Role) -> bool) -> Option<Node<'t>> {
        let mut current = node.parent();
        while let Some(n) = current {
            if keep(self.role(n)) {
                return Some(n);
            }
            current = n.parent();
        }
        None
    }

    /// The function that a node belongs to, itself excluded.
    pub fn enclosing_function<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        self.ancestor(node, |r| r == Role::Function)
    }

    /// The statements of a statement list: its children without the labels of an arm.
    pub fn statements<'t>(&self, list: Node<'t>) -> Vec<Node<'t>> {
        if self.role(list) != Role::Arm {
            return self.children(list);
        }
        let mut found = Vec::new();
        let mut cursor = list.walk();
        let mut more = cursor.goto_first_child();
        while more {
            let node = cursor.node();
            let label = cursor.field_name().is_some_and(|name| ARM_LABELS.contains(&name));
            match self.role(node) {
                _ if label || !node.is_named() => {}
                Role::Comment | Role::Label => {}
                Role::Group => found.extend(self.children(node)),
                _ => found.push(node),
            }
            more = cursor.goto_next_sibling();
        }
        found
    }

    /// Every statement list with its statements, outermost first. Blocks without statements and
    /// comments are left out.
    pub fn statement_lists(&self) -> Vec<(Node<'_>, Vec<Node<'_>>)> {
        self.descendants(self.root(), Role::is_statement_list)
            .into_iter()
            .map(|list| (list, self.statements(list)))
            .filter(|(_, statements)| !statements.is_empty())
            .collect()
    }

    /// The expression, assignment or jump inside an expression statement; others as they are.
    pub fn core<'t>(&self, statement: Node<'t>) -> Node<'t> {
        if self.role(statement) == Role::ExpressionStatement
            && let [only] = self.children(statement)[..]
        {
            return only;
        }
        statement
    }

    /// Without parentheses around it.
    pub fn bare<'t>(&self, node: Node<'t>) -> Node<'t> {
        let mut node = node;
        while self.role(node) == Role::Parenthesized {
            let Some(inner) = self.children(node).first().copied() else { break };
            node = inner;
        }
        node
    }
}
