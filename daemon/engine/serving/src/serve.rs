//! The loop: one reader, one writer, one task per request.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::{FutureExt, SinkExt, StreamExt};
use greenlit_protocol::engine::{
    ENGINE_VERSION, EngineAnswer, EngineFailure, EngineFailureKind as Kind, EngineHealth,
    EngineHello, EngineRequest, FromEngine, Generate, Prompt, ToEngine,
};
use greenlit_protocol::frame::{self, FrameError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::codec::{FramedRead, FramedWrite};
use tokio_util::sync::CancellationToken;

use crate::backend::{Backend, cancelled, failure};
use crate::memory;
use crate::models::{Models, words};

/// Why serving ended early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The pipe broke.
    #[error("the daemon cannot be read or written")]
    Pipe(#[source] std::io::Error),
    /// The other side is not a daemon of this build.
    #[error("the daemon sent what is no request")]
    Frame(#[source] FrameError),
    /// Two requests with one id cannot be told apart.
    #[error("the daemon used the id {0} twice")]
    SameId(u64),
}

/// What goes out. Without a bound: a slow reader must not stall the others, and what one request can
/// write is bounded by its own limit of tokens.
type Out = UnboundedSender<FromEngine>;

/// Serves until the daemon closes the pipe or asks for the end. `instructions` is told to the daemon.
pub async fn serve(
    backend: Arc<dyn Backend>,
    instructions: String,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
) -> Result<(), ServeError> {
    let mut frames = FramedRead::new(reader, frame::codec());
    let mut sink = FramedWrite::new(writer, frame::codec());
    let (out, mut outgoing) = unbounded_channel::<FromEngine>();
    let mut written = tokio::spawn(async move {
        while let Some(message) = outgoing.recv().await {
            let frame = frame::encode(&message).map_err(ServeError::Frame)?;
            sink.send(frame).await.map_err(ServeError::Pipe)?;
        }
        Ok(())
    });
    say(
        &out,
        FromEngine::Hello(EngineHello {
            version: ENGINE_VERSION,
            build: greenlit_protocol::BUILD_ID.to_owned(),
            backend: backend.name(),
            device: backend.device().to_owned(),
            instructions,
        }),
    );

    let mut desk = Desk {
        models: Arc::new(Models::new(backend)),
        out,
        active: HashMap::new(),
        tasks: JoinSet::new(),
        drains: Vec::new(),
        ends: false,
    };
    loop {
        tokio::select! {
            frame = frames.next() => match frame {
                Some(frame) => desk.take(frame.map_err(ServeError::Pipe)?)?,
                // The daemon is gone: so is everybody who could want an answer.
                None => return Ok(()),
            },
            Some(ended) = desk.tasks.join_next() => {
                desk.active.remove(&ended.expect("panics are caught inside"));
            }
            ended = &mut written => return ended.expect("writing does not panic"),
        }
        if desk.drained() && desk.ends {
            drop(desk);
            return written.await.expect("writing does not panic");
        }
    }
}

/// What is being answered.
struct Desk {
    models: Arc<Models>,
    out: Out,
    active: HashMap<u64, CancellationToken>,
    tasks: JoinSet<u64>,
    /// Who waits for the end of everything.
    drains: Vec<u64>,
    ends: bool,
}

impl Desk {
    fn take(&mut self, frame: bytes::BytesMut) -> Result<(), ServeError> {
        match frame::decode(&frame).map_err(ServeError::Frame)? {
            ToEngine::Cancel { id } => {
                if let Some(token) = self.active.get(&id) {
                    token.cancel();
                }
                Ok(())
            }
            ToEngine::Request { id, .. }
                if self.active.contains_key(&id) || self.drains.contains(&id) =>
            {
                Err(ServeError::SameId(id))
            }
            ToEngine::Request { id, request } => {
                self.start(id, request);
                Ok(())
            }
        }
    }

    fn start(&mut self, id: u64, request: EngineRequest) {
        if matches!(request, EngineRequest::Drain | EngineRequest::Shutdown) {
            self.ends |= matches!(request, EngineRequest::Shutdown);
            self.drains.push(id);
            return;
        }
        let takes = matches!(
            request,
            EngineRequest::Load(_) | EngineRequest::LoadAdapter { .. } | EngineRequest::Generate(_)
        );
        if takes && !self.drains.is_empty() {
            let failure = failure(Kind::Draining, "the engine is about to end");
            say(&self.out, FromEngine::Failed { id, failure });
            return;
        }
        let stop = CancellationToken::new();
        let task = Task {
            id,
            models: Arc::clone(&self.models),
            out: self.out.clone(),
            stop: stop.clone(),
            others: self.active.len() as u64,
        };
        self.active.insert(id, stop);
        self.tasks.spawn(task.run(request));
    }

    /// Answers those who wait for the end, when it has come. True when somebody did.
    fn drained(&mut self) -> bool {
        if !self.active.is_empty() || self.drains.is_empty() {
            return false;
        }
        for id in self.drains.drain(..) {
            say(&self.out, FromEngine::Answer { id, answer: EngineAnswer::Drained });
        }
        true
    }
}

/// One request.
struct Task {
    id: u64,
    models: Arc<Models>,
    out: Out,
    stop: CancellationToken,
    others: u64,
}

impl Task {
    async fn run(self, request: EngineRequest) -> u64 {
        let (id, out) = (self.id, self.out.clone());
        let outcome = AssertUnwindSafe(self.answer(request)).catch_unwind().await;
        let outcome = outcome.unwrap_or_else(|panic| {
            Err(failure(Kind::Backend, format!("the engine is broken: {}", words(&*panic))))
        });
        say(
            &out,
            match outcome {
                Ok(answer) => FromEngine::Answer { id, answer },
                Err(failure) => FromEngine::Failed { id, failure },
            },
        );
        id
    }

    async fn answer(self, request: EngineRequest) -> Result<EngineAnswer, EngineFailure> {
        let Self { models, stop, .. } = &self;
        let models = Arc::clone(models);
        match request {
            EngineRequest::Load(request) => {
                let work = models.load(request, stop.clone());
                self.to_the_end(work).await.map(EngineAnswer::Loaded)
            }
            EngineRequest::LoadAdapter { model, adapter, directories } => {
                let work = models.load_adapter(model, adapter, directories, stop.clone());
                self.to_the_end(work).await.map(EngineAnswer::AdapterLoaded)
            }
            EngineRequest::Unload { model } => {
                self.to_the_end(models.unload(model)).await.map(|()| EngineAnswer::Unloaded)
            }
            EngineRequest::UnloadAdapter { model, adapter } => {
                let work = models.unload_adapter(model, adapter);
                self.to_the_end(work).await.map(|()| EngineAnswer::Unloaded)
            }
            EngineRequest::Generate(job) => self.generate(&job).await,
            EngineRequest::Count { model, texts } => {
                let used = models.route(&model, None)?;
                let count = move || {
                    texts.iter().map(|text| used.runner.count(text)).collect::<Result<_, _>>()
                };
                let counted = tokio::task::spawn_blocking(count).await;
                counted.expect("counting does not panic").map(EngineAnswer::Counted)
            }
            EngineRequest::Health => Ok(EngineAnswer::Health(EngineHealth {
                resident_bytes: memory::resident(),
                active: self.others,
                models: models.health(),
            })),
            EngineRequest::Drain | EngineRequest::Shutdown => {
                unreachable!("these are answered when all tasks have ended")
            }
        }
    }

    async fn generate(&self, job: &Generate) -> Result<EngineAnswer, EngineFailure> {
        sensible(job)?;
        let used = self.models.route(&job.model, job.adapter.as_deref())?;
        let piece = |text| say(&self.out, FromEngine::Piece { id: self.id, text });
        used.runner.generate(job, &self.stop, &piece).await.map(EngineAnswer::Generated)
    }

    /// Work that takes or gives memory goes on when nobody waits any more: half of it cannot be left.
    async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, EngineFailure>> + Send + 'static,
    ) -> Result<T, EngineFailure> {
        let mut work = tokio::spawn(work);
        tokio::select! {
            biased;
            ended = &mut work => ended.unwrap_or_else(|error| {
                Err(failure(Kind::Backend, format!("the engine is broken: {error}")))
            }),
            () = self.stop.cancelled() => Err(cancelled()),
        }
    }
}

fn sensible(job: &Generate) -> Result<(), EngineFailure> {
    let sampling = &job.sampling;
    let problem = if !(0.0..=10.0).contains(&sampling.temperature) {
        format!("the temperature is {}; it must be between 0 and 10", sampling.temperature)
    } else if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        format!("top_p is {}; it must be above 0 and at most 1", sampling.top_p)
    } else if sampling.max_tokens == 0 {
        "a text of no tokens".to_owned()
    } else if matches!(&job.prompt, Prompt::Text(text) if text.is_empty())
        || matches!(&job.prompt, Prompt::Chat(messages) if messages.is_empty())
    {
        "the prompt is empty".to_owned()
    } else {
        return Ok(());
    };
    Err(failure(Kind::BadRequest, problem))
}

/// The writer is gone only when serving ends.
fn say(out: &Out, message: FromEngine) {
    drop(out.send(message));
}
