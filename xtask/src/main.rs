//! Tasks of this repository: `cargo xtask demo`, `cargo xtask test`, ….

mod bench;
#[cfg(unix)]
mod debian;
mod demo;
#[cfg(unix)]
mod emacs;
mod embedding;
mod engine;
mod fuzz;
mod install;
#[cfg(unix)]
mod neovim;
mod package;
mod run;
mod test;
mod tools;
mod vscode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Greenlit repository")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build Greenlit and show it mend a small broken project.
    Demo,
    /// Install what the tests need into `.tools/`, then check and test everything.
    Test,
    /// Install ONNX Runtime and an embedding model into `.tools/` and say where they are.
    Embedding,
    /// Build the process that runs language models and install it beside the others; takes a while.
    Engine {
        /// For NVIDIA devices; needs nvcc, and `CUDA_COMPUTE_CAP` where there is no device
        #[arg(long)]
        cuda: bool,
    },
    /// Install the binaries into cargo's bin directory, and editor plugins.
    Install {
        /// Build and install the process that runs language models too, for the CPU.
        #[arg(long)]
        engine: bool,
        /// Copy the Neovim plugin into Neovim's package directory.
        #[arg(long)]
        nvim: bool,
        /// Build the extension for VS Code and install it with `code`.
        #[arg(long)]
        vscode: bool,
    },
    /// Make the extension for VS Code, without the programs and with those for this platform, and the
    /// archive of the Neovim plugin, in `target/package`.
    Package {
        /// Pack debug builds
        #[arg(long)]
        debug: bool,
    },
    /// Let libFuzzer look for inputs that break a parser: `frames`, `replies`, `chunks`, `candidates` or
    /// `reports`. Not on Windows.
    Fuzz {
        /// Which
        target: String,
        /// For how long
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Build Greenlit and run a benchmark; ARGS go to it, `-- --help` says which there are.
    Bench {
        /// Which
        #[arg(value_enum)]
        name: bench::Bench,
        /// Measure a debug build: quick to make, slow to run
        #[arg(long)]
        debug: bool,
        /// What the benchmark is told
        #[arg(last = true)]
        args: Vec<String>,
    },
}

fn main() -> Result<()> {
    match Args::parse().task {
        Task::Demo => demo::demo(),
        Task::Test => test::test(),
        Task::Embedding => embedding::show(),
        Task::Engine { cuda } => engine::engine(cuda),
        Task::Install { engine, nvim, vscode } => install::install(engine, nvim, vscode),
        Task::Package { debug } => package::package(debug),
        Task::Fuzz { target, seconds } => fuzz::fuzz(&target, seconds),
        Task::Bench { name, debug, args } => bench::bench(name, debug, &args),
    }
}
