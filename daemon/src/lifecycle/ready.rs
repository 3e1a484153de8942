//! Telling whoever started this process whether it is ready.

use std::io::{self, Write};

use greenlit_client::ReadyMessage;

/// The readiness channel: standard output of a detached daemon, otherwise nobody.
#[derive(Debug)]
pub(crate) struct Readiness {
    detached: bool,
}

impl Readiness {
    pub(crate) fn new(detached: bool) -> Self {
        Self { detached }
    }

    /// Says it, and lets go of the starter's pipes: it waits for their end.
    pub(crate) fn say(self, message: &ReadyMessage) -> io::Result<()> {
        if !self.detached {
            if let ReadyMessage::Failed { message } = message {
                writeln!(io::stderr(), "greenlitd: {message}")?;
            }
            return Ok(());
        }
        let mut output = io::stdout();
        // The starter may be gone; that changes nothing for others.
        let _heard = output.write_all(message.to_line().as_bytes()).and_then(|()| output.flush());
        leave_pipes()
    }
}

#[cfg(unix)]
fn leave_pipes() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

#[cfg(not(unix))]
fn leave_pipes() -> io::Result<()> {
    Ok(())
}
