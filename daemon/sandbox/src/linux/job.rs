//! One running command: its pipes, what it has said so far, and why it had to end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

use super::child::Started;
use crate::spec::ExitState;
use crate::wire::{Blob, WireOutcome};

/// Unread input that a child may leave; more is refused.
const BACKLOG: usize = 32 << 20;

/// A running command, or one that has ended and not been collected.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) pid: Pid,
    pub(super) stdin: Option<File>,
    pub(super) stdout: Option<File>,
    pub(super) stderr: Option<File>,
    input: Vec<u8>,
    sent: usize,
    /// Whether standard input stays open when everything is written.
    talking: bool,
    out: Vec<u8>,
    /// How much of `out` was taken as lines.
    taken: usize,
    err: Vec<u8>,
    output_limit: usize,
    pub(super) deadline: Instant,
    started: Instant,
    cpu_before: Duration,
    /// How the command's own process ended.
    pub(super) exited: Option<ExitState>,
    /// Why we ended it.
    pub(super) killed: Option<ExitState>,
    pub(super) disk_full: bool,
}

impl Job {
    pub(super) fn new(
        started: Started,
        input: Vec<u8>,
        talking: bool,
        output_limit: usize,
        wall: Duration,
        cpu_before: Duration,
    ) -> Self {
        let now = Instant::now();
        // A century is as good as no limit, and no overflow.
        let wall = wall.min(Duration::from_secs(3_000_000_000));
        let mut job = Self {
            pid: started.pid,
            stdin: started.stdin,
            stdout: Some(started.stdout),
            stderr: Some(started.stderr),
            input,
            sent: 0,
            talking,
            out: Vec::new(),
            taken: 0,
            err: Vec::new(),
            output_limit,
            deadline: now + wall,
            started: now,
            cpu_before,
            exited: None,
            killed: None,
            disk_full: false,
        };
        job.close_input_when_done();
        job
    }

    /// Whether there is anything left to wait for.
    pub(super) fn over(&self) -> bool {
        self.exited.is_some() || self.killed.is_some()
    }

    pub(super) fn has_input(&self) -> bool {
        self.stdin.is_some() && self.sent < self.input.len()
    }

    /// Whether more of standard output is wanted now. A talking child is held back by its pipe.
    pub(super) fn wants_output(&self) -> bool {
        !self.talking || self.out.len() - self.taken <= self.output_limit
    }

    /// Queues input; false when too much is waiting already.
    pub(super) fn queue(&mut self, bytes: &[u8]) -> bool {
        if self.input.len() - self.sent + bytes.len() > BACKLOG {
            return false;
        }
        self.input.drain(..self.sent);
        self.sent = 0;
        self.input.extend_from_slice(bytes);
        true
    }

    /// Writes as much input as the pipe takes.
    pub(super) fn feed(&mut self) {
        while self.has_input() {
            let Some(stdin) = &mut self.stdin else { return };
            match stdin.write(&self.input[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It closed its input: what is left has no reader.
                Err(_) => {
                    self.stdin = None;
                    return;
                }
            }
        }
        self.close_input_when_done();
    }

    fn close_input_when_done(&mut self) {
        if !self.talking && self.sent == self.input.len() {
            self.stdin = None;
        }
    }

    /// Reads what is there from both outputs.
    pub(super) fn drain(&mut self) {
        let limit = self.output_limit;
        let mut over = false;
        // Not for each line: the rest would be moved as often as there are lines.
        self.out.drain(..self.taken);
        self.taken = 0;
        if self.wants_output() {
            over |= !read_available(&mut self.stdout, &mut self.out, limit);
        }
        if self.talking {
            // Only its end can matter, and a chatty server must not die of it.
            read_available(&mut self.stderr, &mut self.err, limit * 2);
            let excess = self.err.len().saturating_sub(limit);
            self.err.drain(..excess);
            over &= !self.out.contains(&b'\n');
        } else {
            over |= !read_available(&mut self.stderr, &mut self.err, limit);
        }
        if over && self.killed.is_none() {
            self.killed = Some(ExitState::OutputLimit);
        }
    }

    /// Takes the first whole line of standard output.
    pub(super) fn line(&mut self) -> Option<Vec<u8>> {
        let rest = &self.out[self.taken..];
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = rest[..end].to_vec();
        self.taken += end + 1;
        Some(line)
    }

    pub(super) fn note_status(&mut self, status: WaitStatus) {
        if status.pid() != Some(self.pid) {
            return;
        }
        self.exited = match status {
            WaitStatus::Exited(_, code) => Some(ExitState::Exited(code)),
            WaitStatus::Signaled(_, signal, _) => Some(ExitState::Signaled(signal as i32)),
            _ => return,
        };
    }

    /// The result, when everything has been killed and drained.
    pub(super) fn outcome(mut self) -> WireOutcome {
        self.out.drain(..self.taken);
        self.out.truncate(self.output_limit);
        self.err.truncate(self.output_limit);
        let state = self.killed.or(self.exited).unwrap_or(ExitState::Signaled(libc::SIGKILL));
        WireOutcome {
            state,
            stdout: Blob(self.out),
            stderr: Blob(self.err),
            wall: self.started.elapsed(),
            cpu: children_cpu().saturating_sub(self.cpu_before),
            disk_full: self.disk_full,
        }
    }
}

/// Reads until the pipe is empty, ended, or `limit` is passed; false in the last case.
fn read_available(pipe: &mut Option<File>, into: &mut Vec<u8>, limit: usize) -> bool {
    let mut chunk = [0; 65536];
    while let Some(file) = pipe {
        if into.len() > limit {
            return false;
        }
        match file.read(&mut chunk) {
            Ok(0) => *pipe = None,
            Ok(count) => into.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return into.len() <= limit,
            Err(_) => *pipe = None,
        }
    }
    into.len() <= limit
}

/// User and system time of every descendant that has been reaped.
pub(super) fn children_cpu() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return Duration::ZERO;
    };
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(micros.try_into().unwrap_or(0))
}
