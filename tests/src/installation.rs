//! Binaries with directories of their own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{binary, tool};

/// A private place for one daemon and its clients.
pub struct Installation {
    dir: TempDir,
}

/// What a command printed and how it ended.
pub struct Ran {
    /// Exit code, if it exited.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output as one JSON object.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("not one JSON object ({error}):\n{}\n--\n{}", self.stdout, self.stderr)
        })
    }
}

impl Default for Installation {
    fn default() -> Self {
        Self::new()
    }
}

impl Installation {
    /// A fresh one; no daemon runs yet.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("gl").tempdir().expect("a temporary directory");
        Self { dir }
    }

    /// A directory of this installation.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A program to be the daemon's (`GREENLIT_DAEMON`), which can write nothing as long as there is the
    /// directory `full` of this installation.
    pub fn daemon_on_a_full_disk(&self) -> PathBuf {
        let [full, program] = ["full", "full-greenlitd"].map(|name| self.path(name));
        std::fs::create_dir(&full).expect("it is new");
        // A signal that is ignored stays so: a write that is too much is an error.
        let script = format!(
            "#!/bin/sh\nif [ -e '{}' ]; then trap '' XFSZ; ulimit -f 0; fi\nexec '{}' \"$@\"\n",
            full.display(),
            binary("greenlitd").display()
        );
        std::fs::write(&program, script).expect("the directory is writable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("it is ours");
        program
    }

    /// A command with this installation's environment: a person's shell with the test tools.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        let python = tool("GREENLIT_TEST_PYTHON", ".tools/venv/bin/python");
        let venv = python.parent().and_then(Path::parent).expect("an interpreter in a venv");
        command
            .env("GREENLIT_RUNTIME_DIR", self.path("run"))
            .env("GREENLIT_STATE_DIR", self.path("state"))
            .env("GREENLIT_CACHE_DIR", self.path("cache"))
            .env("GREENLIT_DATA_DIR", self.path("data"))
            .env("GREENLIT_CONFIG", self.path("greenlit.toml"))
            .env("VIRTUAL_ENV", venv)
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            // What cargo sets for this test is not part of a person's shell.
            if name.starts_with("CARGO_PKG") || name.starts_with("NEXTEST") || name == "CARGO" {
                command.env_remove(&*name);
            }
        }
        command
    }

    /// Runs `greenlit` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn greenlit<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ran {
        let mut command = self.command(binary("greenlit"));
        let output = command.args(arguments).output().expect("greenlit starts");
        ran(output)
    }

    /// The process id of the daemon, from `greenlit status`.
    pub fn daemon_pid(&self) -> Option<i32> {
        let status = self.greenlit(["status", "--json"]);
        let value: Value = serde_json::from_str(&status.stdout).ok()?;
        i32::try_from(value.get("pid")?.as_i64()?).ok()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        // The directory goes with the daemon's socket in it: stop the daemon first.
        let _ = self.command(binary("greenlit")).arg("stop").output();
    }
}

fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
