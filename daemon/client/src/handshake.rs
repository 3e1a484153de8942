//! The first frame each way, the client's side.

use std::io;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use greenlit_protocol::{
    BUILD_ID, Hello, MAGIC, PROTOCOL_MAX, PROTOCOL_MIN, Welcome, frame, newer,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// How long the daemon may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the daemon said when it accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The protocol version in use.
    pub protocol: u32,
    /// The daemon's build; may differ from ours within one protocol version.
    pub build: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Optional features the daemon understands.
    pub capabilities: Vec<String>,
    /// This session's id in the daemon.
    pub session: u64,
}

/// Client and daemon have no protocol version in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Oldest and newest protocol version that the daemon speaks.
    pub daemon: (u32, u32),
    /// The daemon's build.
    pub daemon_build: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Oldest and newest protocol version that this client speaks.
    pub client: (u32, u32),
    /// This client's build.
    pub client_build: String,
    /// Whether this client is the newer side.
    pub client_is_newer: bool,
    /// Whether the daemon finishes its work and exits to make room.
    pub draining: bool,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { daemon, daemon_build, pid, client, client_build, .. } = self;
        write!(
            f,
            "greenlitd {daemon_build} (process {pid}) speaks protocol {}, and this client \
             {client_build} speaks {}",
            range(*daemon),
            range(*client),
        )
    }
}

fn range((min, max): (u32, u32)) -> String {
    if min == max { min.to_string() } else { format!("{min} to {max}") }
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// No common version.
    #[error("{0}")]
    Incompatible(Box<Mismatch>),
    /// The daemon takes no new session now.
    #[error("greenlitd takes no new session: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The connection ended or broke before an answer.
    #[error("the connection broke during the handshake")]
    Io(#[source] io::Error),
    /// The daemon did not answer in time.
    #[error("greenlitd did not answer the handshake within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// What answers is not greenlitd, or the hello cannot be encoded.
    #[error("what answers on the socket does not speak like greenlitd")]
    Frame(#[source] frame::FrameError),
    /// The answer has the wrong magic.
    #[error("what answers on the socket is not greenlitd")]
    Magic,
}

pub(crate) type FramedStream<S> = Framed<S, LengthDelimitedCodec>;

/// Says hello and returns the framed connection with the daemon's answer.
pub(crate) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    hello: &Hello,
) -> Result<(FramedStream<S>, Accepted), HandshakeError> {
    let mut framed = Framed::new(stream, frame::codec());
    let hello = frame::encode(hello).map_err(HandshakeError::Frame)?;
    let exchange = async {
        framed.send(hello).await.map_err(HandshakeError::Io)?;
        match framed.next().await {
            Some(answer) => answer.map_err(HandshakeError::Io),
            None => Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into())),
        }
    };
    let answer =
        tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| HandshakeError::TimedOut)??;
    match frame::decode(&answer).map_err(HandshakeError::Frame)? {
        Welcome::Accepted { magic, protocol, build, pid, capabilities, session } => {
            if magic != MAGIC {
                return Err(HandshakeError::Magic);
            }
            Ok((framed, Accepted { protocol, build, pid, capabilities, session }))
        }
        Welcome::Incompatible { min, max, build, pid, draining } => {
            Err(HandshakeError::Incompatible(Box::new(Mismatch {
                client_is_newer: newer((PROTOCOL_MAX, BUILD_ID), (max, &build)),
                daemon: (min, max),
                daemon_build: build,
                pid,
                client: (PROTOCOL_MIN, PROTOCOL_MAX),
                client_build: BUILD_ID.to_owned(),
                draining,
            })))
        }
        Welcome::Refused { reason } => Err(HandshakeError::Refused { reason }),
    }
}
