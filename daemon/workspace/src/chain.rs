//! Errors for people.

use std::error::Error;

/// An error with its causes in one line: `a: b: c`. A cause that the text before it ends with is
/// not said twice.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Caused {
        text: &'static str,
        source: Option<Box<Caused>>,
    }

    #[test]
    fn causes_follow_and_none_is_said_twice() {
        let cause = |text, source: Option<Caused>| Caused { text, source: source.map(Box::new) };
        let full = cause("no room", None);
        let write = cause("cannot write: no room", Some(full));
        assert_eq!(chain(&cause("not stored", Some(write))), "not stored: cannot write: no room");
        assert_eq!(chain(&cause("alone", None)), "alone");
    }
}
