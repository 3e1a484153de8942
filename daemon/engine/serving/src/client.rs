//! The daemon's end of the pipes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use greenlit_protocol::engine::{
    ENGINE_VERSION, EngineAnswer, EngineFailure, EngineHello, EngineRequest, FromEngine, ToEngine,
};
use greenlit_protocol::frame;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::codec::{FramedRead, FramedWrite};

/// Why an engine cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It ended, or wrote something else, before it said who it is.
    #[error("the engine ended before it was ready; its log says why")]
    Silent,
    /// It is of another build.
    #[error(
        "the engine speaks version {theirs} (build {build}), this daemon {ENGINE_VERSION}: install both \
         of one build"
    )]
    Version {
        /// What it speaks.
        theirs: u32,
        /// Its build.
        build: String,
    },
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The engine says why.
    #[error(transparent)]
    Failed(EngineFailure),
    /// The engine ended while it worked.
    #[error("the engine ended while it worked on this")]
    Gone,
}

/// A connection to an engine. Dropping it ends the engine.
#[derive(Debug)]
pub struct Client {
    hello: EngineHello,
    out: UnboundedSender<ToEngine>,
    calls: Arc<Mutex<Calls>>,
}

/// Calls that are not answered.
#[derive(Debug, Default)]
struct Calls {
    next: u64,
    open: HashMap<u64, UnboundedSender<FromEngine>>,
    /// The engine is gone: nothing is answered any more.
    over: bool,
}

/// A request that is being answered. Dropping it cancels it.
#[derive(Debug)]
pub struct Call {
    id: u64,
    events: UnboundedReceiver<FromEngine>,
    out: UnboundedSender<ToEngine>,
    end: Option<Result<EngineAnswer, CallError>>,
}

impl Client {
    /// Takes the pipes of an engine that was just started, and waits until it says who it is.
    pub async fn connect(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, ConnectError> {
        let mut frames = FramedRead::new(reader, frame::codec());
        let first = frames.next().await.and_then(Result::ok).ok_or(ConnectError::Silent)?;
        let Ok(FromEngine::Hello(hello)) = frame::decode(&first) else {
            return Err(ConnectError::Silent);
        };
        if hello.version != ENGINE_VERSION {
            return Err(ConnectError::Version { theirs: hello.version, build: hello.build });
        }
        let calls = Arc::new(Mutex::new(Calls::default()));
        let (out, mut outgoing) = unbounded_channel::<ToEngine>();
        let mut sink = FramedWrite::new(writer, frame::codec());
        tokio::spawn(async move {
            // Ends when the client and its calls are dropped, or the engine does not read any more.
            while let Some(message) = outgoing.recv().await {
                let Ok(frame) = frame::encode(&message) else { return };
                if sink.send(frame).await.is_err() {
                    return;
                }
            }
        });
        let known = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Some(Ok(bytes)) = frames.next().await {
                match frame::decode(&bytes) {
                    Ok(message) => lock(&known).pass(message),
                    Err(error) => {
                        tracing::error!(%error, "the engine sent what is no answer");
                        break;
                    }
                }
            }
            let mut calls = lock(&known);
            calls.over = true;
            calls.open.clear();
        });
        Ok(Self { hello, out, calls })
    }

    /// Who the engine is.
    pub fn hello(&self) -> &EngineHello {
        &self.hello
    }

    /// Whether the engine has ended, or cannot be understood any more.
    pub fn is_gone(&self) -> bool {
        lock(&self.calls).over
    }

    /// Starts a request.
    pub fn call(&self, request: EngineRequest) -> Call {
        let (sender, events) = unbounded_channel();
        let mut calls = lock(&self.calls);
        calls.next += 1;
        let id = calls.next;
        if !calls.over {
            calls.open.insert(id, sender);
        }
        drop(calls);
        // Where the engine is gone, the call has no sender and says so.
        drop(self.out.send(ToEngine::Request { id, request }));
        Call { id, events, out: self.out.clone(), end: None }
    }

    /// Makes a request and waits for its end; pieces of text are dropped.
    pub async fn ask(&self, request: EngineRequest) -> Result<EngineAnswer, CallError> {
        self.call(request).end().await
    }
}

impl Calls {
    fn pass(&mut self, message: FromEngine) {
        let (id, ends) = match &message {
            FromEngine::Hello(_) => return,
            FromEngine::Piece { id, .. } => (*id, false),
            FromEngine::Answer { id, .. } | FromEngine::Failed { id, .. } => (*id, true),
        };
        // Who was cancelled does not listen any more.
        if let Some(sender) = self.open.get(&id) {
            drop(sender.send(message));
        }
        if ends {
            self.open.remove(&id);
        }
    }
}

impl Call {
    /// The next piece of text; `None` when there is no more, and [`Call::end`] says how it ended.
    pub async fn piece(&mut self) -> Option<String> {
        if self.end.is_some() {
            return None;
        }
        let end = match self.events.recv().await {
            Some(FromEngine::Piece { text, .. }) => return Some(text),
            Some(FromEngine::Answer { answer, .. }) => Ok(answer),
            Some(FromEngine::Failed { failure, .. }) => Err(CallError::Failed(failure)),
            Some(FromEngine::Hello(_)) | None => Err(CallError::Gone),
        };
        self.end = Some(end);
        None
    }

    /// How it ends; pieces that were not taken are dropped.
    pub async fn end(mut self) -> Result<EngineAnswer, CallError> {
        while self.piece().await.is_some() {}
        self.end.clone().expect("pieces stop only at the end")
    }

    /// Nobody wants it any more. The engine confirms by ending it.
    pub fn cancel(&self) {
        drop(self.out.send(ToEngine::Cancel { id: self.id }));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.end.is_none() {
            self.cancel();
        }
    }
}

fn lock(calls: &Mutex<Calls>) -> std::sync::MutexGuard<'_, Calls> {
    calls.lock().expect("nothing panics while it holds the calls")
}
