//! Injected faults: what people get wrong, over the language-neutral roles of `greenlit-syntax`.
//!
//! The operators come from how faults are described (a guard forgotten, the wrong variable, two
//! arguments exchanged), not from what the templates can undo: some have an inverse among the
//! families of `greenlit-repair`, others (a lost statement or guard, a wrong function of the same
//! file, exchanged statements) have none or only a remote one. Within an operator every place is
//! equally likely, and every operator gets its turn.
//!
//! Invariant: the same files and the same seed give the same faults in the same order.
//! Invariant: a fault lies inside a function and outside the code of tests.

mod calls;
mod control;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlit_syntax::{Binding, Language, Node, Parsed, Role, parse};
use serde::{Deserialize, Serialize};

/// One way to break one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind of mistake it is.
    pub operator: String,
    /// Relative to the package.
    pub path: PathBuf,
    /// Start in bytes of the sound text.
    pub start: usize,
    /// End (exclusive).
    pub end: usize,
    /// What stands there in the faulty text.
    pub new_text: String,
    /// 1-based line of the faulty text where the fault begins. Of code that is gone, the line
    /// before.
    pub first_line: u32,
    /// Its last line; of code that is gone, the line after.
    pub last_line: u32,
}

impl Fault {
    /// The faulty text.
    pub fn apply(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.start], self.new_text, &text[self.end..])
    }

    /// Whether a line (1-based, of the faulty text) belongs to it.
    pub fn covers(&self, path: &Path, line: u32) -> bool {
        path == self.path && (self.first_line..=self.last_line).contains(&line)
    }
}

/// The seed of one package: the same whatever other packages there are.
pub fn seed_of(seed: u64, package: &str) -> u64 {
    // FNV-1a: stable between versions of the standard library.
    let hash = package.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    seed ^ hash
}

/// Every fault of the files, in the order in which they are to be tried: the operators take turns,
/// and each takes its places at random.
pub fn plan(files: &[(PathBuf, Arc<str>)], seed: u64) -> Vec<Fault> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut by_operator: BTreeMap<String, Vec<Fault>> = BTreeMap::new();
    for (path, text) in files {
        for fault in faults(path, text) {
            by_operator.entry(fault.operator.clone()).or_default().push(fault);
        }
    }
    let mut queues: Vec<Vec<Fault>> = by_operator.into_values().collect();
    for queue in &mut queues {
        rng.shuffle(queue);
    }
    rng.shuffle(&mut queues);
    let mut order = Vec::new();
    while queues.iter().any(|queue| !queue.is_empty()) {
        order.extend(queues.iter_mut().filter_map(Vec::pop));
    }
    order
}

/// Every fault of one file, in source order within each operator. Those that the grammar refuses
/// are left out.
pub fn faults(path: &Path, text: &Arc<str>) -> Vec<Fault> {
    let Some(language) = Language::from_path(path) else { return Vec::new() };
    let Ok(parsed) = parse(language, text.clone()) else { return Vec::new() };
    let mut sites = Sites {
        parsed: &parsed,
        bindings: parsed.bindings(),
        parents: parsed.parents(),
        path,
        found: Vec::new(),
    };
    sites.collect();
    let known = parsed.error_offsets().len();
    let mut found = sites.found;
    found.retain(|fault| {
        let faulty = parsed.reparse(fault.apply(text).into());
        faulty.is_ok_and(|faulty| faulty.error_offsets().len() <= known)
    });
    found
}

/// A file while its faults are collected.
struct Sites<'p> {
    parsed: &'p Parsed,
    bindings: Vec<Binding>,
    parents: std::collections::HashMap<usize, Node<'p>>,
    path: &'p Path,
    found: Vec<Fault>,
}

impl<'p> Sites<'p> {
    fn collect(&mut self) {
        let parsed = self.parsed;
        let mut nodes = Vec::new();
        parsed.walk_with_ancestors(parsed.root(), &mut |node, above| {
            let role = parsed.role(node);
            if self.is_test(node, role) {
                return false;
            }
            // Types, imports and the tokens of macros are other languages than the code's.
            if matches!(
                role,
                Role::Type | Role::Import | Role::Comment | Role::Decorator | Role::Tokens
            ) || (role == Role::Parameters)
            {
                return false;
            }
            if above.iter().any(|n| parsed.role(*n).is_function_like()) {
                nodes.push(node);
            }
            true
        });
        for node in &nodes {
            control::propose(self, *node);
            values::propose(self, *node);
            calls::propose(self, *node);
        }
    }

    /// Test functions and modules of tests inside source files.
    fn is_test(&self, node: Node<'p>, role: Role) -> bool {
        if !matches!(role, Role::Module | Role::Function) {
            return false;
        }
        let mut before = node.prev_sibling();
        while let Some(attribute) =
            before.filter(|n| matches!(self.parsed.role(*n), Role::Decorator | Role::Comment))
        {
            let text = self.parsed.text_of(attribute);
            if text.contains("test") && self.parsed.role(attribute) == Role::Decorator {
                return true;
            }
            before = attribute.prev_sibling();
        }
        false
    }

    fn text(&self, node: Node<'_>) -> &'p str {
        self.parsed.text().get(node.byte_range()).unwrap_or_default()
    }

    fn parent(&self, node: Node<'_>) -> Option<Node<'p>> {
        self.parents.get(&node.id()).copied()
    }

    /// The statement that consists of this node, or the node itself where it is one.
    fn statement(&self, node: Node<'p>) -> Option<Node<'p>> {
        let parent = self.parent(node)?;
        match self.parsed.role(parent) {
            Role::ExpressionStatement => Some(parent),
            Role::Block | Role::Root => Some(node),
            _ => None,
        }
    }

    fn replace(&mut self, operator: &str, range: Range<usize>, new_text: impl Into<String>) {
        self.push(operator, range, new_text.into(), false);
    }

    /// Takes a statement out; the block must not become empty where that is no syntax.
    fn delete(&mut self, operator: &str, statement: Node<'p>) {
        let alone =
            self.parent(statement).is_some_and(|block| self.parsed.children(block).len() == 1);
        let braces = !self.parsed.table().style.block_close.is_empty();
        let filler = if alone && !braces { "pass" } else { "" };
        self.push(operator, statement.byte_range(), filler.to_owned(), true);
    }

    fn push(&mut self, operator: &str, range: Range<usize>, new_text: String, gone: bool) {
        let text = self.parsed.text();
        if text[range.clone()] == new_text {
            return;
        }
        let line = |breaks: usize| u32::try_from(breaks + 1).unwrap_or(u32::MAX);
        let breaks = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
        let first = breaks(&text[..range.start]);
        let last = first + breaks(&new_text);
        let (first_line, last_line) = match gone {
            true => (line(first).saturating_sub(1).max(1), line(last + 1)),
            false => (line(first), line(last)),
        };
        self.found.push(Fault {
            operator: operator.to_owned(),
            path: self.path.to_owned(),
            start: range.start,
            end: range.end,
            new_text,
            first_line,
            last_line,
        });
    }
}
