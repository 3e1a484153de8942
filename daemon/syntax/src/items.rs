//! Functions, calls and imports of a text.

use std::collections::HashSet;
use std::ops::Range;

use tree_sitter::Node;

use crate::parsed::Parsed;
use crate::role::Role;

/// A named function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionItem {
    /// Its own name.
    pub name: String,
    /// The class or `impl` type around it.
    pub class: Option<String>,
    /// Names of its parameters, the receiver included.
    pub parameters: Vec<String>,
    /// Byte range of the whole item.
    pub range: Range<usize>,
    /// 1-based first line.
    pub start_line: u32,
    /// 1-based last line.
    pub end_line: u32,
    /// Names that are called in its body, each once, in source order.
    pub calls: Vec<String>,
}

impl Parsed {
    /// Every named function, in source order. Functions bound to a constant (`const f = () => …`)
    /// or to a member (`exports.f = () => …`) count under that name.
    pub fn functions(&self) -> Vec<FunctionItem> {
        let mut found = Vec::new();
        for node in self.descendants(self.root(), Role::is_function_like) {
            let Some(name) = self.function_name(node) else { continue };
            found.push(FunctionItem {
                name: name.to_owned(),
                class: self.class_name(node).map(str::to_owned),
                parameters: self.parameters(node).iter().map(|n| self.text_of(*n).into()).collect(),
                range: node.byte_range(),
                start_line: line_of(node.start_position().row),
                end_line: line_of(node.end_position().row),
                calls: self.calls_in(node),
            });
        }
        found
    }

    /// The name of a function, or of the constant an anonymous one is bound to.
    pub fn function_name<'t>(&'t self, function: Node<'t>) -> Option<&'t str> {
        self.name_node(function).map(|n| self.text_of(n))
    }

    /// The node that holds that name, without what qualifies it.
    pub(crate) fn name_node<'t>(&self, function: Node<'t>) -> Option<Node<'t>> {
        if let Some(name) = self.field(function, "name") {
            return Some(name);
        }
        if self.role(function) == Role::Function {
            let mut name = function;
            while let Some(inner) = name.child_by_field_name("declarator") {
                name = inner;
            }
            while let Some(inner) = name.child_by_field_name("name") {
                name = inner;
            }
            return (name != function).then_some(name);
        }
        let parent = self.parent(function)?;
        match self.role(parent) {
            Role::Declarator => self.target_of(parent),
            // `exports.f = () => …`
            Role::Assignment => {
                let (target, _) = self.assignment(parent)?;
                self.member(target).map(|(_, name)| name)
            }
            // `f := func() {…}`
            Role::Declaration => self.assignment(parent).map(|(target, _)| target),
            _ => None,
        }
    }

    fn class_name<'t>(&'t self, function: Node<'t>) -> Option<&'t str> {
        if let Some(receiver) = function.child_by_field_name("receiver") {
            let types = self.descendants(receiver, |r| r == Role::Type);
            return types.into_iter().find(|t| t.named_child_count() == 0).map(|t| self.text_of(t));
        }
        let scope = self.declared(function, "scope").filter(|_| self.declares(function));
        if let Some(scope) = scope {
            return Some(self.text_of(scope));
        }
        let class = self.ancestor(function, |r| matches!(r, Role::Class | Role::Function))?;
        if self.role(class) != Role::Class {
            return None;
        }
        let name =
            class.child_by_field_name("name").or_else(|| class.child_by_field_name("type"))?;
        Some(self.text_of(name))
    }

    /// Whether the grammar writes names and parameters of functions as declarators.
    fn declares(&self, function: Node<'_>) -> bool {
        self.role(function) == Role::Function
            && function.child_by_field_name("declarator").is_some()
    }

    /// The name nodes of a function's parameters, the receiver included.
    pub fn parameters<'t>(&self, function: Node<'t>) -> Vec<Node<'t>> {
        if let Some(single) = function.child_by_field_name("parameter") {
            return vec![single];
        }
        let mut names = Vec::new();
        if let Some(receiver) = function.child_by_field_name("receiver") {
            names.extend(self.parameters_in(receiver));
        }
        if let Some(list) = self.declared(function, "parameters") {
            names.extend(self.parameters_in(list));
        }
        names
    }

    fn parameters_in<'t>(&self, list: Node<'t>) -> Vec<Node<'t>> {
        if self.role(list) == Role::Identifier {
            return vec![list];
        }
        let mut names = Vec::new();
        for parameter in self.children(list) {
            let mut cursor = parameter.walk();
            // `a, b int` in Go is one parameter with two names.
            let several: Vec<_> = parameter.children_by_field_name("name", &mut cursor).collect();
            if several.len() > 1 {
                names.extend(several);
                continue;
            }
            let name = ["pattern", "name", "left", "declarator"]
                .into_iter()
                .find_map(|field| parameter.child_by_field_name(field))
                .unwrap_or(parameter);
            let mut own = self.pattern_names(name);
            if parameter.kind() == "typed_parameter" {
                own.truncate(1);
            }
            names.extend(own);
        }
        names
    }

    /// Functions that their marks name as tests (see [`Table::test_marks`](crate::Table)), with
    /// their annotations.
    pub fn marked_tests(&self) -> Vec<Range<usize>> {
        let marks = self.table().test_marks;
        if marks.is_empty() {
            return Vec::new();
        }
        let name_of = |node: Node<'_>| {
            let name = node.child_by_field_name("name").map(|n| self.text_of(n));
            name.map(|n| n.rsplit('.').next().unwrap_or(n).to_owned())
        };
        self.descendants(self.root(), |r| r == Role::Function)
            .into_iter()
            .filter(|function| {
                let own = self.function_name(*function).is_some_and(|n| marks.contains(&n));
                let mut cursor = function.walk();
                let first = function.named_children(&mut cursor).next();
                let annotated = first.is_some_and(|modifiers| {
                    let mut cursor = modifiers.walk();
                    let mut annotations = modifiers.named_children(&mut cursor);
                    annotations.any(|a| {
                        self.role(a) == Role::Decorator
                            && name_of(a).is_some_and(|n| marks.contains(&n.as_str()))
                    })
                });
                own || annotated
            })
            .map(|function| function.byte_range())
            .collect()
    }

    /// The names that a pattern or assignment target binds.
    pub fn pattern_names<'t>(&self, pattern: Node<'t>) -> Vec<Node<'t>> {
        let mut names = Vec::new();
        self.walk(pattern, &mut |node| match self.role(node) {
            Role::Identifier => {
                names.push(node);
                false
            }
            // C++ declares fields under names of their own kind.
            Role::MemberName if node == pattern => {
                names.push(node);
                false
            }
            Role::Receiver if node == pattern || node.parent() == Some(pattern) => {
                names.push(node);
                false
            }
            Role::Member | Role::Index | Role::Type | Role::Call | Role::Path => false,
            _ => true,
        });
        names
    }

    /// Names called below a node, each once, in source order.
    pub fn calls_in(&self, node: Node<'_>) -> Vec<String> {
        let calls = self.descendants(node, |r| matches!(r, Role::Call | Role::Tokens));
        let called = calls.into_iter().flat_map(|node| self.called_by(node));
        let mut names: Vec<String> = called.map(|(_, name)| name.to_owned()).collect();
        let mut seen = HashSet::new();
        names.retain(|n| seen.insert(n.clone()));
        names
    }

    /// What a node itself calls, with where it stands.
    pub(crate) fn called_by<'t>(&'t self, node: Node<'t>) -> Vec<(usize, &'t str)> {
        match self.role(node) {
            Role::Call => {
                let name = self.call(node).and_then(|c| self.callee_name(c.function));
                name.map(|name| (node.start_byte(), name)).into_iter().collect()
            }
            // Macro arguments are plain tokens: a name before a parenthesis is a call.
            Role::Tokens => {
                let mut cursor = node.walk();
                let tokens: Vec<_> = node.children(&mut cursor).collect();
                let calls = tokens.windows(2).filter(|pair| {
                    self.role(pair[0]) == Role::Identifier
                        && self.role(pair[1]) == Role::Tokens
                        && self.text_of(pair[1]).starts_with('(')
                });
                calls.map(|pair| (pair[0].start_byte(), self.text_of(pair[0]))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Modules, files or paths that the text imports, as written: dotted names, quoted paths
    /// without quotes or brackets, `a::b`. `require("x")` counts.
    pub fn imports(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut add = |node: Node<'_>| {
            let text = self.text_of(node).trim_matches(['"', '\'', '`', '<', '>']);
            found.push(text.to_owned());
        };
        for node in self.descendants(self.root(), |r| matches!(r, Role::Import | Role::Call)) {
            if self.role(node) == Role::Call {
                self.call(node)
                    .filter(|c| self.text_of(c.function) == "require")
                    .and_then(|c| c.arguments.first().copied())
                    .map(&mut add);
                continue;
            }
            let fields = ["module_name", "source", "argument", "name", "path"];
            if let Some(source) = fields.into_iter().find_map(|f| node.child_by_field_name(f)) {
                add(source);
                continue;
            }
            // Go groups imports, Java names them without a field.
            let mut inner = Vec::new();
            self.walk(node, &mut |n| {
                inner.extend(n.child_by_field_name("path"));
                true
            });
            if inner.is_empty() {
                let path = self.children(node).into_iter().next();
                inner.extend(path.filter(|n| self.role(*n) == Role::Path));
            }
            inner.into_iter().for_each(&mut add);
        }
        found
    }
}

pub(crate) fn line_of(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1)
}
