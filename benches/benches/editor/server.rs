//! A language server as an editor talks to it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// One process of it.
pub(crate) struct Server {
    child: Child,
    input: ChildStdin,
    output: mpsc::Receiver<Value>,
    next: i64,
}

impl Server {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the server starts");
        let input = child.stdin.take().expect("it is piped");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (messages, received) = mpsc::channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if messages.send(message).is_err() {
                    break;
                }
            }
        });
        Self { child, input, output: received, next: 0 }
    }

    fn write(&mut self, message: &Value) {
        let text = message.to_string();
        let frame = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        self.input.write_all(frame.as_bytes()).expect("the server reads");
    }

    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The next message; what the server asks is answered with nothing, as editors without settings do.
    pub(crate) fn next(&mut self) -> Value {
        let message = self.output.recv_timeout(PATIENCE).expect("the server answers");
        if message.get("method").is_some() && message.get("id").is_some() {
            self.write(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": null }));
        }
        message
    }

    pub(crate) fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut request = json!({ "jsonrpc": "2.0", "id": id, "method": method });
        if !params.is_null() {
            request["params"] = params;
        }
        self.write(&request);
        loop {
            let message = self.next();
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    pub(crate) fn initialize(&mut self, project: &Path) {
        let uri = format!("file://{}", project.display());
        let capabilities = json!({
            "general": { "positionEncodings": ["utf-16"] },
            "textDocument": {
                "publishDiagnostics": { "relatedInformation": true },
                "codeAction": {
                    "dataSupport": true,
                    "resolveSupport": { "properties": ["edit"] },
                    "codeActionLiteralSupport": { "codeActionKind": { "valueSet": ["quickfix"] } },
                },
            },
            "workspace": { "workspaceEdit": { "documentChanges": true } },
        });
        let folder = json!({ "uri": uri, "name": "project" });
        let params = json!({ "capabilities": capabilities, "workspaceFolders": [folder] });
        let result = self.ask("initialize", params);
        assert!(result["capabilities"].is_object(), "{result}");
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        greenlit_benches::machine::resident(self.child.id())
    }

    pub(crate) fn stop(mut self) {
        self.ask("shutdown", Value::Null);
        self.write(&json!({ "jsonrpc": "2.0", "method": "exit" }));
        self.child.wait().expect("it is our child");
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", number)) => length = number.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut bytes = vec![0; length];
    output.read_exact(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
