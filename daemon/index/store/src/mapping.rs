//! Typed views into a mapped file: the only unsafe code of this crate.

use std::fs::File;
use std::io;

use memmap2::{MmapOptions, MmapRaw};

/// Numbers for which every pattern of bits is a value.
pub(crate) trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for i8 {}
impl Plain for u64 {}
impl Plain for f32 {}

/// A file, mapped read-only and whole. Stays valid when the file is removed.
///
/// Two things are asked of whoever maps a file, and kept by `segment`:
///
/// - A range is viewed only after it was written for the last time. Other ranges of the same file may
///   be written meanwhile, which is why no reference to the whole file is ever made.
/// - The file never shrinks. Its length is checked before it is mapped, and it lies in a directory of
///   this user alone, locked by this process. Whoever cuts it off nevertheless, or a disk that cannot
///   read a block, ends this process with SIGBUS: the embeddings are safe, the daemon starts again.
#[derive(Debug)]
pub(crate) struct Mapping {
    raw: MmapRaw,
}

impl Mapping {
    /// Maps the first `bytes` of a file that is at least that long.
    pub(crate) fn new(file: &File, bytes: usize) -> io::Result<Self> {
        Ok(Self { raw: MmapOptions::new().len(bytes).map_raw_read_only(file)? })
    }

    /// `count` values from `offset` on.
    ///
    /// # Panics
    /// When they do not lie in the file, or not where such values may lie.
    #[expect(unsafe_code, reason = "vectors are read where they lie on disk")]
    pub(crate) fn view<T: Plain>(&self, offset: usize, count: usize) -> &[T] {
        let end = count.checked_mul(size_of::<T>()).and_then(|bytes| offset.checked_add(bytes));
        assert!(end.is_some_and(|end| end <= self.raw.len()), "outside of the mapped file");
        assert!(offset.is_multiple_of(align_of::<T>()), "not aligned");
        // SAFETY: the range lies in the mapping, which lives as long as `self` and starts at a page
        // border, so that the offset decides the alignment. Every pattern of bits is a `T`. The bytes
        // do not change while they are viewed, as said above.
        unsafe { std::slice::from_raw_parts(self.raw.as_ptr().add(offset).cast::<T>(), count) }
    }
}
