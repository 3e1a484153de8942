//! Server-sent events, as far as completions use them, from a server that is not trusted.

use std::io::{BufRead, ErrorKind, Read};
use std::time::Duration;

use serde::Deserialize;

use super::EndpointError;
use crate::model::{Finish, Usage};

/// Bytes of the longest line, and of all lines of one event.
pub(super) const LINE: usize = 256 << 10;

/// One step of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Piece(String),
    Usage(Usage),
    Finish(Finish),
    /// `[DONE]`
    Done,
}

/// A part of a completion, or all of one that is not streamed.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Counts>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default, alias = "message")]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// What the data of one event says.
pub(super) fn steps(data: &str) -> Result<Vec<Step>, EndpointError> {
    if data.trim() == "[DONE]" {
        return Ok(vec![Step::Done]);
    }
    let chunk: Chunk =
        serde_json::from_str(data).map_err(|error| EndpointError::Malformed(error.to_string()))?;
    if let Some(error) = chunk.error {
        let said = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
        return Err(EndpointError::Malformed(said));
    }
    let mut steps = Vec::new();
    for choice in chunk.choices.into_iter().take(1) {
        let content = choice.delta.and_then(|delta| delta.content).unwrap_or_default();
        if !content.is_empty() {
            steps.push(Step::Piece(content));
        }
        match choice.finish_reason.as_deref() {
            None => {}
            Some("length") => steps.push(Step::Finish(Finish::Length)),
            Some(_) => steps.push(Step::Finish(Finish::Stop)),
        }
    }
    if let Some(Counts { prompt_tokens, completion_tokens }) = chunk.usage {
        steps.push(Step::Usage(Usage { prompt_tokens, completion_tokens, estimated: false }));
    }
    Ok(steps)
}

/// The data of the next event; `None` at the end of the stream.
pub(super) fn event(reader: &mut impl BufRead) -> Result<Option<String>, EndpointError> {
    let mut data: Option<String> = None;
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LINE as u64 + 1).read_until(b'\n', &mut line);
        let read = read.map_err(|error| match is_timeout(&error) {
            true => EndpointError::Silent { patience: Duration::ZERO },
            false => EndpointError::Cut,
        })?;
        if read > LINE || data.as_ref().is_some_and(|data| data.len() > LINE) {
            return Err(EndpointError::LongLine);
        }
        let line = str::from_utf8(&line).map_err(|_| EndpointError::NotText)?;
        let line = line.trim_end_matches(['\n', '\r']);
        match line.strip_prefix("data:") {
            Some(rest) => {
                let rest = rest.strip_prefix(' ').unwrap_or(rest);
                match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(rest);
                    }
                    None => data = Some(rest.to_owned()),
                }
            }
            None if line.is_empty() && (data.is_some() || read == 0) => return Ok(data),
            // Comments, names and numbers of events.
            None => {}
        }
    }
}

/// The client wraps its own error into one of the standard library.
fn is_timeout(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    matches!(inner, Some(ureq::Error::Timeout(_)))
        || matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut text: &[u8]) -> Result<Vec<String>, EndpointError> {
        let mut events = Vec::new();
        while let Some(data) = event(&mut text)? {
            events.push(data);
        }
        Ok(events)
    }

    #[test]
    fn events_are_lines_of_data_up_to_an_empty_one() {
        let text = b": hello\n\nevent: x\r\ndata: a\r\n\r\ndata:b\ndata: c\n\nid: 1\n\ndata: end";
        assert_eq!(all(text).unwrap(), ["a", "b\nc", "end"]);
        assert_eq!(all(b"").unwrap(), [""; 0]);
    }

    #[test]
    fn bytes_that_are_no_text_and_lines_without_end_are_errors() {
        assert!(matches!(all(b"data: \xff\n\n"), Err(EndpointError::NotText)));
        let long = b"data: "
            .iter()
            .copied()
            .chain(std::iter::repeat_n(b'x', 10 << 20))
            .collect::<Vec<_>>();
        assert!(matches!(all(&long), Err(EndpointError::LongLine)));
        let many = b"data: 12345678901234567890\n".repeat(20_000);
        assert!(matches!(all(&many), Err(EndpointError::LongLine)), "one event of many lines");
    }

    #[test]
    fn a_chunk_has_text_an_end_and_counts() {
        let chunk = r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
        let usage = Usage { prompt_tokens: 3, completion_tokens: 4, estimated: false };
        let wanted = [Step::Piece("x".into()), Step::Finish(Finish::Length), Step::Usage(usage)];
        assert_eq!(steps(chunk).unwrap(), wanted);
        assert_eq!(steps("[DONE]").unwrap(), [Step::Done]);
        assert_eq!(steps(r#"{"choices":[],"usage":null}"#).unwrap(), []);
        assert!(
            steps(r#"{"error":{"message":"no memory"}}"#)
                .unwrap_err()
                .to_string()
                .contains("no memory")
        );
        assert!(matches!(steps("<html>"), Err(EndpointError::Malformed(_))));
    }
}
