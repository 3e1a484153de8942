//! The first page of a segment: what it holds, and for whom.

use crate::key::SpaceId;
use crate::layout::PAGE;

/// The version of all files of the store. Files of another version are set aside, never parsed.
pub(crate) const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"glvector";
/// Vectors are kept in the byte order of the machine; files do not travel.
const BYTE_ORDER: u32 = 0x0102_0304;
/// The checksum of the page lies at its end.
const SUM: usize = PAGE as usize - 32;
/// Everything before the name of the backend.
const FIXED: usize = 8 + 4 + 4 + 4 + 4 + 8 + 8 + 32 + 2;

/// The longest name of a backend, in bytes.
pub(crate) const MAX_BACKEND: usize = 512;

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) space: SpaceId,
    /// A random number given to the space when it was made, so that files of an earlier space of the
    /// same name are not taken for its own.
    pub(crate) birth: u64,
    /// The generation of the space in which the segment was made.
    pub(crate) generation: u64,
    /// Its place: slot `s` lies in segment `s / RECORDS`.
    pub(crate) number: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; PAGE as usize] {
        let mut page = Vec::with_capacity(PAGE as usize);
        page.extend(MAGIC);
        page.extend(VERSION.to_le_bytes());
        page.extend(BYTE_ORDER.to_ne_bytes());
        page.extend(self.space.dims.to_le_bytes());
        page.extend(self.number.to_le_bytes());
        page.extend(self.birth.to_le_bytes());
        page.extend(self.generation.to_le_bytes());
        page.extend(self.space.model);
        page.extend((self.space.backend.len() as u16).to_le_bytes());
        page.extend(self.space.backend.as_bytes());
        page.resize(SUM, 0);
        let sum = blake3::hash(&page);
        page.extend(sum.as_bytes());
        page.try_into().expect("the names of backends are short")
    }

    /// Reads a page; `None` when it is not one that [`Header::encode`] wrote in this version.
    pub(crate) fn decode(page: &[u8; PAGE as usize]) -> Option<Self> {
        let mut rest = &page[..FIXED];
        let length = usize::from(u16::from_le_bytes([page[FIXED - 2], page[FIXED - 1]]));
        let backend = page[..SUM].get(FIXED..FIXED + length)?;
        let _magic_version_order = rest.split_off(..16)?;
        let dims = u32::from_le_bytes(take(&mut rest)?);
        let number = u32::from_le_bytes(take(&mut rest)?);
        let birth = u64::from_le_bytes(take(&mut rest)?);
        let generation = u64::from_le_bytes(take(&mut rest)?);
        let model = take(&mut rest)?;
        let backend = str::from_utf8(backend).ok()?.to_owned();
        let header = Self { space: SpaceId { model, backend, dims }, birth, generation, number };
        let sound = dims > 0 && length <= MAX_BACKEND && header.encode() == *page;
        sound.then_some(header)
    }

    /// The key of the checksums of all records: those of another segment never fit.
    pub(crate) fn seed(page: &[u8; PAGE as usize]) -> [u8; 32] {
        page[SUM..].try_into().expect("the sum has 32 bytes")
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    rest.split_off(..N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_with_any_other_byte_is_refused() {
        let space = SpaceId { model: [7; 32], backend: "ort".into(), dims: 384 };
        let header = Header { space, birth: 1, generation: 2, number: 3 };
        let page = header.encode();
        assert_eq!(Header::decode(&page), Some(header));
        for at in 0..page.len() {
            let mut other = page;
            other[at] ^= 1 << (at % 8);
            assert_eq!(Header::decode(&other), None, "byte {at}");
        }
    }
}
