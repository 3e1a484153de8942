//! The real process: it ends when the editor says so or goes away, with the right code, and says
//! nothing but the protocol on standard output.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

struct Process {
    input: Option<ChildStdin>,
    ended: mpsc::Receiver<(ExitStatus, String)>,
    _dir: tempfile::TempDir,
}

impl Process {
    /// Starts `greenlit lsp` and initializes it; `initialized` is never sent, so no daemon is
    /// looked for.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child: Child = Command::new(env!("CARGO_BIN_EXE_greenlit"))
            .arg("lsp")
            .env("GREENLIT_RUNTIME_DIR", dir.path())
            .env("GREENLIT_STATE_DIR", dir.path())
            .env("GREENLIT_DATA_DIR", dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut output = child.stdout.take().unwrap();
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            let _ = sender.send((child.wait().unwrap(), text));
        });
        let mut process = Self { input, ended, _dir: dir };
        process.send(json!({ "id": 1, "method": "initialize", "params": { "capabilities": {} } }));
        process
    }

    fn send(&mut self, mut message: Value) {
        message["jsonrpc"] = "2.0".into();
        let text = message.to_string();
        let frame = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        self.input.as_mut().unwrap().write_all(frame.as_bytes()).unwrap();
    }

    /// Waits for the end; gives the exit code and the messages.
    fn end(self) -> (i32, Vec<Value>) {
        let (status, output) = self.ended.recv_timeout(DEADLINE).expect("the process ends");
        (status.code().expect("no signal ended it"), messages(&output))
    }
}

/// Every message, and nothing between them.
fn messages(mut output: &str) -> Vec<Value> {
    let mut messages = Vec::new();
    while !output.is_empty() {
        let (header, rest) = output.split_once("\r\n\r\n").unwrap();
        let length = header.strip_prefix("Content-Length: ").unwrap().parse().unwrap();
        messages.push(serde_json::from_str(&rest[..length]).unwrap());
        output = &rest[length..];
    }
    messages
}

#[test]
fn exit_after_shutdown_is_a_success_though_the_input_stays_open() {
    let mut process = Process::start();
    process.send(json!({ "id": 2, "method": "shutdown" }));
    process.send(json!({ "method": "exit" }));
    let input = process.input.take();
    let (code, messages) = process.end();
    drop(input);
    assert_eq!(code, 0);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["result"]["serverInfo"]["name"], "greenlit");
    assert_eq!(messages[1], json!({ "jsonrpc": "2.0", "id": 2, "result": null }));
}

#[test]
fn exit_without_shutdown_is_a_failure() {
    let mut process = Process::start();
    process.send(json!({ "method": "exit" }));
    let input = process.input.take();
    assert_eq!(process.end().0, 1);
    drop(input);
}

#[test]
fn an_editor_that_goes_away_ends_it() {
    let mut process = Process::start();
    process.input = None;
    let (code, messages) = process.end();
    assert_eq!(code, 1);
    assert_eq!(messages.len(), 1);
}
