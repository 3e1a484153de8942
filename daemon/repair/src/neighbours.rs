//! Files that may lend code to a repair: by what they are imported as and the names they share.

use std::collections::HashSet;

use greenlit_runner::Project;
use greenlit_syntax::{Language, Role, parse};

use crate::SourceFile;
use crate::locate::source;
use crate::project_files::code_files;
use crate::workbench::Workbench;

/// Files handed to the generator.
const KEPT: usize = 6;
/// Files read.
const READ: usize = 300;
/// What being imported is worth, in shared names.
const IMPORTED: usize = 30;

/// Every source file of the project that may lend code.
pub(crate) fn lenders(bench: &Workbench, project: &Project) -> Vec<SourceFile> {
    code_files(project, READ)
        .into_iter()
        .filter(|path| project.is_source_file(path) && !project.is_test_file(path))
        .filter_map(|path| source(bench, &path))
        .collect()
}

/// Those of `lenders` that are not among `files`, nearest first.
pub(crate) fn neighbours(lenders: &[SourceFile], files: &[SourceFile]) -> Vec<SourceFile> {
    let mut names = HashSet::new();
    let mut imports = HashSet::new();
    for file in files {
        let Some(language) = Language::from_path(&file.path) else { continue };
        let Ok(parsed) = parse(language, file.text.clone()) else { continue };
        imports.extend(parsed.imports());
        let identifier = |role| matches!(role, Role::Identifier | Role::MemberName);
        let nodes = parsed.descendants(parsed.root(), identifier);
        names.extend(nodes.into_iter().map(|node| parsed.text_of(node).to_owned()));
    }
    let mut near: Vec<(usize, &SourceFile)> = lenders
        .iter()
        .filter(|lender| files.iter().all(|file| file.path != lender.path))
        .filter_map(|lender| {
            let stem = lender.path.file_stem()?.to_str()?;
            let imported = imports.iter().any(|import| import.contains(stem));
            let own: HashSet<&str> = words(&lender.text).collect();
            let shared = own.iter().filter(|word| names.contains(**word)).count();
            Some((shared + if imported { IMPORTED } else { 0 }, lender))
        })
        .collect();
    near.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.path.cmp(&b.1.path)));
    near.into_iter()
        .filter(|(score, _)| *score > 0)
        .take(KEPT)
        .map(|(_, file)| file.clone())
        .collect()
}

/// Words that could be names. Three letters at least: shorter ones are shared by chance.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.len() > 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn what_is_imported_or_shares_names_is_near_and_the_file_itself_is_not() {
        let suspected = file(
            "/w/cart.py",
            "from money import total\n\ndef checkout(basket):\n    return total(basket)\n",
        );
        let lenders = [
            suspected.clone(),
            file("/w/alien.py", "x = 1\n"),
            file("/w/order.py", "def checkout(basket):\n    return 0\n"),
            file("/w/money.py", "def add(a, b):\n    return a + b\n"),
        ];
        let near = neighbours(&lenders, &[suspected]);
        let paths: Vec<_> = near.iter().map(|file| file.path.display().to_string()).collect();
        assert_eq!(paths, ["/w/money.py", "/w/order.py"]);
    }
}
