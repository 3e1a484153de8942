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
    /// count under that name.
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
        if let Some(name) = function.child_by_field_name("name") {
            return Some(self.text_of(name));
        }
        let parent = function.parent().filter(|p| self.role(*p) == Role::Declarator)?;
        parent.child_by_field_name("name").map(|n| self.text_of(n))
    }

    fn class_name<'t>(&'t self, function: Node<'t>) -> Option<&'t str> {
        let class = self.ancestor(function, |r| matches!(r, Role::Class | Role::Function))?;
        if self.role(class) != Role::Class {
            return None;
        }
        let name =
            class.child_by_field_name("name").or_else(|| class.child_by_field_name("type"))?;
        Some(self.text_of(name))
    }

    /// The name nodes of a function's parameters.
    pub fn parameters<'t>(&self, function: Node<'t>) -> Vec<Node<'t>> {
        if let Some(single) = function.child_by_field_name("parameter") {
            return vec![single];
        }
        let Some(list) = function.child_by_field_name("parameters") else { return Vec::new() };
        let mut names = Vec::new();
        for parameter in self.children(list) {
            let name = ["pattern", "name", "left"]
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

    /// The names that a pattern or assignment target binds.
    pub fn pattern_names<'t>(&self, pattern: Node<'t>) -> Vec<Node<'t>> {
        let mut names = Vec::new();
        self.walk(pattern, &mut |node| match self.role(node) {
            Role::Identifier => {
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
        let mut names: Vec<String> = Vec::new();
        for node in self.descendants(node, |r| matches!(r, Role::Call | Role::Macro | Role::Tokens))
        {
            match self.role(node) {
                Role::Call => {
                    if let Some(name) = self.call(node).and_then(|c| self.callee_name(c.function)) {
                        names.push(name.to_owned());
                    }
                }
                // Macro arguments are plain tokens: a name before a parenthesis is a call.
                Role::Tokens => {
                    let mut cursor = node.walk();
                    let tokens: Vec<_> = node.children(&mut cursor).collect();
                    for pair in tokens.windows(2) {
                        if self.role(pair[0]) == Role::Identifier
                            && self.role(pair[1]) == Role::Tokens
                            && self.text_of(pair[1]).starts_with('(')
                        {
                            names.push(self.text_of(pair[0]).to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
        let mut seen = HashSet::new();
        names.retain(|n| seen.insert(n.clone()));
        names
    }

    /// Modules, files or paths that the text imports, as written: dotted names, quoted paths
    /// without quotes, `a::b`. `require("x")` counts.
    pub fn imports(&self) -> Vec<String> {
        let mut found = Vec::new();
        for node in self.descendants(self.root(), |r| matches!(r, Role::Import | Role::Call)) {
            let source = match self.role(node) {
                Role::Import => ["module_name", "source", "argument", "name"]
                    .into_iter()
                    .find_map(|field| node.child_by_field_name(field)),
                _ => self
                    .call(node)
                    .filter(|c| self.text_of(c.function) == "require")
                    .and_then(|c| c.arguments.first().copied()),
            };
            if let Some(source) = source {
                found.push(self.text_of(source).trim_matches(['"', '\'', '`']).to_owned());
            }
        }
        found
    }
}

pub(crate) fn line_of(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1)
}
