//! What is measured of a server, the same for each.

use std::fmt;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::Args;
use crate::daemon::Arrival;
use crate::project::Project;
use crate::server::Server;

/// What one server did.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    server: String,
    /// From the start of the process to the answer to `initialize`.
    start: Times,
    /// A menu in one of the open documents.
    code_action: Times,
    resident_start_bytes: u64,
    resident_open_bytes: u64,
    typing: Typing,
}

/// Some durations.
#[derive(Debug, Serialize)]
pub(crate) struct Times {
    count: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// From the moment when a change was due to what came of it, in the first and in the last quarter.
#[derive(Debug, Serialize)]
pub(crate) struct Typing {
    changes: usize,
    /// The answer to a request behind the change.
    answered: [Times; 2],
    /// The change at the daemon, where there is one.
    forwarded: Option<[Times; 2]>,
    resident_after_bytes: u64,
}

impl Times {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let millis = |d: &Duration| d.as_secs_f64() * 1e3;
        let at = |part: usize| durations.get(durations.len() * part / 100).map_or(0.0, millis);
        Self {
            count: durations.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: durations.last().map_or(0.0, millis),
        }
    }

    /// Of the first and of the last quarter.
    fn quarters(durations: &[Duration]) -> [Self; 2] {
        let quarter = durations.len() / 4;
        let last = durations.len() - quarter;
        [Self::of(durations[..quarter].to_vec()), Self::of(durations[last..].to_vec())]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {:.2} ms, p99 {:.2} ms", self.p50_ms, self.p99_ms)
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let Typing { changes, answered, forwarded, resident_after_bytes } = &self.typing;
        writeln!(f, "{}", self.server)?;
        writeln!(f, "  start, to the answer to initialize: {}", self.start)?;
        writeln!(f, "  codeAction: {}", self.code_action)?;
        writeln!(
            f,
            "  resident: {:.1} MB after the start, {:.1} MB with all documents, {:.1} MB after typing",
            megabytes(self.resident_start_bytes),
            megabytes(self.resident_open_bytes),
            megabytes(*resident_after_bytes),
        )?;
        writeln!(f, "  {changes} changes, then a menu after each, from when each was due:")?;
        let [first, last] = answered;
        let growth = last.p50_ms / first.p50_ms;
        write!(f, "    answered: first quarter {first}; last {last}: the median is {growth:.2} ×")?;
        if let Some([first, last]) = forwarded {
            write!(f, "\n    at the daemon: first quarter {first}; last {last}")?;
        }
        Ok(())
    }
}

/// Measures a server. One with `arrivals` offers a fix in each document, and its changes arrive there.
pub(crate) fn measure(
    label: &str,
    command: impl Fn() -> Command,
    project: &Project,
    arrivals: Option<&mpsc::Receiver<Arrival>>,
    args: &Args,
) -> Measured {
    let mut resident_start_bytes = 0;
    let starts = (0..args.starts)
        .map(|_| {
            let start = Instant::now();
            let mut server = Server::start(command());
            server.initialize(&project.root);
            let took = start.elapsed();
            resident_start_bytes = server.resident();
            // Ruff takes a shutdown before it for an error.
            server.notify("initialized", json!({}));
            server.stop();
            took
        })
        .collect();

    let mut server = Server::start(command());
    server.initialize(&project.root);
    server.notify("initialized", json!({}));
    for index in 0..project.documents {
        server.notify("textDocument/didOpen", project.opened(index));
    }
    let mut published = 0;
    while arrivals.is_some() && published < project.documents {
        let message = server.next();
        published += usize::from(message["method"] == "textDocument/publishDiagnostics");
    }
    let menus = (0..args.requests)
        .map(|request| {
            let start = Instant::now();
            let menu = project.menu(request % project.documents);
            let answer = server.ask("textDocument/codeAction", menu);
            let took = start.elapsed();
            if arrivals.is_some() {
                assert_eq!(answer.as_array().map(Vec::len), Some(1), "{answer}");
            }
            took
        })
        .collect();
    let resident_open_bytes = server.resident();
    let typing = typing(&mut server, project, arrivals, args);
    server.stop();
    Measured {
        server: label.to_owned(),
        start: Times::of(starts),
        code_action: Times::of(menus),
        resident_start_bytes,
        resident_open_bytes,
        typing,
    }
}

/// A person who types, faster than persons do, and whose editor asks for a menu after each letter.
fn typing(
    server: &mut Server,
    project: &Project,
    arrivals: Option<&mpsc::Receiver<Arrival>>,
    args: &Args,
) -> Typing {
    let interval = Duration::from_secs(1) / args.rate;
    let count = args.rate * args.seconds;
    let begin = Instant::now();
    let (mut answered, mut forwarded) = (Vec::new(), Vec::new());
    for step in 0..count {
        let due = begin + interval * step;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let version = i32::try_from(step).expect("few changes") + 2;
        let at = json!({ "line": 2, "character": step });
        server.notify(
            "textDocument/didChange",
            json!({
                "textDocument": { "uri": project.uri(0), "version": version },
                "contentChanges": [{ "range": { "start": at, "end": at }, "text": "x" }],
            }),
        );
        server.ask("textDocument/codeAction", project.menu(0));
        answered.push(due.elapsed());
        if let Some(arrivals) = arrivals {
            let (arrived, when) = arrivals.recv().expect("the daemon is this process");
            assert_eq!(arrived, version, "changes arrive in order, and all of them");
            forwarded.push(when.saturating_duration_since(due));
        }
    }
    Typing {
        changes: answered.len(),
        answered: Times::quarters(&answered),
        forwarded: arrivals.map(|_| Times::quarters(&forwarded)),
        resident_after_bytes: server.resident(),
    }
}
