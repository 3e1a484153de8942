//! The caller's end: one open sandbox, its helper process and the socket between them.

use std::env;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{OpenError, Refusal, SandboxError};
use crate::frame::{self, FrameError};
use crate::helper::Helper;
use crate::spec::{Command, ExecOutcome, FileWrite, Isolation, Layer, LineOutcome, SandboxSpec};
use crate::wire::{Open, Reply, Request, WireCommand, WireWrite};

/// How long the helper may take for its own work, on top of what a command may.
const PATIENCE: Duration = Duration::from_secs(30);
/// Building the copy of a large checkout takes longer than anything else.
const OPEN_PATIENCE: Duration = Duration::from_secs(600);
/// Words of a command that the log shows.
const SHOWN: usize = 4;
/// How long a closed helper may take to kill and reap its processes.
const FAREWELL: Duration = Duration::from_secs(10);

/// An open sandbox. Dropping it kills every process in it and waits until they are gone.
#[derive(Debug)]
pub struct Sandbox {
    layer: Layer,
    root: PathBuf,
    inside_root: PathBuf,
    scratch: PathBuf,
    notes: Vec<String>,
    link: Link,
}

/// Kills a sandbox from any thread. Outliving the sandbox does no harm.
#[derive(Debug, Clone)]
pub struct Canceller {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stream: UnixStream,
    cancelled: AtomicBool,
}

/// The helper process and the socket to it.
#[derive(Debug)]
struct Link {
    child: Child,
    shared: Arc<Shared>,
}

impl Sandbox {
    /// Builds the isolation and writes the specification's files into the throw-away layer.
    ///
    /// # Errors
    /// When a path cannot be used, when no acceptable layer works on this machine (with the reason
    /// and the remedy for each), or when the files cannot be written.
    pub fn open(spec: &SandboxSpec, helper: &Helper) -> Result<Self, OpenError> {
        check_paths(spec)?;
        let started = Instant::now();
        let layers = match spec.isolation {
            Isolation::Auto => vec![Layer::Namespaces, Layer::Bubblewrap, Layer::Copy],
            Isolation::Only(layer) => vec![layer],
            Isolation::Off => vec![Layer::None],
        };
        let mut refusals = Vec::new();
        for layer in layers {
            match Self::open_layer(spec, helper, layer) {
                Ok(mut sandbox) => {
                    for refusal in &refusals {
                        sandbox.notes.push(format!("a stronger layer is not available: {refusal}"));
                    }
                    if !spec.files.is_empty() {
                        sandbox.write(&spec.files).map_err(OpenError::Files)?;
                    }
                    tracing::debug!(ms = started.elapsed().as_millis(), ?layer, "opened a sandbox");
                    return Ok(sandbox);
                }
                Err(refusal) => {
                    tracing::debug!(%refusal, "isolation layer refused");
                    refusals.push(refusal);
                }
            }
        }
        Err(OpenError::NoLayer { refusals })
    }

    fn open_layer(spec: &SandboxSpec, helper: &Helper, layer: Layer) -> Result<Self, Refusal> {
        let refuse = |reason: String| Refusal { layer, reason, remedy: None };
        let mut link = Link::start(helper)
            .map_err(|error| refuse(format!("{} did not start: {error}", helper.path.display())))?;
        let mut spec = spec.clone();
        spec.files.clear();
        let root = spec.root.clone();
        let open = Open { layer, spec, home: helper.home.clone(), temp: env::temp_dir() };
        link.send(&open).map_err(|error| refuse(error.to_string()))?;
        if layer == Layer::Bubblewrap {
            // The helper becomes bubblewrap, which starts it again inside: that one asks once more.
            link.send(&open).map_err(|error| refuse(error.to_string()))?;
        }
        match link.receive(OPEN_PATIENCE) {
            Ok(Reply::Opened { inside_root, scratch, notes }) => {
                Ok(Self { layer, root, inside_root, scratch, notes, link })
            }
            Ok(Reply::Refused { reason, remedy }) => Err(Refusal { layer, reason, remedy }),
            Ok(other) => Err(refuse(format!("the helper answered out of turn: {other:?}"))),
            Err(error) => Err(refuse(error.to_string())),
        }
    }

    /// The layer that isolates this sandbox.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// What this machine did not allow (a build cache that could not be kept, a missing kernel
    /// feature), for people and for the evidence.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where a path of the checkout is seen from inside: the same path, except in the layers that
    /// work on a copy. Other paths are returned as they are.
    #[must_use]
    pub fn inside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.root) {
            Ok(rest) if rest.as_os_str().is_empty() => self.inside_root.clone(),
            Ok(rest) => self.inside_root.join(rest),
            Err(_) => path.to_owned(),
        }
    }

    /// A private writable directory, as seen from inside, for reports and the like.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Puts files into the throw-away layer: atomic replacement, modification time now, missing
    /// directories created, the mode of an existing file kept.
    ///
    /// # Errors
    /// When a path lies outside, goes through a symbolic link, or the system refuses; files before
    /// the failing one are then written.
    pub fn write(&mut self, files: &[FileWrite]) -> Result<(), SandboxError> {
        let files = files.iter().map(WireWrite::from).collect();
        match self.link.call(&Request::Write(files), PATIENCE * 4)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Reads a regular file as the sandboxed processes left it; `None` when it does not exist.
    /// Symbolic links are never followed, so a report cannot name a file of the host.
    ///
    /// # Errors
    /// When the path lies outside or goes through a link, is no regular file, or is too large.
    pub fn read(&mut self, path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, SandboxError> {
        let request = Request::Read { path: path.to_owned(), max_bytes };
        match self.link.call(&request, PATIENCE * 4)? {
            Reply::Content(content) => Ok(content.map(|blob| blob.0)),
            other => Err(unexpected(other)),
        }
    }

    /// Runs one command to its end. After it, every process that it left behind is killed.
    ///
    /// # Errors
    /// When the sandbox is gone, or a spawned child is alive. A program that cannot be started is
    /// [`crate::ExitState::NotStarted`], not an error.
    pub fn exec(&mut self, command: &Command) -> Result<ExecOutcome, SandboxError> {
        let request = Request::Exec(WireCommand::from(command));
        match self.link.call(&request, command.wall.saturating_add(PATIENCE))? {
            Reply::Outcome(outcome) => {
                let outcome = ExecOutcome::from(outcome);
                let called: Vec<_> = command.argv.iter().take(SHOWN).collect();
                tracing::debug!(
                    ms = outcome.wall.as_millis(),
                    cpu_ms = outcome.cpu.as_millis(),
                    ?called,
                    "ran a command"
                );
                Ok(outcome)
            }
            other => Err(unexpected(other)),
        }
    }

    /// Starts the one long-lived child that [`Self::send_line`] and [`Self::read_line`] talk to.
    /// `command.wall` bounds its whole life. Files may be written and read while it lives.
    ///
    /// # Errors
    /// When the program cannot be started, another child is alive, or the sandbox is gone.
    pub fn spawn(&mut self, command: &Command) -> Result<(), SandboxError> {
        match self.link.call(&Request::Spawn(WireCommand::from(command)), PATIENCE)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Queues one line (an end of line is added when missing) for the child's standard input.
    ///
    /// # Errors
    /// When no child is alive, or it has left too much of its input unread.
    pub fn send_line(&mut self, line: &[u8]) -> Result<(), SandboxError> {
        let mut line = line.to_vec();
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        match self.link.call(&Request::SendLine(crate::wire::Blob(line)), PATIENCE)? {
            Reply::Done => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Waits for one line from the child's standard output. When `timeout` passes first, the child
    /// and everything it started are killed and [`LineOutcome::Ended`] says so.
    ///
    /// # Errors
    /// When no child was spawned, or the sandbox is gone.
    pub fn read_line(&mut self, timeout: Duration) -> Result<LineOutcome, SandboxError> {
        let request = Request::ReadLine { timeout };
        match self.link.call(&request, timeout.saturating_add(PATIENCE))? {
            Reply::Line(line) => Ok(line.into()),
            other => Err(unexpected(other)),
        }
    }

    /// Kills the spawned child and everything it started.
    ///
    /// # Errors
    /// When no child was spawned, or the sandbox is gone.
    pub fn stop(&mut self) -> Result<ExecOutcome, SandboxError> {
        match self.link.call(&Request::Stop, PATIENCE)? {
            Reply::Outcome(outcome) => Ok(outcome.into()),
            other => Err(unexpected(other)),
        }
    }

    /// A handle that kills this sandbox from another thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller { shared: Arc::clone(&self.link.shared) }
    }
}

impl Canceller {
    /// Kills the sandbox at once: a running call returns [`SandboxError::Cancelled`], and so does
    /// every later one.
    pub fn cancel(&self) {
        self.shared.cancelled.store(true, Ordering::SeqCst);
        self.shared.hang_up();
    }
}

impl Shared {
    /// The helper kills everything when the socket closes, whoever closes it.
    fn hang_up(&self) {
        // It may be closed already; there is nobody left to tell.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Link {
    fn start(helper: &Helper) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_write_timeout(Some(PATIENCE))?;
        let child = process::Command::new(&helper.path)
            .arg("serve")
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let shared = Arc::new(Shared { stream: ours, cancelled: AtomicBool::new(false) });
        Ok(Self { child, shared })
    }

    fn send(&mut self, value: &impl serde::Serialize) -> Result<(), SandboxError> {
        match frame::write(&mut &self.shared.stream, value) {
            Ok(()) => Ok(()),
            Err(error @ (FrameError::Encode(_) | FrameError::Oversized(_))) => {
                Err(SandboxError::Unsendable { detail: error.to_string() })
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn receive(&mut self, patience: Duration) -> Result<Reply, SandboxError> {
        if let Err(error) = self.shared.stream.set_read_timeout(Some(patience)) {
            return Err(self.broken(&FrameError::Stream(error)));
        }
        frame::read(&mut &self.shared.stream).map_err(|error| self.broken(&error))
    }

    fn call(&mut self, request: &Request, patience: Duration) -> Result<Reply, SandboxError> {
        if self.shared.cancelled.load(Ordering::SeqCst) {
            return Err(SandboxError::Cancelled);
        }
        self.send(request)?;
        self.receive(patience)
    }

    /// Ends the helper and says why the link is of no more use.
    fn broken(&mut self, error: &FrameError) -> SandboxError {
        let late = matches!(error, FrameError::Stream(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut));
        self.shared.hang_up();
        let ended = self.wait();
        if self.shared.cancelled.load(Ordering::SeqCst) {
            return SandboxError::Cancelled;
        }
        if late {
            return SandboxError::Unresponsive;
        }
        let mut said = String::new();
        if ended && let Some(stderr) = self.child.stderr.take() {
            // What cannot be read adds nothing to the error.
            let _ = stderr.take(4096).read_to_string(&mut said);
        }
        let said = said.trim();
        let detail = match self.child.try_wait() {
            _ if !said.is_empty() => said.to_owned(),
            Ok(Some(status)) => format!("{error} ({status})"),
            _ => error.to_string(),
        };
        SandboxError::Died { detail }
    }

    /// Waits for the helper, which ends only after everything below it; false when it had to be
    /// killed.
    fn wait(&mut self) -> bool {
        let deadline = Instant::now() + FAREWELL;
        let mut pause = Duration::from_micros(200);
        loop {
            match self.child.try_wait() {
                Ok(Some(_)) => return true,
                Ok(None) if Instant::now() < deadline => thread::sleep(pause),
                Ok(None) | Err(_) => break,
            }
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        tracing::warn!("a sandbox helper did not end in time and is killed");
        // It may have ended by itself in between.
        let _ = self.child.kill();
        let _ = self.child.wait();
        false
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.hang_up();
        self.wait();
    }
}

fn unexpected(reply: Reply) -> SandboxError {
    match reply {
        Reply::Failed(error) => error,
        other => SandboxError::Died { detail: format!("it answered out of turn: {other:?}") },
    }
}

fn check_paths(spec: &SandboxSpec) -> Result<(), OpenError> {
    let bad = |path: &Path, reason: &str| {
        Err(OpenError::BadPath { path: path.to_owned(), reason: reason.to_owned() })
    };
    match spec.root.canonicalize() {
        Ok(canonical) if canonical == spec.root => {}
        Ok(_) => return bad(&spec.root, "the checkout's path is not canonical"),
        Err(error) => return bad(&spec.root, &error.to_string()),
    }
    if !spec.root.is_dir() {
        return bad(&spec.root, "the checkout is not a directory");
    }
    if spec.root.parent().is_none() {
        return bad(&spec.root, "the root directory cannot be a checkout");
    }
    for cache in &spec.caches {
        let inside = cache.path.strip_prefix(&spec.root);
        if !inside.is_ok_and(|rest| {
            rest.components().next().is_some()
                && rest.components().all(|part| matches!(part, std::path::Component::Normal(_)))
        }) {
            return bad(&cache.path, "a build cache must lie inside the checkout");
        }
        if !cache.store.is_absolute() || cache.store.starts_with(&spec.root) {
            return bad(&cache.store, "a cache store must be absolute and outside the checkout");
        }
    }
    Ok(())
}
