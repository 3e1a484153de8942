//! Text from tools, bounded before it is kept or shown.

/// Bytes of a tool's own text that are kept for people.
pub(crate) const DETAILS_LIMIT: usize = 16 << 10;

/// Bytes of a one-line message.
const MESSAGE_LIMIT: usize = 500;

/// Bytes of a report that is read at all. A report beyond it counts as missing.
pub(crate) const REPORT_LIMIT: usize = 64 << 20;

/// The last part of `text`, at most [`DETAILS_LIMIT`] bytes: tools put the summary at the end.
pub(crate) fn tail(text: &str) -> String {
    if text.len() <= DETAILS_LIMIT {
        return text.trim_end().to_owned();
    }
    let mut start = text.len() - DETAILS_LIMIT;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("[…]{}", text[start..].trim_end())
}

/// The first part of `text`, at most `limit` bytes.
pub(crate) fn head(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let mut end = limit;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The first line that says something, bounded.
pub(crate) fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    head(line, MESSAGE_LIMIT).to_owned()
}

/// Removes terminal colour sequences.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\u{1b}' {
            plain.push(c);
            continue;
        }
        if rest.next() == Some('[') {
            for c in rest.by_ref() {
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
    }
    plain
}

/// Bytes of test names in one command line; systems allow at least 128 KiB.
const NAMES: usize = 100 << 10;

/// Names in batches that each fit one command line.
pub(crate) fn batches(names: &[String]) -> Vec<&[String]> {
    let mut batches = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, name) in names.iter().enumerate() {
        if size + name.len() > NAMES && at > start {
            batches.push(&names[start..at]);
            (start, size) = (at, 0);
        }
        size += name.len() + 1;
    }
    batches.push(&names[start..]);
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_are_removed() {
        assert_eq!(plain("\u{1b}[31;1mred\u{1b}[0m, plain"), "red, plain");
    }

    proptest! {
        #[test]
        fn bounding_never_panics(text in ".{0,400}", limit in 0usize..300) {
            prop_assert!(head(&text, limit).len() <= limit);
            prop_assert!(first_line(&text).len() <= MESSAGE_LIMIT);
            plain(&text);
        }

        #[test]
        fn the_tail_is_bounded(text in "\\PC{0,80}") {
            let long = text.repeat(400);
            prop_assert!(tail(&long).len() <= DETAILS_LIMIT + "[…]".len());
        }
    }
}
