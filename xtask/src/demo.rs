//! `cargo xtask demo`: a small broken project, mended before one's eyes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{built, cargo, root, run, say, step};

pub(crate) fn demo() -> Result<()> {
    step("building Greenlit (unoptimized; the first time takes some minutes)");
    run(cargo().args([
        "build",
        "--package",
        "greenlit",
        "--package",
        "greenlitd",
        "--package",
        "greenlit-sandbox",
    ]))?;
    let greenlit = built(true).join("greenlit");

    let scratch = tempfile::Builder::new().prefix("greenlit-demo-").tempdir()?;
    let project = scratch.path().canonicalize()?.join("shop");
    copy(&root().join("xtask/demo"), &project)?;
    step(&format!("a broken project in {}", project.display()));
    say(std::fs::read_to_string(project.join("src/lib.rs"))?);

    step("its own tests: one is red");
    let red = plain_tests(&project).status()?;
    if red.success() {
        bail!("the demo project's tests pass before the repair");
    }

    step("greenlit fix --apply");
    run(Command::new(&greenlit).args(["fix", "--apply", "--root"]).arg(&project))?;

    step("its own tests again: all green");
    run(&mut plain_tests(&project))?;

    step("the applied change");
    let original = root().join("xtask/demo/src/lib.rs");
    let patched = project.join("src/lib.rs");
    // `git diff --no-index` exits 1 when files differ: that is what is wanted here.
    Command::new("git")
        .args(["--no-pager", "diff", "--no-index", "--"])
        .args([original, patched])
        .status()
        .context("cannot start git")?;
    run(Command::new(&greenlit).arg("stop"))?;

    step("on your own project");
    say(format!(
        "  cargo xtask install          installs greenlit, greenlitd and greenlit-sandbox\n  \
           cargo xtask install --nvim   and the Neovim plugin: then `vim.lsp.enable('greenlit')`\n\n  \
           cd your-project\n  \
           greenlit doctor              checks this machine and the project\n  \
           greenlit fix                 shows verified fixes, --apply applies the best\n\n\
         Any editor that speaks LSP can start `greenlit lsp`. (Built: {})",
        greenlit.display()
    ));
    Ok(())
}

fn plain_tests(project: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.args(["test", "--offline", "--quiet"]).current_dir(project);
    command.env_remove("CARGO_TARGET_DIR");
    command
}

pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        // Left behind by somebody who ran cargo in the folder itself.
        if name == "target" || name == "Cargo.lock" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(name))?;
        } else {
            std::fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
