//! The process: its start, its watch and its end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use greenlit_protocol::engine::EngineRequest;
use greenlit_serving::{CallError, Client, ConnectError};
use tokio_util::sync::CancellationToken;

use super::Inner;
use crate::end::{End, Seen, memory_kills};
use crate::error::EngineError;
use crate::launch::{Launched, last_line, launch};
use crate::state::{MOST_CRASHES, Running};

/// So long an engine may take until it says who it is.
const GREETING: Duration = Duration::from_secs(30);
/// So long it may take to end when it was asked to.
const FAREWELL: Duration = Duration::from_secs(20);

impl Inner {
    /// The process, started if there is none.
    pub(super) async fn running(self: &Arc<Self>) -> Result<Arc<Running>, EngineError> {
        let _turn = self.turn.lock().await;
        let now = self.state.borrow().running.clone();
        if let Some(running) = now {
            if !running.client.is_gone() && !running.ends.load(Ordering::SeqCst) {
                return Ok(running);
            }
            self.gone(&running).await;
        }
        if let Some(error) = self.given_up() {
            return Err(error);
        }
        let program = self.options.program.find()?;
        self.state.send_modify(|state| state.starting = true);
        let started = self.start(program).await;
        self.state.send_modify(|state| state.starting = false);
        started
    }

    fn given_up(&self) -> Option<EngineError> {
        let state = self.state.borrow();
        let last = state.end.as_ref().map(|end| end.words.clone()).unwrap_or_default();
        (state.crashes >= MOST_CRASHES).then(|| EngineError::GivenUp {
            crashes: state.crashes,
            last,
            log: self.options.log.clone(),
        })
    }

    async fn start(self: &Arc<Self>, program: PathBuf) -> Result<Arc<Running>, EngineError> {
        let kills = memory_kills();
        let Launched { mut child, stdin, stdout, log_from } = launch(&program, &self.options.log)?;
        let greeted = tokio::time::timeout(GREETING, Client::connect(stdout, stdin)).await;
        let client = match greeted {
            Ok(Ok(client)) => client,
            failed => {
                // One that closed its pipe is about to end by itself, and its code says why.
                if !matches!(failed, Ok(Err(ConnectError::Silent)))
                    || tokio::time::timeout(FAREWELL, child.wait()).await.is_err()
                {
                    let _already_gone = child.start_kill();
                }
                let mut end = self.end(child.wait().await, log_from, kills);
                match failed {
                    Ok(Err(error @ ConnectError::Version { .. })) => {
                        end.words = error.to_string();
                        end.lasting = true;
                    }
                    Err(_) => {
                        end.words = format!(
                            "the engine did not say who it is within {} s",
                            GREETING.as_secs()
                        );
                    }
                    _ => {}
                }
                let (why, lasting) = (end.words.clone(), end.lasting);
                self.state.send_modify(|state| state.ended(Some(end)));
                tracing::error!(why, "the engine does not start");
                return Err(match lasting {
                    true => EngineError::Unusable(why),
                    false => EngineError::Ended { why, log: self.options.log.clone() },
                });
            }
        };
        let running = Arc::new(Running {
            pid: child.id(),
            client,
            program,
            kill: CancellationToken::new(),
            ends: AtomicBool::new(false),
        });
        let hello = running.client.hello();
        tracing::info!(
            pid = running.pid,
            backend = hello.backend,
            device = hello.device,
            "the engine runs"
        );
        self.state.send_modify(|state| state.running = Some(Arc::clone(&running)));
        let (inner, watched) = (Arc::clone(self), Arc::clone(&running));
        self.handle.spawn(async move {
            let patience = inner.options.health;
            let mut silent = false;
            tokio::select! {
                // How it went is asked below.
                _ = child.wait() => {}
                () = watched.kill.cancelled() => {}
                () = silence(&watched, patience) => silent = true,
            }
            let _already_gone = child.start_kill();
            let status = child.wait().await;
            let wanted = watched.ends.load(Ordering::SeqCst);
            let mut end = (!wanted).then(|| inner.end(status, log_from, kills));
            if let Some(end) = end.as_mut().filter(|_| silent) {
                end.words = format!("the engine did not answer for {patience:?} and was ended");
            }
            match &end {
                Some(end) => tracing::error!(why = end.words, "the engine ended"),
                None => tracing::info!("the engine ended, as it was asked to"),
            }
            inner.state.send_modify(|state| state.ended(end));
        });
        Ok(running)
    }

    fn end(
        &self,
        status: std::io::Result<std::process::ExitStatus>,
        log_from: u64,
        kills: Option<u64>,
    ) -> End {
        let last_line = last_line(&self.options.log, log_from);
        match status {
            Ok(status) => End::of(&Seen {
                status,
                last_line: last_line.as_deref(),
                system_was_short: kills.zip(memory_kills()).is_some_and(|(then, now)| now > then),
            }),
            Err(error) => End {
                words: format!("how the engine ended is not known: {error}"),
                out_of_memory: false,
                lasting: false,
            },
        }
    }

    pub(crate) async fn shutdown(&self) {
        let running = self.state.borrow().running.clone();
        let Some(running) = running else { return };
        running.ends.store(true, Ordering::SeqCst);
        let asked = running.client.ask(EngineRequest::Shutdown);
        if tokio::time::timeout(FAREWELL, asked).await.is_ok()
            && self.is_over(&running, FAREWELL).await
        {
            return;
        }
        tracing::warn!("the engine does not end as it was asked to");
        self.gone(&running).await;
    }

    /// Ends a process that still runs, and waits until that is known.
    pub(super) async fn gone(&self, running: &Arc<Running>) {
        running.kill.cancel();
        self.is_over(running, Duration::MAX).await;
    }

    /// Whether the end of a process becomes known in time.
    async fn is_over(&self, running: &Arc<Running>, within: Duration) -> bool {
        let mut changes = self.state.subscribe();
        let over = changes
            .wait_for(|state| !state.running.as_ref().is_some_and(|now| Arc::ptr_eq(now, running)));
        tokio::time::timeout(within, over).await.is_ok()
    }

    /// What a call that failed means: where the engine is gone, how it ended.
    pub(super) async fn failed(&self, running: &Arc<Running>, error: CallError) -> EngineError {
        match error {
            CallError::Failed(failure) => failure.into(),
            CallError::Gone => {
                self.gone(running).await;
                let wanted = running.ends.load(Ordering::SeqCst);
                let state = self.state.borrow();
                let why = match &state.end {
                    Some(end) if !wanted => end.words.clone(),
                    _ => "the engine was ended while it worked on this".to_owned(),
                };
                EngineError::Ended { why, log: self.options.log.clone() }
            }
        }
    }
}

/// Returns when the process does not say any more how it is.
async fn silence(running: &Running, patience: Duration) {
    loop {
        tokio::time::sleep(patience).await;
        let health = running.client.ask(EngineRequest::Health);
        // An answer of any kind is one; and where the pipe is closed, the process is about to end.
        if tokio::time::timeout(patience, health).await.is_err() {
            return;
        }
    }
}
