//! A workspace in a repository, and changes of it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use greenlit_benches::process;
use greenlit_index::{Dense, Index};
use greenlit_workspace::View;

use crate::PATIENCE;
use crate::corpus::Corpus;

/// Below its home: `root`, the checkout, and `index`, what is stored.
pub(crate) struct Workspace {
    pub(crate) home: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) files: Vec<PathBuf>,
    bytes: u64,
}

impl Workspace {
    /// Copies files for about so many chunks, and commits them.
    pub(crate) fn lay(home: &Path, corpus: &mut Corpus, chunks: usize) -> Result<Self> {
        fs::create_dir_all(home.join("root"))?;
        let home = home.canonicalize()?;
        let root = home.join("root");
        let mut workspace = Self { home, root, files: Vec::new(), bytes: 0 };
        for source in corpus.take(chunks)? {
            let file = workspace.root.join(source.place);
            fs::create_dir_all(file.parent().context("a file has a directory")?)?;
            workspace.bytes += fs::copy(&source.file, &file)
                .with_context(|| format!("cannot copy {}", source.file.display()))?;
            workspace.files.push(file);
        }
        workspace.git(&["init", "-q"])?;
        workspace.git(&["add", "--all"])?;
        workspace.git(&["commit", "-qm", "all"])?;
        Ok(workspace)
    }

    pub(crate) fn described(&self) -> String {
        format!("{} files, {:.1} MB of text", self.files.len(), self.bytes as f64 / 1e6)
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> Result<()> {
        let mut command = process::command("git");
        command.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "gc.auto=0"]);
        command.args(["-c", "init.defaultBranch=main", "-c", "core.autocrlf=false"]);
        command.args(arguments).current_dir(&self.root).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let finished = process::run(&mut command, PATIENCE)?;
        if !finished.success() {
            bail!("git {arguments:?} failed: {}", finished.tail());
        }
        Ok(())
    }

    /// A new comment in the middle of a file.
    pub(crate) fn edit(&self, file: &Path, what: &str) -> Result<()> {
        let bytes = fs::read(file)?;
        let python = file.extension().is_some_and(|extension| extension == "py");
        let mark = if python { "#" } else { "//" };
        let half = bytes.len() / 2;
        let line = bytes[half..].iter().position(|byte| *byte == b'\n');
        let at = line.map_or(bytes.len(), |line| half + line + 1);
        let comment = format!("{mark} {what}\n");
        Ok(fs::write(file, [&bytes[..at], comment.as_bytes(), &bytes[at..]].concat())?)
    }

    pub(crate) fn open(&self, dense: Option<&Dense>) -> Result<Index> {
        open(&self.home, dense)
    }

    pub(crate) fn view(&self) -> View {
        View::of_disk(self.root.clone())
    }
}

/// The index of a workspace, up to date but for vectors.
pub(crate) fn open(home: &Path, dense: Option<&Dense>) -> Result<Index> {
    let root = home.join("root").canonicalize()?;
    let index = Index::open(&root, Some(&home.join("index")), dense, |_| {})?;
    settle(&index)?;
    Ok(index)
}

/// Waits until everything that was told is in.
pub(crate) fn settle(index: &Index) -> Result<()> {
    if !index.settle(PATIENCE) {
        bail!("the index is not up to date: {:?}", index.status());
    }
    Ok(())
}
