//! `greenlit lsp`.

use super::failure::Failure;
use crate::server::{ServerOptions, serve_stdio};

/// Serves until the editor says goodbye, then leaves at once: a thread waits for more input.
pub(crate) async fn run() -> Result<u8, Failure> {
    let code = serve_stdio(ServerOptions { daemon: None, spawn: true }).await;
    std::process::exit(code.into());
}
