//! The supported languages.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use crate::role::Role;
use crate::table::Table;
use crate::tables;

/// A language with a grammar and a [`Table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Rust, edition-independent.
    Rust,
    /// Python 3.
    Python,
    /// JavaScript, scripts and modules, JSX included.
    JavaScript,
    /// TypeScript without JSX.
    TypeScript,
    /// TypeScript with JSX, where `<T>x` is no cast.
    Tsx,
    /// Go.
    Go,
    /// Java.
    Java,
    /// C++, and C as far as it is C++.
    Cpp,
}

/// What is known of a node kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) role: Role,
    /// Whether the role also depends on what is around: see [`Table::refined`].
    pub(crate) depends: bool,
}

impl Language {
    /// Every supported language.
    pub const ALL: [Language; 8] = [
        Language::Rust,
        Language::Python,
        Language::JavaScript,
        Language::TypeScript,
        Language::Tsx,
        Language::Go,
        Language::Java,
        Language::Cpp,
    ];

    /// The language of a file by its extension.
    pub fn from_path(path: &Path) -> Option<Language> {
        let extension = path.extension()?.to_str()?;
        Language::ALL.into_iter().find(|l| l.table().extensions.contains(&extension))
    }

    /// What is known about the language.
    pub fn table(self) -> &'static Table {
        match self {
            Language::Rust => &tables::rust::TABLE,
            Language::Python => &tables::python::TABLE,
            Language::JavaScript => &tables::javascript::TABLE,
            Language::TypeScript => &tables::typescript::TYPESCRIPT,
            Language::Tsx => &tables::typescript::TSX,
            Language::Go => &tables::go::TABLE,
            Language::Java => &tables::java::TABLE,
            Language::Cpp => &tables::cpp::TABLE,
        }
    }

    pub(crate) fn grammar(self) -> tree_sitter::Language {
        match self {
            Language::Rust => tree_sitter_rust::LANGUAGE.into(),
            Language::Python => tree_sitter_python::LANGUAGE.into(),
            Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
            Language::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into(),
            Language::Tsx => tree_sitter_typescript::LANGUAGE_TSX.into(),
            Language::Go => tree_sitter_go::LANGUAGE.into(),
            Language::Java => tree_sitter_java::LANGUAGE.into(),
            Language::Cpp => tree_sitter_cpp::LANGUAGE.into(),
        }
    }

    /// Facts indexed by the grammar's kind id: one array look-up per node, no string compares.
    pub(crate) fn kinds(self) -> &'static [Kind] {
        static KINDS: [OnceLock<Vec<Kind>>; Language::ALL.len()] =
            [const { OnceLock::new() }; Language::ALL.len()];
        KINDS[self as usize].get_or_init(|| {
            let grammar = self.grammar();
            let table = self.table();
            let mut roles: HashMap<&str, Role> = HashMap::new();
            for (name, role) in table.roles.iter().copied().flatten() {
                // The first group that names a kind wins: see `Table::roles`.
                roles.entry(name).or_insert(*role);
            }
            (0..grammar.node_kind_count())
                .map(|id| {
                    let id = u16::try_from(id).unwrap_or(u16::MAX);
                    if !grammar.node_kind_is_named(id) {
                        return Kind { role: Role::Other, depends: false };
                    }
                    let name = grammar.node_kind_for_id(id).unwrap_or_default();
                    Kind {
                        role: roles.get(name).copied().unwrap_or(Role::Other),
                        depends: table.refined.iter().any(|(kind, ..)| *kind == name),
                    }
                })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_decides() {
        assert_eq!(Language::from_path(Path::new("/a/b.py")), Some(Language::Python));
        assert_eq!(Language::from_path(Path::new("b.mjs")), Some(Language::JavaScript));
        assert_eq!(Language::from_path(Path::new("lib.rs")), Some(Language::Rust));
        assert_eq!(Language::from_path(Path::new("view.jsx")), Some(Language::JavaScript));
        assert_eq!(Language::from_path(Path::new("a.d.ts")), Some(Language::TypeScript));
        assert_eq!(Language::from_path(Path::new("a.cts")), Some(Language::TypeScript));
        assert_eq!(Language::from_path(Path::new("view.tsx")), Some(Language::Tsx));
        assert_eq!(Language::from_path(Path::new("a_test.go")), Some(Language::Go));
        assert_eq!(Language::from_path(Path::new("A.java")), Some(Language::Java));
        assert_eq!(Language::from_path(Path::new("a.hpp")), Some(Language::Cpp));
        assert_eq!(Language::from_path(Path::new("a.c")), Some(Language::Cpp));
        assert_eq!(Language::from_path(Path::new("Makefile")), None);
    }

    #[test]
    fn every_kind_in_a_table_exists_in_its_grammar() {
        for language in Language::ALL {
            let grammar = language.grammar();
            let table = language.table();
            let kinds = table.roles.iter().copied().flatten().map(|(kind, _)| kind);
            for kind in kinds.chain(table.refined.iter().map(|(kind, ..)| kind)) {
                assert_ne!(grammar.id_for_node_kind(kind, true), 0, "{language:?}: {kind}");
            }
        }
    }
}
