//! Measures the cost of a sandbox: `cargo run --release --example cold_start -- [ROOT [COMMAND...]]`.
//!
//! Prints medians in milliseconds for the bare command, for one in an open sandbox, and for opening
//! a sandbox, running the command and closing it.
#![expect(clippy::print_stdout, reason = "it prints its measurements")]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use greenlit_sandbox::{Command, ExitState, Helper, Isolation, Limits, Sandbox, SandboxSpec};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let root =
        arguments.next().map_or_else(std::env::current_dir, |root| Ok(PathBuf::from(root)))?;
    let root = root.canonicalize()?;
    let mut argv: Vec<OsString> = arguments.collect();
    if argv.is_empty() {
        argv.push("/bin/true".into());
    }
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(41);
    let spec = SandboxSpec {
        root: root.clone(),
        files: Vec::new(),
        caches: Vec::new(),
        readable: Vec::new(),
        isolation: Isolation::Auto,
        limits: Limits::default(),
    };
    let helper = Helper::locate()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let command = Command {
        argv: argv.clone(),
        cwd: root.clone(),
        env: BTreeMap::from([("PATH".into(), path)]),
        stdin: Vec::new(),
        wall: Duration::from_secs(600),
        cpu: None,
    };
    let [mut bare, mut warm, mut open, mut close, mut cold] = [const { Vec::new() }; 5];
    let mut standing = Sandbox::open(&spec, &helper)?;
    for _ in 0..rounds {
        bare.push(run_bare(&root, &argv)?);
        let start = Instant::now();
        expect_success(&standing.exec(&command)?.state)?;
        warm.push(start.elapsed());
        let start = Instant::now();
        let mut sandbox = Sandbox::open(&spec, &helper)?;
        open.push(start.elapsed());
        expect_success(&sandbox.exec(&command)?.state)?;
        let before_close = Instant::now();
        drop(sandbox);
        close.push(before_close.elapsed());
        cold.push(start.elapsed());
    }
    println!("layer {}, {rounds} rounds, medians in ms", standing.layer().name());
    for (name, times) in [
        ("bare", bare),
        ("in an open sandbox", warm),
        ("open", open),
        ("close", close),
        ("open + run + close", cold),
    ] {
        println!("{name:>20} {:8.2}", median(times).as_secs_f64() * 1000.0);
    }
    Ok(())
}

fn run_bare(root: &Path, argv: &[OsString]) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let output = process::Command::new(&argv[0]).args(&argv[1..]).current_dir(root).output()?;
    if !output.status.success() {
        return Err(format!("the bare command failed: {output:?}").into());
    }
    Ok(start.elapsed())
}

fn expect_success(state: &ExitState) -> Result<(), String> {
    match state {
        ExitState::Exited(0) => Ok(()),
        state => Err(format!("the sandboxed command failed: {state:?}")),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
