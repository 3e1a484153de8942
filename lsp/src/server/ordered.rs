//! Takes what must happen in order out of tower-lsp's hands.
//!
//! tower-lsp starts handlers in order and lets them finish in any order; edits applied after an
//! await then corrupt the text. Here document notifications are applied inside `call`, which sees
//! every message as it arrives, and requests are started there too.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{self, BoxFuture, FutureExt};
use serde::de::DeserializeOwned;
use tower::Service;
use tower_lsp::jsonrpc::{Request, Response};

use super::handlers;
use super::session::Session;
use super::stdio::Ending;

/// The service around tower-lsp's.
#[derive(Debug)]
pub(crate) struct Ordered<S> {
    inner: S,
    session: Arc<Session>,
    ending: Ending,
}

impl<S> Ordered<S> {
    pub(crate) fn new(inner: S, session: Arc<Session>, ending: Ending) -> Self {
        Self { inner, session, ending }
    }
}

impl<S> Service<Request> for Ordered<S>
where
    S: Service<Request, Response = Option<Response>>,
    S::Future: Future<Output = Result<Option<Response>, S::Error>> + Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Option<Response>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Option<Response>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let request = without_null(request);
        let session = &self.session;
        match request.method() {
            "textDocument/didOpen" => notified(&request, |p| handlers::did_open(session, p)),
            "textDocument/didChange" => notified(&request, |p| handlers::did_change(session, p)),
            "textDocument/didSave" => notified(&request, |p| handlers::did_save(session, p)),
            "textDocument/didClose" => notified(&request, |p| handlers::did_close(session, p)),
            "workspace/didChangeWorkspaceFolders" => {
                notified(&request, |p| handlers::did_change_workspace_folders(session, p));
            }
            "workspace/didChangeConfiguration" => {
                notified(&request, |p| handlers::did_change_configuration(session, p));
            }
            "window/workDoneProgress/cancel" => {
                notified(&request, |p| handlers::work_done_progress_cancel(session, p));
            }
            // The connection has to be there for the first document. Cancellations queued behind
            // slow requests would come too late.
            "initialized" | "$/cancelRequest" => {
                let _nothing_to_answer = self.inner.call(request).now_or_never();
            }
            "exit" => {
                let _cancels_what_runs = self.inner.call(request).now_or_never();
                self.ending.end();
            }
            method => {
                if method == "shutdown" {
                    self.ending.shut_down();
                }
                return eager(self.inner.call(request));
            }
        }
        future::ready(Ok(None)).boxed()
    }
}

/// Some editors write `"params": null` where a method takes none; tower-lsp takes only their absence.
fn without_null(request: Request) -> Request {
    if request.params() != Some(&serde_json::Value::Null) {
        return request;
    }
    let (method, id, _) = request.into_parts();
    let bare = Request::build(method);
    match id {
        Some(id) => bare.id(id),
        None => bare,
    }
    .finish()
}

/// Starts a handler at once instead of some time later. Those that wait for nothing are then done:
/// they answer for the documents as of their request, and `exit` does not cancel them.
fn eager<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, T> {
    let mut future = future.boxed();
    match (&mut future).now_or_never() {
        Some(output) => future::ready(output).boxed(),
        // Whoever polls it next is the one it wakes.
        None => future,
    }
}

/// Parses and handles a notification; one that makes no sense is logged and dropped.
fn notified<P: DeserializeOwned>(request: &Request, handle: impl FnOnce(P)) {
    let params = request.params().unwrap_or(&serde_json::Value::Null);
    match P::deserialize(params) {
        Ok(params) => handle(params),
        Err(error) => {
            tracing::warn!(method = request.method(), %error, "a notification is not valid");
        }
    }
}
