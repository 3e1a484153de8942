//! A workspace with an index.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use greenlit_index::{Answer, Index, Query};
use greenlit_workspace::{Change, Changed, Overlays, View};

/// Longer than anything takes that is going to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Workspace {
    dir: tempfile::TempDir,
}

impl Workspace {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let workspace = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(workspace.root()).unwrap();
        files.iter().for_each(|(path, text)| workspace.write(path, text));
        workspace
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("root")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        let output = Command::new("git")
            .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
            .args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(self.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn open(&self) -> Index {
        open(&self.root(), Some(&self.store()))
    }

    pub(crate) fn view(&self) -> View {
        View::of_disk(self.root())
    }

    /// As a session sees it that has one file open with another text.
    pub(crate) fn edited(&self, path: &str, text: &str) -> View {
        let mut overlays = Overlays::default();
        overlays.open(1, self.root().join(path), 1, Some(text));
        overlays.view(1, &self.root())
    }

    /// What a watcher tells.
    pub(crate) fn change(&self, paths: &[&str], git_head: bool) -> Change {
        let paths = paths.iter().map(|path| self.root().join(path)).collect();
        Change { root: self.root(), paths: Changed::Paths(paths), git_head }
    }
}

pub(crate) fn open(root: &Path, store: Option<&Path>) -> Index {
    let index = Index::open(root, store, None, |_| {}).unwrap();
    assert!(index.settle(PATIENCE), "{:?}", index.status());
    index
}

pub(crate) fn search(index: &Index, view: &View, text: &str) -> Answer {
    let query = Query { text: text.to_owned(), k: 10, ..Query::default() };
    index.search(&query, view, PATIENCE).unwrap()
}

/// Paths of the hits whose text holds every word of the question.
pub(crate) fn found(index: &Index, view: &View, text: &str) -> Vec<String> {
    let hits = search(index, view, text).hits;
    let whole = hits.iter().filter(|hit| text.split(' ').all(|word| hit.text.contains(word)));
    let mut paths: Vec<String> = whole.map(|hit| hit.path.clone()).collect();
    paths.sort();
    paths.dedup();
    paths
}
