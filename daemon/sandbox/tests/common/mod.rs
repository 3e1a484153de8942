//! What the integration tests share: a checkout, a sandbox on it, and hostile scripts.
#![expect(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part, and a failed step fails the test"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use greenlit_sandbox::{
    Command, ExecOutcome, ExitState, Helper, Isolation, Layer, Limits, Sandbox, SandboxSpec,
};
use tempfile::TempDir;

/// The helper of this build.
pub fn helper() -> Helper {
    Helper::at(env!("CARGO_BIN_EXE_greenlit-sandbox"))
}

/// A directory of its own for one test, with a checkout in it.
pub struct Fixture {
    pub directory: TempDir,
    pub root: PathBuf,
}

impl Fixture {
    pub fn new() -> Self {
        Self::named("checkout")
    }

    pub fn named(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join(name);
        fs::create_dir(&root).unwrap();
        fs::write(root.join("kept.txt"), "kept\n").unwrap();
        Self { directory, root }
    }

    /// A path next to the checkout, outside the sandbox.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.root.parent().unwrap().join(name)
    }

    pub fn spec(&self) -> SandboxSpec {
        spec(&self.root)
    }

    pub fn open(&self) -> Sandbox {
        open(&self.spec())
    }
}

pub fn spec(root: &Path) -> SandboxSpec {
    SandboxSpec {
        root: root.to_owned(),
        files: Vec::new(),
        caches: Vec::new(),
        readable: Vec::new(),
        isolation: Isolation::Only(Layer::Namespaces),
        limits: Limits::default(),
    }
}

pub fn open(spec: &SandboxSpec) -> Sandbox {
    Sandbox::open(spec, &helper()).unwrap()
}

/// A command in the checkout with the caller's `PATH`.
pub fn command(root: &Path, argv: &[&str]) -> Command {
    let mut env = BTreeMap::new();
    env.insert(OsString::from("PATH"), std::env::var_os("PATH").unwrap());
    Command {
        argv: argv.iter().map(OsString::from).collect(),
        cwd: root.to_owned(),
        env,
        stdin: Vec::new(),
        wall: Duration::from_secs(60),
        cpu: None,
    }
}

pub fn sh(sandbox: &mut Sandbox, root: &Path, script: &str) -> ExecOutcome {
    sandbox.exec(&command(root, &["/bin/sh", "-c", script])).unwrap()
}

pub fn python(sandbox: &mut Sandbox, root: &Path, script: &str) -> ExecOutcome {
    sandbox.exec(&command(root, &["python3", "-c", script])).unwrap()
}

pub fn text(outcome: &ExecOutcome) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&outcome.stdout),
        String::from_utf8_lossy(&outcome.stderr)
    )
}

#[track_caller]
pub fn succeeded(outcome: &ExecOutcome) {
    assert_eq!(outcome.state, ExitState::Exited(0), "{}", text(outcome));
}

/// Waits until something holds; fails after ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
