//! Texts and details as they lie in the database: a byte that says how, then the rest.

use std::io::Read;

/// As it is.
const PLAIN: u8 = 0;
/// Compressed by zstd.
const ZSTD: u8 = 1;
/// What is shorter gains nothing.
const SHORT: usize = 200;
const LEVEL: i32 = 3;
/// No text of ours is longer: more than that in one value is damage.
const MOST: u64 = 256 << 20;

/// Why a value cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a value in the database makes no sense")]
pub(crate) struct UnpackError;

pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    if bytes.len() >= SHORT
        && let Ok(mut packed) = zstd::bulk::compress(bytes, LEVEL)
        && packed.len() < bytes.len()
    {
        packed.insert(0, ZSTD);
        return packed;
    }
    let mut plain = Vec::with_capacity(bytes.len() + 1);
    plain.push(PLAIN);
    plain.extend_from_slice(bytes);
    plain
}

pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, UnpackError> {
    match packed.split_first() {
        Some((&PLAIN, plain)) => Ok(plain.to_vec()),
        Some((&ZSTD, packed)) => {
            let mut bytes = Vec::new();
            let decoder = zstd::stream::Decoder::new(packed).map_err(|_| UnpackError)?;
            decoder.take(MOST).read_to_end(&mut bytes).map_err(|_| UnpackError)?;
            Ok(bytes)
        }
        _ => Err(UnpackError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_long_texts_get_shorter() {
        for text in ["", "short", &"long ".repeat(1000)] {
            assert_eq!(unpack(&pack(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert!(pack("long ".repeat(1000).as_bytes()).len() < 100);
    }

    #[test]
    fn what_makes_no_sense_is_an_error() {
        for bytes in [&[][..], &[7], &[ZSTD, 1, 2, 3]] {
            assert!(unpack(bytes).is_err());
        }
    }
}
