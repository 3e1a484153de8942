//! Which files count: git's ignore rules, with caches and virtual environments out in any case.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ignore::gitignore::Gitignore;
use ignore::{Match, WalkBuilder};

/// A walk over `root` that leaves out what git ignores and what no test reads as source.
///
/// Hidden files are in, version control directories out, symbolic links not followed.
pub(crate) fn walk(root: &Path) -> WalkBuilder {
    let mut builder = WalkBuilder::new(root);
    builder.hidden(false).ignore(false).require_git(false).follow_links(false).filter_entry(
        |entry| {
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            !(is_dir && entry.depth() > 0 && is_cache(entry.path())) && entry.file_name() != ".git"
        },
    );
    builder
}

/// Files that make the directory which holds them a cache.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", "pyvenv.cfg"];

/// Directories of tools, left out even where no `.gitignore` names them.
fn is_cache(dir: &Path) -> bool {
    const NAMES: [&str; 7] =
        [".git", ".hg", ".jj", ".svn", "__pycache__", "node_modules", ".ipynb_checkpoints"];
    dir.file_name().is_some_and(|name| NAMES.iter().any(|known| name == *known))
        || MARKS.iter().any(|mark| dir.join(mark).exists())
}

/// Answers for single paths what [`walk`] answers for a tree.
#[derive(Debug, Default)]
pub(crate) struct IgnoreRules {
    root: PathBuf,
    /// The checkout around the root, where rules start to count.
    top: PathBuf,
    by_dir: HashMap<PathBuf, Gitignore>,
}

impl IgnoreRules {
    pub(crate) fn new(root: &Path) -> Self {
        let top = root.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(root);
        Self { root: root.to_owned(), top: top.to_owned(), by_dir: HashMap::new() }
    }

    /// Forgets what was read, after a `.gitignore` changed.
    pub(crate) fn reload(&mut self) {
        self.by_dir.clear();
    }

    /// Whether a path under the root is left out, itself or by a directory above it.
    pub(crate) fn is_ignored(&mut self, path: &Path, is_dir: bool) -> bool {
        let Ok(relative) = path.strip_prefix(&self.root) else {
            return true;
        };
        let mut current = self.root.clone();
        let parts: Vec<_> = relative.components().collect();
        for (index, part) in parts.iter().enumerate() {
            current.push(part);
            let directory = is_dir || index + 1 < parts.len();
            if part.as_os_str() == ".git"
                || directory && is_cache(&current)
                || self.matches(&current, directory)
            {
                return true;
            }
        }
        false
    }

    /// Whether a change of this path can change what is left out: a `.gitignore`, or what makes a
    /// directory a cache that is left out for no other reason.
    pub(crate) fn is_rule(&mut self, path: &Path) -> bool {
        let (Some(name), Some(dir)) = (path.file_name(), path.parent()) else { return false };
        if name == ".gitignore" {
            return !self.is_ignored(path, false);
        }
        MARKS.iter().any(|mark| name == *mark)
            && dir != self.root
            && dir.parent().is_some_and(|above| !self.is_ignored(above, true))
            && !self.matches(dir, true)
    }

    /// The nearest `.gitignore` that says anything about the path decides.
    fn matches(&mut self, path: &Path, is_dir: bool) -> bool {
        for dir in path.ancestors().skip(1) {
            if !dir.starts_with(&self.top) {
                break;
            }
            let rules = self.by_dir.entry(dir.to_owned()).or_insert_with(|| {
                // A file that cannot be read or parsed gives the rules that could be.
                Gitignore::new(dir.join(".gitignore")).0
            });
            match rules.matched(path, is_dir) {
                Match::None => {}
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
            }
        }
        let exclude = self.by_dir.entry(self.top.join(".git/info/exclude")).or_insert_with(|| {
            let mut builder = ignore::gitignore::GitignoreBuilder::new(&self.top);
            builder.add(self.top.join(".git/info/exclude"));
            builder.build().unwrap_or_else(|_| Gitignore::empty())
        });
        exclude.matched(path, is_dir).is_ignore()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn single_paths_and_walks_agree() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let files = [
            (".gitignore", "*.log\n/build/\n!keep.log\n"),
            (".hidden/x", ""),
            ("a.log", ""),
            ("keep.log", ""),
            ("build/out", ""),
            ("src/build/in", ""),
            ("src/.gitignore", "*.tmp\n!a.log\n"),
            ("src/a.log", ""),
            ("src/a.tmp", ""),
            ("node_modules/m/index.js", ""),
            ("src/__pycache__/x.pyc", ""),
            ("out/CACHEDIR.TAG", ""),
            ("out/file", ""),
            ("env/pyvenv.cfg", ""),
            ("env/lib/x.py", ""),
            (".git/HEAD", ""),
            (".git/info/exclude", "secret\n"),
            ("src/secret", ""),
        ];
        for (path, text) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let walked: BTreeSet<PathBuf> = walk(root)
            .build()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| entry.path().strip_prefix(root).unwrap().to_owned())
            .collect();
        let expected =
            [".gitignore", ".hidden/x", "keep.log", "src/.gitignore", "src/a.log", "src/build/in"];
        assert_eq!(walked, expected.iter().map(PathBuf::from).collect());

        let mut rules = IgnoreRules::new(root);
        let single: BTreeSet<PathBuf> = files
            .iter()
            .map(|(path, _)| PathBuf::from(path))
            .filter(|path| !rules.is_ignored(&root.join(path), false))
            .collect();
        assert_eq!(single, walked);
    }
}
