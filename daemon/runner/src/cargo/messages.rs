//! What `cargo --message-format=json` writes.

use std::iter::successors;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Script {
    pub(super) package_id: String,
    pub(super) linked_paths: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) out_dir: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Artifact {
    pub(super) package_id: String,
    pub(super) manifest_path: PathBuf,
    pub(super) target: Target,
    pub(super) profile: Profile,
    pub(super) executable: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Target {
    pub(super) kind: Vec<String>,
    pub(super) name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Profile {
    pub(super) test: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CompilerMessage {
    pub(super) message: RustcMessage,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RustcMessage {
    pub(super) level: String,
    pub(super) message: String,
    pub(super) rendered: Option<String>,
    pub(super) spans: Vec<Span>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Span {
    pub(super) file_name: PathBuf,
    pub(super) line_start: u32,
    pub(super) is_primary: bool,
    pub(super) label: Option<String>,
    /// Range in the file, in bytes.
    pub(super) byte_start: usize,
    pub(super) byte_end: usize,
    /// The macro call that wrote this code.
    pub(super) expansion: Option<Box<Expansion>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Expansion {
    pub(super) span: Span,
}

impl Span {
    /// This place, and the macro calls that it comes from.
    pub(super) fn chain(&self) -> impl Iterator<Item = &Span> {
        successors(Some(self), |span| span.expansion.as_ref().map(|from| &from.span))
    }
}

/// cargo's whole stream of messages.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) artifacts: Vec<Artifact>,
    pub(super) scripts: Vec<Script>,
    pub(super) errors: Vec<RustcMessage>,
}

impl Messages {
    /// Lines that are no messages (output of build scripts, a cut-off end) are left out.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut messages = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(value) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
            match value["reason"].as_str() {
                Some("compiler-artifact") => {
                    messages.artifacts.extend(serde_json::from_value(value))
                }
                Some("build-script-executed") => {
                    messages.scripts.extend(serde_json::from_value(value));
                }
                Some("compiler-message") => {
                    let message: Option<CompilerMessage> = serde_json::from_value(value).ok();
                    messages.errors.extend(
                        message.map(|m| m.message).filter(|m| m.level.starts_with("error")),
                    );
                }
                _ => {}
            }
        }
        messages
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Messages::parse(&bytes);
        }

        #[test]
        fn odd_messages_never_panic(reason in "compiler-artifact|build-script-executed|compiler-message", rest in "\\PC{0,80}") {
            let line = format!("{{\"reason\":\"{reason}\",\"target\":{rest}}}");
            let _ = Messages::parse(line.as_bytes());
            let line = serde_json::json!({ "reason": reason, "message": rest, "target": [rest] });
            let _ = Messages::parse(line.to_string().as_bytes());
        }
    }
}
