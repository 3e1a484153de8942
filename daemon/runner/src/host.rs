//! The few things that happen outside the sandbox: finding programs, asking an interpreter where
//! it lives. Nothing inside the checkout is ever executed here.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::environment::Environment;

/// Answers longer than this are not from an interpreter that can be trusted.
const ANSWER_LIMIT: u64 = 256 << 10;

/// Finds a program on the person's `PATH`, never inside the checkout.
pub(crate) fn tool(environment: &Environment, root: &Path, program: &str) -> Option<PathBuf> {
    environment.path_entries().into_iter().find_map(|directory| {
        let path = which::which_in(program, Some(directory), "/").ok()?;
        let real = fs::canonicalize(&path).ok()?;
        (!real.starts_with(root) && !path.starts_with(root)).then_some(path)
    })
}

/// Runs a program of the person's own with a deadline; its standard output if it succeeded.
pub(crate) fn ask(mut command: Command, deadline: Duration) -> Option<Vec<u8>> {
    let mut child = command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let stdout = child.stdout.take()?;
    let reader = thread::spawn(move || {
        let mut answer = Vec::new();
        stdout.take(ANSWER_LIMIT).read_to_end(&mut answer).map(|_| answer)
    });
    let end = Instant::now() + deadline;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
            _ => {
                // Killing fails only when it has ended meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let answer = reader.join().ok()?.ok()?;
    status.success().then_some(answer)
}

/// A path and every symbolic link on the way to what it names: all of them must be visible inside
/// for the path to work there. Bounded, so that a loop of links ends.
pub(crate) fn link_chain(path: &Path) -> Vec<PathBuf> {
    let mut chain = vec![path.to_owned()];
    let mut current = path.to_owned();
    for _ in 0..16 {
        let Ok(target) = fs::read_link(&current) else { break };
        current = match current.parent() {
            Some(parent) if target.is_relative() => parent.join(target),
            _ => target,
        };
        chain.push(current.clone());
    }
    if let Ok(real) = fs::canonicalize(path)
        && !chain.contains(&real)
    {
        chain.push(real);
    }
    chain
}

/// The path, if it exists.
pub(crate) fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}
