//! What the library and its helper say to each other. Both come from the same build, so there is
//! no version: the helper is located next to the daemon.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::SandboxError;
use crate::spec::{Command, ExecOutcome, ExitState, FileWrite, Layer, LineOutcome, SandboxSpec};

/// Bytes carried as bytes; a plain `Vec<u8>` would become a list of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Blob;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Blob, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = items.next_element()? {
                    bytes.push(byte);
                }
                Ok(Blob(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

/// The first frame: everything the helper needs to build the view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Open {
    /// The layer to build; the library tries another one when this is refused.
    pub(crate) layer: Layer,
    /// The specification, without its files: they follow as a write.
    pub(crate) spec: SandboxSpec,
    /// The user's home directory, to be masked.
    pub(crate) home: PathBuf,
    /// A directory for the copy of the lower layers.
    pub(crate) temp: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireWrite {
    pub(crate) path: PathBuf,
    pub(crate) content: Option<Blob>,
}

impl From<&FileWrite> for WireWrite {
    fn from(file: &FileWrite) -> Self {
        Self { path: file.path.clone(), content: file.content.clone().map(Blob) }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireCommand {
    /// The command with an empty `stdin`.
    pub(crate) command: Command,
    pub(crate) stdin: Blob,
}

impl From<&Command> for WireCommand {
    fn from(command: &Command) -> Self {
        let stdin = Blob(command.stdin.clone());
        let command = Command {
            argv: command.argv.clone(),
            cwd: command.cwd.clone(),
            env: command.env.clone(),
            stdin: Vec::new(),
            wall: command.wall,
            cpu: command.cpu,
        };
        Self { command, stdin }
    }
}

/// One request; each gets exactly one [`Reply`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Request {
    Write(Vec<WireWrite>),
    Read { path: PathBuf, max_bytes: u64 },
    Exec(WireCommand),
    Spawn(WireCommand),
    SendLine(Blob),
    ReadLine { timeout: Duration },
    Stop,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WireOutcome {
    pub(crate) state: ExitState,
    pub(crate) stdout: Blob,
    pub(crate) stderr: Blob,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    pub(crate) disk_full: bool,
}

impl From<WireOutcome> for ExecOutcome {
    fn from(outcome: WireOutcome) -> Self {
        Self {
            state: outcome.state,
            stdout: outcome.stdout.0,
            stderr: outcome.stderr.0,
            wall: outcome.wall,
            cpu: outcome.cpu,
            disk_full: outcome.disk_full,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum WireLine {
    Line(Blob),
    Ended(WireOutcome),
}

impl From<WireLine> for LineOutcome {
    fn from(line: WireLine) -> Self {
        match line {
            WireLine::Line(Blob(bytes)) => Self::Line(bytes),
            WireLine::Ended(outcome) => Self::Ended(outcome.into()),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The view stands.
    Opened {
        /// Where the checkout is seen.
        inside_root: PathBuf,
        /// A private writable directory.
        scratch: PathBuf,
        /// What this machine did not allow, for people.
        notes: Vec<String>,
    },
    /// The layer cannot be built here.
    Refused {
        reason: String,
        remedy: Option<String>,
    },
    Done,
    Failed(SandboxError),
    Content(Option<Blob>),
    Outcome(WireOutcome),
    Line(WireLine),
}
