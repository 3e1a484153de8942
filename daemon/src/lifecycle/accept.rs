//! Taking connections.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Pause after an error that is not one connection's, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs `serve` for each connection until `stop`, then waits for those that are open. A connection
/// that panics ends alone; the panic hook has logged it.
pub(crate) async fn accept_all<S, A, T>(
    mut accept: impl FnMut() -> A,
    serve: impl Fn(S, u64) -> T,
    stop: CancellationToken,
) where
    A: Future<Output = io::Result<S>>,
    T: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut session = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => {}
            accepted = accept() => match accepted {
                Ok(stream) => {
                    session += 1;
                    connections.spawn(serve(stream, session));
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    tracing::warn!(%error, "connection rejected");
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    while connections.join_next().await.is_some() {}
}
