//! What kind of value a name holds, guessed from annotations, literals and use.
//!
//! A guess serves to order and prune, never to decide: languages without types allow anything.

use std::collections::HashMap;

use tree_sitter::Node;

use crate::declared::is_parameter;
use crate::parsed::Parsed;
use crate::role::Role;

/// A set of guesses; empty means that nothing is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shapes(u8);

impl Shapes {
    /// Nothing known.
    pub const UNKNOWN: Shapes = Shapes(0);
    /// A number.
    pub const NUMBER: Shapes = Shapes(1);
    /// A list, set, mapping: something with elements.
    pub const COLLECTION: Shapes = Shapes(2);
    /// A string.
    pub const STRING: Shapes = Shapes(4);
    /// A truth value.
    pub const BOOLEAN: Shapes = Shapes(8);
    /// An object with attributes.
    pub const OBJECT: Shapes = Shapes(16);
    /// Something callable.
    pub const FUNCTION: Shapes = Shapes(32);

    /// Whether both sets share a guess.
    pub fn overlaps(self, other: Shapes) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is known.
    pub fn is_unknown(self) -> bool {
        self.0 == 0
    }

    /// Whether a value of one may stand where the other is: unknown fits everything.
    pub fn fits(self, other: Shapes) -> bool {
        self.is_unknown() || other.is_unknown() || self.overlaps(other)
    }

    /// Whether both are known and share a guess.
    pub fn certainly_fits(self, other: Shapes) -> bool {
        !self.is_unknown() && !other.is_unknown() && self.overlaps(other)
    }

    /// Both sets.
    #[must_use]
    pub fn with(self, other: Shapes) -> Shapes {
        Shapes(self.0 | other.0)
    }
}

impl Parsed {
    /// Guesses for every name of a file or function, by name.
    pub fn shapes(&self, within: Node<'_>) -> HashMap<String, Shapes> {
        let mut shapes: HashMap<String, Shapes> = HashMap::new();
        // Twice: the first round's guesses feed assignments from other names.
        for _ in 0..2 {
            let mut add = Vec::new();
            self.walk(within, &mut |node| {
                self.observe(node, &shapes, &mut add);
                true
            });
            for (name, shape) in add {
                let slot = shapes.entry(name).or_default();
                *slot = slot.with(shape);
            }
        }
        shapes
    }

    fn observe(
        &self,
        node: Node<'_>,
        shapes: &HashMap<String, Shapes>,
        add: &mut Vec<(String, Shapes)>,
    ) {
        let mut typed: Vec<(String, String)> = Vec::new();
        let mut absent: Vec<String> = Vec::new();
        let mut name_is = |target: Node<'_>, shape: Shapes| {
            let target = self.bare(target);
            if !shape.is_unknown() && matches!(self.role(target), Role::Identifier | Role::Member) {
                add.push((self.text_of(target).to_owned(), shape));
            }
        };
        match self.role(node) {
            Role::Assignment | Role::AugmentedAssignment | Role::Declarator | Role::Declaration => {
                let declared = self.declared_type(node);
                if let Some((target, annotation)) = declared {
                    let name = self.text_of(target);
                    name_is(target, self.shape_of_type(&annotation));
                    typed.push((name.to_owned(), annotation));
                } else if let Some((target, value)) = self.assignment(node) {
                    let target = self.pattern_names(target).first().copied().unwrap_or(target);
                    name_is(target, self.shape_of(value, shapes));
                }
                if let Some(operator) = self.augmented_operator(node)
                    && let Some((target, value)) = self.assignment(node)
                {
                    let shape = match self.text_of(operator) {
                        "+=" => self.shape_of(target, shapes),
                        _ => Shapes::NUMBER,
                    };
                    name_is(value, shape);
                    name_is(target, shape);
                }
            }
            Role::For | Role::ComprehensionFor => {
                if let Some((target, source)) = self.loop_over(node) {
                    let element = self.element_shape(source, shapes);
                    if let [only] = self.pattern_names(target)[..] {
                        match node.child_by_field_name("type").map(|t| self.text_of(t)) {
                            None | Some("auto" | "var") => name_is(only, element),
                            Some(declared) => name_is(only, self.shape_of_type(declared)),
                        }
                    }
                    let text = self.text_of(source);
                    if text.starts_with("range(") || self.role(self.bare(source)) == Role::Slice {
                        name_is(target, Shapes::NUMBER);
                    } else {
                        name_is(source, Shapes::COLLECTION);
                    }
                }
            }
            Role::Index => {
                if let Some((object, indices)) = self.index(node) {
                    name_is(object, Shapes::COLLECTION);
                    if let [only] = indices[..]
                        && self.role(only) == Role::Slice
                        && let Some(parts) = self.slice(only)
                    {
                        for end in [parts.start, parts.stop].into_iter().flatten() {
                            name_is(end, Shapes::NUMBER);
                        }
                    }
                }
            }
            Role::Binary => {
                for binary in self.binaries(node) {
                    let (_, operator) = self.operator_text(&binary);
                    // What is compared with nothing may be nothing.
                    if self.role(binary.right) == Role::Null
                        && self.role(binary.left) == Role::Identifier
                    {
                        absent.push(format!("{}?", self.text_of(binary.left)));
                    }
                    match operator.as_str() {
                        "-" | "/" | "//" | "%" | "**" | "&" | "|" | "^" | "<<" | ">>" | "<"
                        | "<=" | ">" | ">=" => {
                            for side in [binary.left, binary.right] {
                                name_is(side, Shapes::NUMBER);
                            }
                        }
                        "+" | "==" | "!=" | "===" | "!==" => {
                            let left = self.shape_of(binary.left, shapes);
                            let right = self.shape_of(binary.right, shapes);
                            name_is(binary.left, right);
                            name_is(binary.right, left);
                        }
                        "in" | "not in" => name_is(binary.right, Shapes::COLLECTION),
                        _ => {}
                    }
                }
            }
            Role::Call => {
                if let Some(parts) = self.call(node) {
                    match self.text_of(parts.function) {
                        "len" | "sorted" | "enumerate" | "sum" | "reversed" => {
                            if let [only, ..] = parts.arguments[..] {
                                name_is(only, Shapes::COLLECTION);
                            }
                        }
                        "range" | "abs" => {
                            for argument in &parts.arguments {
                                name_is(*argument, Shapes::NUMBER);
                            }
                        }
                        _ => {}
                    }
                    if self.role(parts.function) == Role::Identifier {
                        name_is(parts.function, Shapes::FUNCTION);
                    }
                }
            }
            Role::Spread => {
                if let [only] = self.children(node)[..] {
                    name_is(only, Shapes::COLLECTION);
                }
            }
            Role::Member => {
                if let Some((object, name)) = self.member(node) {
                    let name = self.text_of(name);
                    let style = &self.table().style;
                    let collection = style.adders.contains(&name)
                        || style.membership_methods.contains(&name)
                        || matches!(
                            name,
                            "pop"
                                | "items"
                                | "keys"
                                | "values"
                                | "extend"
                                | "length"
                                | "len"
                                | "iter"
                        );
                    name_is(object, if collection { Shapes::COLLECTION } else { Shapes::OBJECT });
                }
            }
            _ => {
                if is_parameter(node) {
                    self.observe_parameter(node, &mut name_is, &mut typed);
                }
            }
        }
        add.extend(absent.into_iter().map(|name| (name, Shapes::OBJECT)));
        for (name, annotation) in typed {
            let element = self.shape_of_element(&annotation);
            if !element.is_unknown() {
                add.push((format!("{name}[]"), element));
            }
            if self.may_be_absent(&annotation) {
                add.push((format!("{name}?"), Shapes::OBJECT));
            }
        }
    }

    fn is_number_like(&self, node: Node<'_>) -> bool {
        matches!(node.kind(), "rune_literal" | "character_literal")
            || (node.kind() == "char_literal" && !self.table().style.tail_values)
    }

    /// A guess for the elements of a collection that is a name, perhaps behind `.iter()`.
    fn element_shape(&self, node: Node<'_>, shapes: &HashMap<String, Shapes>) -> Shapes {
        let mut node = self.bare(node);
        while matches!(self.role(node), Role::Call | Role::Member | Role::Wrapper) {
            let inner = self
                .call(node)
                .and_then(|c| self.member(c.function))
                .or_else(|| self.member(node))
                .map(|m| m.0)
                .or_else(|| self.children(node).last().copied());
            match inner {
                Some(inner) => node = inner,
                None => break,
            }
        }
        if self.role(node) != Role::Identifier {
            return Shapes::UNKNOWN;
        }
        shapes.get(&format!("{}[]", self.text_of(node))).copied().unwrap_or_default()
    }

    /// A guess for an expression, given guesses for names.
    pub fn shape_of(&self, node: Node<'_>, shapes: &HashMap<String, Shapes>) -> Shapes {
        let node = self.bare(node);
        match self.role(node) {
            Role::Integer | Role::Float | Role::Update => Shapes::NUMBER,
            // A character is a number in these languages.
            Role::Text if self.is_number_like(node) => Shapes::NUMBER,
            Role::Text => Shapes::STRING,
            Role::Subslice => self
                .children(node)
                .first()
                .map_or(Shapes::UNKNOWN, |object| self.shape_of(*object, shapes)),
            Role::Boolean => Shapes::BOOLEAN,
            Role::List | Role::Set | Role::Mapping | Role::Comprehension => Shapes::COLLECTION,
            Role::Lambda => Shapes::FUNCTION,
            Role::Identifier | Role::Member => {
                let known = shapes.get(self.text_of(node)).copied().unwrap_or_default();
                if !known.is_unknown() {
                    return known;
                }
                match self.member(node) {
                    Some((_, name)) if matches!(self.text_of(name), "length" | "size") => {
                        Shapes::NUMBER
                    }
                    _ => Shapes::UNKNOWN,
                }
            }
            Role::Unary => match self.unary(node) {
                Some(("not" | "!", _)) => Shapes::BOOLEAN,
                Some(("-" | "+" | "~", _)) => Shapes::NUMBER,
                Some(("typeof", _)) => Shapes::STRING,
                Some((_, operand)) => self.shape_of(operand, shapes),
                None => Shapes::UNKNOWN,
            },
            Role::Binary => {
                let Some(binary) = self.binaries(node).first().copied() else {
                    return Shapes::UNKNOWN;
                };
                let (_, operator) = self.operator_text(&binary);
                let table = self.table();
                if table.comparisons.iter().any(|(o, _)| *o == operator) {
                    return Shapes::BOOLEAN;
                }
                match operator.as_str() {
                    "-" | "/" | "//" | "%" | "**" | "<<" | ">>" => Shapes::NUMBER,
                    "+" | "*" => {
                        let left = self.shape_of(binary.left, shapes);
                        let right = self.shape_of(binary.right, shapes);
                        if left.is_unknown() { right } else { left }
                    }
                    _ => self.shape_of(binary.left, shapes),
                }
            }
            Role::Call => {
                let Some(name) = self.call(node).and_then(|c| self.callee_name(c.function)) else {
                    return Shapes::UNKNOWN;
                };
                let words = &self.table().words;
                if words.numeric.contains(&name) {
                    Shapes::NUMBER
                } else if words.predicates.contains(&name) {
                    Shapes::BOOLEAN
                } else if words.collections.contains(&name) {
                    Shapes::COLLECTION
                } else if matches!(name, "str" | "String" | "join" | "to_string" | "format") {
                    Shapes::STRING
                } else {
                    Shapes::UNKNOWN
                }
            }
            Role::Index => match self.index(node) {
                Some((object, indices))
                    if indices.first().is_some_and(|i| self.role(*i) == Role::Slice) =>
                {
                    self.shape_of(object, shapes)
                }
                Some((object, _)) => self.element_shape(object, shapes),
                None => Shapes::UNKNOWN,
            },
            Role::Wrapper => match node.child_by_field_name("type") {
                Some(annotation) => self.shape_of_type(self.text_of(annotation)),
                None => self
                    .children(node)
                    .last()
                    .map_or(Shapes::UNKNOWN, |inner| self.shape_of(*inner, shapes)),
            },
            _ => Shapes::UNKNOWN,
        }
    }
}
