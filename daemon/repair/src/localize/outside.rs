//! What stands in a file outside of functions, and which functions it calls.

use std::collections::{BTreeSet, HashSet};
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use greenlit_syntax::{BindingKind, FunctionItem, Language, Node, Parsed, Role, parse};

use super::sources::{Imports, row};
use crate::candidate::SourceFile;
use crate::reject::test_regions;

/// Calls followed from a statement that runs while its file is loaded.
const DEPTH: usize = 3;

/// A statement outside of functions, without the statements in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    /// Lines with code.
    pub(super) lines: Vec<u32>,
    /// Names that it gives a value.
    pub(super) defines: Vec<String>,
    /// Every name in it.
    pub(super) names: Vec<String>,
    /// What it calls.
    pub(super) calls: Vec<String>,
}

/// A function, with what it uses.
pub(super) struct Inside {
    pub(super) lines: Vec<u32>,
    pub(super) names: Vec<String>,
    pub(super) calls: Vec<String>,
}

/// What of a function is evaluated when it is defined: decorators and defaults.
pub(super) struct Head {
    pub(super) body: RangeInclusive<u32>,
    pub(super) lines: Vec<u32>,
    pub(super) names: Vec<String>,
}

/// A file seen from outside its functions.
pub(super) struct Outside<'a> {
    pub(super) source: &'a SourceFile,
    parsed: Parsed,
    imports: Imports,
    functions: Vec<FunctionItem>,
    tests: Vec<Range<usize>>,
    statements: Vec<Statement>,
    /// By statement: functions of this file that run because of it.
    runs: Vec<BTreeSet<usize>>,
}

impl<'a> Outside<'a> {
    /// `None` where the language is unknown.
    pub(super) fn new(source: &'a SourceFile) -> Option<Self> {
        let language = Language::from_path(&source.path)?;
        let parsed = parse(language, source.text.clone()).ok()?;
        let tests = test_regions(&parsed);
        let functions = parsed.functions();
        let statements = statements(&parsed, &tests);
        let runs =
            statements.iter().map(|statement| called(&functions, &statement.calls)).collect();
        let imports = Imports::of(&parsed);
        Some(Self { source, parsed, imports, functions, tests, statements, runs })
    }

    /// Names on some lines that may mean something outside of the function that uses them.
    pub(super) fn uses(&self, wanted: &dyn Fn(u32) -> bool) -> Vec<(u32, &str)> {
        let bindings = self.parsed.bindings();
        let own = |node: Node<'_>, name: &str| {
            bindings.iter().any(|binding| {
                let outside = matches!(binding.kind, BindingKind::Global | BindingKind::Function);
                !outside && binding.name == name && binding.visible.contains(&node.start_byte())
            })
        };
        names_in(&self.parsed, self.parsed.root())
            .into_iter()
            .map(|node| (row(node.start_position().row), node, self.parsed.text_of(node)))
            .filter(|(line, node, name)| {
                let member = self.parsed.role(*node) == Role::MemberName;
                wanted(*line) && (member || !own(*node, name))
            })
            .map(|(line, _, name)| (line, name))
            .collect()
    }

    /// Heads of functions in which something is evaluated.
    pub(super) fn heads(&self) -> Vec<Head> {
        let parsed = &self.parsed;
        let mut heads = Vec::new();
        parsed.walk_with_ancestors(parsed.root(), &mut |node, above| {
            if parsed.role(node) != Role::Function || self.is_test(node.start_byte()) {
                return true;
            }
            let mut evaluated = Vec::new();
            // A decorated function is one node with its decorators, or has them inside.
            let around = above.last().filter(|n| n.kind() == "decorated_definition");
            for part in around.into_iter().chain([&node]) {
                evaluated.extend(parsed.children(*part).into_iter().filter(|child| {
                    matches!(parsed.role(*child), Role::Decorator | Role::Parameters)
                }));
            }
            let (mut lines, mut names) = (BTreeSet::new(), Vec::new());
            for part in evaluated {
                let decorator = parsed.role(part) == Role::Decorator;
                let parameters = names_of_parameters(parsed, node);
                for value in parsed.descendants(part, Role::is_expression) {
                    if decorator || !parameters.contains(&value.id()) {
                        lines.insert(row(value.start_position().row));
                    }
                    if parsed.role(value) == Role::Identifier {
                        names.push(parsed.text_of(value).to_owned());
                    }
                }
            }
            if !lines.is_empty() {
                let body = row(node.start_position().row)..=row(node.end_position().row);
                heads.push(Head { body, lines: lines.into_iter().collect(), names });
            }
            true
        });
        heads
    }

    pub(super) fn defines(&self, name: &str) -> bool {
        self.statements.iter().any(|statement| statement.defines.iter().any(|own| own == name))
    }

    /// The statements that give a name its value or may change it: those that name it and define
    /// nothing else.
    pub(super) fn naming(&self, name: &str) -> Vec<(usize, Statement)> {
        let concerned = |statement: &&Statement| {
            statement.names.iter().any(|own| own == name)
                && (statement.defines.is_empty() || statement.defines.iter().any(|own| own == name))
        };
        let statements = self.statements.iter().enumerate();
        statements.filter(|(_, s)| concerned(s)).map(|(at, s)| (at, s.clone())).collect()
    }

    /// Functions that name a value and run while the file is loaded.
    pub(super) fn filling(&self, name: &str) -> Vec<usize> {
        let loaded: BTreeSet<usize> = self.runs.iter().flatten().copied().collect();
        loaded.into_iter().filter(|at| self.names_of(*at).contains(name)).collect()
    }

    /// Functions with a name.
    pub(super) fn named(&self, name: &str) -> Vec<usize> {
        let named = |at: &usize| {
            let function = &self.functions[*at];
            function.name == name && !self.is_test(function.range.start)
        };
        (0..self.functions.len()).filter(named).collect()
    }

    /// Statements because of which a function runs.
    pub(super) fn loading(&self, function: usize) -> Vec<(usize, Statement)> {
        let statements = self.statements.iter().zip(&self.runs).enumerate();
        statements
            .filter(|(_, (_, runs))| runs.contains(&function))
            .map(|(at, (statement, _))| (at, statement.clone()))
            .collect()
    }

    pub(super) fn function(&self, at: usize) -> Inside {
        let mut lines = BTreeSet::new();
        if let Some(function) = self.node_of(at) {
            self.parsed.walk_with_ancestors(function, &mut |node, above| {
                let inside = above.iter().any(|n| self.parsed.role(*n).is_statement_list());
                let role = self.parsed.role(node);
                if inside && role.is_expression() && !self.is_test(node.start_byte()) {
                    lines.insert(row(node.start_position().row));
                }
                !matches!(role, Role::Comment | Role::Type)
            });
        }
        Inside {
            lines: lines.into_iter().collect(),
            names: self.names_of(at).into_iter().map(str::to_owned).collect(),
            calls: self.functions[at].calls.clone(),
        }
    }

    fn names_of(&self, at: usize) -> BTreeSet<&str> {
        let names = self.node_of(at).into_iter().flat_map(|node| names_in(&self.parsed, node));
        names.map(|name| self.parsed.text_of(name)).collect()
    }

    fn node_of(&self, at: usize) -> Option<Node<'_>> {
        let Range { start, end } = self.functions[at].range;
        self.parsed.root().descendant_for_byte_range(start, end)
    }

    /// Whether it imports a file, by the last parts of names and paths.
    pub(super) fn imports(&self, path: &Path) -> bool {
        path != self.source.path && self.imports.include(path)
    }

    fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }
}

/// Functions that these calls lead to.
fn called(functions: &[FunctionItem], calls: &[String]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut names: Vec<&String> = calls.iter().collect();
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for (at, function) in functions.iter().enumerate() {
            if names.contains(&&function.name) && found.insert(at) {
                next.extend(&function.calls);
            }
        }
        names = next;
    }
    found
}

/// Every statement outside of functions and tests.
fn statements(parsed: &Parsed, tests: &[Range<usize>]) -> Vec<Statement> {
    let mut lists = Vec::new();
    parsed.walk(parsed.root(), &mut |node| {
        let role = parsed.role(node);
        if role.is_statement_list() {
            lists.push(node);
        }
        !role.is_function_like() && !tests.iter().any(|range| range.contains(&node.start_byte()))
    });
    let mut found = Vec::new();
    for node in lists.into_iter().flat_map(|list| parsed.statements(list)) {
        let idle = matches!(parsed.role(node), Role::Import | Role::Function | Role::Comment);
        if idle || tests.iter().any(|range| range.contains(&node.start_byte())) {
            continue;
        }
        let statement = statement(parsed, node);
        let import = statement.calls == ["require"];
        if !import && !statement.lines.is_empty() {
            found.push(statement);
        }
    }
    found
}

fn statement(parsed: &Parsed, node: Node<'_>) -> Statement {
    let mut statement = Statement::default();
    let mut lines = BTreeSet::new();
    let (mut names, mut calls) = (BTreeSet::new(), BTreeSet::new());
    parsed.walk(node, &mut |part| {
        let role = parsed.role(part);
        let inner = part != node;
        // What is in there is a statement of its own, or runs later.
        if inner && (role.is_statement_list() || role.is_function_like() || role == Role::Class)
            || matches!(role, Role::Comment | Role::Decorator | Role::Type)
        {
            return false;
        }
        if role.is_expression() {
            lines.insert(row(part.start_position().row));
        }
        match role {
            Role::Identifier | Role::MemberName => {
                names.insert(parsed.text_of(part).to_owned());
            }
            Role::Call | Role::Tokens => calls.extend(parsed.calls_in(part)),
            _ => {}
        }
        statement.defines.extend(defined(parsed, part));
        true
    });
    statement.names = names.into_iter().collect();
    statement.calls = calls.into_iter().collect();
    statement.lines = lines.into_iter().collect();
    statement
}

/// Names that a node itself gives a value.
fn defined(parsed: &Parsed, node: Node<'_>) -> Vec<String> {
    let value = ["value", "right"].into_iter().any(|f| node.child_by_field_name(f).is_some());
    if !value || parsed.role(node) == Role::AugmentedAssignment || parsed.role(node).is_expression()
    {
        return Vec::new();
    }
    let target = ["left", "pattern", "name", "property"]
        .into_iter()
        .find_map(|field| node.child_by_field_name(field));
    let Some(target) = target else { return Vec::new() };
    let names = match parsed.member(target) {
        // `exports.table = …` changes `exports` as well.
        Some((object, name)) => vec![object, name],
        None => parsed.pattern_names(target),
    };
    names.into_iter().map(|name| parsed.text_of(name).to_owned()).collect()
}

/// Identifiers and names of members in a part of the tree, types left out.
fn names_in<'t>(parsed: &'t Parsed, node: Node<'t>) -> Vec<Node<'t>> {
    let mut names = Vec::new();
    parsed.walk(node, &mut |part| {
        let role = parsed.role(part);
        if matches!(role, Role::Identifier | Role::MemberName) {
            names.push(part);
        }
        !matches!(role, Role::Comment | Role::Type | Role::Import)
    });
    names
}

/// The nodes that name the parameters of a function.
fn names_of_parameters(parsed: &Parsed, function: Node<'_>) -> HashSet<usize> {
    parsed.parameters(function).into_iter().map(|name| name.id()).collect()
}
