//! `greenlit-engine`: language models in a process of their own, which the daemon starts.
//!
//! It speaks over its standard input and output. So there is no address that another user or process
//! could connect to, no file to guard or to clean up, and when the daemon dies the pipe closes and the
//! engine ends. Whatever libraries print goes to standard error.
//!
//! Only this crate knows mistralrs. What it does is in [`mistral`]; requests, files, memory and
//! adapters are the business of `greenlit-serving`.

mod cpu;
mod mistral;
mod pipes;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

/// The daemon's own variable.
const FILTER_ENV: &str = "GREENLIT_LOG";

fn main() -> ExitCode {
    // Before anything else: the rest may consist of instructions that this processor does not know.
    let missing = cpu::missing();
    if !missing.is_empty() {
        complain(&format!(
            "this build of greenlit-engine needs a processor with {}; this one has no {}. Do without a \
             local model on this machine",
            cpu::NEEDED,
            missing.join(", ")
        ));
        return ExitCode::from(3);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[inline(never)]
fn run() -> Result<()> {
    let output = pipes::take().context("cannot take standard output")?;
    let filter = match std::env::var(FILTER_ENV) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text)?,
        _ => EnvFilter::new("warn,greenlit_engine=info,greenlit_serving=info"),
    };
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let backend = Arc::new(mistral::Mistral::start()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        greenlit_serving::serve(backend, cpu::compiled(), tokio::io::stdin(), pipes::writer(output))
            .await
    });
    // A thread still waits for standard input.
    runtime.shutdown_background();
    Ok(served?)
}

#[expect(clippy::print_stderr, reason = "there is nobody else to tell")]
fn complain(text: &str) {
    eprintln!("greenlit-engine: {text}");
}
