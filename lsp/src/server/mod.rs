//! The language server behind `greenlit lsp`: one per editor session, thin, never waiting.
//!
//! It keeps the open documents, forwards every edit to the daemon, caches what the daemon finds
//! and answers the editor from that cache. It must not know how tests run or fixes are made.
//!
//! Invariant: documents, cancellations and `exit` are handled in the order they arrive, before
//! anything is awaited ([`ordered`]).
//! Invariant: no answer waits for the daemon, except to commands that ask it something.
//! Invariant: nothing is shown or offered for a text other than the one it was computed from.
//! Invariant: the lock of [`state::State`] is never held across an await, nor while calling the
//! daemon.

mod backend;
mod consent;
mod daemon;
mod documents;
mod evidence;
mod file_text;
mod findings;
mod from_proto;
mod handlers;
mod ordered;
mod outgoing;
mod position;
mod progress;
mod roots;
mod seen;
mod session;
mod settings;
mod state;
mod stdio;
mod test_results;
#[cfg(test)]
mod tests;
mod to_proto;

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tower_lsp::{LspService, Server};

use self::backend::Backend;
use self::daemon::Connector;
use self::ordered::Ordered;
use self::session::Session;
use self::stdio::{Ending, UntilExit};

/// Requests handled at once. With few, slow ones would stop edits and cancellations from being
/// read.
const CONCURRENCY: usize = 64;
/// How long answers may take to leave once the editor has said goodbye.
const GRACE: Duration = Duration::from_secs(1);

/// How to serve.
#[derive(Debug, Clone)]
pub(crate) struct ServerOptions {
    /// The daemon's program; `None` searches for it.
    pub(crate) daemon: Option<PathBuf>,
    /// Start a daemon when none runs.
    pub(crate) spawn: bool,
}

/// Serves the editor on standard input and output until it says `exit` or closes the input; gives
/// the process's exit code, as the protocol wants it.
///
/// The caller leaves with [`std::process::exit`]: a thread of the runtime keeps waiting for input.
pub(crate) async fn serve_stdio(options: ServerOptions) -> u8 {
    let connector = daemon::link_connector(options);
    serve(tokio::io::stdin(), tokio::io::stdout(), connector).await
}

async fn serve<I, O>(input: I, output: O, connector: Connector) -> u8
where
    I: AsyncRead + Unpin,
    O: AsyncWrite,
{
    let ending = Ending::default();
    let (service, socket) =
        LspService::build(|client| Backend::new(Session::start(client, connector)))
            .custom_method("greenlit/search", Backend::search)
            .custom_method("greenlit/tests", Backend::tests)
            .custom_method("greenlit/runTests", Backend::run_tests)
            .custom_method("greenlit/fixes", Backend::fixes)
            .custom_method("greenlit/evidence", Backend::evidence)
            .finish();
    let session = service.inner().session();
    let served = Server::new(UntilExit::new(input, ending.clone()), output, socket)
        .concurrency_level(CONCURRENCY)
        .serve(Ordered::new(service, session.clone(), ending.clone()));
    tokio::select! {
        () = served => {}
        () = async { ending.wait().await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("answers were still waiting to be read when the session ended");
        }
    }
    session.disconnect();
    if ending.was_shut_down() { 0 } else { 1 }
}
