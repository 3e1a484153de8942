//! A user of one's own for each test: directories, a daemon that ends with the test, raw frames.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use greenlit_client::{ConnectOptions, Connection, LockFile, Paths, connect};
use greenlit_protocol::{Request, Response, SessionParams, StatusReport, Welcome, frame};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

pub(crate) const DAEMON: &str = env!("CARGO_BIN_EXE_greenlitd");
/// Longer than anything takes that is going to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct User {
    pub(crate) paths: Paths,
    _dir: tempfile::TempDir,
}

impl User {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        Self { paths: Paths::new(at("run"), at("state"), at("cache"), at("data")), _dir: dir }
    }

    pub(crate) fn options(&self) -> ConnectOptions {
        ConnectOptions {
            session: SessionParams { client: "test".to_owned(), ..Default::default() },
            daemon: Some(DAEMON.into()),
            spawn: true,
            paths: Some(self.paths.clone()),
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        connect(&self.options()).await.unwrap()
    }

    /// The daemon as a command, in the foreground.
    pub(crate) fn daemon(&self) -> Command {
        let mut command = Command::new(DAEMON);
        command
            .arg("--foreground")
            .env("GREENLIT_RUNTIME_DIR", &self.paths.runtime_dir)
            .env("GREENLIT_STATE_DIR", &self.paths.state_dir)
            .env("GREENLIT_CACHE_DIR", &self.paths.cache_dir)
            .env("GREENLIT_DATA_DIR", &self.paths.data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run_daemon(&self) -> Output {
        self.daemon().output().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.paths.read_info().unwrap().pid;
        kill(Pid::from_raw(pid.cast_signed()), signal).unwrap();
    }

    /// Waits until no daemon lives.
    pub(crate) async fn gone(&self) {
        until("the daemon ends", || !LockFile::is_held(&self.paths.daemon_lock)).await;
    }

    /// A raw connection to the running daemon.
    pub(crate) fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.paths.socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.paths.log).unwrap_or_default()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if LockFile::is_held(&self.paths.daemon_lock)
            && let Some(info) = self.paths.read_info()
        {
            let _gone = kill(Pid::from_raw(info.pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

pub(crate) async fn status(connection: &Connection) -> StatusReport {
    match connection.client.request(Request::Status).await.unwrap() {
        Response::Status(report) => report,
        other => panic!("not a status: {other:?}"),
    }
}

/// One frame: length, content.
pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes
}

pub(crate) fn send<T: Serialize>(stream: &mut UnixStream, message: &T) {
    stream.write_all(&framed(&frame::encode(message).unwrap())).unwrap();
}

pub(crate) fn welcome(stream: &mut UnixStream) -> Welcome {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut content = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut content).unwrap();
    frame::decode(&content[..].into()).unwrap()
}

/// Waits until the daemon closes this connection.
pub(crate) fn assert_closed(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
}
