//! One connection: handshake, then a reading and a writing task.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use greenlit_client::{Outbox, outbox};
use greenlit_protocol::{
    BUILD_ID, ClientFrame, Hello, HelloHead, MAGIC, PROTOCOL_MAX, PROTOCOL_MIN, SessionParams,
    Welcome, frame, negotiate, newer,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use crate::lifecycle::{Gate, Inbound, Outgoing};

/// How long a client may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest hello: it carries an environment, in bytes.
const HELLO_MAX: usize = 8 << 20;
/// Bytes that may wait for a client that does not read.
const OUTBOX_LIMIT: usize = 2 * frame::MAX_FRAME;
/// How long the last frames may take once the session is over on this side.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What connections share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) inbound: mpsc::Sender<Inbound>,
    pub(crate) gate: Gate,
    /// Cancelled when the process ends: sessions flush and close.
    pub(crate) closing: CancellationToken,
}

/// Why a connection ended before it was a session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RejectedError {
    #[error("no hello within {} s", HELLO_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the connection ended before a hello")]
    Ended,
    #[error("cannot read or write the handshake")]
    Io(#[from] std::io::Error),
    #[error("the hello is not valid")]
    Frame(#[from] frame::FrameError),
    #[error("the hello has the wrong magic")]
    Magic,
    #[error(
        "the client's build {build} speaks protocol {min} to {max}; asked to replace: {replace}"
    )]
    Incompatible { build: String, min: u32, max: u32, replace: bool },
    #[error("no new session: {reason}")]
    Refused { reason: String },
}

type Wire<S> = Framed<S, LengthDelimitedCodec>;

/// Serves one connection to its end, and logs why it ended.
pub(crate) async fn serve<S>(stream: S, session: u64, shared: Shared)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let codec = LengthDelimitedCodec::builder().max_frame_length(HELLO_MAX).new_codec();
    let mut wire = Framed::new(stream, codec);
    let params = match handshake(&mut wire, session, &shared).await {
        Ok(params) => params,
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(session, %error, cause, "connection rejected");
            return;
        }
    };
    wire.codec_mut().set_max_frame_length(frame::MAX_FRAME);
    tracing::info!(session, client = params.client, "session opened");
    let reason = converse(wire, session, params, &shared).await;
    tracing::info!(session, reason, "session closed");
}

async fn handshake<S>(
    wire: &mut Wire<S>,
    session: u64,
    shared: &Shared,
) -> Result<SessionParams, RejectedError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let first = tokio::time::timeout(HELLO_TIMEOUT, wire.next());
    let bytes = first.await.map_err(|_| RejectedError::TimedOut)?.ok_or(RejectedError::Ended)??;
    // The head first: it is all that is certain of a client of another version.
    let head: HelloHead = frame::decode(&bytes)?;
    if head.magic != MAGIC {
        return Err(RejectedError::Magic);
    }
    let common = negotiate((PROTOCOL_MIN, PROTOCOL_MAX), (head.min, head.max));
    let Some(protocol) = common else {
        let HelloHead { min, max, build, replace, .. } = head;
        let replace = replace && newer((max, &build), (PROTOCOL_MAX, BUILD_ID));
        let answer = Welcome::Incompatible {
            min: PROTOCOL_MIN,
            max: PROTOCOL_MAX,
            build: BUILD_ID.to_owned(),
            pid: std::process::id(),
            draining: replace,
        };
        say(wire, &answer).await?;
        if replace {
            let reason = format!("greenlit {build} starts a newer daemon");
            shared.gate.close(&reason);
            // A main loop that is gone is draining already.
            let _told = shared.inbound.send(Inbound::Shutdown { reason }).await;
        }
        return Err(RejectedError::Incompatible { build, min, max, replace });
    };
    if let Some(reason) = shared.gate.closed() {
        let reason = reason.to_owned();
        say(wire, &Welcome::Refused { reason: reason.clone() }).await?;
        return Err(RejectedError::Refused { reason });
    }
    let hello: Hello = frame::decode(&bytes)?;
    let answer = Welcome::Accepted {
        magic: MAGIC.to_owned(),
        protocol,
        build: BUILD_ID.to_owned(),
        pid: std::process::id(),
        capabilities: Vec::new(),
        session,
    };
    say(wire, &answer).await?;
    Ok(hello.session)
}

async fn say<S>(wire: &mut Wire<S>, answer: &Welcome) -> Result<(), RejectedError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let bytes = frame::encode(answer)?;
    let sent = tokio::time::timeout(HELLO_TIMEOUT, wire.send(bytes));
    Ok(sent.await.map_err(|_| RejectedError::TimedOut)??)
}

/// Tells the main loop that the session is gone, however it ends: a panic included.
struct Goodbye {
    session: u64,
    inbound: mpsc::Sender<Inbound>,
}

impl Drop for Goodbye {
    fn drop(&mut self) {
        let message = Inbound::Disconnected { session: self.session };
        if let Err(mpsc::error::TrySendError::Full(message)) = self.inbound.try_send(message) {
            let inbound = self.inbound.clone();
            tokio::spawn(async move {
                // Only fails when the main loop is gone, and then nobody needs to know.
                let _told = inbound.send(message).await;
            });
        }
    }
}

/// Runs an open session; returns why it ended.
async fn converse<S>(wire: Wire<S>, session: u64, params: SessionParams, shared: &Shared) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, stream) = wire.split();
    let (sender, outgoing) = outbox(OUTBOX_LIMIT);
    let overflow = outgoing.overflow();
    let writing = write(sink, outgoing);
    tokio::pin!(writing);
    let out = Outgoing::new(session, sender.clone());
    let connected = shared.inbound.send(Inbound::Connected { session, params, out }).await;
    let ended = if connected.is_ok() {
        let _goodbye = Goodbye { session, inbound: shared.inbound.clone() };
        tokio::select! {
            reason = read(stream, session, &shared.inbound) => reason,
            reason = &mut writing => Some(reason),
            () = overflow.cancelled() => Some("it does not read its answers".to_owned()),
            () = shared.closing.cancelled() => None,
        }
    } else {
        None
    };
    let Some(reason) = ended else {
        // Whichever way it shows that the main loop is over: every session hears it.
        shared.closing.cancelled().await;
        say_draining(&sender, shared.gate.closed().unwrap_or("greenlitd exits"));
        // Ours is the last sender once the main loop is gone: the queue then ends.
        drop(sender);
        let _flushed = tokio::time::timeout(FLUSH_TIMEOUT, writing).await;
        return "the daemon ends".to_owned();
    };
    reason
}

/// So that the client takes the end for an exit and not for a crash.
fn say_draining(outbox: &Outbox, reason: &str) {
    use greenlit_protocol::{Event, ServerFrame};

    let event = ServerFrame::Event(Event::Draining { reason: reason.to_owned() });
    if let Ok(bytes) = frame::encode(&event) {
        // A session that is over does not need it.
        let _queued = outbox.send(bytes);
    }
}

/// Hands frames over until the client ends; `None` when the main loop ended first.
async fn read<S: AsyncRead + AsyncWrite>(
    mut stream: SplitStream<Wire<S>>,
    session: u64,
    inbound: &mpsc::Sender<Inbound>,
) -> Option<String> {
    loop {
        let bytes = match stream.next().await {
            None => return Some("the client closed the connection".to_owned()),
            Some(Err(error)) => return Some(format!("cannot read: {error}")),
            Some(Ok(bytes)) => bytes,
        };
        let frame: ClientFrame = match frame::decode(&bytes) {
            Ok(frame) => frame,
            Err(frame::FrameError::Decode(error)) => {
                return Some(format!("not a valid frame: {error}"));
            }
            Err(error) => return Some(error.to_string()),
        };
        if inbound.send(Inbound::Frame { session, frame }).await.is_err() {
            return None;
        }
    }
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(
    mut sink: SplitSink<Wire<S>, bytes::Bytes>,
    mut outgoing: greenlit_client::Outgoing,
) -> String {
    while let Some(bytes) = outgoing.next().await {
        let length = bytes.len();
        if let Err(error) = sink.send(bytes).await {
            return format!("cannot write: {error}");
        }
        outgoing.written(length);
    }
    "the daemon closed the session".to_owned()
}
