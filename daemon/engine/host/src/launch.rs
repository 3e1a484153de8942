//! Starting the process, and its log.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::error::EngineError;

/// A log that is longer is put aside before the next start.
const LONGEST_LOG: u64 = 4 << 20;
/// How far behind the daemon it stands, as `nice` has it.
#[cfg(unix)]
const BEHIND: libc::c_int = 5;
/// So much of the end of a log is looked at.
const TAIL: u64 = 4 << 10;

/// A process that was just started.
pub(crate) struct Launched {
    pub(crate) child: Child,
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    /// Where its part of the log begins.
    pub(crate) log_from: u64,
}

/// Starts the executable. It ends with the daemon: its standard input closes then.
pub(crate) fn launch(program: &Path, log: &Path) -> Result<Launched, EngineError> {
    let failed = |why: std::io::Error| EngineError::Start {
        program: program.to_owned(),
        why: why.to_string(),
    };
    let (file, log_from) = open_log(log).map_err(failed)?;
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(file)
        // What it reads lies on this machine.
        .env("HF_HUB_OFFLINE", "1")
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take().expect("it was asked for");
    let stdout = child.stdout.take().expect("it was asked for");
    offer_to_the_system(child.id());
    put_behind(child.id());
    Ok(Launched { child, stdin, stdout, log_from })
}

fn open_log(log: &Path) -> std::io::Result<(File, u64)> {
    let length = std::fs::metadata(log).map_or(0, |meta| meta.len());
    if length > LONGEST_LOG {
        std::fs::rename(log, log.with_extension("log.1"))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(log)?;
    let from = file.metadata()?.len();
    Ok((file, from))
}

/// Where memory runs out, the engine is to go before editors and the daemon.
#[cfg(target_os = "linux")]
fn offer_to_the_system(pid: Option<u32>) {
    if let Some(pid) = pid
        && let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "800")
    {
        tracing::debug!(%error, "the engine keeps its place when memory runs out");
    }
}

#[cfg(not(target_os = "linux"))]
fn offer_to_the_system(_: Option<u32>) {}

/// Tests and editors go first: loading a model takes all processors.
#[cfg(unix)]
#[expect(unsafe_code, reason = "a call to the system without a safe wrapper")]
fn put_behind(pid: Option<u32>) {
    let Some(pid) = pid else { return };
    // SAFETY: takes and gives only numbers. A process that is gone already is an error, which is of no
    // interest here; our own child cannot be confused with another one before it was waited for.
    unsafe {
        let now = libc::getpriority(libc::PRIO_PROCESS, pid);
        libc::setpriority(libc::PRIO_PROCESS, pid, now + BEHIND);
    }
}

#[cfg(not(unix))]
fn put_behind(_: Option<u32>) {}

/// The last line that was written after `from`.
pub(crate) fn last_line(log: &Path, from: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL)))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_process_wrote_is_its_last_line() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("engine.log");
        std::fs::write(&log, "of an earlier one\n").unwrap();
        let (_, from) = open_log(&log).unwrap();
        assert_eq!(last_line(&log, from), None);
        std::fs::write(&log, "of an earlier one\nfirst\n  last  \n\n").unwrap();
        assert_eq!(last_line(&log, from).as_deref(), Some("last"));
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("engine.log");
        std::fs::write(&log, vec![b'x'; LONGEST_LOG as usize + 1]).unwrap();
        assert_eq!(open_log(&log).unwrap().1, 0);
        assert!(dir.path().join("engine.log.1").exists());
    }
}
