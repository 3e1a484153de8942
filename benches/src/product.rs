//! The product under measurement: its command line, with a daemon of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use greenlit_protocol::{FixReport, TestReport};
use serde::de::DeserializeOwned;

use crate::fates::{self, Fate};
use crate::process::{self, Finished};

/// Names the executable when it does not lie in `target/`.
pub const PROGRAM_ENV: &str = "GREENLIT_BENCH_PROGRAM";

/// `greenlit` with directories of its own; its daemon ends with this value.
pub struct Product {
    program: PathBuf,
    dir: tempfile::TempDir,
    /// What its daemon logs beyond the usual.
    filter: Option<&'static str>,
}

impl Product {
    /// Finds the executable: `given`, the environment, then the newer one of `target/release` and
    /// `target/debug`.
    ///
    /// # Errors
    /// When there is none; says how to get one.
    pub fn open(given: Option<PathBuf>) -> Result<Self> {
        let program = match given.or_else(|| std::env::var_os(PROGRAM_ENV).map(PathBuf::from)) {
            Some(program) => program,
            None => newest().context(
                "there is no greenlit in target/: `cargo build --workspace --bins`, or name it with \
                 `--greenlit PATH`",
            )?,
        };
        let program = program
            .canonicalize()
            .with_context(|| format!("{} does not exist", program.display()))?;
        // Short: a socket's path is limited.
        let dir = tempfile::Builder::new().prefix("glb").tempdir()?;
        std::fs::write(dir.path().join("greenlit.toml"), "")?;
        Ok(Self { program, dir, filter: None })
    }

    /// The executable.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The environment variables that isolate it.
    pub fn isolation(&self) -> Vec<(&'static str, OsString)> {
        let dir = self.dir.path();
        vec![
            ("GREENLIT_RUNTIME_DIR", dir.join("r").into()),
            ("GREENLIT_STATE_DIR", dir.join("s").into()),
            ("GREENLIT_CACHE_DIR", dir.join("c").into()),
            ("GREENLIT_DATA_DIR", dir.join("d").into()),
            ("GREENLIT_CONFIG", dir.join("greenlit.toml").into()),
        ]
    }

    /// Its daemon says in the log what becomes of each candidate.
    #[must_use]
    pub fn telling_fates(mut self) -> Self {
        self.filter = Some(fates::FILTER);
        self
    }

    /// What became of the candidates since [`Self::forget_fates`], as far as the log goes back.
    ///
    /// # Errors
    /// When a line of the log has another shape.
    pub fn fates(&self) -> Result<Vec<Fate>> {
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        fates::parse(&self.logs().into_iter().rev().map(read).collect::<String>())
    }

    /// Empties the log.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn forget_fates(&self) -> Result<()> {
        for path in self.logs().into_iter().filter(|path| path.exists()) {
            // The daemon appends to the newest: it stays the same file.
            std::fs::File::options().write(true).open(path)?.set_len(0)?;
        }
        Ok(())
    }

    /// The daemon's logs, newest first.
    fn logs(&self) -> Vec<PathBuf> {
        let newest = self.dir.path().join("s/daemon.log");
        let older = (1..=3).map(|number| newest.with_extension(format!("log.{number}")));
        std::iter::once(newest.clone()).chain(older).collect()
    }

    /// `greenlit fix --json` on a checkout.
    ///
    /// # Errors
    /// When it runs into the limit or prints no report; what the product said is in the message.
    pub fn fix(&self, ask: &Ask<'_>) -> Result<FixReport> {
        let mut command = self.command(ask);
        command.args(["fix", "--json", "--root"]).arg(ask.root);
        command.args(["--budget", &ask.budget.as_secs().max(1).to_string()]);
        let mut list = tempfile::NamedTempFile::new_in(self.dir.path())?;
        if !ask.visible.is_empty() {
            // Thousands of ids do not fit on a command line.
            std::io::Write::write_all(&mut list, (ask.visible.join("\n") + "\n").as_bytes())?;
            command.arg("--visible-tests-from").arg(list.path());
        }
        object(&process::run(&mut command, ask.limit)?)
    }

    /// `greenlit test --json` on a checkout.
    ///
    /// # Errors
    /// Like [`Product::fix`].
    pub fn test(&self, ask: &Ask<'_>) -> Result<TestReport> {
        let mut command = self.command(ask);
        command.args(["test", "--json", "--root"]).arg(ask.root);
        object(&process::run(&mut command, ask.limit)?)
    }

    fn command(&self, ask: &Ask<'_>) -> Command {
        let mut command = process::command(&self.program);
        command.envs(self.isolation()).envs(ask.env.iter().cloned()).current_dir(ask.root);
        command.envs(self.filter.map(|filter| ("GREENLIT_LOG", filter)));
        command
    }

    /// Ends the daemon. A benchmark that was killed leaves one that ends when it is idle.
    fn stop(&self) {
        let mut command = process::command(&self.program);
        command.args(["stop", "--kill"]).envs(self.isolation());
        // Nobody is left to tell when this fails.
        let _stopped = process::run(&mut command, Duration::from_secs(60));
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is asked of the product.
pub struct Ask<'a> {
    /// The checkout.
    pub root: &'a Path,
    /// More environment variables.
    pub env: &'a [(OsString, OsString)],
    /// The only tests that may be run; none means all.
    pub visible: &'a [String],
    /// Time for candidates.
    pub budget: Duration,
    /// When to stop waiting for an answer.
    pub limit: Duration,
}

/// The one object that `--json` prints, or the error in it.
fn object<T: DeserializeOwned>(finished: &Finished) -> Result<T> {
    if finished.timed_out {
        bail!("no answer within {:.0} s", finished.wall.as_secs_f64());
    }
    let value: serde_json::Value =
        serde_json::from_str(finished.stdout.trim()).with_context(|| {
            format!("no JSON object (exit {:?}): {}", finished.code, finished.tail())
        })?;
    if let Some(error) = value.get("error") {
        let text = |name: &str| error[name].as_str().unwrap_or_default().trim().to_owned();
        let details: String = text("details").chars().take(400).collect();
        bail!("{}: {} {details}", text("kind"), text("message"));
    }
    serde_json::from_value(value).context("the report has another shape")
}

fn newest() -> Option<PathBuf> {
    let name = format!("greenlit{}", std::env::consts::EXE_SUFFIX);
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| crate::repository().join("target"), PathBuf::from);
    let found = ["release", "debug"].map(|profile| target.join(profile).join(&name));
    let modified = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    found.into_iter().filter(|path| path.is_file()).max_by_key(modified)
}
