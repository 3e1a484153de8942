//! What a caller asks for and what it gets back: plain data, the same on both ends of the pipe.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The isolation that really ran. Ordered: a greater layer isolates more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// No isolation at all; only ever by explicit configuration.
    None,
    /// Landlock and seccomp on a copy of the checkout, without any socket. It cannot protect the
    /// modes, times and attributes of the user's other files; where the user is root, commands run
    /// as nobody. Never silently: [`crate::Sandbox::layer`] and [`crate::Sandbox::notes`] tell.
    Copy,
    /// bubblewrap (0.11 or newer) with its own overlay.
    Bubblewrap,
    /// Namespaces, overlay at the checkout's own path, Landlock, seccomp, limits.
    Namespaces,
}

impl Layer {
    /// The name used in configuration, reports and evidence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Copy => "copy",
            Self::Bubblewrap => "bubblewrap",
            Self::Namespaces => "namespaces",
        }
    }
}

/// Which layers the caller accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// The strongest layer that works on this machine; refuse when there is none.
    #[default]
    Auto,
    /// Exactly this layer, or refuse.
    Only(Layer),
    /// Run without a sandbox. The person configured it by name.
    Off,
}

/// Bounds on one sandbox. Each is enforced from outside the sandboxed processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Resident memory of all processes together, in bytes.
    pub memory_bytes: u64,
    /// Processes and threads alive at once.
    pub processes: u64,
    /// Bytes that the throw-away layers (checkout upper, and separately `/tmp`) may hold.
    pub disk_bytes: u64,
    /// Bytes of standard output and of standard error kept per command; more ends the command.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 4 << 30, processes: 1024, disk_bytes: 4 << 30, output_bytes: 16 << 20 }
    }
}

/// What a build cache directory may do in this sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMode {
    /// Writes are kept in `store`. Only for commands on the user's own, unpatched state.
    Keep,
    /// `store` is a read-only lower layer; writes are thrown away.
    Discard,
}

/// A directory of build products (`target/`) whose contents survive in a store of the daemon's.
///
/// Seen from inside, `path` shows the user's own directory (`base`, or what is at `path` itself) with
/// `store` layered above it.
/// Layers below [`Layer::Bubblewrap`] may ignore the store and start from the user's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildCache {
    /// Absolute path inside the checkout; need not exist.
    pub path: PathBuf,
    /// Absolute directory outside the checkout that the user's tools keep their products in. It is
    /// shown at `path`, and never written.
    pub base: Option<PathBuf>,
    /// Absolute directory owned by the daemon, outside the checkout; created when missing.
    pub store: PathBuf,
    /// Whether this sandbox may add to the store.
    pub mode: CacheMode,
}

/// A file to put into the throw-away layer: never into the checkout.
///
/// The modification time is always "now": with an older one build tools compile nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileWrite {
    /// Absolute path as the person sees it, inside the checkout or the sandbox's `/tmp`.
    pub path: PathBuf,
    /// New content; `None` deletes the file.
    pub content: Option<Vec<u8>>,
}

/// Everything that is needed to open a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// The checkout: absolute and canonical.
    pub root: PathBuf,
    /// Overlay state (unsaved buffers, a candidate patch) present before the first command.
    pub files: Vec<FileWrite>,
    /// Build product directories with a kept store.
    pub caches: Vec<BuildCache>,
    /// More directories or files to show read-only (toolchains, interpreters, registries).
    pub readable: Vec<PathBuf>,
    /// Which layers are acceptable.
    pub isolation: Isolation,
    /// Bounds for the whole sandbox.
    pub limits: Limits,
}

/// One command to run inside an open sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program (absolute, or looked up in `env["PATH"]`) and its arguments.
    pub argv: Vec<OsString>,
    /// Working directory as the person sees it; inside the checkout.
    pub cwd: PathBuf,
    /// The complete environment; nothing is inherited. `HOME`, `TMPDIR` are set by the sandbox.
    pub env: BTreeMap<OsString, OsString>,
    /// Bytes for standard input; empty means end of input at once.
    pub stdin: Vec<u8>,
    /// Wall-clock limit; then the whole process tree is killed.
    pub wall: Duration,
    /// CPU time limit per process, if any.
    pub cpu: Option<Duration>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitState {
    /// It exited with this code. No verdict follows from it.
    Exited(i32),
    /// It died of this signal.
    Signaled(i32),
    /// The wall-clock limit passed.
    TimedOut,
    /// The memory limit passed.
    OutOfMemory,
    /// It wrote more than the output limit.
    OutputLimit,
    /// The program could not be started (text for people).
    NotStarted(String),
}

/// The result of one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecOutcome {
    /// How it ended.
    pub state: ExitState,
    /// Standard output, at most the output limit.
    pub stdout: Vec<u8>,
    /// Standard error, at most the output limit.
    pub stderr: Vec<u8>,
    /// Wall time.
    pub wall: Duration,
    /// User and system CPU time of the whole process tree.
    pub cpu: Duration,
    /// Whether the throw-away disk was seen full while the command ran or when it ended.
    pub disk_full: bool,
}

/// What came of waiting for a line from a spawned child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineOutcome {
    /// One line, without its end.
    Line(Vec<u8>),
    /// There will be no more: it ended, or it overran the deadline or a limit and was killed with
    /// everything it had started. `stdout` holds what followed the last line taken.
    Ended(ExecOutcome),
}
