//! Starting `greenlitd`, and hearing from it whether it could start.
//!
//! The readiness channel is the new process's standard output, a private pipe: one line, written
//! once. It is text so that a client and a daemon of different builds understand each other.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{ConnectError, Paths};

/// Names the daemon's program.
pub const DAEMON_ENV: &str = "GREENLIT_DAEMON";
/// How long a daemon may take to say anything.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest start-up message that is read, in bytes.
const MESSAGE_MAX: u64 = 16 << 10;

/// What a starting daemon says on its standard output, as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadyMessage {
    /// It listens.
    Ready {
        /// Its process id.
        pid: u32,
    },
    /// Another one listens already: connect to that.
    InUse,
    /// It cannot go on.
    Failed {
        /// Why.
        message: String,
    },
}

impl ReadyMessage {
    /// As the line that is sent, with its line feed.
    pub fn to_line(&self) -> String {
        match self {
            Self::Ready { pid } => format!("ready {pid}\n"),
            Self::InUse => "in-use\n".to_owned(),
            Self::Failed { message } => format!("failed {}\n", message.replace('\n', "\t")),
        }
    }

    /// Reads a line; `None` when it is none of these messages.
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line == "in-use" {
            return Some(Self::InUse);
        }
        let (word, rest) = line.split_once(' ')?;
        match word {
            "ready" => Some(Self::Ready { pid: rest.parse().ok()? }),
            "failed" => Some(Self::Failed { message: rest.replace('\t', "\n") }),
            _ => None,
        }
    }
}

/// The program to start: `option`, else [`DAEMON_ENV`], else next to this program, else in `PATH`.
pub fn find_daemon(option: Option<&Path>) -> Result<PathBuf, ConnectError> {
    let name = format!("greenlitd{}", std::env::consts::EXE_SUFFIX);
    if let Some(program) = option {
        return existing(vec![program.to_owned()]);
    }
    if let Some(program) = std::env::var_os(DAEMON_ENV).filter(|value| !value.is_empty()) {
        return existing(vec![program.into()]);
    }
    let mut looked = Vec::new();
    if let Ok(this) = std::env::current_exe() {
        looked.extend(this.parent().map(|dir| dir.join(&name)));
    }
    if let Some(path) = std::env::var_os("PATH") {
        let absolute = std::env::split_paths(&path).filter(|dir| dir.is_absolute());
        looked.extend(absolute.map(|dir| dir.join(&name)));
    }
    existing(looked)
}

fn existing(looked: Vec<PathBuf>) -> Result<PathBuf, ConnectError> {
    match looked.iter().find(|path| path.is_file()) {
        Some(program) => Ok(program.clone()),
        None => Err(ConnectError::ProgramNotFound { looked }),
    }
}

/// Starts the daemon and waits for its message. The caller holds the start lock.
pub(crate) async fn spawn(program: &Path, paths: &Paths) -> Result<ReadyMessage, ConnectError> {
    // It leaves this session itself, first thing; `/` so that it keeps no directory busy.
    let mut child = Command::new(program)
        .arg("--detached")
        .current_dir(if cfg!(windows) { paths.runtime_dir.as_path() } else { Path::new("/") })
        .env("GREENLIT_RUNTIME_DIR", &paths.runtime_dir)
        .env("GREENLIT_STATE_DIR", &paths.state_dir)
        .env("GREENLIT_CACHE_DIR", &paths.cache_dir)
        .env("GREENLIT_DATA_DIR", &paths.data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| ConnectError::Spawn { program: program.to_owned(), source })?;
    let message = match tokio::time::timeout(TIMEOUT, first_line(&mut child)).await {
        Ok(Some(ReadyMessage::Failed { message })) => message,
        Ok(Some(message)) => return Ok(message),
        Ok(None) => last_words(&mut child).await,
        Err(_) => {
            // Without an answer nobody knows what it will do: it must not come up later unseen.
            let _killed = child.start_kill();
            format!("it did not become ready within {} s", TIMEOUT.as_secs())
        }
    };
    Err(ConnectError::StartUp { message, log: paths.log.clone() })
}

async fn first_line(child: &mut Child) -> Option<ReadyMessage> {
    let output = child.stdout.take()?;
    let mut line = String::new();
    BufReader::new(output.take(MESSAGE_MAX)).read_line(&mut line).await.ok()?;
    ReadyMessage::parse(&line)
}

/// What is known about a daemon that ended, or closed its output, without a message: it may have
/// panicked or not been executable.
async fn last_words(child: &mut Child) -> String {
    let mut text = Vec::new();
    if let Some(errors) = child.stderr.take() {
        let mut errors = errors.take(MESSAGE_MAX);
        let _read =
            tokio::time::timeout(Duration::from_secs(1), errors.read_to_end(&mut text)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
    let mut message = match ended {
        Ok(Ok(status)) => format!("it ended before it was ready ({status})"),
        _ => "it closed its readiness channel without a message".to_owned(),
    };
    let text = String::from_utf8_lossy(&text);
    if !text.trim().is_empty() {
        message.push_str(": ");
        message.push_str(text.trim());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_as_one_line() {
        for message in [
            ReadyMessage::Ready { pid: 7 },
            ReadyMessage::InUse,
            ReadyMessage::Failed { message: "cannot bind\ncaused by: no room".to_owned() },
        ] {
            let line = message.to_line();
            assert_eq!(line.matches('\n').count(), 1);
            assert_eq!(ReadyMessage::parse(&line), Some(message));
        }
        for junk in ["", "\n", "ready\n", "ready x\n", "hello world\n"] {
            assert_eq!(ReadyMessage::parse(junk), None);
        }
    }

    #[test]
    fn a_named_program_that_does_not_exist_is_an_error_not_a_search() {
        let error = find_daemon(Some(Path::new("/nonexistent/greenlitd"))).unwrap_err();
        let ConnectError::ProgramNotFound { looked } = error else { panic!("{error}") };
        assert_eq!(looked, [PathBuf::from("/nonexistent/greenlitd")]);
    }
}
