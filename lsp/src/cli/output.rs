//! The only place that writes to standard output and standard error.
//!
//! A reader that is gone (`greenlit logs | head`) is no error: writes to it are dropped.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

pub(crate) const RESET: &str = "\x1b[0m";
pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const DIM: &str = "\x1b[2m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const YELLOW: &str = "\x1b[33m";
pub(crate) const CYAN: &str = "\x1b[36m";

/// One line for people on standard output; colours only on a terminal.
pub(crate) fn line(text: impl Display) {
    let _gone = writeln!(anstream::stdout().lock(), "{text}");
}

/// One line on standard error.
pub(crate) fn notice(text: impl Display) {
    let _gone = writeln!(anstream::stderr().lock(), "{text}");
}

/// The one object of `--json`.
pub(crate) fn json<T: Serialize>(value: &T) {
    let text = serde_json::to_string_pretty(value)
        .expect("reports hold only strings as keys and no failing serializers");
    let mut output = std::io::stdout().lock();
    let _gone = writeln!(output, "{text}").and_then(|()| output.flush());
}

/// One object of JSON Lines; `false` when nobody reads any more.
pub(crate) fn json_line<T: Serialize>(value: &T) -> bool {
    writeln!(std::io::stdout().lock(), "{}", json_text(value)).is_ok()
}

/// An object on one line.
pub(crate) fn json_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("reports hold only strings as keys and no failing serializers")
}

/// A text as it is.
pub(crate) fn text(text: &str) {
    let mut output = std::io::stdout().lock();
    let _gone = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// A unified diff with colours, indented.
pub(crate) fn diff(diff: &str) {
    for text in diff.lines() {
        let color = match text.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => BOLD,
            [b'+', ..] => GREEN,
            [b'-', ..] => RED,
            [b'@', b'@', ..] => CYAN,
            _ => "",
        };
        let reset = if color.is_empty() { "" } else { RESET };
        line(format_args!("   {color}{text}{reset}"));
    }
}

/// `1 failing test`, `2 failing tests`.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = match what.strip_suffix('x') {
        Some(_) => "es",
        None => "s",
    };
    format!("{number} {what}{}", if number == 1 { "" } else { plural })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_plural() {
        assert_eq!(count(1, "verified fix"), "1 verified fix");
        assert_eq!(count(2, "verified fix"), "2 verified fixes");
        assert_eq!(count(0, "failing test"), "0 failing tests");
    }
}
