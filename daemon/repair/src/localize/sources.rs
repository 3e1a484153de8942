//! What both kinds of localization ask of a source file.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use greenlit_syntax::{Parsed, Role};

/// The 1-based line of a row.
pub(super) fn row(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1)
}

/// Where the statements begin, but where something says `ignored`: bytes, in order, with their lines.
pub(super) fn statement_starts(
    parsed: &Parsed,
    ignored: &dyn Fn(usize) -> bool,
) -> BTreeMap<usize, u32> {
    let mut starts = BTreeMap::new();
    for (_, statements) in parsed.statement_lists() {
        for statement in statements {
            let at = statement.start_byte();
            let role = parsed.role(statement);
            let idle = matches!(
                role,
                Role::Import | Role::Class | Role::Function | Role::Module | Role::Decorator
            );
            if !ignored(at) && !idle {
                starts.insert(at, row(statement.start_position().row));
            }
        }
    }
    starts
}

/// What a text imports, by the last parts of names and paths.
pub(crate) struct Imports(HashSet<String>);

impl Imports {
    pub(crate) fn of(parsed: &Parsed) -> Self {
        let imports = parsed.imports();
        let names = imports.iter().flat_map(|i| i.split(['.', '/', ':', ',', '{', '}', ' ']));
        Self(names.map(str::to_owned).collect())
    }

    /// Whether the file at `path` is among them.
    pub(crate) fn include(&self, path: &Path) -> bool {
        let has = |name: &str| self.0.contains(name);
        let stem = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default();
        let parent = path.parent().and_then(Path::file_name).and_then(|n| n.to_str());
        // A package is imported by its folder's name.
        let package = matches!(stem, "__init__" | "mod" | "lib" | "index" | "main");
        has(stem) || package && parent.is_some_and(|p| has(p) || p == "src")
    }
}
