//! Positions in text: the editor's lines and columns, and byte offsets.

use lsp_types::{Position, PositionEncodingKind};
use ropey::{Rope, RopeSlice};

/// What the editor counts as one column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Bytes.
    Utf8,
    /// UTF-16 code units: what every editor speaks.
    #[default]
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// UTF-8 where the editor offers it, since the daemon counts bytes; else the first that the
    /// editor names; else the protocol's default.
    pub(crate) fn negotiate(offered: Option<&[PositionEncodingKind]>) -> Self {
        let known = |kind: &PositionEncodingKind| match kind.as_str() {
            "utf-8" => Some(Self::Utf8),
            "utf-16" => Some(Self::Utf16),
            "utf-32" => Some(Self::Utf32),
            _ => None,
        };
        let offered: Vec<Self> = offered.into_iter().flatten().filter_map(known).collect();
        if offered.contains(&Self::Utf8) {
            return Self::Utf8;
        }
        offered.first().copied().unwrap_or_default()
    }

    pub(crate) fn kind(self) -> PositionEncodingKind {
        match self {
            Self::Utf8 => PositionEncodingKind::UTF8,
            Self::Utf16 => PositionEncodingKind::UTF16,
            Self::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    /// The byte offset of a position. Columns past the end of a line mean its end, lines past the
    /// last mean the end of the text, and columns inside a character mean its start.
    pub(crate) fn offset(self, rope: &Rope, position: Position) -> usize {
        let line = position.line as usize;
        if line >= rope.len_lines() {
            return rope.len_bytes();
        }
        let start = rope.line_to_byte(line);
        let text = without_ending(rope.line(line));
        let column = position.character as usize;
        let within = match self {
            Self::Utf8 => text.char_to_byte(text.byte_to_char(column.min(text.len_bytes()))),
            Self::Utf16 => {
                let column = column.min(text.len_utf16_cu());
                text.char_to_byte(text.utf16_cu_to_char(column))
            }
            Self::Utf32 => text.char_to_byte(column.min(text.len_chars())),
        };
        start + within
    }

    /// The position of a byte offset. `None` when it is past the end, inside a character, or
    /// between the two halves of a line ending: no position says that.
    pub(crate) fn position(self, rope: &Rope, offset: usize) -> Option<Position> {
        let character = rope.try_byte_to_char(offset).ok()?;
        if rope.char_to_byte(character) != offset {
            return None;
        }
        let line = rope.byte_to_line(offset);
        let text = without_ending(rope.line(line));
        let within = offset - rope.line_to_byte(line);
        if within > text.len_bytes() {
            return None;
        }
        let column = match self {
            Self::Utf8 => within,
            Self::Utf16 => text.char_to_utf16_cu(text.byte_to_char(within)),
            Self::Utf32 => text.byte_to_char(within),
        };
        Some(Position::new(u32::try_from(line).ok()?, u32::try_from(column).ok()?))
    }
}

/// A line without `\n`, `\r\n` or `\r`.
fn without_ending(line: RopeSlice<'_>) -> RopeSlice<'_> {
    let mut end = line.len_chars();
    if end > 0 && line.char(end - 1) == '\n' {
        end -= 1;
    }
    if end > 0 && line.char(end - 1) == '\r' {
        end -= 1;
    }
    line.slice(..end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Encoding; 3] = [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32];

    impl Encoding {
        fn width(self, character: char) -> usize {
            match self {
                Self::Utf8 => character.len_utf8(),
                Self::Utf16 => character.len_utf16(),
                Self::Utf32 => 1,
            }
        }
    }

    /// Walks character by character: slow and plain.
    fn naive_offset(encoding: Encoding, text: &str, position: Position) -> usize {
        let mut starts = vec![0];
        let mut ends = Vec::new();
        let mut rest = text.char_indices().peekable();
        while let Some((at, character)) = rest.next() {
            if character == '\r' || character == '\n' {
                ends.push(at);
                let pair = character == '\r' && rest.next_if(|(_, next)| *next == '\n').is_some();
                starts.push(at + if pair { 2 } else { 1 });
            }
        }
        ends.push(text.len());
        let line = position.line as usize;
        if line >= starts.len() {
            return text.len();
        }
        let (start, end) = (starts[line], ends[line]);
        let mut column = 0;
        for (at, character) in text[start..end].char_indices() {
            column += encoding.width(character);
            if column > position.character as usize {
                return start + at;
            }
        }
        end
    }

    #[test]
    fn the_three_encodings_count_differently() {
        let rope = Rope::from_str("a\u{e9}\u{1d54f}b\r\nc");
        let at = |encoding: Encoding, column| encoding.offset(&rope, Position::new(0, column));
        assert_eq!(at(Encoding::Utf8, 7), 7);
        assert_eq!(at(Encoding::Utf16, 4), 7);
        assert_eq!(at(Encoding::Utf32, 3), 7);
        // Inside the surrogate pair, and inside the bytes: the character's start.
        assert_eq!(at(Encoding::Utf16, 3), 3);
        assert_eq!(at(Encoding::Utf8, 5), 3);
        // Past the end of the line and of the text.
        assert_eq!(at(Encoding::Utf16, 99), 8);
        assert_eq!(Encoding::Utf16.offset(&rope, Position::new(9, 0)), 11);
        assert_eq!(Encoding::Utf16.position(&rope, 9), None, "between \\r and \\n");
        assert_eq!(Encoding::Utf16.position(&rope, 4), None, "inside a character");
        assert_eq!(Encoding::Utf16.position(&rope, 12), None);
    }

    #[test]
    fn bytes_are_preferred_when_offered() {
        let negotiate = |offered: &[&'static str]| {
            let kinds: Vec<_> =
                offered.iter().map(|kind| PositionEncodingKind::new(kind)).collect();
            Encoding::negotiate(Some(&kinds))
        };
        assert_eq!(Encoding::negotiate(None), Encoding::Utf16);
        assert_eq!(negotiate(&[]), Encoding::Utf16);
        assert_eq!(negotiate(&["utf-16", "utf-8"]), Encoding::Utf8);
        assert_eq!(negotiate(&["utf-32", "utf-16"]), Encoding::Utf32);
        assert_eq!(negotiate(&["utf-7", "utf-16"]), Encoding::Utf16);
    }

    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("\r\n"),
            Just("\n"),
            Just("\r"),
            Just("\t"),
            Just("a"),
            Just("é"),
            Just("𝕏"),
            Just("\u{2028}"),
            Just("\u{85}"),
            Just("\u{b}"),
            Just("e\u{301}"),
        ];
        proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn offsets_equal_the_naive_ones(text in text(), line in 0..12u32, column in 0..40u32) {
            let rope = Rope::from_str(&text);
            let position = Position::new(line, column);
            for encoding in ALL {
                prop_assert_eq!(
                    encoding.offset(&rope, position),
                    naive_offset(encoding, &text, position)
                );
            }
        }

        #[test]
        fn offsets_survive_the_round_trip(text in text()) {
            let rope = Rope::from_str(&text);
            for encoding in ALL {
                for offset in 0..=text.len() + 1 {
                    let inside = offset > 0
                        && text.get(..offset).is_some_and(|before| before.ends_with('\r'))
                        && text[offset..].starts_with('\n');
                    let valid = text.is_char_boundary(offset) && offset <= text.len() && !inside;
                    let position = encoding.position(&rope, offset);
                    prop_assert_eq!(position.is_some(), valid, "offset {}", offset);
                    if let Some(position) = position {
                        prop_assert_eq!(encoding.offset(&rope, position), offset);
                    }
                }
            }
        }
    }
}
