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
                    let own = if self.role(node) == Role::Function {
                        self.name_node(node)
                    } else {
                        node.child_by_field_name("name")
                    };
                    if let Some(name) = own {
                        // Methods need a receiver; their bare names are not in scope.
                        let method = node.child_by_field_name("receiver").is_some()
                            || above
                                .iter()
                                .rev()
                                .nth(1)
                                .is_some_and(|c| self.role(*c) == Role::Class);
                        if !method || self.table().style.bare_members {
                            let visible = self.home(above).byte_range();
                            found.push(self.binding(name, BindingKind::Function, visible));
                        }
                    }
                }
                Role::Assignment | Role::Declaration | Role::Declarator => {
                    self.bind_declared(node, above, &mut found);
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

    fn bind_declared(&self, node: Node<'_>, above: &[Node<'_>], found: &mut Vec<Binding>) {
        // Where names must be declared, an assignment declares nothing.
        if self.role(node) == Role::Assignment && self.table().style.typed {
            return;
        }
        let targets = self.declaration_targets(node);
        let home = self.home(above);
        let bare = self.table().style.bare_members;
        let field = self.role(home) == Role::Class;
        if targets.is_empty() || (field && !bare) {
            return;
        }
        let global = field || self.role(home) == Role::Root;
        let global = global || (bare && self.role(home) == Role::Module);
        let kind = if global { BindingKind::Global } else { BindingKind::Local };
        let visible = if field {
            home.byte_range()
        } else {
            let start = if global { 0 } else { self.statement_end(node, above) };
            let end = self.block_or(node, home, above).end_byte();
            start..end.max(start)
        };
        for target in targets {
            for name in self.pattern_names(target) {
                found.push(self.binding(name, kind, visible.clone()));
            }
        }
    }

    /// What an assignment, declaration or declarator gives names to.
    fn declaration_targets<'t>(&self, node: Node<'t>) -> Vec<Node<'t>> {
        let mut cursor = node.walk();
        let names: Vec<_> = node.children_by_field_name("name", &mut cursor).collect();
        if names.len() > 1 {
            return names;
        }
        let mut cursor = node.walk();
        let declarators: Vec<_> = node.children_by_field_name("declarator", &mut cursor).collect();
        if !declarators.is_empty() && self.role(node) == Role::Declaration {
            // `int a, *b;`: declarators with a value come as nodes of their own, and one with
            // parameters declares a function.
            return declarators
                .into_iter()
                .filter(|d| self.role(*d) != Role::Declarator)
                .filter(|d| self.declared(*d, "parameters").is_none())
                .filter_map(|d| {
                    if d.kind().ends_with("_declarator") { self.target_of(d) } else { Some(d) }
                })
                .collect();
        }
        ["left", "pattern", "name"]
            .into_iter()
            .find_map(|field| node.child_by_field_name(field))
            .or_else(|| {
                (self.role(node) == Role::Declarator).then(|| self.target_of(node)).flatten()
            })
            .into_iter()
            .collect()
    }

    /// Names in scope at a byte offset, each once with its nearest binding; parameters and locals
    /// of enclosing functions included. Ordered by kind, then by where they are bound.
    pub fn names_at<'b>(
        &self,
        bindings: impl IntoIterator<Item = &'b Binding>,
        at: usize,
    ) -> Vec<&'b Binding> {
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
        let block = above.iter().rposition(|n| self.role(*n).is_statement_list());
        let inside = block.map_or(&[][..], |at| &above[at + 1..]);
        let statement =
            inside.iter().copied().find(|n| self.role(*n) != Role::Group).unwrap_or(node);
        // What a loop's or branch's head declares is visible in its condition and body.
        let head = matches!(self.role(statement), Role::If | Role::While | Role::Match)
            && self.role(node) != Role::Assignment;
        if self.role(statement) == Role::CountingFor || head {
            node.end_byte()
        } else {
            statement.end_byte()
        }
    }

    /// The block that limits a declaration; functions limit names in languages without such blocks.
    /// Arms of a `switch` limit them too: where the language lets other arms see a name, it has no
    /// value there.
    fn block_or<'t>(&self, node: Node<'t>, home: Node<'t>, above: &[Node<'t>]) -> Node<'t> {
        if self.table().style.block_close.is_empty() || self.role(node) == Role::Assignment {
            return home;
        }
        self.last(above, |r| {
            matches!(
                r,
                Role::Block
                    | Role::Arm
                    | Role::CountingFor
                    | Role::If
                    | Role::While
                    | Role::Match
                    | Role::Root
                    | Role::Function
            )
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
