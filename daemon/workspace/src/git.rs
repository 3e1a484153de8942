//! The branch of a checkout, read from git's own files: no `git` process, no repository lock.

use std::fs;
use std::path::{Path, PathBuf};

/// What `HEAD` points to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Head {
    /// On a branch (`refs/heads/` removed), which may have no commit yet.
    Branch(String),
    /// Not on a branch: the first seven digits of the commit.
    Detached(String),
}

impl Head {
    /// For people: the branch or the short commit.
    pub fn name(&self) -> &str {
        match self {
            Self::Branch(name) | Self::Detached(name) => name,
        }
    }
}

/// The head of the checkout that holds `root`. `None` outside git, and where `HEAD` says neither
/// branch nor commit.
pub fn git_branch(root: &Path) -> Option<Head> {
    let head = fs::read_to_string(git_dir(root)?.join("HEAD")).ok()?;
    let head = head.trim();
    if let Some(target) = head.strip_prefix("ref:") {
        let target = target.trim();
        let branch = target.strip_prefix("refs/heads/").unwrap_or(target);
        // With the reftable format `HEAD` is a stub; the truth is in a binary file.
        return (!branch.is_empty() && branch != ".invalid")
            .then(|| Head::Branch(branch.to_owned()));
    }
    let hexadecimal = head.len() >= 40 && head.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| Head::Detached(head[..7].to_owned()))
}

/// The directory that holds `HEAD` for the checkout around `root`: `.git`, or what a `.git` file
/// (worktree, submodule) points to.
pub fn git_dir(root: &Path) -> Option<PathBuf> {
    let dot_git = root.ancestors().map(|dir| dir.join(".git")).find(|path| path.exists())?;
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let text = fs::read_to_string(&dot_git).ok()?;
    let target = text.trim().strip_prefix("gitdir:")?.trim();
    Some(dot_git.parent()?.join(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn branches_detached_heads_and_neither() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("a/b");
        fs::create_dir_all(&root).unwrap();
        let head = dir.path().join("a/.git/HEAD");

        write(head.clone(), "ref: refs/heads/feature/x\n");
        assert_eq!(git_branch(&root), Some(Head::Branch("feature/x".into())));
        write(head.clone(), "0123456789abcdef0123456789abcdef01234567\n");
        assert_eq!(git_branch(&root), Some(Head::Detached("0123456".into())));
        write(head.clone(), "ref: refs/heads/.invalid\n");
        assert_eq!(git_branch(&root), None);
        write(head, "garbage é");
        assert_eq!(git_branch(&root), None);
    }

    #[test]
    fn a_worktree_has_its_own_head() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("tree");
        write(root.join(".git"), "gitdir: ../main/.git/worktrees/tree\n");
        write(dir.path().join("main/.git/worktrees/tree/HEAD"), "ref: refs/heads/side\n");
        write(dir.path().join("main/.git/HEAD"), "ref: refs/heads/main\n");
        assert_eq!(git_branch(&root), Some(Head::Branch("side".into())));
    }

    #[test]
    fn a_broken_git_file_is_no_repository() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join(".git"), "nonsense");
        assert_eq!(git_branch(dir.path()), None);
    }
}
