//! `cargo xtask test`: everything that must hold before a change lands.

use std::process::Command;

use anyhow::{Result, bail};

use crate::package;
use crate::run::{built, cargo, output, root, run, say, step};
use crate::tools;
use crate::vscode;
use crate::{embedding, engine};

/// Nothing is built twice in a fresh clone: there, what incremental builds keep would only fill the disk. Not by a
/// variable, which tests of cargo would see.
fn lean() -> &'static [&'static str] {
    match std::env::var_os("CI") {
        Some(_) => &["--config", "profile.dev.incremental=false"],
        None => &[],
    }
}

/// Crates that the thin server must never pull in.
const HEAVY: [&str; 6] = ["mistralrs", "fastembed", "hnsw_rs", "redb", "tantivy", "tree-sitter"];

pub(crate) fn test() -> Result<()> {
    let mut not_run = Vec::new();

    step("format");
    run(cargo().args(["fmt", "--all", "--check"]))?;

    step("tools");
    let nextest = tools::nextest()?;
    let deny = tools::deny()?;
    let python = tools::python()?;
    let embedding = embedding::install()?;
    let node = tools::node();
    let typescript = if node.is_some() { tools::typescript()? } else { None };
    #[cfg(unix)]
    let (emacs, oldest_nvim) = (crate::emacs::emacs()?, crate::neovim::oldest()?);
    #[cfg(not(unix))]
    let (emacs, oldest_nvim) = (None::<std::path::PathBuf>, None::<std::path::PathBuf>);

    let npm = which::which("npm").ok().filter(|_| node.is_some());
    let workbench = match &npm {
        Some(npm) => vscode::workbench(npm)?,
        None => None,
    };

    step("licences, bans and sources");
    run(Command::new(deny).current_dir(root()).args([
        "deny",
        "--all-features",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))?;

    step("the thin server stays thin");
    thin()?;

    step("lints");
    run(cargo()
        .args(["clippy", "--workspace", "--exclude", "greenlit-engine", "--all-targets"])
        .args(lean())
        .args(["--", "-D", "warnings"]))?;
    run(cargo()
        .args(["doc", "--workspace", "--exclude", "greenlit-engine", "--no-deps"])
        .args(lean())
        .env("RUSTDOCFLAGS", "-D warnings"))?;

    if let Some(npm) = &npm {
        step("the extension for VS Code");
        vscode::build(npm)?;
        vscode::check(npm)?;
    } else {
        not_run.push("checks of the VS Code extension: there is no npm, or no node");
    }

    step("tests");
    run(cargo()
        .args(["build", "--workspace", "--exclude", "greenlit-engine", "--bins"])
        .args(lean()))?;
    if workbench.is_some() {
        vscode::package_with(&built(true), &package::directory()?)?;
    }
    let mut tests = Command::new(&nextest);
    tests.current_dir(root()).args([
        "nextest",
        "run",
        "--workspace",
        "--exclude",
        "greenlit-engine",
        "--no-fail-fast",
    ]);
    tests.args(lean());
    let mut without = Vec::new();
    match &python {
        Some(python) => {
            tests.env("GREENLIT_TEST_PYTHON", python);
            tests.env("GREENLIT_TEST_NVIM", tools::nvim(python)?);
            tests.env("GREENLIT_TEST_GO", tools::go(python)?);
        }
        None => {
            not_run.push("tests with Python, ruff, Neovim and Go: there is no python3");
            // Tests of cargo have the same letters in their names.
            without.push(r"test(python) | test(pytest) | test(nvim) | test(ruff) | test(/\bgo_/)");
        }
    }
    match &embedding {
        Some(embedding) => {
            tests.env("GREENLIT_TEST_ONNXRUNTIME", &embedding.runtime);
            tests.env("GREENLIT_TEST_MODELS", &embedding.models);
        }
        None => {
            not_run.push(
                "tests with ONNX Runtime: there is no python3 from 3.11 on, or no build for this system",
            );
            without.push("test(onnx)");
        }
    }
    if node.is_none() {
        not_run.push("tests with Node.js: there is no node of version 20 or newer");
        without.push("test(node)");
    }
    match &typescript {
        Some(package) => {
            tests.env("GREENLIT_TEST_TYPESCRIPT", package);
        }
        None => {
            not_run.push("tests with tsc: there is no npm, or no node of version 20 or newer");
            without.push("test(tsc)");
        }
    }
    match &emacs {
        Some(emacs) => {
            tests.env("GREENLIT_TEST_EMACS", emacs);
        }
        None => {
            not_run.push(
                "the test with Emacs: there is none with eglot, and no apt-get to take it from",
            );
            without.push("test(emacs)");
        }
    }
    match &oldest_nvim {
        Some(nvim) => {
            tests.env("GREENLIT_TEST_OLDEST_NVIM", nvim);
        }
        None => {
            not_run.push("tests with Neovim 0.10: Debian's is not to be had");
            without.push("test(oldest_nvim)");
        }
    }
    match workbench.filter(|_| python.is_some()) {
        Some(workbench) => {
            tests.env("GREENLIT_TEST_VSCODE", workbench.node);
            tests.env("GREENLIT_TEST_CHROMIUM", workbench.chromium);
        }
        None => {
            not_run.push("tests in VS Code: they need Linux on x86-64, python3, npm and node");
            without.push("test(vscode)");
        }
    }
    if !without.is_empty() {
        tests.args(["-E", &format!("not ({})", without.join(" | "))]);
    }
    run(&mut tests)?;

    step("the engine, with real inference");
    engine::test(&nextest)?;

    step("result");
    say(
        "not part of this run: `cargo deny check advisories` (needs the advisory database from the network)",
    );
    for what in &not_run {
        say(format!("NOT RUN: {what}"));
    }
    if !not_run.is_empty() && std::env::var_os("CI").is_some() {
        bail!("in CI everything must run");
    }
    say("all green");
    Ok(())
}

/// The thin server starts in milliseconds and survives everything else: it links none of it.
fn thin() -> Result<()> {
    let tree = output(cargo().args([
        "tree",
        "--package",
        "greenlit",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ]));
    let Some(tree) = tree else { bail!("cargo tree failed") };
    let heavy = tree.lines().find(|line| HEAVY.iter().any(|name| line.starts_with(name)));
    match heavy {
        Some(line) => bail!("the thin server depends on {line}"),
        None => Ok(()),
    }
}
