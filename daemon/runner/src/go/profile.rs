//! Coverage profiles: blocks of source text and how often each ran, as lines.

use std::collections::{BTreeMap, BTreeSet};

/// A block as a profile names it: 1-based lines and columns, the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block {
    pub(super) start: (u32, u32),
    pub(super) end: (u32, u32),
}

/// The blocks that ran, by `import/path/file.go`. Lines that are no entries are left out.
pub(super) fn executed(profile: &[u8]) -> BTreeMap<String, BTreeSet<Block>> {
    let mut files: BTreeMap<String, BTreeSet<Block>> = BTreeMap::new();
    for line in String::from_utf8_lossy(profile).lines() {
        if let Some((file, block)) = entry(line) {
            files.entry(file.to_owned()).or_default().insert(block);
        }
    }
    files
}

/// `m/price/price.go:5.24,7.12 2 1`: start, end, statements, count.
fn entry(line: &str) -> Option<(&str, Block)> {
    let (file, rest) = line.rsplit_once(':')?;
    let mut fields = rest.split(' ');
    let (start, end) = fields.next()?.split_once(',')?;
    let (_statements, count) = (fields.next()?, fields.next()?);
    if count == "0" {
        return None;
    }
    let place = |text: &str| {
        let (line, column) = text.split_once('.')?;
        Some((line.parse().ok()?, column.parse().ok()?))
    };
    Some((file, Block { start: place(start)?, end: place(end)? }))
}

impl Block {
    /// The lines that hold statements of this block: not the line that only opens its brace, which
    /// belongs to what decides whether the block runs, nor the one that closes it.
    pub(super) fn lines(self, source: &[&str]) -> std::ops::RangeInclusive<u32> {
        let line = |number: u32| {
            let index = usize::try_from(number).ok()?.checked_sub(1)?;
            source.get(index).copied()
        };
        let (mut first, mut last) = (self.start.0, self.end.0);
        let column = |column: u32| usize::try_from(column).unwrap_or(usize::MAX);
        if first < last {
            // The start lies on the brace or behind it.
            let rest =
                line(first).and_then(|text| text.get(column(self.start.1).saturating_sub(1)..));
            if rest.is_some_and(|rest| matches!(rest.trim(), "" | "{")) {
                first += 1;
            }
        }
        if first < last {
            let before =
                line(last).and_then(|text| text.get(..column(self.end.1).saturating_sub(1)));
            if before.is_some_and(|before| matches!(before.trim(), "" | "}")) {
                last -= 1;
            }
        }
        first..=last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "package p\n\nfunc F(a int) int {\n\tif a > 0 {\n\t\treturn 1\n\t} else {\n\t\ta++\n\t}\n\tx := func() int { return a }\n\treturn x()\n}\n";

    #[test]
    fn blocks_are_lines_without_their_braces() {
        let source: Vec<&str> = SOURCE.lines().collect();
        let lines = |start, end| {
            let lines: Vec<u32> = Block { start, end }.lines(&source).collect();
            lines
        };
        assert_eq!(lines((3, 19), (4, 11)), [4]);
        assert_eq!(lines((4, 11), (6, 3)), [5]);
        assert_eq!(lines((6, 9), (8, 3)), [7]);
        assert_eq!(lines((9, 2), (10, 12)), [9, 10]);
        assert_eq!(lines((9, 19), (9, 29)), [9]);
        // Places that the file does not have.
        assert_eq!(lines((40, 1), (41, 9)), [40, 41]);
    }

    #[test]
    fn only_what_ran_is_taken() {
        let profile = "mode: set\nm/p/p.go:3.19,4.11 1 1\nm/p/p.go:4.11,6.3 1 0\nbroken\nm/p/p.go:x.1,2.3 1 1\n";
        let found = executed(profile.as_bytes());
        assert_eq!(found["m/p/p.go"].len(), 1);
        assert_eq!(found.len(), 1);
    }
}
