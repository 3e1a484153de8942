//! Which modules of a checkout are tested, from `go.mod` and `go.work`. Go is not run.

use std::path::{Path, PathBuf};

use crate::detect::configuration;
use crate::scope::normalize;

/// The modules' directories, or the directory of one and why it cannot be tested. Inside a workspace Go refuses
/// a module that the workspace does not name.
pub(crate) fn modules(
    go_mods: &[PathBuf],
    go_works: &[PathBuf],
) -> Vec<Result<PathBuf, (PathBuf, String)>> {
    let workspaces: Vec<(&Path, Vec<PathBuf>)> =
        go_works.iter().filter_map(|work| Some((work.parent()?, used(work)))).collect();
    go_mods
        .iter()
        .filter_map(|go_mod| go_mod.parent())
        .map(|dir| {
            let nearest = workspaces
                .iter()
                .filter(|(outer, _)| dir.starts_with(outer))
                .max_by_key(|(outer, _)| outer.components().count());
            match nearest {
                Some((outer, used)) if !used.iter().any(|named| named == dir) => {
                    let work = outer.join("go.work");
                    let message = format!(
                        "{} does not name this module; to add it: go work use {}",
                        work.display(),
                        dir.display()
                    );
                    Err((dir.to_owned(), message))
                }
                _ => Ok(dir.to_owned()),
            }
        })
        .collect()
}

/// The directories that a `go.work` names.
fn used(work: &Path) -> Vec<PathBuf> {
    let dir = work.parent().unwrap_or(Path::new("/"));
    let mut used = Vec::new();
    let mut block = None;
    for line in configuration(work).lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let (directive, rest) = match block {
            Some(_) if line == ")" => {
                block = None;
                continue;
            }
            Some(directive) => (directive, line),
            None => {
                let (directive, rest) = line.split_once([' ', '\t', '(']).unwrap_or((line, ""));
                if line.ends_with('(') {
                    block = Some(if directive == "use" { "use" } else { "" });
                    continue;
                }
                (if directive == "use" { "use" } else { "" }, rest.trim())
            }
        };
        if directive == "use" && !rest.is_empty() {
            used.push(normalize(&dir.join(rest.trim_matches(['"', '`']))));
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_workspace_names_its_modules() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let work = root.join("go.work");
        let text = "go 1.21\n\nuse ./one // first\nuse (\n\t\"./two\"\n\t./deep/three\n)\n\nreplace (\n\texample.com/x => ./four\n)\n";
        fs::write(&work, text).unwrap();
        let mods = ["one", "two", "deep/three", "four"].map(|d| root.join(d).join("go.mod"));
        let found = modules(&mods, std::slice::from_ref(&work));
        let names: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(names, [true, true, true, false]);
        let (dir, message) = found[3].as_ref().unwrap_err();
        assert_eq!(*dir, root.join("four"));
        assert!(message.contains("go work use"), "{message}");
        assert!(modules(&mods, &[]).iter().all(Result::is_ok));
    }
}
