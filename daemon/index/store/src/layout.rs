//! Where things lie in a segment: a page with the header, then one column per part of a record.

/// How many records a segment has room for. Few in unit tests, so that they cross many borders.
pub(crate) const RECORDS: u32 = if cfg!(test) { 16 } else { 1024 };
/// What file systems give out at a time.
pub(crate) const PAGE: u64 = 4096;
/// How many vectors a space can hold over all its life: one less than there are slots.
pub(crate) const MAX_SLOTS: u32 = u32::MAX - RECORDS;

/// The same part of every record, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) offset: usize,
    /// Bytes per record.
    pub(crate) stride: usize,
}

impl Column {
    /// Where the part of a record begins.
    pub(crate) fn at(&self, record: u32) -> usize {
        self.offset + record as usize * self.stride
    }
}

/// The columns of a segment whose vectors have `dims` values. Each begins at a page border, so that
/// values are aligned and pages of unused records are never given out by the file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) dims: usize,
    pub(crate) keys: Column,
    /// Checksum of key, scale, signs and codes.
    pub(crate) scan_sums: Column,
    /// Checksum of key and full vector.
    pub(crate) full_sums: Column,
    pub(crate) scales: Column,
    pub(crate) signs: Column,
    pub(crate) codes: Column,
    pub(crate) full: Column,
    /// The length of the file.
    pub(crate) total: u64,
}

impl Layout {
    pub(crate) fn new(dims: u32) -> Self {
        let dims = dims as usize;
        let mut end = PAGE;
        let mut column = |stride: usize| {
            let offset = end as usize;
            end += pages(stride as u64 * u64::from(RECORDS));
            Column { offset, stride }
        };
        Self {
            dims,
            keys: column(32),
            scan_sums: column(8),
            full_sums: column(8),
            scales: column(4),
            signs: column(dims.div_ceil(64) * 8),
            codes: column(dims),
            full: column(dims * 4),
            total: end,
        }
    }

    pub(crate) fn columns(&self) -> [Column; 7] {
        let Self { keys, scan_sums, full_sums, scales, signs, codes, full, .. } = *self;
        [keys, scan_sums, full_sums, scales, signs, codes, full]
    }

    /// What a segment with so many records takes on disk.
    pub(crate) fn allocated(&self, records: u32) -> u64 {
        let column = |column: Column| pages(column.stride as u64 * u64::from(records));
        PAGE + self.columns().into_iter().map(column).sum::<u64>()
    }

    /// What so many more records take on disk, behind slot `len`.
    pub(crate) fn growth(&self, len: u32, more: u32) -> u64 {
        let (first, last) = (len % RECORDS, len % RECORDS + more);
        let before = if first == 0 { 0 } else { self.allocated(first) };
        let rest = if last.is_multiple_of(RECORDS) { 0 } else { self.allocated(last % RECORDS) };
        u64::from(last / RECORDS) * self.allocated(RECORDS) + rest - before
    }
}

fn pages(bytes: u64) -> u64 {
    bytes.next_multiple_of(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_is_allocated_afterwards_and_was_not_before() {
        let layout = Layout::new(100);
        for (len, more) in [(0, 1), (0, 16), (5, 3), (10, 6), (10, 7), (16, 100)] {
            let all = |len: u32| {
                let whole = u64::from(len / RECORDS) * layout.allocated(RECORDS);
                whole
                    + if len.is_multiple_of(RECORDS) { 0 } else { layout.allocated(len % RECORDS) }
            };
            assert_eq!(layout.growth(len, more), all(len + more) - all(len), "{len} {more}");
        }
    }

    #[test]
    fn columns_do_not_overlap_whatever_the_size_of_vectors() {
        for dims in [1, 3, 63, 64, 65, 384, 1000, 8192] {
            let layout = Layout::new(dims);
            let mut end = PAGE as usize;
            for column in layout.columns() {
                assert!(column.offset >= end && column.offset.is_multiple_of(PAGE as usize));
                end = column.at(RECORDS);
            }
            assert!(end as u64 <= layout.total);
        }
    }
}
