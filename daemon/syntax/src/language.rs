//! The supported languages.

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
    /// JavaScript, scripts and modules.
    JavaScript,
}

impl Language {
    /// Every supported language.
    pub const ALL: [Language; 3] = [Language::Rust, Language::Python, Language::JavaScript];

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
        }
    }

    pub(crate) fn grammar(self) -> tree_sitter::Language {
        match self {
            Language::Rust => tree_sitter_rust::LANGUAGE.into(),
            Language::Python => tree_sitter_python::LANGUAGE.into(),
            Language::JavaScript => tree_sitter_javascript::LANGUAGE.into(),
        }
    }

    /// Roles indexed by the grammar's kind id: one array look-up per node instead of string compares.
    pub(crate) fn roles(self) -> &'static [Role] {
        static ROLES: [OnceLock<Vec<Role>>; 3] = [const { OnceLock::new() }; 3];
        ROLES[self as usize].get_or_init(|| {
            let grammar = self.grammar();
            (0..grammar.node_kind_count())
                .map(|id| {
                    let id = u16::try_from(id).unwrap_or(u16::MAX);
                    if !grammar.node_kind_is_named(id) {
                        return Role::Other;
                    }
                    let kind = grammar.node_kind_for_id(id).unwrap_or_default();
                    let roles = self.table().roles;
                    roles.iter().find(|(name, _)| *name == kind).map_or(Role::Other, |(_, r)| *r)
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
        assert_eq!(Language::from_path(Path::new("Makefile")), None);
    }

    #[test]
    fn every_kind_in_a_table_exists_in_its_grammar() {
        for language in Language::ALL {
            let grammar = language.grammar();
            for (kind, _) in language.table().roles {
                assert_ne!(grammar.id_for_node_kind(kind, true), 0, "{language:?}: {kind}");
            }
        }
    }
}
