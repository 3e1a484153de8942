//! Whether declared types speak against one name standing where another stands.

use std::collections::{HashMap, HashSet};

use greenlit_syntax::{
    Binding, BindingKind, FLOAT, INTEGER, Node, Parsed, Role, Shapes, Style, is_float,
};

use super::site::Site;

/// What is left of a candidate that puts a value where one of another type is declared. Not nothing:
/// types convert in ways that their names do not tell.
const UNLIKE: f64 = 0.15;

/// Types by name, as far as all declarations of a name agree.
#[derive(Debug, Default)]
pub(super) struct Types(HashMap<String, Option<String>>);

impl Types {
    /// A declaration without a type is an empty text.
    pub(super) fn new(declared: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut types: HashMap<String, Option<String>> = HashMap::new();
        for (name, written) in declared {
            let written = Some(plain(&written)).filter(|written| !written.is_empty());
            types
                .entry(name)
                .and_modify(|known| {
                    if *known != written {
                        *known = None;
                    }
                })
                .or_insert(written);
        }
        Self(types)
    }

    /// The variables of a function, as far as each binding of a name declares the same.
    pub(super) fn of_names(parsed: &Parsed, bindings: &[Binding], within: Node<'_>) -> Self {
        let mut declared = parsed.name_types(within);
        let mut untyped: HashMap<&str, usize> = HashMap::new();
        for binding in bindings {
            let local = !matches!(binding.kind, BindingKind::Global | BindingKind::Function);
            if local && within.byte_range().contains(&binding.visible.start) {
                *untyped.entry(&binding.name).or_default() += 1;
            }
        }
        for (name, _) in &declared {
            if let Some(count) = untyped.get_mut(name.as_str()) {
                *count = count.saturating_sub(1);
            }
        }
        let names = untyped.into_iter().filter(|(_, count)| *count > 0);
        declared.extend(names.map(|(name, _)| (name.to_owned(), String::new())));
        Self::new(declared)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }
}

/// What some files declare and how they call.
#[derive(Debug)]
pub(super) struct Declared {
    members: Types,
    results: Types,
    /// With how many arguments each function is called.
    arguments: HashMap<String, HashSet<usize>>,
}

impl Declared {
    pub(super) fn of<'p>(files: impl IntoIterator<Item = &'p Parsed>) -> Self {
        let (mut members, mut results) = (Vec::new(), Vec::new());
        let mut arguments: HashMap<String, HashSet<usize>> = HashMap::new();
        for parsed in files {
            members.append(&mut parsed.member_types());
            parsed.walk(parsed.root(), &mut |node| {
                if parsed.role(node).is_function_like()
                    && let Some(name) = parsed.function_name(node)
                {
                    results.push((name.to_owned(), parsed.result_types(node).join(", ")));
                }
                if let Some(call) = parsed.call(node)
                    && let Some(name) = parsed.callee_name(call.function)
                {
                    arguments.entry(name.to_owned()).or_default().insert(call.arguments.len());
                }
                true
            });
        }
        Self { members: Types::new(members), results: Types::new(results), arguments }
    }
}

/// A type without what makes it a reference: that is often converted.
fn plain(written: &str) -> String {
    let mut rest = written.trim();
    loop {
        let before = rest;
        rest = rest.trim_start_matches(['&', ' ']);
        rest = rest.strip_prefix("mut ").or_else(|| rest.strip_prefix("const ")).unwrap_or(rest);
        if let Some(lifetime) = rest.strip_prefix('\'') {
            rest = lifetime.split_once(' ').map_or(rest, |(_, behind)| behind);
        }
        if rest == before {
            return rest.split_whitespace().collect::<Vec<_>>().join(" ");
        }
    }
}

impl Site<'_> {
    /// The weight of a name in place of a variable, by their declared types.
    pub(super) fn likeness(&self, old: &str, new: &str) -> f64 {
        self.weigh(self.types.get(old), self.types.get(new))
    }

    /// The same of two members.
    pub(super) fn likeness_of_members(&self, old: &str, new: &str) -> f64 {
        let members = &self.file.declared.members;
        self.weigh(members.get(old), members.get(new))
    }

    /// The weight of one function in place of another that is called with so many arguments: by what they
    /// return, by how the other one is called elsewhere, and by whether both are types.
    pub(super) fn likeness_of_functions(&self, old: &str, new: &str, arguments: usize) -> f64 {
        let Declared { results, arguments: called, .. } = self.file.declared;
        let Style { typed, capitals_are_types, .. } = self.parsed().table().style;
        let is_type = |name: &str| capitals_are_types && name.starts_with(char::is_uppercase);
        let alike = is_type(old) == is_type(new)
            && called.get(new).is_none_or(|counts| counts.contains(&arguments));
        if typed && !alike { UNLIKE } else { self.weigh(results.get(old), results.get(new)) }
    }

    /// The same of a name in place of an expression.
    pub(super) fn likeness_to(&self, node: Node<'_>, new: &str) -> f64 {
        self.weigh(self.declared(node), self.types.get(new))
    }

    fn declared(&self, node: Node<'_>) -> Option<&str> {
        match self.role(node) {
            Role::Identifier => self.types.get(self.text_of(node)),
            Role::Member => {
                let (_, name) = self.parsed().member(node)?;
                self.file.declared.members.get(self.text_of(name))
            }
            _ => None,
        }
    }

    fn weigh(&self, old: Option<&str>, new: Option<&str>) -> f64 {
        let style = &self.parsed().table().style;
        let (Some(old), Some(new)) = (old, new) else { return 1.0 };
        let numbers = [old, new].map(|written| self.is_number(written)) == [true, true];
        let open = matches!(old, INTEGER | FLOAT) || matches!(new, INTEGER | FLOAT);
        let alike = numbers && (style.converts_numbers || open && is_float(old) == is_float(new));
        if !style.typed || old == new || alike { 1.0 } else { UNLIKE }
    }

    fn is_number(&self, written: &str) -> bool {
        matches!(written, INTEGER | FLOAT) || self.parsed().shape_of_type(written) == Shapes::NUMBER
    }

    /// The weight of adding a whole number to a value.
    pub(super) fn likeness_to_integer(&self, node: Node<'_>) -> f64 {
        let float = self.declared(node).filter(|written| is_float(written));
        let converts = self.parsed().table().style.literals_convert;
        if converts { 1.0 } else { self.weigh(float, Some(INTEGER)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::candidates;
    use super::*;

    fn types(declared: &[(&str, &str)]) -> Types {
        Types::new(declared.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
    }

    #[test]
    fn references_are_what_they_refer_to_and_a_name_with_two_types_has_none() {
        let types = types(&[
            ("a", "&'a mut  Vec<u8>"),
            ("b", "const char"),
            ("b", "char"),
            ("c", "u8"),
            ("c", "u16"),
            ("c", "u8"),
            ("d", "u8"),
            ("d", ""),
        ]);
        assert_eq!(types.get("d"), None);
        assert_eq!(
            [types.get("a"), types.get("b"), types.get("c")],
            [Some("Vec<u8>"), Some("char"), None]
        );
    }

    /// The rank of a replacement by what it replaces with.
    fn rank(name: &str, text: &str, summary: &str) -> usize {
        let (_, found) = candidates(name, text);
        let at = found.iter().position(|candidate| candidate.summary == summary);
        at.unwrap_or_else(|| panic!("{summary} is not among {}", found.len()))
    }

    fn in_order(text: &str, better: &str, worse: &str) {
        let [better, worse] = [better, worse].map(|summary| rank("m.rs", text, summary));
        assert!(better < worse, "{better} {worse}");
    }

    #[test]
    fn a_member_of_the_same_type_comes_before_one_of_another() {
        let text = "struct O { size: usize, loud: bool, calm: bool }\n\nfn f(o: &O) -> bool {\n    g(o.size, o.calm);\n$0    o.loud && h()\n}\n";
        in_order(text, "replace `loud` by `calm`", "replace `loud` by `size`");
    }

    #[test]
    fn whole_numbers_and_others_do_not_mix_where_nothing_converts_them() {
        let text = "fn f(a: f64, b: f64) -> f64 {\n    let mut i = 0;\n    let mut x = 0.5;\n$0    g(a)\n}\n";
        let of = |summary| rank("m.rs", text, summary);
        let mixed = [of("replace `a` by `i`"), of("replace `a` by `a + 1`")];
        let likely = [of("replace `a` by `b`"), of("replace `a` by `x`")];
        assert!(likely.iter().max() < mixed.iter().min(), "{likely:?} {mixed:?}");
    }

    #[test]
    fn a_name_that_is_bound_again_has_no_type() {
        let text = "fn f(a: u8, c: f64, b: f64) -> u8 {\n    let b = h(b);\n$0    g(a)\n}\n";
        in_order(text, "replace `a` by `b`", "replace `a` by `c`");
    }

    #[test]
    fn what_is_no_number_is_seldom_ordered() {
        let text = "fn f(a: Kind) -> bool {\n$0    a == Kind::Bit\n}\n";
        let (_, found) = candidates("m.rs", text);
        let of = |other: &str| {
            let summary = format!("replace `==` by `{other}`");
            found.iter().find(|c| c.summary == summary).map_or(0.0, |candidate| candidate.score)
        };
        assert!(of("<") < 0.3 * of("!="), "{} {}", of("<"), of("!="));
    }

    #[test]
    fn a_function_that_returns_the_same_comes_before_one_that_does_not() {
        let text = "fn size(a: u8) -> u8 { a }\nfn name(a: u8) -> String { b(a) }\nfn twice(a: u8) -> u8 { a * 2 }\n\nfn f(a: u8) -> u8 {\n$0    size(a)\n}\n";
        in_order(text, "replace `size` by `twice`", "replace `size` by `name`");
    }

    #[test]
    fn a_method_that_is_called_alike_comes_before_one_that_is_not() {
        let text = "fn f(a: &mut Vec<u8>) -> usize {\n    a.push(1);\n    a.capacity();\n$0    a.len()\n}\n";
        in_order(text, "replace `len` by `capacity`", "replace `len` by `push`");
    }

    #[test]
    fn a_variable_of_the_same_type_comes_before_one_of_another() {
        let text = "fn f(a: u8, c: f64, b: &u8) -> u8 {\n$0    g(a)\n}\n";
        in_order(text, "replace `a` by `b`", "replace `a` by `c`");
    }
}
