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

/// Source files of the project other than `files`, nearest first.
pub(crate) fn neighbours(
    bench: &Workbench,
    project: &Project,
    files: &[SourceFile],
) -> Vec<SourceFile> {
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
    let mut near: Vec<(usize, SourceFile)> = code_files(project, READ)
        .into_iter()
        .filter(|path| project.is_source_file(path) && !project.is_test_file(path))
        .filter(|path| files.iter().all(|file| file.path != *path))
        .filter_map(|path| {
            let file = source(bench, &path)?;
            let stem = path.file_stem()?.to_str()?;
            let imported = imports.iter().any(|import| import.contains(stem));
            let own: HashSet<&str> = words(&file.text).collect();
            let shared = own.iter().filter(|word| names.contains(**word)).count();
            Some((shared + if imported { IMPORTED } else { 0 }, file))
        })
        .collect();
    near.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.path.cmp(&b.1.path)));
    near.into_iter().filter(|(score, _)| *score > 0).take(KEPT).map(|(_, file)| file).collect()
}

/// Words that could be names. Three letters at least: shorter ones are shared by chance.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.len() > 2)
}
