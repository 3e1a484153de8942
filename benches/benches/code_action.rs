//! The thin server against the clock: `initialize`, `codeAction` with 200 open documents, resident
//! memory; next to `ruff server` where `ruff` is installed.
//!
//! Run `cargo build --release -p greenlit` first, then `cargo bench -p greenlit-benches --bench
//! code_action`. The daemon is played by this program, so that only the thin server is measured.
#![expect(clippy::print_stdout, reason = "a benchmark reports")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use greenlit_client::{Paths, accept, bind};
use greenlit_protocol::{
    Event, FileEdit, Finding, FindingKind, FixEntry, FixEvidence, FixSource, MAGIC, OfferedFix,
    PROTOCOL_MAX, Related, ServerFrame, Welcome, frame,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DOCUMENTS: usize = 200;
const STARTS: usize = 20;
const REQUESTS: usize = 4000;
const PATIENCE: Duration = Duration::from_secs(60);

fn main() {
    let greenlit = greenlit();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path().canonicalize().expect("it exists");
    let runtime_dir = root.join("run");
    let project = root.join("project");
    std::fs::create_dir(&project).expect("it is empty");
    for index in 0..DOCUMENTS {
        std::fs::write(project.join(name(index)), text(index)).expect("it is writable");
    }
    start_daemon(&runtime_dir, &project);

    println!("{:<10} {:>12} {:>10} {:>10} {:>10}", "server", "initialize", "p50", "p99", "RSS");
    let run = || {
        let mut command = Command::new(&greenlit);
        command.arg("lsp").env("GREENLIT_RUNTIME_DIR", &runtime_dir);
        command.env("GREENLIT_STATE_DIR", root.join("state"));
        command.env("GREENLIT_DATA_DIR", root.join("data"));
        command
    };
    measure("greenlit", run, &project, true);
    if Command::new("ruff").arg("--version").output().is_ok() {
        let run = || {
            let mut command = Command::new("ruff");
            command.arg("server");
            command
        };
        measure("ruff", run, &project, false);
    } else {
        println!("ruff       is not installed");
    }
}

fn measure(label: &str, command: impl Fn() -> Command, project: &Path, has_findings: bool) {
    let mut starts: Vec<Duration> = (0..STARTS)
        .map(|_| {
            let start = Instant::now();
            let mut server = Server::start(command());
            server.initialize(project);
            let took = start.elapsed();
            server.stop();
            took
        })
        .collect();
    starts.sort_unstable();

    let mut server = Server::start(command());
    server.initialize(project);
    server.notify("initialized", json!({}));
    for index in 0..DOCUMENTS {
        let document = json!({
            "uri": uri(project, index), "languageId": "python", "version": 1, "text": text(index),
        });
        server.notify("textDocument/didOpen", json!({ "textDocument": document }));
    }
    let mut published = 0;
    while has_findings && published < DOCUMENTS {
        let message = server.next();
        published += usize::from(message["method"] == "textDocument/publishDiagnostics");
    }
    let mut times: Vec<Duration> = (0..REQUESTS)
        .map(|request| {
            let at = json!({ "line": 1, "character": 4 });
            let params = json!({
                "textDocument": { "uri": uri(project, request % DOCUMENTS) },
                "range": { "start": at, "end": at },
                "context": { "diagnostics": [] },
            });
            let start = Instant::now();
            let answer = server.ask("textDocument/codeAction", params);
            let took = start.elapsed();
            if has_findings {
                assert_eq!(answer.as_array().map(Vec::len), Some(1), "{answer}");
            }
            took
        })
        .collect();
    times.sort_unstable();
    let resident = greenlit_benches::machine::resident(server.child.id());
    server.stop();
    println!(
        "{label:<10} {:>9.2} ms {:>7.3} ms {:>7.3} ms {:>6.1} MB",
        millis(starts[STARTS / 2]),
        millis(times[REQUESTS / 2]),
        millis(times[REQUESTS * 99 / 100]),
        resident as f64 / 1e6,
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn name(index: usize) -> String {
    format!("test_{index}.py")
}

fn uri(project: &Path, index: usize) -> String {
    format!("file://{}/{}", project.display(), name(index))
}

/// About 300 lines, as files are.
fn text(index: usize) -> String {
    let mut text = format!("def test_{index}():\n    assert value({index}) == 1\n\n\n");
    for line in 0..300 {
        text.push_str(&format!("value_{line} = compute({index}, {line})  # a comment\n"));
    }
    text
}

fn finding(project: &Path, index: usize) -> Finding {
    let (path, content) = (name(index), text(index));
    let hash = blake3::hash(content.as_bytes()).to_hex().to_string();
    let end = content.find("== 1").expect("it is in the text") + 4;
    let test = format!("{path}::test_{index}");
    Finding {
        kind: FindingKind::FailingTest,
        test: Some(test.clone()),
        path: project.join(&path),
        line: 2,
        content_hash: hash.clone(),
        message: "assert 0 == 1".to_owned(),
        related: vec![Related {
            path: project.join(&path),
            line: 5,
            message: "may hold the cause".to_owned(),
        }],
        fixes: vec![OfferedFix {
            id: format!("fix-{index}"),
            title: format!("Fix test_{index} · verified: 1 red→green, 199 others unchanged"),
            summary: "1 → 0".to_owned(),
            entry: FixEntry {
                tests: vec![test.clone()],
                rank: 1,
                diff: String::new(),
                edits: vec![FileEdit {
                    path: path.clone(),
                    start: end - 1,
                    end,
                    new_text: "0".to_owned(),
                }],
                source: FixSource {
                    tier: "template".to_owned(),
                    rule: None,
                    model: None,
                    adapter: None,
                },
                evidence: FixEvidence {
                    red_to_green: vec![test],
                    unchanged: 199,
                    newly_failing: 0,
                    runs: 2,
                    scope: "all".to_owned(),
                    layer: "namespaces".to_owned(),
                    duration_ms: 1,
                    diagnostic: None,
                    content_hashes: BTreeMap::from([(path, hash)]),
                    agreement: None,
                    test_strength: None,
                    retrieved: None,
                    generation: None,
                    merit: None,
                },
            },
        }],
    }
}

/// A daemon that accepts every session and tells it its findings.
fn start_daemon(runtime_dir: &Path, project: &Path) {
    let mut paths = Paths::for_user().expect("a home directory");
    paths.socket = runtime_dir.join(paths.socket.file_name().expect("it is a file"));
    paths.runtime_dir = runtime_dir.to_owned();
    paths.create().expect("it can be created");
    let project = project.to_owned();
    let (ready, is_ready) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let listener = bind(&paths).expect("nothing listens there");
            ready.send(()).expect("main waits");
            while let Ok(mut stream) = accept(&listener).await {
                let project = project.clone();
                tokio::spawn(async move {
                    let mut hello = vec![0; stream.read_u32().await? as usize];
                    stream.read_exact(&mut hello).await?;
                    let welcome = Welcome::Accepted {
                        magic: MAGIC.to_owned(),
                        protocol: PROTOCOL_MAX,
                        build: "bench".to_owned(),
                        pid: std::process::id(),
                        capabilities: Vec::new(),
                        session: 1,
                    };
                    let findings = (0..DOCUMENTS).map(|i| finding(&project, i)).collect();
                    let event = Event::Findings { root: project, revision: 1, findings };
                    for bytes in
                        [frame::encode(&welcome), frame::encode(&ServerFrame::Event(event))]
                    {
                        let bytes = bytes.expect("it is small");
                        stream.write_u32(u32::try_from(bytes.len()).expect("small")).await?;
                        stream.write_all(&bytes).await?;
                        stream.flush().await?;
                    }
                    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
                });
            }
        });
    });
    is_ready.recv_timeout(PATIENCE).expect("the socket can be bound");
}

struct Server {
    child: Child,
    input: ChildStdin,
    output: mpsc::Receiver<Value>,
    next: i64,
}

impl Server {
    fn start(mut command: Command) -> Self {
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

    fn notify(&mut self, method: &str, params: Value) {
        self.write(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn next(&mut self) -> Value {
        self.output.recv_timeout(PATIENCE).expect("the server answers")
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.next();
            if message["id"] == id && message.get("method").is_none() {
                return message["result"].clone();
            }
        }
    }

    fn initialize(&mut self, project: &Path) {
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

    fn stop(mut self) {
        self.ask("shutdown", Value::Null);
        self.notify("exit", Value::Null);
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

/// The program next to this one.
fn greenlit() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let release = this.parent().and_then(Path::parent).expect("it lies in target/release/deps");
    let program = release.join("greenlit").with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --release -p greenlit`",
        program.display()
    );
    program
}
