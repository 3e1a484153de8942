//! Work on a thread of its own, whose panics are failures.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use greenlit_protocol::engine::{EngineFailure, EngineFailureKind};
use tokio::sync::oneshot;

use crate::backend::failure;

/// Runs `work` on a fresh thread. It goes on to its end when the future is dropped.
pub(super) async fn on_fresh_thread<T: Send + 'static>(
    what: String,
    work: impl FnOnce() -> Result<T, EngineFailure> + Send + 'static,
) -> Result<T, EngineFailure> {
    let (done, result) = oneshot::channel();
    let told = what.clone();
    let body = move || {
        // Whatever the work leaves half done is dropped with it.
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            Err(failure(
                EngineFailureKind::Backend,
                format!("{told}: the inference library gave up: {}", words(&*panic)),
            ))
        });
        // Nobody may be waiting any more.
        drop(done.send(outcome));
    };
    std::thread::Builder::new().name("load".into()).spawn(body).map_err(|error| {
        failure(EngineFailureKind::Backend, format!("{what}: cannot start a thread: {error}"))
    })?;
    result.await.unwrap_or_else(|_| {
        Err(failure(
            EngineFailureKind::Backend,
            format!("{what}: the thread ended without a result"),
        ))
    })
}

/// What a panic says.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else {
        "a panic without words"
    }
}
