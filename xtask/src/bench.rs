//! `cargo xtask bench NAME`: builds the product, then measures it.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::debian::Program;
use crate::run::{built, cargo, run};

const RIPGREP: Program = Program {
    directory: "ripgrep",
    name: "rg",
    packages: &[&["ripgrep"]],
    release: None,
    launcher: "#!/bin/sh\nexec \"$(dirname \"$(readlink -f \"$0\")\")/tree/usr/bin/rg\" \"$@\"\n",
};

/// The benchmarks of `benches/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Bench {
    /// The thin server: start, code actions, memory, typing; beside `ruff server`
    Editor,
    /// From a save to the first verified fix; beside one candidate after the other in a worktree
    FirstFix,
    /// The index: saved files, branches, disk and memory; beside LanceDB
    Index,
    /// Faults injected into real packages: offered, right, located
    Injected,
    /// QuixBugs Python, half of the cases hidden
    Quixbugs,
    /// Whether search finds what is meant; beside ripgrep
    Retrieval,
    /// Nearest neighbours among many vectors; beside usearch and the exact scan
    Vectors,
}

pub(crate) fn bench(name: Bench, debug: bool, args: &[String]) -> Result<()> {
    let peer = match name {
        Bench::Retrieval if !args.iter().any(|arg| arg.starts_with("--ripgrep")) => {
            ripgrep()?.map(|path| [OsString::from("--ripgrep"), path.into()])
        }
        _ => None,
    };
    let peer = peer.into_iter().flatten();
    let profile = if debug { "dev" } else { "release" };
    let mut build = cargo();
    build.args(["build", "--bins", "--profile", profile]);
    // There the daemon is played by the benchmark.
    build.args(if name == Bench::Editor {
        ["--package", "greenlit"].as_slice()
    } else {
        &["--workspace"]
    });
    run(&mut build)?;
    let program = built(debug).join("greenlit").with_extension(std::env::consts::EXE_EXTENSION);
    let name = name.to_possible_value().expect("no benchmark is hidden");
    let mut bench = cargo();
    // `cargo bench` starts programs in their package's directory: paths are the caller's.
    bench.args(["bench", "--quiet", "--package", "greenlit-benches", "--profile", profile]);
    bench.args(["--bench", name.get_name(), "--"]).args(peer).args(args);
    bench.env("GREENLIT_BENCH_PROGRAM", program);
    bench.env("GREENLIT_BENCH_DIR", std::env::current_dir()?);
    run(&mut bench)
}

/// A ripgrep to measure beside; `None` where the machine's own is used, or there is none to be had.
fn ripgrep() -> Result<Option<PathBuf>> {
    if which::which("rg").is_ok() { Ok(None) } else { RIPGREP.unpacked() }
}
