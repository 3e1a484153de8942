//! What nobody uses leaves the memory.

use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::engine::Inner;
use crate::state::State;

/// What is to be done now, or when to look again.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Unload(String),
    End,
    At(Instant),
    Never,
}

/// Watches until the engine's owner is gone.
pub(crate) async fn watch(inner: Weak<Inner>, mut changes: watch::Receiver<State>, idle: Duration) {
    loop {
        let next = next(&changes.borrow_and_update(), idle, Instant::now());
        match next {
            Next::Unload(model) => {
                let Some(inner) = inner.upgrade() else { return };
                tracing::info!(model, "a model that nobody uses leaves the memory");
                if let Err(error) = inner.unload(&model).await {
                    tracing::debug!(%error, model, "it was gone already");
                }
            }
            Next::End => {
                let Some(inner) = inner.upgrade() else { return };
                tracing::info!("nobody uses the engine");
                inner.shutdown().await;
            }
            Next::At(due) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    changed = changes.changed() => if changed.is_err() { return },
                }
            }
            Next::Never => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn next(state: &State, idle: Duration, now: Instant) -> Next {
    if state.running.is_none() || state.waiting > 0 {
        return Next::Never;
    }
    if state.models.is_empty() {
        let due = state.touched + idle;
        return if due <= now { Next::End } else { Next::At(due) };
    }
    let unused = state.models.iter().filter(|(_, model)| model.active == 0);
    match unused.min_by_key(|(_, model)| model.used) {
        None => Next::Never,
        Some((name, model)) if model.used + idle <= now => Next::Unload(name.clone()),
        Some((_, model)) => Next::At(model.used + idle),
    }
}
