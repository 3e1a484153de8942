//! One line of progress on a terminal; nothing in a pipe.

use std::io::{IsTerminal, Write};

use greenlit_protocol::ProgressStage;

const CLEAR: &str = "\r\x1b[2K";

/// Writes progress while it lives, and clears its line at the end.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    /// Shows the steps of a request.
    pub(crate) fn sink(&self) -> impl FnMut(ProgressStage) + Send + 'static {
        let terminal = self.terminal;
        let mut title = String::new();
        move |stage| {
            let text = match stage {
                ProgressStage::Begin { title: new } => {
                    title = new;
                    title.clone()
                }
                ProgressStage::Report { message, percentage: Some(percentage) } => {
                    format!("{title}: {message} ({percentage} %)")
                }
                ProgressStage::Report { message, percentage: None } => {
                    format!("{title}: {message}")
                }
                ProgressStage::End { .. } => String::new(),
            };
            if terminal {
                let text: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
                let mut output = std::io::stderr().lock();
                let _gone = write!(output, "{CLEAR}{text}").and_then(|()| output.flush());
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            let mut output = std::io::stderr().lock();
            let _gone = write!(output, "{CLEAR}").and_then(|()| output.flush());
        }
    }
}
