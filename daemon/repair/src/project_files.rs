//! Which files of a project have code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use greenlit_runner::Project;
use greenlit_syntax::Language;

use crate::Localization;

/// Groups lines by file, in order of each file's most suspicious line.
pub(crate) fn files_by_suspicion(localization: &Localization) -> Vec<&Path> {
    let mut first = BTreeMap::new();
    for (index, line) in localization.lines.iter().enumerate() {
        first.entry(line.path.as_path()).or_insert(index);
    }
    let mut files: Vec<(&Path, usize)> = first.into_iter().collect();
    files.sort_by_key(|(_, index)| *index);
    files.into_iter().map(|(path, _)| path).collect()
}

/// Every file with code of a project, tests included, bounded.
pub(crate) fn code_files(project: &Project, limit: usize) -> Vec<PathBuf> {
    let walk = ignore::WalkBuilder::new(project.dir()).require_git(false).build();
    walk.filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .map(ignore::DirEntry::into_path)
        .filter(|path| is_code(project, path))
        .take(limit)
        .collect()
}

/// Whether a file has code of this project in a language that can be read.
pub(crate) fn is_code(project: &Project, path: &Path) -> bool {
    Language::from_path(path).is_some()
        && (project.is_source_file(path) || project.is_test_file(path))
}
