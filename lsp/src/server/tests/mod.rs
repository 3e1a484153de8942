//! The whole server in memory: an editor that speaks the protocol on one side, a daemon made of
//! channels on the other. Both fail on messages that a test did not expect.

mod code_actions;
mod commands;
mod consent;
mod diagnostics;
mod documents;
mod lifecycle;
mod test_results;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use greenlit_client::RequestError;
use greenlit_protocol::{
    Event, FileEdit, Finding, FindingKind, FixEntry, FixEvidence, FixSource, Notification,
    OfferedFix, Related, Request, Response, SessionParams,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::daemon::{Connector, Daemon, DaemonEvent, Replay};

const DEADLINE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

type Answer = oneshot::Sender<Result<Response, RequestError>>;

struct FakeDaemon {
    notifications: mpsc::UnboundedSender<Notification>,
    requests: mpsc::UnboundedSender<(Request, Answer)>,
    wakes: mpsc::UnboundedSender<()>,
    up: Arc<AtomicBool>,
}

impl Daemon for FakeDaemon {
    fn notify(&self, notification: Notification) {
        let _ = self.notifications.send(notification);
    }

    fn request(&self, request: Request) -> BoxFuture<'static, Result<Response, RequestError>> {
        let (answer, answered) = oneshot::channel();
        let _ = self.requests.send((request, answer));
        Box::pin(async move {
            answered.await.unwrap_or_else(|_| {
                Err(RequestError::Unavailable { reason: "the test gave no answer".into() })
            })
        })
    }

    fn wake(&self) {
        // As a link does it: while there is a connection nothing is to be woken.
        if !self.up.load(Ordering::Relaxed) {
            let _ = self.wakes.send(());
        }
    }
}

/// The test's side of the daemon.
struct DaemonSide {
    notifications: mpsc::UnboundedReceiver<Notification>,
    requests: mpsc::UnboundedReceiver<(Request, Answer)>,
    wakes: mpsc::UnboundedReceiver<()>,
    events: mpsc::Sender<DaemonEvent>,
    up: Arc<AtomicBool>,
    connected: Arc<Mutex<Option<(SessionParams, Replay)>>>,
}

impl DaemonSide {
    fn new() -> (Self, Connector) {
        let (notify, notifications) = mpsc::unbounded_channel();
        let (ask, requests) = mpsc::unbounded_channel();
        let (wake, wakes) = mpsc::unbounded_channel();
        let (events, from_daemon) = mpsc::channel(64);
        let from_daemon = Mutex::new(Some(from_daemon));
        let connected = Arc::new(Mutex::new(None));
        let seen = connected.clone();
        let up = Arc::new(AtomicBool::default());
        let daemon =
            FakeDaemon { notifications: notify, requests: ask, wakes: wake, up: up.clone() };
        let daemon = Arc::new(daemon);
        let connector: Connector = Box::new(move |params, replay| {
            *seen.lock().unwrap() = Some((params, replay));
            let events = from_daemon.lock().unwrap().take().expect("it connects once");
            (daemon.clone(), events)
        });
        (Self { notifications, requests, wakes, events, up, connected }, connector)
    }

    async fn notification(&mut self) -> Notification {
        within("a notification to the daemon", self.notifications.recv()).await.unwrap()
    }

    async fn request(&mut self) -> (Request, Answer) {
        within("a request to the daemon", self.requests.recv()).await.unwrap()
    }

    async fn tell(&self, event: DaemonEvent) {
        match event {
            DaemonEvent::Up { .. } => self.up.store(true, Ordering::Relaxed),
            DaemonEvent::Down { .. } => self.up.store(false, Ordering::Relaxed),
            DaemonEvent::GaveUp { .. } | DaemonEvent::Event(_) => {}
        }
        self.events.send(event).await.unwrap();
    }

    async fn findings(&self, root: &Path, revision: u64, findings: Vec<Finding>) {
        let root = root.to_owned();
        self.tell(DaemonEvent::Event(Event::Findings { root, revision, findings })).await;
    }

    fn params(&self) -> Option<SessionParams> {
        self.connected.lock().unwrap().as_ref().map(|(params, _)| params.clone())
    }

    fn replay(&self) -> Vec<Notification> {
        (self.connected.lock().unwrap().as_ref().unwrap().1)()
    }
}

/// The test's side of the editor.
struct Editor {
    input: Option<DuplexStream>,
    output: mpsc::UnboundedReceiver<Value>,
    early: VecDeque<Value>,
    next: i64,
    served: JoinHandle<u8>,
    root: tempfile::TempDir,
}

impl Editor {
    /// Starts a server that nothing was said to yet.
    fn start(connector: Connector) -> Self {
        let (input, server_input) = tokio::io::duplex(1 << 16);
        let (server_output, output) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(super::serve(server_input, server_output, connector));
        let (messages, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut output = BufReader::new(output);
            while let Some(message) = read_message(&mut output).await {
                let _ = messages.send(message);
            }
        });
        let root = tempfile::tempdir().unwrap();
        let (input, early) = (Some(input), VecDeque::new());
        Self { input, output: received, early, next: 0, served, root }
    }

    /// A session on an empty root, connected to the test's daemon.
    async fn open(capabilities: Value) -> (Self, DaemonSide) {
        let (daemon, connector) = DaemonSide::new();
        let mut editor = Self::start(connector);
        editor.initialize(capabilities).await;
        editor.notify("initialized", json!({})).await;
        (editor, daemon)
    }

    async fn initialize(&mut self, capabilities: Value) -> Value {
        let uri = self.uri("");
        let params = json!({
            "capabilities": capabilities,
            "clientInfo": { "name": "test", "version": "1" },
            "workspaceFolders": [{ "uri": uri, "name": "root" }],
        });
        self.ask("initialize", params).await.unwrap()
    }

    fn root(&self) -> PathBuf {
        self.root.path().canonicalize().unwrap()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// As the editor spells it: not canonical.
    fn uri(&self, path: &str) -> String {
        let path =
            if path.is_empty() { self.root.path().to_owned() } else { self.root.path().join(path) };
        lsp_types::Url::from_file_path(path).unwrap().to_string()
    }

    async fn write(&mut self, message: Value) {
        self.write_text(&json_rpc(message).to_string()).await;
    }

    async fn write_text(&mut self, text: &str) {
        let frame = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        let input = self.input.as_mut().unwrap();
        within("the server to read", input.write_all(frame.as_bytes())).await.unwrap();
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.write(json!({ "method": method, "params": params })).await;
    }

    async fn request(&mut self, method: &str, params: Value) -> i64 {
        self.next += 1;
        let id = self.next;
        self.write(json!({ "id": id, "method": method, "params": params })).await;
        id
    }

    async fn answer(&mut self, request: &Value, result: Value) {
        self.write(json!({ "id": request["id"], "result": result })).await;
    }

    /// The next message for which `wanted` holds; others wait for their turn.
    async fn take(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.early.iter().position(&wanted) {
            return self.early.remove(at).unwrap();
        }
        loop {
            let message = within(what, self.output.recv()).await;
            let message = message.unwrap_or_else(|| panic!("the output ended, without {what}"));
            if wanted(&message) {
                return message;
            }
            self.early.push_back(message);
        }
    }

    async fn response(&mut self, id: i64) -> Result<Value, Value> {
        let wanted = |message: &Value| message["id"] == id && message.get("method").is_none();
        let message = self.take(&format!("response {id}"), wanted).await;
        match message.get("error") {
            Some(error) => Err(error.clone()),
            None => Ok(message["result"].clone()),
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.request(method, params).await;
        self.response(id).await
    }

    async fn received(&mut self, method: &str) -> Value {
        self.take(method, |message| message["method"] == method).await
    }

    async fn diagnostics(&mut self) -> Value {
        self.received("textDocument/publishDiagnostics").await["params"].clone()
    }

    async fn did_open(&mut self, path: &str, text: &str) {
        let item = json!({ "uri": self.uri(path), "languageId": "x", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": item })).await;
    }

    async fn did_change(&mut self, path: &str, version: i32, changes: Value) {
        let document = json!({ "uri": self.uri(path), "version": version });
        let params = json!({ "textDocument": document, "contentChanges": changes });
        self.notify("textDocument/didChange", params).await;
    }

    async fn code_actions(&mut self, path: &str, line: u32) -> Value {
        let at = json!({ "line": line, "character": 0 });
        let params = json!({
            "textDocument": { "uri": self.uri(path) },
            "range": { "start": at, "end": at },
            "context": { "diagnostics": [] },
        });
        self.ask("textDocument/codeAction", params).await.unwrap()
    }

    /// Ends the session and checks that every message was expected.
    async fn finish(mut self, daemon: DaemonSide) {
        self.ask("shutdown", Value::Null).await.unwrap();
        self.notify("exit", Value::Null).await;
        let code = within("the server to end", &mut self.served).await.unwrap();
        assert_eq!(code, 0);
        while let Some(message) = within("the end of the output", self.output.recv()).await {
            self.early.push_back(message);
        }
        assert_eq!(self.early, [] as [Value; 0], "messages to the editor that no test expected");
        let DaemonSide { mut notifications, mut requests, .. } = daemon;
        let left: Vec<_> = std::iter::from_fn(|| notifications.try_recv().ok()).collect();
        assert_eq!(left, [], "notifications to the daemon that no test expected");
        let left: Vec<_> = std::iter::from_fn(|| requests.try_recv().ok()).map(|r| r.0).collect();
        assert_eq!(left, [], "requests to the daemon that no test expected");
    }
}

fn json_rpc(mut message: Value) -> Value {
    message["jsonrpc"] = "2.0".into();
    if message["params"].is_null() {
        message.as_object_mut().unwrap().remove("params");
    }
    message
}

async fn read_message(output: &mut BufReader<DuplexStream>) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", number)) => length = number.parse().unwrap(),
            Some(_) => {}
            None => break,
        }
    }
    let mut bytes = vec![0; length];
    output.read_exact(&mut bytes).await.unwrap();
    Some(serde_json::from_slice(&bytes).unwrap())
}

/// What a modern editor can do.
fn modern() -> Value {
    json!({
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
    })
}

fn hash(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The text before (`test.py`) and what is wrong in it (`gcd.py`).
const TEST: &str = "def test_gcd():\n    assert gcd(6, 4) == 2\n";
const CODE: &str = "\u{1d54f} = 1; return x\n";

/// `test_gcd` fails; replacing `x` by `\u{1d54f}` in `gcd.py` mends it.
fn finding(root: &Path) -> Finding {
    let at = CODE.find('x').unwrap();
    let edit =
        FileEdit { path: "gcd.py".into(), start: at, end: at + 1, new_text: "\u{1d54f}".into() };
    Finding {
        kind: FindingKind::FailingTest,
        test: Some("test.py::test_gcd".into()),
        path: root.join("test.py"),
        line: 2,
        content_hash: hash(TEST),
        message: "assert 4 == 2".into(),
        related: vec![Related { path: root.join("gcd.py"), line: 1, message: "suspicious".into() }],
        fixes: vec![OfferedFix {
            id: "fix-1".into(),
            title: "Fix test_gcd · verified".into(),
            summary: "x → 𝕏".into(),
            entry: FixEntry {
                tests: vec!["test.py::test_gcd".into()],
                rank: 1,
                diff: String::new(),
                edits: vec![edit],
                source: FixSource {
                    tier: "template".into(),
                    rule: Some("name".into()),
                    model: None,
                    adapter: None,
                },
                evidence: FixEvidence {
                    red_to_green: vec!["test.py::test_gcd".into()],
                    unchanged: 1,
                    newly_failing: 0,
                    runs: 2,
                    scope: "all".into(),
                    layer: "namespaces".into(),
                    duration_ms: 10,
                    diagnostic: None,
                    content_hashes: BTreeMap::from([
                        ("gcd.py".into(), hash(CODE)),
                        ("test.py".into(), hash(TEST)),
                    ]),
                    agreement: None,
                    test_strength: None,
                    retrieved: None,
                    generation: None,
                    merit: None,
                    rebased: false,
                },
            },
        }],
    }
}

/// A session with both files on disk and open, and the finding published.
async fn with_finding(capabilities: Value) -> (Editor, DaemonSide) {
    let (mut editor, mut daemon) = Editor::open(capabilities).await;
    for (path, text) in [("test.py", TEST), ("gcd.py", CODE)] {
        std::fs::write(editor.path(path), text).unwrap();
        editor.did_open(path, text).await;
        daemon.notification().await;
    }
    daemon.findings(&editor.root(), 7, vec![finding(&editor.root())]).await;
    (editor, daemon)
}
