//! One file of up to [`RECORDS`] records: written once each, checked when first read.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use blake3::Hasher;

use greenlit_graph::{quantize, signs};

use crate::files;
use crate::header::Header;
use crate::key::Key;
use crate::layout::{Column, Layout, PAGE, RECORDS};
use crate::mapping::Mapping;
use crate::reader::Reader;

/// Why a segment cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// The file is missing, has another length, or another header than it must have.
    #[error("{0}")]
    Damaged(&'static str),
    #[error("cannot be read")]
    Io(#[from] io::Error),
}

/// The parts of a record have separate checksums, because a scan reads a fifth of it and rescoring
/// the rest.
#[derive(Clone, Copy)]
enum Part {
    Scan = 1,
    Full = 2,
}

/// Set once any part of the record was found damaged.
const DAMAGED: u8 = 4;

/// A mapped segment. What a reader may ask for is decided by `Snapshot`: records that were committed.
#[derive(Debug)]
pub(crate) struct Segment {
    layout: Layout,
    seed: [u8; 32],
    mapping: Mapping,
    /// For full vectors; the mapping is read where there is none.
    reader: Option<Reader>,
    /// Per record, which parts were found sound, or that one was not.
    states: Box<[AtomicU8]>,
}

impl Segment {
    /// Makes the file, with its header on disk, and opens it for writing too.
    pub(crate) fn create(path: &Path, header: &Header) -> io::Result<(Self, File)> {
        let layout = Layout::new(header.space.dims);
        let file = files::sparse_file(path, layout.total)?;
        let page = header.encode();
        files::write_at(&file, 0, &page)?;
        files::sync(&file)?;
        if let Some(dir) = path.parent() {
            files::sync_names(dir)?;
        }
        Ok((Self::map(&file, &page, layout)?, file))
    }

    /// Opens a file that is there, and reads what it says of itself.
    pub(crate) fn open(path: &Path) -> Result<(Self, Header), SegmentError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SegmentError::Damaged("is missing"));
            }
            file => file?,
        };
        let length = file.metadata()?.len();
        if length < PAGE {
            return Err(SegmentError::Damaged("is cut off"));
        }
        let page = files::read_start(&file)?;
        let Some(header) = Header::decode(&page) else {
            return Err(SegmentError::Damaged("has a damaged header"));
        };
        let layout = Layout::new(header.space.dims);
        if length != layout.total {
            return Err(SegmentError::Damaged("has the wrong length"));
        }
        Ok((Self::map(&file, &page, layout)?, header))
    }

    fn map(file: &File, page: &[u8; PAGE as usize], layout: Layout) -> io::Result<Self> {
        let mapping = Mapping::new(file, layout.total as usize)?;
        let states = (0..RECORDS).map(|_| AtomicU8::new(0)).collect();
        let reader = Reader::new(file);
        Ok(Self { layout, seed: Header::seed(page), mapping, reader, states })
    }

    /// Writes records from `first` on and returns when they are on disk. They must never have been
    /// committed before.
    pub(crate) fn write(&self, file: &File, first: u32, new: &[(Key, &[f32])]) -> io::Result<()> {
        let mut columns: [Vec<u8>; 7] = Default::default();
        for (record, &(key, vector)) in (first..).zip(new) {
            let (codes, scale) = quantize(vector);
            let codes: Vec<u8> = codes.into_iter().map(i8::cast_unsigned).collect();
            let scale = scale.to_ne_bytes();
            let signs: Vec<u8> = signs(vector).into_iter().flat_map(u64::to_ne_bytes).collect();
            let full: Vec<u8> = vector.iter().flat_map(|value| value.to_ne_bytes()).collect();
            let scan_sum = self.sum(Part::Scan, record, &[&key.0, &scale, &signs, &codes]);
            let full_sum = self.sum(Part::Full, record, &[&key.0, &full]);
            let parts: [&[u8]; 7] = [&key.0, &scan_sum, &full_sum, &scale, &signs, &codes, &full];
            for (column, part) in columns.iter_mut().zip(parts) {
                column.extend(part);
            }
        }
        for (column, bytes) in self.layout.columns().into_iter().zip(columns) {
            files::write_at(file, column.at(first) as u64, &bytes)?;
        }
        files::sync(file)
    }

    /// The checksum of a part of a record. It names the segment, the place and the part, so that
    /// nothing fits that was written for another.
    fn sum(&self, part: Part, record: u32, bytes: &[&[u8]]) -> [u8; 8] {
        let mut hasher = Hasher::new_keyed(&self.seed);
        hasher.update(&[part as u8]);
        hasher.update(&record.to_le_bytes());
        for bytes in bytes {
            hasher.update(bytes);
        }
        let mut sum = [0; 8];
        hasher.finalize_xof().fill(&mut sum);
        sum
    }

    /// Whether what a scan reads of a record is what was written. Computed once.
    fn is_sound(&self, record: u32) -> bool {
        self.known(Part::Scan, record).unwrap_or_else(|| {
            let layout = &self.layout;
            let scale = self.bytes(layout.scales.at(record), layout.scales.stride);
            let signs = self.bytes(layout.signs.at(record), layout.signs.stride);
            let codes = self.bytes(layout.codes.at(record), layout.codes.stride);
            self.check(Part::Scan, record, layout.scan_sums, &[scale, signs, codes])
        })
    }

    /// Whether a part of a record is sound, where that is known.
    fn known(&self, part: Part, record: u32) -> Option<bool> {
        let state = self.states[record as usize].load(Ordering::Relaxed);
        (state & part as u8 != 0).then_some(state & DAMAGED == 0)
    }

    #[cold]
    fn check(&self, part: Part, record: u32, sums: Column, bytes: &[&[u8]]) -> bool {
        let key = self.bytes(self.layout.keys.at(record), 32);
        let bytes: Vec<&[u8]> = [key].into_iter().chain(bytes.iter().copied()).collect();
        let sum = self.sum(part, record, &bytes);
        let sound = self.bytes(sums.at(record), sums.stride) == sum;
        self.found(part, record, sound)
    }

    /// Keeps what was found of a part of a record, and tells whether the record is sound as far as is known.
    fn found(&self, part: Part, record: u32, sound: bool) -> bool {
        let found = if sound { part as u8 } else { part as u8 | DAMAGED };
        let before = self.states[record as usize].fetch_or(found, Ordering::Relaxed);
        if !sound && before & DAMAGED == 0 {
            tracing::warn!(record, "a stored vector is damaged and will be made again");
        }
        sound && before & DAMAGED == 0
    }

    fn bytes(&self, offset: usize, count: usize) -> &[u8] {
        self.mapping.view(offset, count)
    }

    /// The key of a record, unchecked: it finds a record, and is checked with what it finds.
    pub(crate) fn key(&self, record: u32) -> Key {
        let bytes = self.bytes(self.layout.keys.at(record), 32);
        Key(bytes.try_into().expect("a key has 32 bytes"))
    }

    /// The full vector; `None` when it is damaged.
    pub(crate) fn full(&self, record: u32) -> Option<Cow<'_, [f32]>> {
        let known = self.known(Part::Full, record);
        if known == Some(false) {
            return None;
        }
        let is_sound = |bytes: &[u8]| {
            known.is_some() || self.check(Part::Full, record, self.layout.full_sums, &[bytes])
        };
        let (at, stride) = (self.layout.full.at(record), self.layout.full.stride);
        let Some(reader) = &self.reader else {
            let view = || Cow::Borrowed(self.mapping.view(at, self.layout.dims));
            return is_sound(self.bytes(at, stride)).then(view);
        };
        match reader.read(at, stride) {
            Ok(bytes) => is_sound(&bytes).then(|| Cow::Owned(floats(&bytes))),
            Err(error) => {
                tracing::warn!(record, %error, "a stored vector cannot be read");
                self.found(Part::Full, record, false);
                None
            }
        }
    }

    /// One byte per value; `None` when the record is damaged.
    pub(crate) fn codes(&self, record: u32) -> Option<&[i8]> {
        let view = || self.mapping.view(self.layout.codes.at(record), self.layout.dims);
        self.is_sound(record).then(view)
    }

    /// The scale of the codes; `None` when the record is damaged.
    pub(crate) fn scale(&self, record: u32) -> Option<f32> {
        let view = || self.mapping.view(self.layout.scales.at(record), 1)[0];
        self.is_sound(record).then(view)
    }

    /// One bit per value; `None` when the record is damaged.
    pub(crate) fn signs(&self, record: u32) -> Option<&[u64]> {
        let words = self.layout.signs.stride / 8;
        let view = || self.mapping.view(self.layout.signs.at(record), words);
        self.is_sound(record).then(view)
    }

    /// Reads all of a record: its full vector, if everything is what was written.
    pub(crate) fn verified(&self, record: u32) -> Option<Cow<'_, [f32]>> {
        self.is_sound(record).then(|| self.full(record)).flatten()
    }

    /// Whether the record was found damaged already. Reads nothing.
    pub(crate) fn is_known_damaged(&self, record: u32) -> bool {
        self.states[record as usize].load(Ordering::Relaxed) & DAMAGED != 0
    }

    /// What the first so many records take on disk.
    pub(crate) fn allocated(&self, records: u32) -> u64 {
        self.layout.allocated(records)
    }

    /// Every record, for those who count through all of them.
    pub(crate) fn records() -> Range<u32> {
        0..RECORDS
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks();
    values.iter().map(|value| f32::from_ne_bytes(*value)).collect()
}
