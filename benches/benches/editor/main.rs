//! The thin server as an editor feels it, beside `ruff server` in the same run: how long it takes to
//! start, what a code action takes with many open documents, memory, and whether its answers fall
//! behind while somebody types.
//!
//! Greenlit's code actions come from its cache: each document has a verified fix. Ruff computes its own.
//! `cargo xtask bench editor -- --help` says what can be chosen.
#![expect(clippy::print_stdout, reason = "a benchmark reports")]

mod daemon;
mod measure;
mod project;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Parser;
use greenlit_benches::machine::Machine;
use greenlit_benches::options::Output;
use greenlit_benches::process;
use greenlit_benches::product::PROGRAM_ENV;
use serde::Serialize;

use crate::measure::{Measured, measure};
use crate::project::Project;

/// As in `tests/requirements.txt`.
const RUFF: &str = "ruff==0.17.6";

/// The thin server: start, code actions, memory, typing; beside `ruff server`.
#[derive(Debug, Parser)]
#[command(name = "editor")]
struct Args {
    /// Open documents
    #[arg(long, default_value_t = 200)]
    documents: usize,
    /// Starts
    #[arg(long, default_value_t = 20)]
    starts: usize,
    /// Code actions
    #[arg(long, default_value_t = 4000)]
    requests: usize,
    /// Changes per second while typing
    #[arg(long, default_value_t = 30)]
    rate: u32,
    /// How long to type
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// The program [default: the one that `cargo xtask bench` built]
    #[arg(long, value_name = "PATH")]
    greenlit: Option<PathBuf>,
    /// Where results and downloads lie.
    #[command(flatten)]
    output: Output,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    documents: usize,
    greenlit: Measured,
    ruff_version: String,
    ruff: Measured,
}

fn main() -> Result<()> {
    let args = Args::parse();
    greenlit_benches::enter()?;
    let program = args.greenlit.clone().or_else(|| std::env::var_os(PROGRAM_ENV).map(Into::into));
    let program = program.context("name the program with `--greenlit PATH`")?.canonicalize()?;
    let machine = Machine::probe(&program, None);
    println!("{}\n", machine.head());

    // Short: a socket's path is limited.
    let scratch = tempfile::Builder::new().prefix("gle").tempdir()?;
    let root = scratch.path().canonicalize()?;
    let project = Project::lay(&root.join("project"), args.documents);
    let arrivals = daemon::start(&root.join("run"), &project.root, project.findings())?;
    let command = || {
        let mut command = process::command(&program);
        command.arg("lsp").env("GREENLIT_RUNTIME_DIR", root.join("run"));
        command.env("GREENLIT_STATE_DIR", root.join("state"));
        command.env("GREENLIT_DATA_DIR", root.join("data"));
        command
    };
    let greenlit = measure("greenlit lsp", command, &project, Some(&arrivals), &args);
    println!("{greenlit}");

    let python = args.output.cache()?.python(&[RUFF.to_owned()])?;
    let ruff = python.with_file_name("ruff");
    let ruff_version = version(&ruff)?;
    let command = || {
        let mut command = process::command(&ruff);
        command.args(["server", "--isolated"]);
        command
    };
    let ruff = measure(&format!("ruff server ({ruff_version})"), command, &project, None, &args);
    println!("{ruff}");
    args.output.write(&Report { machine, documents: args.documents, greenlit, ruff_version, ruff })
}

fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
