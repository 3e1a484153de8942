//! What a text contains that a patch must not add, or must not take away.

use std::collections::{BTreeMap, BTreeSet};

use greenlit_syntax::{BindingKind, Language, Node, Parsed, Role};

use super::regions::is_test_attribute;
use super::words::{self, Kind};
use super::{Author, RejectReason};

/// What a text contains before it is patched.
pub(super) struct Inventory {
    assertions: BTreeMap<String, usize>,
    /// Names that the file binds itself mean what the file says: an `open` set in a path search.
    own: BTreeSet<String>,
    features: Features,
}

impl Inventory {
    pub(super) fn new(before: &Parsed) -> Inventory {
        let own: BTreeSet<String> = before
            .bindings()
            .into_iter()
            .filter(|b| b.kind != BindingKind::Function)
            .map(|b| b.name)
            .collect();
        let features = features(before, &own);
        Inventory { assertions: assertions(before), own, features }
    }

    /// The first thing that `after` has more of, or an assertion that it lost. From a checker a way
    /// to end the process is refused only where the file has none yet: `exit()` may become
    /// `sys.exit()`.
    pub(super) fn added(&self, after: &Parsed, author: Author) -> Option<RejectReason> {
        let kept = assertions(after);
        for (text, count) in &self.assertions {
            if kept.get(text).copied().unwrap_or(0) < *count {
                return Some(RejectReason::Assertion(text.clone()));
            }
        }
        features(after, &self.own)
            .into_iter()
            .find(|(feature, count)| {
                let before = self.features.get(feature).copied().unwrap_or(0);
                match author {
                    Author::Search => before < *count,
                    Author::Checker if feature.0 == Reason::Word(Kind::Exit) => before == 0,
                    Author::Checker => before < *count && feature.0.holds_for_checkers(),
                }
            })
            .map(|((reason, what), _)| reason.with(what))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Word(Kind),
    Suppression,
}

impl Reason {
    /// What a checker suggests was not chosen because tests turned green, so what only reaches
    /// further than before is the person's to judge: `open(…)` may become `Path(…).open()`. What
    /// would blind a tool or the tests stays refused.
    fn holds_for_checkers(self) -> bool {
        match self {
            Reason::Word(kind) => match kind {
                Kind::Exit | Kind::Equality | Kind::TestAwareness | Kind::MonkeyPatch => true,
                Kind::DynamicCode | Kind::OutsideAccess | Kind::Unsafe => false,
            },
            Reason::Suppression => true,
        }
    }

    fn with(self, what: String) -> RejectReason {
        match self {
            Reason::Word(Kind::Exit) => RejectReason::Exit(what),
            Reason::Word(Kind::Equality) => RejectReason::Equality(what),
            Reason::Word(Kind::TestAwareness) => RejectReason::TestAwareness(what),
            Reason::Word(Kind::MonkeyPatch) => RejectReason::MonkeyPatch(what),
            Reason::Word(Kind::DynamicCode) => RejectReason::DynamicCode(what),
            Reason::Word(Kind::OutsideAccess) => RejectReason::OutsideAccess(what),
            Reason::Word(Kind::Unsafe) => RejectReason::Unsafe(what),
            Reason::Suppression => RejectReason::Suppression(what),
        }
    }
}

type Features = BTreeMap<(Reason, String), usize>;

fn features(parsed: &Parsed, own: &BTreeSet<String>) -> Features {
    let mut found = Features::new();
    let language = parsed.language();
    let mut add = |reason: Reason, what: &str| {
        *found.entry((reason, what.to_owned())).or_insert(0) += 1;
    };
    parsed.walk_with_ancestors(parsed.root(), &mut |node, above| {
        match parsed.role(node) {
            Role::Comment => {
                let text = parsed.text_of(node);
                for word in words::SUPPRESSIONS.iter().filter(|w| text.contains(*w)) {
                    add(Reason::Suppression, word);
                }
                return false;
            }
            Role::Text => {
                let text = parsed.text_of(node);
                if language == Language::Go && words::GO_MARKERS.iter().any(|m| text.contains(m)) {
                    add(Reason::Word(Kind::TestAwareness), "\\x16");
                }
                for word in words::STRINGS.iter().filter(|w| text.contains(*w)) {
                    add(Reason::Word(Kind::TestAwareness), word);
                }
                // A method's name as a key: `type("A", (), {"__eq__": …})`.
                let name = text.trim_matches(['"', '\'', '`']);
                for kind in words::names(language).get(name).into_iter().flatten() {
                    if *kind == Kind::Equality || is_dunder(name) {
                        add(Reason::Word(*kind), name);
                    }
                }
            }
            Role::Decorator if language == Language::Rust => attribute(parsed, node, &mut add),
            Role::Class if language == Language::Rust => implementation(parsed, node, &mut add),
            Role::Index => element(parsed, node, &mut add),
            Role::Import => import(parsed, node, &mut add),
            _ => {}
        }
        if node.child_count() == 0 {
            leaf(parsed, node, above.last().copied(), own, &mut add);
        }
        true
    });
    found
}

/// One name or keyword.
fn leaf(
    parsed: &Parsed,
    node: Node<'_>,
    parent: Option<Node<'_>>,
    own: &BTreeSet<String>,
    add: &mut impl FnMut(Reason, &str),
) {
    let language = parsed.language();
    let text = parsed.text_of(node);
    // `import(…)`: the keyword is a node of its own in a call.
    let called = |p: Node<'_>| p.kind() == "import" || parsed.role(p) == Role::Call;
    if text == "import" && parent.is_some_and(called) {
        add(Reason::Word(Kind::DynamicCode), text);
        return;
    }
    if !node.is_named() {
        if language == Language::Rust && text == "unsafe" {
            add(Reason::Word(Kind::Unsafe), text);
        }
        if matches!(text, "macro_rules!") {
            add(Reason::Word(Kind::MonkeyPatch), text);
        }
        return;
    }
    let kind = node.kind();
    let is_name = kind.ends_with("identifier") || kind == "shorthand_property_identifier_pattern";
    if !is_name {
        return;
    }
    let behind = parent.is_some_and(|p| {
        let name = parsed.member(p).map(|m| m.1).or_else(|| {
            (parsed.role(p) == Role::Path).then(|| p.child_by_field_name("name")).flatten()
        });
        name.is_some_and(|n| n.id() == node.id())
    });
    if behind {
        for kind in words::members(language).get(text).into_iter().flatten() {
            add(Reason::Word(*kind), text);
        }
    }
    // Object literals and methods: `{ valueOf() {} }` is a property name too.
    let property = kind == "property_identifier" && !behind;
    let harmless = parent.is_some_and(|p| {
        parsed.member(p).is_some_and(|(object, name)| {
            object.id() == node.id()
                && matches!((text, parsed.text_of(name)), ("os", "path") | ("Symbol", "iterator"))
        })
    });
    if harmless || (behind && language != Language::Python && !is_dunder(text)) {
        return;
    }
    if own.contains(text) && !is_dunder(text) && !property {
        return;
    }
    for kind in words::names(language).get(text).into_iter().flatten() {
        // A property may be called `test`; one called `valueOf` changes what `==` means.
        if !property || *kind == Kind::Equality {
            add(Reason::Word(*kind), text);
        }
    }
}

fn is_dunder(text: &str) -> bool {
    text.starts_with("__") && text.ends_with("__")
}

/// `#[cfg(test)]`, `#[test]`, `#[ignore]`, `#[allow(…)]`.
fn attribute(parsed: &Parsed, node: Node<'_>, add: &mut impl FnMut(Reason, &str)) {
    let text = parsed.text_of(node);
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let inner = compact.trim_start_matches(['#', '!', '[']);
    if is_test_attribute(text) || compact.contains("(test)") || inner.starts_with("ignore") {
        add(Reason::Word(Kind::TestAwareness), text);
    }
    if inner.starts_with("allow(") || inner.starts_with("expect(") {
        add(Reason::Suppression, text);
    }
}

/// `impl PartialEq for T`.
fn implementation(parsed: &Parsed, node: Node<'_>, add: &mut impl FnMut(Reason, &str)) {
    let Some(name) = node.child_by_field_name("trait") else { return };
    let text = parsed.text_of(name);
    let last = text.rsplit("::").next().unwrap_or(text);
    let head = last.split('<').next().unwrap_or(last);
    if matches!(
        head,
        "PartialEq"
            | "Eq"
            | "PartialOrd"
            | "Ord"
            | "Hash"
            | "Deref"
            | "DerefMut"
            | "Drop"
            | "Debug"
            | "Borrow"
            | "Iterator"
            | "Not"
    ) {
        add(Reason::Word(Kind::Equality), &format!("impl {head}"));
    }
}

/// `sys["modules"]`, `process["exit"]`: names reached through a string.
fn element(parsed: &Parsed, node: Node<'_>, add: &mut impl FnMut(Reason, &str)) {
    let Some((_, indices)) = parsed.index(node) else { return };
    let [only] = indices[..] else { return };
    let name = parsed.text_of(only);
    if parsed.role(only) != Role::Text {
        if name.starts_with("Symbol.") && name != "Symbol.iterator" {
            add(Reason::Word(Kind::Equality), name);
        }
        return;
    }
    let name = name.trim_matches(['"', '\'', '`']);
    for kind in words::members(parsed.language()).get(name).into_iter().flatten() {
        add(Reason::Word(*kind), name);
    }
}

/// Modules by their quoted or dotted names; plain names are looked at as leaves.
fn import(parsed: &Parsed, node: Node<'_>, add: &mut impl FnMut(Reason, &str)) {
    if !matches!(
        parsed.language(),
        Language::JavaScript | Language::TypeScript | Language::Tsx | Language::Go
    ) {
        return;
    }
    let Some(source) = node.child_by_field_name("source") else { return };
    let text = parsed.text_of(source).trim_matches(['"', '\'', '`']);
    let bare = text.strip_prefix("node:").unwrap_or(text);
    let head = bare.split('/').next().unwrap_or(bare);
    for kind in words::names(parsed.language()).get(head).into_iter().flatten() {
        add(Reason::Word(*kind), text);
    }
}

/// Assertions of the source: statements, assertion macros, `console.assert`.
fn assertions(parsed: &Parsed) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for node in
        parsed.descendants(parsed.root(), |r| matches!(r, Role::Assert | Role::Macro | Role::Call))
    {
        let text = parsed.text_of(node);
        let is_assertion = match parsed.role(node) {
            Role::Assert => true,
            Role::Macro => node.child_by_field_name("macro").is_some_and(|m| {
                parsed.text_of(m).trim_start_matches("debug_").starts_with("assert")
            }),
            _ => parsed.call(node).is_some_and(|c| {
                let name = parsed.text_of(c.function);
                name == "assert" || name.starts_with("assert.") || name == "console.assert"
            }),
        };
        if is_assertion {
            *found.entry(text.split_whitespace().collect::<Vec<_>>().join(" ")).or_insert(0) += 1;
        }
    }
    found
}
