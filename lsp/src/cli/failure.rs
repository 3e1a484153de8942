//! Errors as people and programs see them: what failed, why, what to do next.

use std::fmt::Display;
use std::io;

use greenlit_client::{ConnectError, HandshakeError, PathsError, RequestError};
use greenlit_protocol::{ErrorKind, RemoteError};
use serde::Serialize;

use super::output;

/// Exit code of an error.
pub(crate) const ERROR: u8 = 2;
/// Exit code after Ctrl-C, as shells count it.
const INTERRUPTED: u8 = 130;

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// One of [`ErrorKind`]'s names, or `daemon-unavailable`, `incompatible-version`, `io`.
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) details: Option<String>,
    #[serde(skip)]
    pub(crate) exit: u8,
}

impl Failure {
    pub(crate) fn new(kind: &str, message: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            message: message.into(),
            hint: None,
            details: None,
            exit: ERROR,
        }
    }

    /// What was typed makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(&kind_name(ErrorKind::BadRequest), message)
    }

    /// Somebody pressed Ctrl-C.
    pub(crate) fn interrupted() -> Self {
        let failure = Self::new(&kind_name(ErrorKind::Cancelled), "interrupted");
        Self { exit: INTERRUPTED, ..failure }
    }

    /// For `map_err`: what was tried, and why it failed.
    pub(crate) fn io(what: impl Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new("io", format!("{what}: {error}"))
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn details(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// As an object on standard output, or as text on standard error.
    pub(crate) fn print(&self, json: bool) {
        #[derive(Serialize)]
        struct Object<'a> {
            error: &'a Failure,
        }
        if json {
            output::json(&Object { error: self });
            return;
        }
        output::notice(format_args!("{}error:{} {}", output::RED, output::RESET, self.message));
        if let Some(details) = &self.details {
            output::notice(format_args!("{}", details.trim_end()));
        }
        if let Some(hint) = &self.hint {
            output::notice(format_args!("{}hint:{} {hint}", output::BOLD, output::RESET));
        }
    }
}

fn kind_name(kind: ErrorKind) -> String {
    match serde_json::to_value(kind) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "internal".to_owned(),
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let RemoteError { kind, message, hint, details } = error;
        Self { kind: kind_name(kind), message, hint, details, exit: ERROR }
    }
}

impl From<PathsError> for Failure {
    fn from(error: PathsError) -> Self {
        ConnectError::from(error).into()
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let kind = match &error {
            ConnectError::Handshake(HandshakeError::Incompatible(_)) => "incompatible-version",
            _ => "daemon-unavailable",
        };
        let details = match &error {
            ConnectError::ProgramNotFound { looked } => {
                let looked: Vec<_> = looked.iter().map(|path| path.display().to_string()).collect();
                Some(format!("looked at {}", looked.join(", ")))
            }
            _ => None,
        };
        Self { hint: error.hint(), details, ..Self::new(kind, error.full_message()) }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Remote(error) => error.into(),
            RequestError::Disconnected { .. } => Self::new("daemon-unavailable", error.to_string())
                .hint("see: greenlit logs; then try again"),
            RequestError::Unavailable { .. } => Self::new("daemon-unavailable", error.to_string()),
            RequestError::Frame(error) => {
                Self::usage(format!("the request cannot be sent: {error}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_the_daemon_keep_their_names() {
        let failure = Failure::from(RemoteError::new(ErrorKind::ToolMissing, "no pytest"));
        assert_eq!((failure.kind.as_str(), failure.exit), ("tool-missing", 2));
        assert_eq!(
            serde_json::to_string(&failure).unwrap(),
            r#"{"kind":"tool-missing","message":"no pytest","hint":null,"details":null}"#
        );
    }
}
