//! What types say, as they are written: shapes, elements, absence, results.

use std::collections::HashMap;

use tree_sitter::Node;

use crate::parsed::Parsed;
use crate::role::Role;
use crate::shape::Shapes;
use crate::table::Absence;

/// The type of a whole number that may still become one of several types.
pub const INTEGER: &str = "{integer}";
/// The same of a number with a fraction.
pub const FLOAT: &str = "{float}";

/// Whether a type as written is that of a number with a fraction.
pub fn is_float(written: &str) -> bool {
    matches!(written, FLOAT | "f32" | "f64" | "float32" | "float64" | "float" | "double")
}

/// Whether a node declares a parameter.
pub(crate) fn is_parameter(node: Node<'_>) -> bool {
    node.kind().ends_with("parameter") || node.kind().ends_with("parameter_declaration")
}

impl Parsed {
    pub(crate) fn observe_parameter(
        &self,
        node: Node<'_>,
        name_is: &mut impl FnMut(Node<'_>, Shapes),
        typed: &mut Vec<(String, String)>,
    ) {
        let Some(annotation) = node.child_by_field_name("type") else {
            // `def f(step=1)`
            if let (Some(name), Some(value)) =
                (node.child_by_field_name("name"), node.child_by_field_name("value"))
                && self.role(value) != Role::Null
            {
                name_is(name, self.shape_of(value, &HashMap::new()));
            }
            return;
        };
        let declarator = node.child_by_field_name("declarator");
        let text = self.type_text(annotation, declarator);
        let mut cursor = node.walk();
        let mut names: Vec<_> = node.children_by_field_name("name", &mut cursor).collect();
        if names.len() < 2 {
            let target = declarator
                .or_else(|| node.child_by_field_name("pattern"))
                .or_else(|| names.pop())
                .unwrap_or(node);
            names = self.pattern_names(target).into_iter().take(1).collect();
        }
        for name in names {
            name_is(name, self.shape_of_type(&text));
            typed.push((self.text_of(name).to_owned(), text.clone()));
        }
    }

    /// The name that a declaration gives a type as written, and that type.
    pub(crate) fn declared_type<'t>(&self, node: Node<'t>) -> Option<(Node<'t>, String)> {
        let own = node.child_by_field_name("type");
        let (annotation, target) = match self.role(node) {
            Role::Declarator => {
                // Java and C put the type before all declarators.
                let outer = || self.parent(node)?.child_by_field_name("type");
                (own.or_else(outer)?, self.target_of(node)?)
            }
            _ => {
                let target = ["pattern", "left", "declarator"]
                    .into_iter()
                    .find_map(|field| node.child_by_field_name(field))?;
                (own?, target)
            }
        };
        if self.role(target) == Role::Declarator {
            return None;
        }
        let text = self.type_text(annotation, node.child_by_field_name("declarator"));
        // `auto` and `var` say nothing.
        if matches!(text.as_str(), "auto" | "var") {
            return None;
        }
        Some((target, text))
    }

    /// Names with the types that they are declared with, as written: parameters and variables within a
    /// node. A name may come several times. Where literals have types of their own, one that is declared by a
    /// number alone has the type [`INTEGER`] or [`FLOAT`].
    pub fn name_types(&self, within: Node<'_>) -> Vec<(String, String)> {
        let mut typed = Vec::new();
        self.walk(within, &mut |node| {
            if is_parameter(node) {
                self.observe_parameter(node, &mut |_, _| {}, &mut typed);
            } else if matches!(
                self.role(node),
                Role::Assignment | Role::Declarator | Role::Declaration
            ) && let Some((target, written)) = self.declared_type(node)
            {
                typed.push((self.text_of(target).to_owned(), written));
            } else if !self.table().style.literals_convert
                && matches!(self.role(node), Role::Declarator | Role::Declaration)
                && let Some((target, value)) = self.assignment(node)
                && let Some(number) = self.type_of_number(value)
                && let [name] = self.pattern_names(target)[..]
            {
                typed.push((self.text_of(name).to_owned(), number.to_owned()));
            }
            true
        });
        typed
    }

    /// The type of a number without a suffix.
    fn type_of_number(&self, value: Node<'_>) -> Option<&'static str> {
        let written = match self.role(value) {
            Role::Integer => INTEGER,
            Role::Float => FLOAT,
            _ => return None,
        };
        let plain = |c: char| c.is_ascii_digit() || matches!(c, '_' | '.');
        self.text_of(value).chars().all(plain).then_some(written)
    }

    /// Fields with the types that they are declared with, as written. A name may come several times.
    /// Java's fields look like variables and are not among them.
    pub fn member_types(&self) -> Vec<(String, String)> {
        let mut typed = Vec::new();
        self.walk(self.root(), &mut |node| {
            let Some(annotation) = node.child_by_field_name("type") else { return true };
            let declarator = node.child_by_field_name("declarator");
            let mut cursor = node.walk();
            let named = node.children_by_field_name("name", &mut cursor);
            for name in named.chain(declarator).filter(|n| self.role(*n) == Role::MemberName) {
                let written = self.type_text(annotation, declarator);
                typed.push((self.text_of(name).to_owned(), written));
            }
            true
        });
        typed
    }

    /// A type as written, with what a C declarator adds to it.
    fn type_text(&self, annotation: Node<'_>, declarator: Option<Node<'_>>) -> String {
        let text = self.text_of(annotation).trim_start_matches([':', ' ']);
        let added = match declarator.map(|d| d.kind()) {
            Some("pointer_declarator") => "*",
            Some("array_declarator") => "[]",
            _ => "",
        };
        format!("{text}{added}")
    }

    /// What a function says that it returns, one entry per value; empty if it does not say.
    pub fn result_types(&self, function: Node<'_>) -> Vec<String> {
        let declarator = function.child_by_field_name("declarator");
        let Some(node) = ["return_type", "result", "type"]
            .into_iter()
            .find_map(|field| function.child_by_field_name(field))
        else {
            return Vec::new();
        };
        if self.role(node) == Role::Parameters {
            return self
                .children(node)
                .into_iter()
                .filter_map(|p| p.child_by_field_name("type"))
                .map(|t| self.text_of(t).to_owned())
                .collect();
        }
        let text = self.type_text(node, declarator);
        if matches!(text.as_str(), "void" | "auto" | "()") { Vec::new() } else { vec![text] }
    }

    /// Whether a type as written has a value that means "nothing there".
    pub fn may_be_absent(&self, text: &str) -> bool {
        let text = text.trim_start_matches([':', ' ']).trim();
        match self.table().style.absence {
            Absence::Annotated => {
                text.starts_with("Optional")
                    || text.split('|').any(|t| matches!(t.trim(), "null" | "undefined" | "None"))
            }
            Absence::Wrapped(wrapper) => text.starts_with(wrapper),
            Absence::References => {
                text.chars().next().is_some_and(char::is_uppercase) || text.ends_with("[]")
            }
            Absence::Pointers => {
                text.starts_with('*')
                    || text.ends_with('*')
                    || self.letter_of(text) == Some('o')
                    || text.starts_with("[]")
                    || text.starts_with("map[")
            }
        }
    }

    /// A guess for the elements from the type of a collection as written: `&[T]`, `Vec<T>`,
    /// `list[T]`. Mappings are left alone: what iterating gives is not what indexing gives.
    pub(crate) fn shape_of_element(&self, text: &str) -> Shapes {
        if self.shape_of_type(text) != Shapes::COLLECTION
            || text.contains("Map")
            || text.to_ascii_lowercase().contains("dict")
        {
            return Shapes::UNKNOWN;
        }
        if let Some(element) = text.trim_start_matches([':', ' ']).strip_suffix("[]") {
            return self.shape_of_type(element);
        }
        let inner = text.split_once(['[', '<']).map_or("", |(_, rest)| rest);
        // `[]int` and `[3]int` name the element behind the bracket.
        let inner = match inner.split_once(']') {
            Some((before, rest)) if before.chars().all(|c| c.is_ascii_digit()) => rest,
            _ => inner,
        };
        self.shape_of_type(inner)
    }

    /// A guess from a type as written.
    pub fn shape_of_type(&self, text: &str) -> Shapes {
        let text = text.trim_start_matches(['&', ' ', ':']).trim_start_matches("mut ").trim();
        if text.starts_with('[') || text.ends_with("[]") {
            return Shapes::COLLECTION;
        }
        // A pointer is not what it points to.
        if text.ends_with('*') || text.starts_with('*') {
            return Shapes::OBJECT;
        }
        match self.letter_of(text) {
            Some('n') => Shapes::NUMBER,
            Some('c') => Shapes::COLLECTION,
            Some('s') => Shapes::STRING,
            Some('b') => Shapes::BOOLEAN,
            Some('o') if self.table().style.typed => Shapes::OBJECT,
            _ => Shapes::UNKNOWN,
        }
    }

    /// The shape letter of the outermost name of a type: that of `Vec` in `std::vec::Vec<u8>`.
    fn letter_of(&self, text: &str) -> Option<char> {
        let text = text.trim_start_matches("const ").trim_start_matches("readonly ");
        let end = text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')));
        let path = &text[..end.unwrap_or(text.len())];
        let head = path.trim_end_matches(':').rsplit("::").next().unwrap_or(path);
        self.table().words.types.iter().find(|(name, _)| *name == head).map(|t| t.1)
    }
}
