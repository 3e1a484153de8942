//! One connection: requests with their answers, notifications, events.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use greenlit_protocol::{
    ClientFrame, Event, Notification, ProgressStage, Request, Response, ServerFrame, frame,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::events::EventQueue;
use crate::handshake::FramedStream;
use crate::outbox::{Outbox, Outgoing, outbox};
use crate::{Accepted, RequestError, Stream};

/// Bytes that may wait to be written before the connection counts as stuck: the largest frame and
/// as much again.
const OUTBOX_LIMIT: usize = 2 * frame::MAX_FRAME;
/// How long reading may go on after writing failed.
const LAST_WORDS: Duration = Duration::from_secs(1);
const CANNOT_WRITE: &str = "cannot write";
/// Events handed over ahead of their reader; the rest waits, coalesced.
const EVENTS: usize = 64;

/// A new connection.
#[derive(Debug)]
pub struct Connection {
    /// Sends requests and notifications.
    pub client: Client,
    /// What the daemon tells on its own. Ends with the connection. May be left unread: events that
    /// newer ones make obsolete are dropped, and nothing else waits for it.
    pub events: mpsc::Receiver<Event>,
    /// What the daemon said when it accepted.
    pub welcome: Accepted,
}

/// Sends requests and notifications on one connection, which lives as long as a clone of this does
/// and the daemon keeps its end.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    outbox: Outbox,
    shared: Arc<Shared>,
    next_id: AtomicU64,
}

type OnProgress = Box<dyn FnMut(ProgressStage) + Send>;

struct Pending {
    answer: oneshot::Sender<Result<Response, RequestError>>,
    on_progress: Option<OnProgress>,
}

/// What the client and the task that reads have in common.
#[derive(Default)]
struct Shared {
    pending: Mutex<HashMap<u64, Pending>>,
    closed: CancellationToken,
    reason: OnceLock<String>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, HashMap<u64, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reason(&self) -> String {
        self.reason.get().cloned().unwrap_or_else(|| "closed".to_owned())
    }

    fn disconnected(&self) -> RequestError {
        RequestError::Disconnected { reason: self.reason() }
    }

    fn close(&self, reason: String) {
        let _first_reason_holds = self.reason.set(reason);
        self.closed.cancel();
        // Dropping the senders answers every request with `disconnected`.
        self.pending().clear();
    }
}

impl Connection {
    pub(crate) fn start(framed: FramedStream<Stream>, welcome: Accepted) -> Self {
        let (sink, stream) = framed.split();
        let (outbox, outgoing) = outbox(OUTBOX_LIMIT);
        let shared = Arc::new(Shared::default());
        let (events_sender, events) = mpsc::channel(EVENTS);
        tokio::spawn(write(sink, outgoing, shared.clone()));
        tokio::spawn(read(stream, events_sender, shared.clone()));
        let inner = Inner { outbox, shared, next_id: AtomicU64::new(1) };
        Self { client: Client { inner: Arc::new(inner) }, events, welcome }
    }
}

impl Client {
    /// Sends a request at once, in order with every other call, and returns its answer to be
    /// awaited. Dropping the answer cancels the request in the daemon.
    pub fn request(&self, request: Request) -> PendingResponse {
        self.send_request(request, None)
    }

    /// As [`Self::request`]; `on_progress` is called for each step of this request, on the task
    /// that reads the connection, so it must not block.
    pub fn request_with_progress(
        &self,
        request: Request,
        on_progress: impl FnMut(ProgressStage) + Send + 'static,
    ) -> PendingResponse {
        self.send_request(request, Some(Box::new(on_progress)))
    }

    /// Sends a notification, in order with every other call. Never blocks.
    pub fn notify(&self, notification: Notification) -> Result<(), RequestError> {
        self.send(&ClientFrame::Notify(notification))
    }

    /// Waits until the connection is over, and says why.
    pub async fn closed(&self) -> String {
        self.inner.shared.closed.cancelled().await;
        self.inner.shared.reason()
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.inner.shared.closed.is_cancelled()
    }

    fn send(&self, frame: &ClientFrame) -> Result<(), RequestError> {
        if self.is_closed() {
            return Err(self.inner.shared.disconnected());
        }
        let bytes = frame::encode(frame)?;
        self.inner.outbox.send(bytes).map_err(|_| self.inner.shared.disconnected())
    }

    fn send_request(&self, request: Request, on_progress: Option<OnProgress>) -> PendingResponse {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        let shared = &self.inner.shared;
        shared.pending().insert(id, Pending { answer: sender, on_progress });
        if let Err(error) = self.send(&ClientFrame::Request { id, body: request }) {
            if let Some(pending) = shared.pending().remove(&id) {
                // The receiver is in this function: it takes the answer.
                let _received = pending.answer.send(Err(error));
            }
        } else if self.is_closed() {
            // Closed between the insertion and now: the reader may have cleared the table before.
            shared.pending().remove(&id);
        }
        PendingResponse { id, answer, client: self.clone(), done: false }
    }
}

/// The answer to a request, awaited. Dropped before the answer came, it cancels the request.
#[must_use = "dropping it cancels the request"]
#[derive(Debug)]
pub struct PendingResponse {
    id: u64,
    answer: oneshot::Receiver<Result<Response, RequestError>>,
    client: Client,
    done: bool,
}

impl PendingResponse {
    /// The request's id in its connection, as in [`Event::Progress`].
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl Future for PendingResponse {
    type Output = Result<Response, RequestError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.answer).poll(context));
        self.done = true;
        let shared = &self.client.inner.shared;
        Poll::Ready(answer.unwrap_or_else(|_| Err(shared.disconnected())))
    }
}

impl Drop for PendingResponse {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        if self.client.inner.shared.pending().remove(&self.id).is_some() {
            // When it cannot be sent the connection is over, and with it the request.
            let _sent = self.client.send(&ClientFrame::Cancel { id: self.id });
        }
    }
}

async fn write(
    mut sink: SplitSink<FramedStream<Stream>, bytes::Bytes>,
    mut outgoing: Outgoing,
    shared: Arc<Shared>,
) {
    let overflow = outgoing.overflow();
    let closed = shared.closed.clone();
    let run = async {
        while let Some(frame) = outgoing.next().await {
            let length = frame.len();
            if let Err(error) = sink.send(frame).await {
                return format!("{CANNOT_WRITE}: {error}");
            }
            outgoing.written(length);
        }
        "closed by this side".to_owned()
    };
    let reason = tokio::select! {
        reason = run => reason,
        () = overflow.cancelled() => "greenlitd does not read".to_owned(),
        () = closed.cancelled() => return,
    };
    // What the daemon said before it closed its end is still to be read: that it drains, say.
    if reason.starts_with(CANNOT_WRITE) {
        let _reader_was_faster = tokio::time::timeout(LAST_WORDS, closed.cancelled()).await;
    }
    shared.close(reason);
}

async fn read(
    mut stream: SplitStream<FramedStream<Stream>>,
    events: mpsc::Sender<Event>,
    shared: Arc<Shared>,
) {
    let mut waiting = EventQueue::default();
    let closed = shared.closed.clone();
    let reason = loop {
        let frame = tokio::select! {
            frame = stream.next() => frame,
            permit = events.reserve(), if !waiting.is_empty() => {
                match (permit, waiting.pop()) {
                    (Ok(permit), Some(event)) => permit.send(event),
                    // Nobody reads events any more.
                    _ => waiting = EventQueue::default(),
                }
                continue;
            }
            () = closed.cancelled() => break shared.reason(),
        };
        match frame {
            None => break "greenlitd closed the connection".to_owned(),
            Some(Err(error)) => break format!("cannot read: {error}"),
            Some(Ok(bytes)) => match frame::decode(&bytes) {
                Ok(frame) => receive(frame, &shared, &mut waiting, &events),
                Err(error) => break format!("greenlitd sent what this build cannot read: {error}"),
            },
        }
    };
    shared.close(reason);
    // Events that came before the end are delivered: `draining` tells an exit from a crash.
    while let Some(event) = waiting.pop() {
        if events.send(event).await.is_err() {
            break;
        }
    }
}

fn receive(
    frame: ServerFrame,
    shared: &Shared,
    waiting: &mut EventQueue,
    events: &mpsc::Sender<Event>,
) {
    match frame {
        ServerFrame::Response { id, result } => {
            if let Some(pending) = shared.pending().remove(&id) {
                // Nobody waits any more when the request was just dropped.
                let _received = pending.answer.send(result.map_err(RequestError::Remote));
            }
        }
        ServerFrame::Event(Event::Progress { request: Some(id), root, stage }) => {
            let mut pending = shared.pending();
            match pending.get_mut(&id).map(|pending| pending.on_progress.as_mut()) {
                Some(Some(on_progress)) => on_progress(stage),
                Some(None) => {
                    drop(pending);
                    waiting.push(Event::Progress { request: Some(id), root, stage });
                }
                // Of a request that is over or was cancelled.
                None => {}
            }
        }
        ServerFrame::Event(event) => {
            if !events.is_closed() {
                waiting.push(event);
            }
        }
    }
}
