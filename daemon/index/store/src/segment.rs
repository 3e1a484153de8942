//! One file of up to [`RECORDS`] records: written once each, checked when first read.

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
use crate::layout::{Layout, PAGE, RECORDS};
use crate::mapping::Mapping;

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
        Ok(Self { layout, seed: Header::seed(page), mapping, states })
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

    /// Whether a part of a record is what was written. Computed once.
    fn is_sound(&self, part: Part, record: u32) -> bool {
        let state = self.states[record as usize].load(Ordering::Relaxed);
        if state & part as u8 != 0 { state & DAMAGED == 0 } else { self.check(part, record) }
    }

    #[cold]
    fn check(&self, part: Part, record: u32) -> bool {
        let layout = &self.layout;
        let key = self.bytes(layout.keys.at(record), 32);
        let (sum, expected) = match part {
            Part::Scan => {
                let scale = self.bytes(layout.scales.at(record), layout.scales.stride);
                let signs = self.bytes(layout.signs.at(record), layout.signs.stride);
                let codes = self.bytes(layout.codes.at(record), layout.codes.stride);
                (self.sum(part, record, &[key, scale, signs, codes]), layout.scan_sums)
            }
            Part::Full => {
                let full = self.bytes(layout.full.at(record), layout.full.stride);
                (self.sum(part, record, &[key, full]), layout.full_sums)
            }
        };
        let sound = self.bytes(expected.at(record), expected.stride) == sum;
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
    pub(crate) fn full(&self, record: u32) -> Option<&[f32]> {
        let view = || self.mapping.view(self.layout.full.at(record), self.layout.dims);
        self.is_sound(Part::Full, record).then(view)
    }

    /// One byte per value; `None` when the record is damaged.
    pub(crate) fn codes(&self, record: u32) -> Option<&[i8]> {
        let view = || self.mapping.view(self.layout.codes.at(record), self.layout.dims);
        self.is_sound(Part::Scan, record).then(view)
    }

    /// The scale of the codes; `None` when the record is damaged.
    pub(crate) fn scale(&self, record: u32) -> Option<f32> {
        let view = || self.mapping.view(self.layout.scales.at(record), 1)[0];
        self.is_sound(Part::Scan, record).then(view)
    }

    /// One bit per value; `None` when the record is damaged.
    pub(crate) fn signs(&self, record: u32) -> Option<&[u64]> {
        let words = self.layout.signs.stride / 8;
        let view = || self.mapping.view(self.layout.signs.at(record), words);
        self.is_sound(Part::Scan, record).then(view)
    }

    /// Reads all of a record and tells whether it is what was written.
    pub(crate) fn verify(&self, record: u32) -> bool {
        self.is_sound(Part::Scan, record) && self.is_sound(Part::Full, record)
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
