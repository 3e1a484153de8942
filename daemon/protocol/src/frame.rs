//! Length-delimited frames: a big-endian `u32` length, then MessagePack with named fields.

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::codec::LengthDelimitedCodec;

/// Longest frame accepted or sent, in bytes. A longer one ends the connection.
pub const MAX_FRAME: usize = 64 << 20;

/// Deepest nesting read. The library's own limit (1024) lets a few hundred bytes overflow the stack
/// of a thread, which no `catch_unwind` survives; real messages stay below twenty.
const MAX_DEPTH: usize = 100;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The bytes are not a valid message.
    #[error("the frame is not a valid message")]
    Decode(#[source] rmp_serde::decode::Error),
    /// The message cannot be encoded.
    #[error("the message cannot be encoded")]
    Encode(#[source] rmp_serde::encode::Error),
    /// The message is too long.
    #[error("the message has {length} bytes, and at most {MAX_FRAME} are allowed")]
    TooLong {
        /// Its length.
        length: usize,
    },
}

/// The framing of both directions.
pub fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(MAX_FRAME).new_codec()
}

/// A message as the content of one frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Bytes, FrameError> {
    let bytes = rmp_serde::to_vec_named(message).map_err(FrameError::Encode)?;
    if bytes.len() > MAX_FRAME {
        return Err(FrameError::TooLong { length: bytes.len() });
    }
    Ok(bytes.into())
}

/// The message in one frame.
pub fn decode<T: DeserializeOwned>(frame: &BytesMut) -> Result<T, FrameError> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(&frame[..]);
    deserializer.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut deserializer).map_err(FrameError::Decode)
}
