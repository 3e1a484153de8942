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
        self.walk_with_ancestors(root, &mut |node, above| {
            match self.role(node) {
                Role::Function | Role::Lambda => {
                    let visible = node.byte_range();
                    for name in self.parameters(node) {
                        found.push(self.binding(name, BindingKind::Parameter, visible.clone()));
                    }
                    if let Some(name) = node.child_by_field_name("name") {
                        // Methods need a receiver; their bare names are not in scope.
                        let method =
                            above.iter().rev().nth(1).is_some_and(|c| self.role(*c) == Role::Class);
                        if !method {
                            let visible = self.home(above).byte_range();
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
                        let home = self.home(above);
                        let global = matches!(self.role(home), Role::Root | Role::Class);
                        if self.role(home) == Role::Class {
                            return true;
                        }
                        let kind = if global { BindingKind::Global } else { BindingKind::Local };
                        let start = if global { 0 } else { self.statement_end(node, above) };
                        let end = self.block_or(node, home, above).end_byte();
                        for name in self.pattern_names(target) {
                            found.push(self.binding(name, kind, start..end.max(start)));
                        }
                    }
                }
                Role::For => {
                    if let Some((target, _)) = self.loop_over(node) {
                        let home = self.home(above);
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
                    if let (Some((target, _)), Some(parent)) = (self.loop_over(node), above.last())
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
    fn home<'t>(&'t self, above: &[Node<'t>]) -> Node<'t> {
        self.last(above, |r| {
            r.is_function_like() || matches!(r, Role::Class | Role::Root | Role::Module)
        })
        .unwrap_or_else(|| self.root())
    }

    fn last<'t>(&self, above: &[Node<'t>], keep: impl Fn(Role) -> bool) -> Option<Node<'t>> {
        above.iter().rev().copied().find(|n| keep(self.role(*n)))
    }

    /// The end of the statement around a node: a name cannot be used in its own first value.
    fn statement_end(&self, node: Node<'_>, above: &[Node<'_>]) -> usize {
        let block = above.iter().rposition(|n| matches!(self.role(*n), Role::Block | Role::Root));
        let statement = block.and_then(|at| above.get(at + 1)).copied().unwrap_or(node);
        // A counting loop's variable is visible in its own condition and body.
        if self.role(statement) == Role::CountingFor {
            node.end_byte()
        } else {
            statement.end_byte()
        }
    }

    /// The block that limits a declaration; functions limit names in languages without such blocks.
    fn block_or<'t>(&self, node: Node<'t>, home: Node<'t>, above: &[Node<'t>]) -> Node<'t> {
        if self.table().style.block_close.is_empty() || self.role(node) == Role::Assignment {
            return home;
        }
        self.last(above, |r| {
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

#[cfg(test)]
mod tests {
    use crate::{Language, parse};

    fn names(language: Language, marked: &str) -> Vec<String> {
        let at = marked.find("$0").expect("the fixture has a marker");
        let text = marked.replace("$0", "");
        let parsed = parse(language, text.into()).expect("it parses");
        let bindings = parsed.bindings();
        parsed.names_at(&bindings, at).into_iter().map(|b| b.name.clone()).collect()
    }

    #[test]
    fn parameters_and_what_was_assigned_before_are_in_scope() {
        let text =
            "LIMIT = 3\ndef f(a, b=1):\n    c = a\n    for i in c:\n        $0d = i\n    e = 1\n";
        assert_eq!(names(Language::Python, text), ["a", "b", "c", "i", "LIMIT", "f"]);
    }

    #[test]
    fn closures_see_the_function_around_them_and_comprehensions_keep_their_own() {
        let text = "def f(a):\n    seen = set()\n    def g(n):\n        $0return [x for x in n]\n";
        assert_eq!(names(Language::Python, text), ["a", "n", "seen", "f", "g"]);
    }

    #[test]
    fn blocks_limit_names_where_the_language_has_blocks() {
        let rust = "fn f(a: u8) { { let b = a; } let c = a; $0c + 1 }";
        assert_eq!(names(Language::Rust, rust), ["a", "c", "f"]);
        let script = "function f(a) { for (let i = 0; i < a; i++) { $0g(i); } let z = 1; }";
        assert_eq!(names(Language::JavaScript, script), ["a", "i", "f"]);
    }
}
