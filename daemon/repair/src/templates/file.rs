//! A parsed file, and the places in it that templates work on.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;

use greenlit_syntax::{Binding, FunctionItem, Node, Parsed, Role, Shapes};

use super::declared::{Declared, Types};
use super::site::{Site, row};
use crate::candidate::SourceFile;
use crate::reject::test_regions;

/// What is known of the names of a function.
#[derive(Clone)]
struct Known {
    shapes: Rc<HashMap<String, Shapes>>,
    types: Rc<Types>,
}

/// A parsed file with what templates ask again and again.
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) parsed: &'a Parsed,
    parents: HashMap<usize, Node<'a>>,
    pub(super) bindings: Vec<Binding>,
    pub(super) members: BTreeMap<String, Vec<String>>,
    pub(super) newline: &'static str,
    pub(super) unit: String,
    /// Every name that the file binds; others come from imports or from the language.
    pub(super) bound: HashSet<String>,
    /// How often each name is read, whole file.
    pub(super) reads: HashMap<String, u32>,
    /// Object and name of member expressions that are not called.
    pub(super) attributes: BTreeSet<(String, String)>,
    pub(super) functions: Vec<FunctionItem>,
    /// Whole numbers and strings of the file.
    pub(super) integers: Vec<i64>,
    pub(super) texts: Vec<Node<'a>>,
    /// By function: asked for only where lines are suspected.
    known: RefCell<HashMap<usize, Known>>,
    /// What this file and those that came with it declare.
    pub(super) declared: &'a Declared,
    protected: Vec<Range<usize>>,
}

impl<'a> File<'a> {
    pub(super) fn new(
        source: &'a SourceFile,
        parsed: &'a Parsed,
        declared: &'a Declared,
    ) -> File<'a> {
        let parents = parsed.parents();
        let bindings = parsed.bindings();
        let attributes = attributes(parsed, &parents);
        let reads = reads(parsed, &parents);
        let integers = parsed.descendants(parsed.root(), |r| r == Role::Integer);
        File {
            path: &source.path,
            parsed,
            parents,
            bound: bindings.iter().map(|b| b.name.clone()).collect(),
            bindings,
            members: parsed.members(),
            newline: if source.text.contains("\r\n") { "\r\n" } else { "\n" },
            unit: indentation_unit(&source.text),
            reads,
            attributes,
            functions: parsed.functions(),
            integers: integers.iter().filter_map(|n| parsed.text_of(*n).parse().ok()).collect(),
            texts: parsed.descendants(parsed.root(), |r| r == Role::Text),
            known: RefCell::new(HashMap::new()),
            declared,
            protected: test_regions(parsed),
        }
    }

    pub(super) fn parent(&self, node: Node<'_>) -> Option<Node<'a>> {
        self.parents.get(&node.id()).copied()
    }

    pub(super) fn ancestor(&self, node: Node<'_>, keep: impl Fn(Role) -> bool) -> Option<Node<'a>> {
        let mut current = self.parent(node);
        while let Some(n) = current {
            if keep(self.parsed.role(n)) {
                return Some(n);
            }
            current = self.parent(n);
        }
        None
    }

    pub(super) fn text(&self) -> &'a str {
        self.parsed.text()
    }

    fn known_in(&self, function: Option<Node<'_>>) -> Known {
        let within = function.unwrap_or_else(|| self.parsed.root());
        let mut known = self.known.borrow_mut();
        let read = || Known {
            shapes: Rc::new(self.parsed.shapes(within)),
            types: Rc::new(Types::of_names(self.parsed, &self.bindings, within)),
        };
        known.entry(within.id()).or_insert_with(read).clone()
    }

    /// Statements, and branches with a condition of their own, that hold a suspected line.
    /// `suspicion` gives a line's score, 1-based.
    pub(super) fn sites(&self, suspicion: impl Fn(u32) -> f64) -> Vec<Site<'_>> {
        let parsed = self.parsed;
        let mut units: Vec<Node<'_>> = Vec::new();
        for (_, statements) in parsed.statement_lists() {
            units.extend(statements);
        }
        units.extend(parsed.descendants(parsed.root(), |r| r == Role::ElseIf));
        // `else if`, with a node for the `else` or without one.
        units.extend(
            parsed
                .descendants(parsed.root(), |r| matches!(r, Role::If | Role::Else))
                .into_iter()
                .filter_map(|node| match parsed.role(node) {
                    Role::Else => {
                        parsed.children(node).into_iter().find(|c| parsed.role(*c) == Role::If)
                    }
                    _ => node
                        .child_by_field_name("alternative")
                        .filter(|other| parsed.role(*other) == Role::If),
                }),
        );
        let ids: HashSet<usize> = units.iter().map(Node::id).collect();
        let mut sites = Vec::new();
        for unit in units {
            if matches!(
                parsed.role(unit),
                Role::Import
                    | Role::Class
                    | Role::Module
                    | Role::Decorator
                    | Role::Pass
                    | Role::Type
            ) || self.protected.iter().any(|r| r.contains(&unit.start_byte()))
                || is_documentation(parsed, unit)
            {
                continue;
            }
            let mut nodes = Vec::new();
            let mut score: f64 = 0.0;
            let mut line = row(unit);
            parsed.walk(unit, &mut |node| {
                let inner = node.id() != unit.id();
                if inner
                    && (ids.contains(&node.id())
                        || matches!(parsed.role(node), Role::Block | Role::Arm | Role::Class))
                {
                    return false;
                }
                if matches!(parsed.role(node), Role::Comment | Role::Decorator | Role::Type) {
                    return false;
                }
                let own = suspicion(row(node));
                if own > score {
                    score = own;
                    line = row(node);
                }
                if node.is_named() {
                    nodes.push(node);
                }
                true
            });
            if score <= 0.0 {
                continue;
            }
            let function = if parsed.role(unit) == Role::Function {
                Some(unit)
            } else {
                self.ancestor(unit, |r| r == Role::Function)
            };
            // Only these can matter for anything inside: asked for every name in the statement.
            let bindings: Vec<&Binding> = self
                .bindings
                .iter()
                .filter(|b| {
                    b.visible.start <= unit.end_byte() && unit.start_byte() <= b.visible.end
                })
                .collect();
            let names = parsed
                .names_at(bindings.iter().copied(), unit.start_byte())
                .into_iter()
                .filter(|b| !parsed.table().words.builtins.contains(&b.name.as_str()))
                .filter(|b| b.name != "_")
                .collect();
            let Known { shapes, types } = self.known_in(function);
            sites.push(Site {
                file: self,
                unit,
                nodes,
                suspicion: score,
                line,
                bindings,
                names,
                function,
                shapes,
                types,
            });
        }
        sites
    }
}

/// One step of indentation as the file does it.
fn indentation_unit(text: &str) -> String {
    let mut smallest = usize::MAX;
    for line in text.lines() {
        if line.starts_with('\t') {
            return "\t".to_owned();
        }
        let blanks = line.len() - line.trim_start_matches(' ').len();
        if blanks > 1 && blanks < line.len() {
            smallest = smallest.min(blanks);
        }
    }
    " ".repeat(if smallest > 8 { 4 } else { smallest })
}

fn is_documentation(parsed: &Parsed, unit: Node<'_>) -> bool {
    let core = parsed.core(unit);
    core.id() != unit.id() && parsed.role(core) == Role::Text
}

fn reads(parsed: &Parsed, parents: &HashMap<usize, Node<'_>>) -> HashMap<String, u32> {
    let mut reads = HashMap::new();
    for node in parsed.descendants(parsed.root(), |r| r == Role::Identifier) {
        let target = parents.get(&node.id()).copied().is_some_and(|p| {
            let plain = matches!(
                parsed.role(p),
                Role::Assignment | Role::Declarator | Role::Declaration | Role::Pattern | Role::For
            );
            let first = ["left", "name", "pattern"]
                .into_iter()
                .find_map(|f| p.child_by_field_name(f))
                .is_some_and(|l| l.id() == node.id());
            plain && (first || parsed.role(p) == Role::Pattern)
        });
        if !target {
            *reads.entry(parsed.text_of(node).to_owned()).or_insert(0) += 1;
        }
    }
    reads
}

fn attributes(parsed: &Parsed, parents: &HashMap<usize, Node<'_>>) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for node in parsed.descendants(parsed.root(), |r| r == Role::Member) {
        let called = parents
            .get(&node.id())
            .and_then(|p| parsed.call(*p))
            .is_some_and(|c| c.function.id() == node.id());
        if let Some((object, name)) = parsed.member(node).filter(|_| !called) {
            found.insert((parsed.text_of(object).to_owned(), parsed.text_of(name).to_owned()));
        }
    }
    found
}
