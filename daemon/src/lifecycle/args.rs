//! The daemon's own command line. People use `greenlit`; this is for clients, services and tests.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::models;

const IDLE_EXIT_ENV: &str = "GREENLIT_IDLE_EXIT";
const IDLE_EXIT_SECS: u64 = 30 * 60;

/// Greenlit's daemon: runs tests, looks for fixes and verifies them, for all of a user's editors.
#[derive(Debug, Clone, Parser)]
#[command(name = "greenlitd", version)]
pub(crate) struct Args {
    /// Stay in this terminal and log to standard error as well.
    #[arg(long, conflicts_with = "detached")]
    pub(crate) foreground: bool,

    /// Leave the session of whoever starts it, and say on standard output, once, whether it is
    /// ready. Clients start it so.
    #[arg(long, hide = true)]
    pub(crate) detached: bool,

    /// Exit after so many seconds without a session and without a running job; 0 means never.
    /// Default: the environment variable `GREENLIT_IDLE_EXIT`, else 1800.
    #[arg(long, value_name = "SECS")]
    idle_exit: Option<u64>,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the daemon starts itself for.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Loads a library, computes with it (a model, where one is named), says one line.
    #[command(name = models::PROBE, hide = true)]
    ProbeOnnxruntime {
        /// ONNX Runtime.
        library: PathBuf,
        /// `cpu` or `cuda`.
        device: String,
        /// The directory of a model.
        #[arg(requires = "usage")]
        model: Option<PathBuf>,
        /// How it is used, as JSON.
        usage: Option<String>,
    },
}

impl Args {
    /// How long to stay without a session; `None` means for ever.
    pub(crate) fn idle_exit(&self) -> anyhow::Result<Option<Duration>> {
        let secs = match (self.idle_exit, std::env::var(IDLE_EXIT_ENV)) {
            (Some(secs), _) => secs,
            (None, Ok(text)) if !text.is_empty() => text
                .parse()
                .with_context(|| format!("{IDLE_EXIT_ENV} is {text:?}, not a number of seconds"))?,
            _ => IDLE_EXIT_SECS,
        };
        Ok((secs > 0).then(|| Duration::from_secs(secs)))
    }
}
