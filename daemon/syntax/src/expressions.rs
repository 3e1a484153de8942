//! The parts of expressions and statements, the same for every grammar.

use std::ops::Range;

use tree_sitter::Node;

use crate::parsed::{Binary, CallParts, Parsed, SliceParts};
use crate::role::Role;

impl Parsed {
    /// The infix operations of a node: none if it is no infix expression, several for chains.
    pub fn binaries<'t>(&self, node: Node<'t>) -> Vec<Binary<'t>> {
        if self.role(node) != Role::Binary {
            return Vec::new();
        }
        if let (Some(left), Some(operator), Some(right)) = (
            node.child_by_field_name("left"),
            node.child_by_field_name("operator"),
            node.child_by_field_name("right"),
        ) {
            return vec![Binary { left, operator, right }];
        }
        let mut found = Vec::new();
        let mut cursor = node.walk();
        let mut left = None;
        let mut operator = None;
        for child in node.children(&mut cursor) {
            if self.role(child) == Role::Comment {
                continue;
            }
            if child.is_named() {
                if let (Some(left), Some(operator)) = (left, operator.take()) {
                    found.push(Binary { left, operator, right: child });
                }
                left = Some(child);
            } else if operator.is_none() {
                operator = Some(child);
            }
        }
        found
    }

    /// The byte range of the operator between two operands (`not in` is two tokens in some
    /// grammars), and its text with single blanks.
    pub fn operator_text(&self, binary: &Binary<'_>) -> (Range<usize>, String) {
        let (start, between) = (binary.operator.start_byte(), binary.right.start_byte());
        let raw = self.text().get(start..between).unwrap_or_default();
        let known = |t: &str| {
            let table = self.table();
            table.comparisons.iter().any(|(o, _)| *o == t)
        };
        let joined = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        if known(&joined) {
            return (start..start + raw.trim_end().len(), joined);
        }
        let range = binary.operator.byte_range();
        let text = self.text().get(range.clone()).unwrap_or_default();
        (range, text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Operator and operand of a prefix expression.
    pub fn unary<'t>(&self, node: Node<'t>) -> Option<(&str, Node<'t>)> {
        if self.role(node) != Role::Unary {
            return None;
        }
        let operator = node.child(0).filter(|n| !n.is_named())?;
        let operand = self.children(node).last().copied()?;
        Some((self.text_of(operator), operand))
    }

    /// The operand of a negation.
    pub fn negated<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        let (operator, operand) = self.unary(node)?;
        (operator == self.table().style.not.trim()).then_some(operand)
    }

    /// Function and arguments of a call.
    pub fn call<'t>(&self, node: Node<'t>) -> Option<CallParts<'t>> {
        if self.role(node) != Role::Call {
            return None;
        }
        let function = ["function", "constructor", "name", "type"]
            .into_iter()
            .find_map(|field| node.child_by_field_name(field))?;
        let list = node.child_by_field_name("arguments")?;
        let arguments =
            if self.role(list) == Role::Arguments { self.children(list) } else { vec![list] };
        let object =
            node.child_by_field_name("object").or_else(|| self.member(function).map(|m| m.0));
        Some(CallParts { function, object, list, arguments })
    }

    /// The last name in what a call calls: `c` in `a.b.c(…)`.
    pub fn callee_name(&self, function: Node<'_>) -> Option<&str> {
        match self.role(function) {
            Role::Identifier | Role::Type => Some(self.text_of(function)),
            Role::Member => self.member(function).map(|(_, name)| self.text_of(name)),
            Role::Path => function.child_by_field_name("name").map(|n| self.text_of(n)),
            _ => function.child_by_field_name("function").and_then(|f| self.callee_name(f)),
        }
    }

    /// Object and name of a member expression.
    pub fn member<'t>(&self, node: Node<'t>) -> Option<(Node<'t>, Node<'t>)> {
        if self.role(node) != Role::Member {
            return None;
        }
        let (object, name) = self.table().member_fields;
        Some((node.child_by_field_name(object)?, node.child_by_field_name(name)?))
    }

    /// Object and indices of an index expression.
    pub fn index<'t>(&self, node: Node<'t>) -> Option<(Node<'t>, Vec<Node<'t>>)> {
        if self.role(node) != Role::Index {
            return None;
        }
        let children = self.children(node);
        let object = match self.table().index_object_field {
            Some(field) => node.child_by_field_name(field)?,
            None => *children.first()?,
        };
        let indices = children.into_iter().filter(|c| *c != object).collect();
        Some((object, indices))
    }

    /// Start and stop of a slice or range.
    pub fn slice<'t>(&self, node: Node<'t>) -> Option<SliceParts<'t>> {
        if self.role(node) != Role::Slice {
            return None;
        }
        let mut cursor = node.walk();
        let (mut start, mut stop, mut operator) = (None, None, None);
        let mut operators = 0;
        for child in node.children(&mut cursor) {
            if !child.is_named() {
                operator = operator.or(Some(child));
                operators += 1;
            } else if operators == 0 {
                start = Some(child);
            } else if operators == 1 {
                stop = Some(child);
            }
        }
        let operator = operator?;
        Some(SliceParts {
            start,
            stop,
            operator: operator.start_byte(),
            operator_end: operator.end_byte(),
        })
    }

    /// Condition of a branch, loop or ternary, without the parentheses its syntax requires.
    pub fn condition<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        let condition = match self.role(node) {
            Role::Ternary => match self.field(node, "condition") {
                Some(condition) => condition,
                None => self.children(node).get(1).copied()?,
            },
            Role::ComprehensionIf => self.children(node).first().copied()?,
            Role::If | Role::ElseIf | Role::CountingFor => self.field(node, "condition")?,
            // Go's `for condition {` names no field.
            Role::While => self
                .field(node, "condition")
                .or_else(|| self.children(node).first().copied())
                .filter(|c| self.role(*c).is_expression())?,
            _ => return None,
        };
        Some(self.bare(self.core(condition)))
    }

    /// The two values of a ternary: if true, if false.
    pub fn ternary<'t>(&self, node: Node<'t>) -> Option<(Node<'t>, Node<'t>)> {
        if self.role(node) != Role::Ternary {
            return None;
        }
        if let (Some(yes), Some(no)) =
            (node.child_by_field_name("consequence"), node.child_by_field_name("alternative"))
        {
            return Some((yes, no));
        }
        match self.children(node)[..] {
            [yes, _, no] => Some((yes, no)),
            _ => None,
        }
    }

    /// The block that a function, loop or branch runs.
    pub fn body<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        node.child_by_field_name("body").or_else(|| node.child_by_field_name("consequence"))
    }

    /// Target and source of a loop over something.
    pub fn loop_over<'t>(&self, node: Node<'t>) -> Option<(Node<'t>, Node<'t>)> {
        if !matches!(self.role(node), Role::For | Role::ComprehensionFor) {
            return None;
        }
        let (target, source) = self.table().for_fields;
        Some((self.field(node, target)?, self.field(node, source)?))
    }

    /// Target and value of an assignment or declaration.
    pub fn assignment<'t>(&self, node: Node<'t>) -> Option<(Node<'t>, Node<'t>)> {
        match self.role(node) {
            Role::Assignment | Role::AugmentedAssignment => {
                Some((self.field(node, "left")?, self.field(node, "right")?))
            }
            Role::Declarator => Some((self.target_of(node)?, self.field(node, "value")?)),
            Role::Declaration => {
                if let Some(pattern) = node.child_by_field_name("pattern") {
                    return Some((pattern, node.child_by_field_name("value")?));
                }
                if let (Some(left), Some(right)) =
                    (self.field(node, "left"), self.field(node, "right"))
                {
                    return Some((left, right));
                }
                self.children(node).into_iter().find_map(|c| self.assignment(c))
            }
            _ => None,
        }
    }

    /// What a declarator gives a value to: its name, without the tokens of a C declarator.
    pub(crate) fn target_of<'t>(&self, declarator: Node<'t>) -> Option<Node<'t>> {
        let mut target = self
            .field(declarator, "name")
            .or_else(|| declarator.child_by_field_name("declarator"))?;
        while target.kind().ends_with("_declarator") && self.role(target) != Role::Pattern {
            target = target
                .child_by_field_name("declarator")
                .or_else(|| self.children(target).last().copied())?;
        }
        Some(target)
    }

    /// The operator token of an augmented assignment.
    pub fn augmented_operator<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        (self.role(node) == Role::AugmentedAssignment)
            .then(|| node.child_by_field_name("operator"))
            .flatten()
    }

    /// The operator token of a plain assignment.
    pub fn assignment_operator<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        if self.role(node) != Role::Assignment || node.child_by_field_name("type").is_some() {
            return None;
        }
        let mut cursor = node.walk();
        node.children(&mut cursor).find(|n| n.kind() == "=")
    }

    /// The value of a `return`, `yield` or the like.
    pub fn value_of<'t>(&self, node: Node<'t>) -> Option<Node<'t>> {
        self.children(node).first().copied()
    }
}
