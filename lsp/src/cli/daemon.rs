//! Requests of commands to the daemon.

use std::future::Future;
use std::path::PathBuf;

use greenlit_client::{ConnectOptions, Connection, connect, current_session};
use greenlit_protocol::{BUILD_ID, Request, Response};

use super::failure::Failure;
use super::output;
use super::progress::Progress;

/// How commands connect; `name` is shown by `status`.
pub(crate) fn options(name: &str, roots: Vec<PathBuf>) -> ConnectOptions {
    ConnectOptions::new(current_session(format!("greenlit {name}"), roots, false))
}

/// Connects, starts a daemon if needed, and says when it is of another build.
pub(crate) async fn open(name: &str, roots: Vec<PathBuf>) -> Result<Connection, Failure> {
    let options = options(name, roots);
    let connection = interruptible(async { Ok(connect(&options).await?) }).await?;
    let build = &connection.welcome.build;
    if build != BUILD_ID {
        output::notice(format_args!(
            "note: greenlitd is build {build}, this is {BUILD_ID}; `greenlit restart` starts the \
             installed one"
        ));
    }
    Ok(connection)
}

/// Sends a request and shows its progress; Ctrl-C cancels it.
pub(crate) async fn ask(connection: &Connection, request: Request) -> Result<Response, Failure> {
    let progress = Progress::new();
    let answer = connection.client.request_with_progress(request, progress.sink());
    interruptible(async { Ok(answer.await?) }).await
}

/// Runs until Ctrl-C. What is dropped then is cancelled: a request in the daemon as well, at the
/// latest when this process's connection ends.
pub(crate) async fn interruptible<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        result = work => result,
        interrupt = tokio::signal::ctrl_c() => {
            interrupt.map_err(Failure::io("cannot handle Ctrl-C"))?;
            Err(Failure::interrupted())
        }
    }
}

/// For an answer of the wrong kind, which only a defect can send.
pub(crate) fn unexpected(response: &Response) -> Failure {
    Failure::new("internal", "greenlitd gave an answer to another question")
        .details(format!("{response:?}").chars().take(500).collect::<String>())
}
