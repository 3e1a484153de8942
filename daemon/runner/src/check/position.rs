//! From a tool's lines and columns to byte offsets.

/// What a tool counts as one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Characters (ruff).
    Characters,
    /// UTF-16 code units (tsc).
    Utf16,
}

/// Where the lines of a text start.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Lines end with `\n`, `\r\n` or `\r`, and with U+2028 and U+2029 where `separators` says so.
    pub(super) fn new(text: &'t str, separators: bool) -> Self {
        // The byte order mark is part of the file and of no column.
        let mut starts = vec![if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }];
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let ends = match character {
                '\n' => true,
                '\r' => characters.peek().is_none_or(|(_, next)| *next != '\n'),
                '\u{2028}' | '\u{2029}' => separators,
                _ => false,
            };
            if ends {
                starts.push(at + character.len_utf8());
            }
        }
        Self { text, starts }
    }

    /// The byte offset of a 1-based line and column. The line after the last means the end of the
    /// text. `None` for a place that the text does not have.
    pub(super) fn offset(&self, line: u32, column: u32, unit: Unit) -> Option<usize> {
        let index = (line as usize).checked_sub(1)?;
        if index == self.starts.len() && column == 1 {
            return Some(self.text.len());
        }
        let start = *self.starts.get(index)?;
        let mut left = column.checked_sub(1)?;
        let mut at = start;
        let end = self.starts.get(index + 1).copied().unwrap_or(self.text.len());
        for character in self.text[start..end].chars() {
            if left == 0 {
                break;
            }
            let width = match unit {
                Unit::Characters => 1,
                Unit::Utf16 => u32::try_from(character.len_utf16()).unwrap_or(1),
            };
            left = left.checked_sub(width)?;
            at += character.len_utf8();
        }
        (left == 0).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_counted_in_the_tools_unit() {
        let lines = Lines::new("\u{feff}a\r\n\u{1d54f}é = 1\rx\u{2028}y", true);
        assert_eq!(lines.offset(1, 2, Unit::Characters), Some(4));
        assert_eq!(lines.offset(2, 3, Unit::Characters), Some(6 + 6));
        assert_eq!(lines.offset(2, 4, Unit::Utf16), Some(6 + 6));
        assert_eq!(lines.offset(2, 2, Unit::Utf16), None);
        assert_eq!(lines.offset(4, 1, Unit::Utf16), Some(21));
        assert_eq!(lines.offset(5, 1, Unit::Utf16), Some(22));
        assert_eq!(lines.offset(3, 9, Unit::Utf16), None);
        assert_eq!(lines.offset(0, 1, Unit::Utf16), None);
    }

    proptest! {
        #[test]
        fn offsets_are_boundaries(text in "(\\PC|[\r\n\u{2028}é𝕏]){0,20}", line in 0u32..9, column in 0u32..9) {
            for unit in [Unit::Characters, Unit::Utf16] {
                if let Some(at) = Lines::new(&text, true).offset(line, column, unit) {
                    prop_assert!(text.is_char_boundary(at));
                }
            }
        }
    }
}
