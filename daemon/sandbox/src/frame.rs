//! Length-prefixed frames of self-describing MessagePack: four bytes of length, little-endian,
//! then the body.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the greatest body that is sent or accepted.
pub(crate) const MAX_BODY: usize = 256 << 20;

/// A frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The peer closed between two frames.
    #[error("closed by the peer")]
    Closed,
    /// Reading or writing failed, or the stream ended inside a frame.
    #[error("the stream failed")]
    Stream(#[from] io::Error),
    /// The announced body is over the limit.
    #[error("a frame of {0} bytes is over the limit")]
    Oversized(usize),
    /// The body is not the expected value.
    #[error("the frame does not decode: {0}")]
    Decode(#[from] rmp_serde::decode::Error),
    /// The value cannot be represented.
    #[error("the value does not encode: {0}")]
    Encode(#[from] rmp_serde::encode::Error),
}

/// Writes one frame.
pub(crate) fn write<T: Serialize>(sink: &mut impl Write, value: &T) -> Result<(), FrameError> {
    let mut bytes = vec![0; 4];
    rmp_serde::encode::write_named(&mut bytes, value)?;
    let body = bytes.len() - 4;
    let length = u32::try_from(body).ok().filter(|_| body <= MAX_BODY);
    let length = length.ok_or(FrameError::Oversized(body))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    sink.write_all(&bytes)?;
    Ok(sink.flush()?)
}

/// Reads exactly one frame and not a byte more. Memory grows with what arrives, not with what the
/// prefix claims.
pub(crate) fn read<T: DeserializeOwned>(source: &mut impl Read) -> Result<T, FrameError> {
    let mut prefix = [0; 4];
    let mut got = 0;
    while got < prefix.len() {
        match source.read(&mut prefix[got..]) {
            Ok(0) if got == 0 => return Err(FrameError::Closed),
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let length = u32::from_le_bytes(prefix) as usize;
    if length > MAX_BODY {
        return Err(FrameError::Oversized(length));
    }
    let mut body = Vec::new();
    source.by_ref().take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(rmp_serde::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Blob, Reply, Request};

    #[test]
    fn frames_follow_one_another() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Request::Stop).unwrap();
        write(&mut bytes, &Request::SendLine(Blob(vec![0, 255]))).unwrap();
        let mut source = bytes.as_slice();
        assert!(matches!(read(&mut source).unwrap(), Request::Stop));
        assert!(matches!(read(&mut source).unwrap(), Request::SendLine(Blob(b)) if b == [0, 255]));
        assert!(matches!(read::<Request>(&mut source), Err(FrameError::Closed)));
    }

    #[test]
    fn oversized_is_refused_before_reading() {
        let mut source: &[u8] = &u32::MAX.to_le_bytes();
        assert!(matches!(read::<Request>(&mut source), Err(FrameError::Oversized(_))));
    }

    proptest! {
        #[test]
        fn junk_is_an_error_or_a_value_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read::<Request>(&mut bytes.as_slice());
            let mut framed = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
            framed.extend(&bytes);
            let _ = read::<Request>(&mut framed.as_slice());
        }

        #[test]
        fn every_truncation_is_an_error(content in prop::collection::vec(any::<u8>(), 0..64), cut in 0.0..1.0f64) {
            let mut bytes = Vec::new();
            write(&mut bytes, &Reply::Content(Some(Blob(content)))).unwrap();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of a length")]
            let kept = (bytes.len() as f64 * cut) as usize;
            prop_assert!(read::<Reply>(&mut &bytes[..kept]).is_err());
        }

        #[test]
        fn content_survives(content in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut bytes = Vec::new();
            write(&mut bytes, &Reply::Content(Some(Blob(content.clone())))).unwrap();
            let Reply::Content(Some(Blob(back))) = read(&mut bytes.as_slice()).unwrap() else {
                panic!("another reply came back");
            };
            prop_assert_eq!(back, content);
        }
    }
}
