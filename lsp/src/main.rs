//! `greenlit`: the language server that editors start, and the command line that people type.
//!
//! Thin on purpose: everything that takes memory or time lives in `greenlitd`. This program must
//! not know how tests run, how fixes are found, or any syntax tree.

mod cli;
mod server;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
