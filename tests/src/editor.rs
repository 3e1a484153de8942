//! An editor without a screen: speaks the protocol with a real `greenlit lsp`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Installation, binary};

/// Long enough for a cold build on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// An editor session on one root.
pub struct Editor {
    server: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    root: PathBuf,
    next: u64,
    /// Diagnostics as published last, by URI.
    published: BTreeMap<String, Vec<Value>>,
}

impl Editor {
    /// Starts the server and says hello.
    ///
    /// # Panics
    /// When the server does not start or does not answer.
    pub fn open(installation: &Installation, root: &Path) -> Self {
        let mut server = installation
            .command(binary("greenlit"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("greenlit starts");
        let input = server.stdin.take().expect("a piped input");
        let mut reader = BufReader::new(server.stdout.take().expect("a piped output"));
        let (messages, output) = mpsc::channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut reader) {
                if messages.send(message).is_err() {
                    break;
                }
            }
        });
        let mut editor = Self {
            server,
            input,
            output,
            root: root.to_owned(),
            next: 0,
            published: BTreeMap::new(),
        };
        let params = json!({
            "capabilities": {
                "textDocument": { "codeAction": {
                    "dataSupport": true,
                    "resolveSupport": { "properties": ["edit"] },
                    "codeActionLiteralSupport": { "codeActionKind": { "valueSet": ["quickfix"] } },
                } },
                "workspace": { "workspaceEdit": { "documentChanges": true } },
                "window": { "workDoneProgress": true },
                "general": { "positionEncodings": ["utf-8"] },
            },
            "workspaceFolders": [{ "uri": editor.uri(""), "name": "root" }],
        });
        editor.ask("initialize", &params);
        editor.notify("initialized", &json!({}));
        editor
    }

    fn uri(&self, path: &str) -> String {
        let path = if path.is_empty() { self.root.clone() } else { self.root.join(path) };
        format!("file://{}", path.display())
    }

    fn write(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("it reads");
        self.input.flush().expect("it reads");
    }

    /// Tells the server something.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn notify(&mut self, method: &str, params: &Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// Asks and waits for the answer.
    ///
    /// # Panics
    /// When there is none, or it is an error.
    pub fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.receive(method);
            if message["id"] == id && message.get("method").is_none() {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// The next message; requests of the server are answered with nothing.
    fn receive(&mut self, what: &str) -> Value {
        let message = self.output.recv_timeout(PATIENCE);
        let message = message.unwrap_or_else(|error| panic!("waited for {what}: {error}"));
        if message.get("method").is_some() && message.get("id").is_some() {
            self.write(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": null }));
        }
        if message["method"] == "textDocument/publishDiagnostics" {
            let (uri, diagnostics) = (&message["params"]["uri"], &message["params"]["diagnostics"]);
            let diagnostics = diagnostics.as_array().cloned().unwrap_or_default();
            self.published.insert(uri.as_str().unwrap_or_default().to_owned(), diagnostics);
        }
        message
    }

    /// Waits until a file has diagnostics, or has none.
    ///
    /// # Panics
    /// When it does not come to that in time.
    pub fn until_diagnosed(&mut self, path: &str, wanted: bool) {
        let uri = self.uri(path);
        while self.published.get(&uri).is_some_and(|shown| !shown.is_empty()) != wanted {
            self.receive("diagnostics");
        }
    }

    /// Waits until a job with this title has begun.
    ///
    /// # Panics
    /// When none does in time.
    pub fn job_begins(&mut self, title: &str) {
        loop {
            let message = self.receive(title);
            let value = &message["params"]["value"];
            if message["method"] == "$/progress"
                && value["kind"] == "begin"
                && value["title"].as_str().is_some_and(|t| t.contains(title))
            {
                return;
            }
        }
    }

    /// Closes a file, without saving it.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn close(&mut self, path: &str) {
        let document = json!({ "uri": self.uri(path) });
        self.notify("textDocument/didClose", &json!({ "textDocument": document }));
    }

    /// Waits until a job with this title has begun and ended; gives how it ended.
    ///
    /// # Panics
    /// When none does in time.
    pub fn job(&mut self, title: &str) -> String {
        let mut token = None;
        loop {
            let message = self.receive(title);
            if message["method"] != "$/progress" {
                continue;
            }
            let (of, value) = (&message["params"]["token"], &message["params"]["value"]);
            if value["kind"] == "begin"
                && value["title"].as_str().is_some_and(|t| t.contains(title))
            {
                token = Some(of.clone());
            } else if value["kind"] == "end" && token.as_ref() == Some(of) {
                return value["message"].as_str().unwrap_or_default().to_owned();
            }
        }
    }

    /// Opens a file as it is on disk, or with another text.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn open_file(&mut self, path: &str, text: Option<&str>) {
        let disk = std::fs::read_to_string(self.root.join(path)).expect("the file is there");
        let text = text.unwrap_or(&disk);
        let document =
            json!({ "uri": self.uri(path), "languageId": "x", "version": 1, "text": text });
        self.notify("textDocument/didOpen", &json!({ "textDocument": document }));
    }

    /// Replaces the text of an open file.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn change(&mut self, path: &str, version: i32, text: &str) {
        let document = json!({ "uri": self.uri(path), "version": version });
        let params = json!({ "textDocument": document, "contentChanges": [{ "text": text }] });
        self.notify("textDocument/didChange", &params);
    }

    /// Writes an open file and says so.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn save(&mut self, path: &str, text: &str) {
        std::fs::write(self.root.join(path), text).expect("the file can be written");
        let document = json!({ "uri": self.uri(path) });
        self.notify("textDocument/didSave", &json!({ "textDocument": document }));
    }

    /// The menu at a diagnostic of another server.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn menu(&mut self, path: &str, diagnostic: &Value) -> Vec<Value> {
        let params = json!({
            "textDocument": { "uri": self.uri(path) },
            "range": diagnostic["range"],
            "context": { "diagnostics": [diagnostic] },
        });
        let actions = self.ask("textDocument/codeAction", &params);
        actions.as_array().cloned().unwrap_or_default()
    }

    /// The text of a file with an action's edit applied.
    ///
    /// # Panics
    /// When the action does not resolve to an edit of that file alone.
    pub fn applied(&mut self, action: &Value, text: &str) -> String {
        let resolved = self.ask("codeAction/resolve", action);
        let changes = resolved["edit"]["documentChanges"].as_array().expect("an edit");
        assert_eq!(changes.len(), 1, "{resolved}");
        let offset = |position: &Value| {
            let (line, column) = (&position["line"], &position["character"]);
            let number = |value: &Value| value.as_u64().expect("a number") as usize;
            let before: usize = text.split_inclusive('\n').take(number(line)).map(str::len).sum();
            before + number(column)
        };
        let mut text_now = text.to_owned();
        let mut edits = changes[0]["edits"].as_array().expect("edits").clone();
        edits.sort_by_key(|edit| std::cmp::Reverse(offset(&edit["range"]["start"])));
        for edit in edits {
            let range = offset(&edit["range"]["start"])..offset(&edit["range"]["end"]);
            text_now.replace_range(range, edit["newText"].as_str().expect("a text"));
        }
        text_now
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn read(reader: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", number)) => length = number.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}
