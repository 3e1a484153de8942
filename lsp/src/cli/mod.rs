//! The command line.
//!
//! Exit codes: 0 for yes, 1 for no (tests fail, no fix, nothing found, a check failed), 2 for
//! an error, 3 from `status` when no daemon runs, 130 when interrupted.
//!
//! Invariant: with `--json` standard output holds exactly one object, also for an error.
//! Invariant: progress and notices go to standard error, progress only to a terminal.

mod adapter;
mod apply;
mod args;
mod daemon;
mod doctor;
mod engine;
mod failure;
mod fix;
mod index;
mod logs;
mod lsp;
mod model;
mod output;
mod progress;
mod root;
mod search;
mod status;
mod stop;
mod test;
mod trace;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as Usage;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};
use failure::Failure;

/// Parses the arguments and runs the command.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, arguments.iter().any(|argument| argument == "--json")),
    };
    let json = cli.command.json();
    match run(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.exit)
        }
    }
}

/// Help and version are no errors; wrong usage is one, as an object where objects are expected.
fn usage(error: &clap::Error, json: bool) -> ExitCode {
    let asked = matches!(error.kind(), Usage::DisplayHelp | Usage::DisplayVersion);
    if json && !asked {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        Failure::usage(message).details(text.trim_end()).print(true);
    } else {
        // Standard output or error may be closed: then nobody reads it.
        let _printed = error.print();
    }
    ExitCode::from(if asked { 0 } else { failure::ERROR })
}

fn run(command: Command) -> Result<u8, Failure> {
    start_logging(if matches!(command, Command::Lsp(_)) { "warn,greenlit=info" } else { "off" })?;
    // One thread for everything: no handler of the server computes for long, and with more threads
    // each answer would wait for one to wake up, and the allocator would keep memory for each.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().map_err(Failure::io("cannot start"))?;
    runtime.block_on(async {
        match command {
            Command::Lsp(_) => lsp::run().await,
            Command::Fix(args) => fix::run(&args).await,
            Command::Test(args) => test::run(&args).await,
            Command::Search(args) => search::run(&args).await,
            Command::Index(args) => index::run(&args).await,
            Command::Model(args) => model::run(&args).await,
            Command::Adapter(args) => adapter::run(&args).await,
            Command::Trace(args) => trace::run(&args).await,
            Command::Status(args) => status::run(args).await,
            Command::Doctor(args) => doctor::run(&args).await,
            Command::Logs(args) => logs::run(&args).await,
            Command::Stop(args) => stop::run(&args).await,
            Command::Restart(args) => stop::restart(&args).await,
        }
    })
}

/// Logs to standard error, which editors show as the server's log.
fn start_logging(default: &str) -> Result<(), Failure> {
    let filter = match std::env::var("GREENLIT_LOG") {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(&text)
            .map_err(|error| Failure::usage(format!("GREENLIT_LOG is {text:?}: {error}")))?,
        _ => EnvFilter::new(default),
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
