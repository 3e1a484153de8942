//! Starting programs, and talking to the person at the terminal.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the repository's root").to_owned()
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts the programs of a profile.
pub(crate) fn built(debug: bool) -> PathBuf {
    let configured = std::env::var_os("CARGO_TARGET_DIR");
    let target = configured.map_or_else(|| root().join("target"), |dir| root().join(dir));
    target.join(if debug { "debug" } else { "release" })
}

/// Runs a command to its end; a failure is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// What a command prints, if it starts and succeeds.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Tells the person what happens now.
#[expect(clippy::print_stdout, reason = "a task runner talks to the terminal")]
pub(crate) fn say(text: impl std::fmt::Display) {
    println!("{text}");
}

/// A step's headline.
pub(crate) fn step(text: &str) {
    say(format!("\n== {text}"));
}
