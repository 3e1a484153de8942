//! Logs and panics.

use std::backtrace::Backtrace;
use std::io;
use std::path::Path;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::lifecycle::log_file::LogFile;

/// Overrides what is logged, in the syntax of `tracing_subscriber::EnvFilter`.
const FILTER_ENV: &str = "GREENLIT_LOG";

/// Starts logging to the file, and to standard error as well in the foreground.
pub(crate) fn start(path: &Path, foreground: bool) -> io::Result<()> {
    let filter = match std::env::var(FILTER_ENV) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        _ => EnvFilter::new("info"),
    };
    let file = LogFile::open(path)?;
    let builder = tracing_subscriber::fmt().with_ansi(false).with_env_filter(filter);
    if foreground {
        builder.with_writer(file.and(io::stderr)).init();
    } else {
        builder.with_writer(file).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::force_capture();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(thread, "{panic}\n{backtrace}");
    }));
    Ok(())
}
