//! The real command line against a daemon that answers what the test says.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use futures::{SinkExt, StreamExt};
use greenlit_client::{Listener, Paths, Stream};
use greenlit_protocol::{
    ClientFrame, FailingTest, FileEdit, FixEntry, FixEvidence, FixReport, FixSource, FixStats,
    Hello, MAGIC, Notification, OfferedFix, PROTOCOL_MAX, Request, Response, ServerFrame, Welcome,
    frame,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

type Wire = Framed<Stream, LengthDelimitedCodec>;

struct Fake {
    dir: tempfile::TempDir,
    listener: Listener,
}

impl Fake {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| dir.path().join(name);
        let paths = Paths::new(at("run"), at("state"), at("cache"), at("data"));
        paths.create().expect("private directories");
        let listener = greenlit_client::bind(&paths).expect("a new socket");
        fs::create_dir(at("project")).expect("a new directory");
        Self { dir, listener }
    }

    fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    fn greenlit(&self, arguments: &[&str]) -> tokio::process::Child {
        let at = |name: &str| self.dir.path().join(name);
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenlit"));
        command
            .args(arguments)
            .arg("--root")
            .arg(self.project())
            .env("GREENLIT_RUNTIME_DIR", at("run"))
            .env("GREENLIT_STATE_DIR", at("state"))
            .env("GREENLIT_CACHE_DIR", at("cache"))
            .env("GREENLIT_DATA_DIR", at("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        tokio::process::Command::from(command).spawn().expect("greenlit runs")
    }

    /// Opens the session of the command that connects next.
    async fn session(&self) -> (Wire, Hello) {
        let stream = greenlit_client::accept(&self.listener).await.expect("a connection");
        let mut wire = Framed::new(stream, frame::codec());
        let bytes = wire.next().await.expect("a hello").expect("a frame");
        let hello = frame::decode(&bytes).expect("a hello");
        let welcome = Welcome::Accepted {
            magic: MAGIC.to_owned(),
            protocol: PROTOCOL_MAX,
            build: greenlit_protocol::BUILD_ID.to_owned(),
            pid: std::process::id(),
            capabilities: Vec::new(),
            session: 1,
        };
        wire.send(frame::encode(&welcome).expect("a welcome")).await.expect("sent");
        (wire, hello)
    }
}

async fn receive(wire: &mut Wire) -> Option<ClientFrame> {
    let bytes = wire.next().await?.ok()?;
    Some(frame::decode(&bytes).expect("a frame of the client"))
}

async fn answer(wire: &mut Wire, id: u64, response: Response) {
    let frame = ServerFrame::Response { id, result: Ok(response) };
    let bytes = frame::encode(&frame).expect("a response");
    wire.send(bytes).await.expect("sent");
}

/// `return b` becomes `return a`, verified on the content of `file`.
fn one_fix(root: &Path, verified: &str) -> Response {
    let id = "tests/test_gcd.py::test_gcd".to_owned();
    let hash = blake3::hash(verified.as_bytes()).to_hex().to_string();
    let entry = FixEntry {
        tests: vec![id.clone()],
        rank: 1,
        diff: "--- a/gcd.py\n+++ b/gcd.py\n@@ -1 +1 @@\n-return b\n+return a\n".to_owned(),
        edits: vec![FileEdit {
            path: "gcd.py".to_owned(),
            start: 7,
            end: 8,
            new_text: "a".to_owned(),
        }],
        source: FixSource {
            tier: "template".to_owned(),
            rule: Some("variable".to_owned()),
            model: None,
            adapter: None,
        },
        evidence: FixEvidence {
            red_to_green: vec![id.clone()],
            unchanged: 3,
            newly_failing: 0,
            runs: 2,
            scope: "all".to_owned(),
            layer: "namespaces".to_owned(),
            duration_ms: 12,
            diagnostic: None,
            content_hashes: [("gcd.py".to_owned(), hash)].into(),
            agreement: None,
            test_strength: None,
            retrieved: None,
            generation: None,
            merit: None,
            rebased: false,
        },
    };
    let failing = |id: String| FailingTest {
        id,
        file: Some("tests/test_gcd.py".to_owned()),
        line: Some(3),
        message: "assert 0 == 6".to_owned(),
    };
    let report = FixReport {
        root: root.to_owned(),
        revision: 1,
        failing: vec![failing(id), failing("tests/test_gcd.py::test_other".to_owned())],
        fixes: vec![entry.clone()],
        localization: None,
        stats: FixStats::default(),
    };
    let offered = OfferedFix {
        id: "f1".to_owned(),
        title: "Fix test_gcd · verified".to_owned(),
        summary: "use a".to_owned(),
        entry,
    };
    Response::Fix { report, offered: vec![offered], notices: Vec::new() }
}

#[tokio::test]
async fn apply_writes_the_fix_and_tells_the_daemon() {
    let fake = Fake::new();
    let file = fake.project().join("gcd.py");
    fs::write(&file, "return b\n").expect("a new file");
    let child = fake.greenlit(&["fix", "--apply", "--json", "--tier", "template", "--budget", "9"]);
    let (mut wire, hello) = fake.session().await;
    assert_eq!(hello.session.client, "greenlit fix");
    assert!(!hello.session.background);
    let Some(ClientFrame::Request { id, body }) = receive(&mut wire).await else { panic!() };
    assert!(matches!(body, Request::Fix { budget_secs: Some(9), .. }), "{body:?}");
    answer(&mut wire, id, one_fix(&fake.project(), "return b\n")).await;
    let decision = Notification::FixDecision { fix: "f1".to_owned(), applied: true };
    assert_eq!(receive(&mut wire).await, Some(ClientFrame::Notify(decision)));
    let Some(ClientFrame::Request { id, body: Request::Status }) = receive(&mut wire).await else {
        panic!("the decision is followed by a question")
    };
    answer(&mut wire, id, Response::Done).await;
    let output = child.wait_with_output().await.expect("greenlit ends");
    assert_eq!(output.status.code(), Some(1), "one failing test has no fix");
    let object: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert_eq!(object["fixes"][0]["source"]["rule"], "variable");
    assert_eq!(object["applied"][0]["files"][0], "gcd.py");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "return a\n");
}

#[tokio::test]
async fn people_see_tests_titles_and_diffs_without_colour_in_a_pipe() {
    let fake = Fake::new();
    let child = fake.greenlit(&["fix"]);
    let (mut wire, _) = fake.session().await;
    let Some(ClientFrame::Request { id, .. }) = receive(&mut wire).await else { panic!() };
    answer(&mut wire, id, one_fix(&fake.project(), "")).await;
    let output = child.wait_with_output().await.expect("greenlit ends");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    insta::assert_snapshot!(text, @r"
    2 failing tests
    ✗  tests/test_gcd.py::test_gcd  tests/test_gcd.py:3
       assert 0 == 6
    ✗  tests/test_gcd.py::test_other  tests/test_gcd.py:3
       assert 0 == 6

    1 verified fix
    1. Fix test_gcd · verified
       --- a/gcd.py
       +++ b/gcd.py
       @@ -1 +1 @@
       -return b
       +return a
    no verified fix for tests/test_gcd.py::test_other
    ");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_left_alone() {
    let fake = Fake::new();
    let file = fake.project().join("gcd.py");
    fs::write(&file, "return 42\n").expect("a new file");
    let child = fake.greenlit(&["fix", "--apply", "--json"]);
    let (mut wire, _) = fake.session().await;
    let Some(ClientFrame::Request { id, .. }) = receive(&mut wire).await else { panic!() };
    answer(&mut wire, id, one_fix(&fake.project(), "return b\n")).await;
    let output = child.wait_with_output().await.expect("greenlit ends");
    assert_eq!(output.status.code(), Some(2));
    let object: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert_eq!(object["error"]["kind"], "inputs-changed");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "return 42\n");
}

#[tokio::test]
async fn an_interrupt_ends_the_command_and_its_request() {
    let fake = Fake::new();
    let child = fake.greenlit(&["test", "--json"]);
    let (mut wire, _) = fake.session().await;
    let Some(ClientFrame::Request { id, .. }) = receive(&mut wire).await else { panic!() };
    let pid = child.id().expect("it runs").cast_signed();
    kill(Pid::from_raw(pid), Signal::SIGINT).expect("a signal");
    let output = child.wait_with_output().await.expect("greenlit ends");
    assert_eq!(output.status.code(), Some(130));
    let object: Value = serde_json::from_slice(&output.stdout).expect("one JSON value");
    assert_eq!(object["error"]["kind"], "cancelled");
    // The end of the connection says the same when the process was faster than its frame.
    match receive(&mut wire).await {
        None => {}
        Some(frame) => assert_eq!(frame, ClientFrame::Cancel { id }),
    }
}
