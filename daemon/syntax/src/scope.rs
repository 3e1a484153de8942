//! Names in scope at a position.

use std::collections::BTreeMap;
use std::ops::Range;

use tree_sitter::Node;

use crate::parsed::Parsed;
use crate::role::Role;

/// How a name came into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BindingKind {
    /// A parameter.
    Parameter,
    /// Assigned or declared.
    Local,
    /// The target of a loop.
    LoopTarget,
    /// A constant or variable of the file.
    Global,
    /// A function of the file.
    Function,
}

/// A name and where it means something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The name.
    pub name: String,
    /// How it came into being.
    pub kind: BindingKind,
    /// Where the binding stands, in bytes.
    pub at: usize,
    /// Where the name can be used, in bytes.
    pub visible: Range<usize>,
}

impl Parsed {
    /// Every binding of the file. Positions before a local's first assignment are not visible,
    /// except inside a loop that the assignment is in, where a later round sees it.
    pub fn bindings(&self) -> Vec<Binding> {
        let mut found = Vec::new();
        let root = self.root();
        self.walk(root, &mut |node| {
            match self.role(node) {
                Role::Function | Role::Lambda => {
                    let visible = node.byte_range();
                    for name in self.parameters(node) {
                        found.push(self.binding(name, BindingKind::Parameter, visible.clone()));
                    }
                    if let Some(name) = node.child_by_field_name("name") {
                        // Methods need a receiver; their bare names are not in scope.
                        let method = node
                            .parent()
                            .and_then(|p| p.parent())
                            .is_some_and(|c| self.role(c) == Role::Class);
                        if !method {
                            let visible = self.home(node).byte_range();
                            found.push(self.binding(name, BindingKind::Function, visible));
                        }
                    }
                }
                Role::Assignment | Role::Declaration | Role::Declarator => {
                    let target = node
                        .child_by_field_name("left")
                        .or_else(|| node.child_by_field_name("pattern"))
                        .or_else(|| node.child_by_field_name("name"));
                    if let Some(target) = target {
                        let home = self.home(node);
                        let global = matches!(self.role(home), Role::Root | Role::Class);
                        if self.role(home) == Role::Class {
                            return true;
                        }
                        let kind = if global { BindingKind::Global } else { BindingKind::Local };
                        let start = if global { 0 } else { self.statement_end(node) };
                        let end = self.block_or(node, home).end_byte();
                        for name in self.pattern_names(target) {
                            found.push(self.binding(name, kind, start..end.max(start)));
                        }
                    }
                }
                Role::For => {
                    if let Some((target, _)) = self.loop_over(node) {
                        let home = self.home(node);
                        let start = self.body(node).map_or(target.end_byte(), |b| b.start_byte());
                        // Python's loop targets live on after the loop.
                        let end = if self.table().style.block_close.is_empty() {
                            home.end_byte()
                        } else {
                            node.end_byte()
                        };
                        for name in self.pattern_names(target) {
                            found.push(self.binding(name, BindingKind::LoopTarget, start..end));
                        }
                    }
                }
                Role::ComprehensionFor => {
                    if let (Some((target, _)), Some(parent)) =
                        (self.loop_over(node), node.parent())
                    {
                        for name in self.pattern_names(target) {
                            let visible = parent.byte_range();
                            found.push(self.binding(name, BindingKind::LoopTarget, visible));
                        }
                    }
                }
                _ => {}
            }
            true
        });
        found
    }

    /// Names in scope at a byte offset, each once with its nearest binding; parameters and locals
    /// of enclosing functions included. Ordered by kind, then by where they are bound.
    pub fn names_at<'b>(&self, bindings: &'b [Binding], at: usize) -> Vec<&'b Binding> {
        let mut nearest: BTreeMap<&str, &Binding> = BTreeMap::new();
        for binding in bindings {
            if binding.visible.contains(&at) || binding.visible.end == at {
                let slot = nearest.entry(&binding.name).or_insert(binding);
                if binding.visible.len() < slot.visible.len() {
                    *slot = binding;
                }
            }
        }
        let mut names: Vec<_> = nearest.into_values().collect();
        names.sort_by_key(|b| (b.kind, b.at));
        names
    }

    fn binding(&self, name: Node<'_>, kind: BindingKind, visible: Range<usize>) -> Binding {
        Binding { name: self.text_of(name).to_owned(), kind, at: name.start_byte(), visible }
    }

    /// The function, class or file that a node's names belong to.
    fn home<'t>(&'t self, node: Node<'t>) -> Node<'t> {
        self.ancestor(node, |r| {
            r.is_function_like() || matches!(r, Role::Class | Role::Root | Role::Module)
        })
        .unwrap_or_else(|| self.root())
    }

    /// The end of the statement around a node: a name cannot be used in its own first value.
    fn statement_end(&self, node: Node<'_>) -> usize {
        let mut current = node;
        while let Some(parent) = current.parent() {
            if matches!(self.role(parent), Role::Block | Role::Root) {
                break;
            }
            current = parent;
        }
        // A counting loop's variable is visible in its own condition and body.
        if self.role(current) == Role::CountingFor { node.end_byte() } else { current.end_byte() }
    }

    /// The block that limits a declaration; functions limit names in languages without such blocks.
    fn block_or<'t>(&'t self, node: Node<'t>, home: Node<'t>) -> Node<'t> {
        if self.table().style.block_close.is_empty() || self.role(node) == Role::Assignment {
            return home;
        }
        self.ancestor(node, |r| {
            matches!(r, Role::Block | Role::CountingFor | Role::Root | Role::Function)
        })
        .unwrap_or(home)
    }

    /// Names after a dot, by the text of what stands before it, in source order, each once.
    pub fn members(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for node in self.descendants(self.root(), |r| r == Role::Member) {
            if let Some((object, name)) = self.member(node) {
                let names = found.entry(self.text_of(object).to_owned()).or_default();
                let name = self.text_of(name).to_owned();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        found
    }
}
