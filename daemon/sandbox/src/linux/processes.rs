//! Finding, measuring and killing the processes of the sandbox.

use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, SysconfVar, getpid, sysconf};

/// How the processes of the sandbox are told from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tree {
    /// We are process 1 of a namespace: everything else in `/proc` is ours.
    PidNamespace,
    /// Our descendants; orphans come to us because we are a subreaper.
    Descendants,
}

/// What the processes use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) memory_bytes: u64,
    pub(super) tasks: u64,
}

impl Tree {
    /// The processes alive now.
    fn members(self) -> Vec<i32> {
        let me = getpid().as_raw();
        let all = numbered("/proc");
        match self {
            Self::PidNamespace => all.into_iter().filter(|&pid| pid != me).collect(),
            Self::Descendants => {
                let parents: Vec<(i32, i32)> =
                    all.into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
                let mut found = vec![me];
                let mut next = 0;
                while let Some(&ancestor) = found.get(next) {
                    let children = parents.iter().filter(|(_, parent)| *parent == ancestor);
                    found.extend(children.map(|(pid, _)| *pid));
                    next += 1;
                }
                found.split_off(1)
            }
        }
    }

    /// Resident memory and tasks. Pages that processes share are counted for each of them until
    /// that sum passes `limit`; only then are they weighed by their sharers, which costs more.
    pub(super) fn usage(self, limit: u64) -> Usage {
        let members = self.members();
        let shared = if self == Self::PidNamespace { system_v_bytes() } else { 0 };
        let resident: u64 = members.iter().map(|&pid| resident_bytes(pid)).sum();
        let tasks = members.iter().map(|&pid| threads(pid)).sum();
        if resident + shared <= limit {
            return Usage { memory_bytes: resident + shared, tasks };
        }
        let weighed: u64 = members
            .iter()
            .map(|&pid| proportional_bytes(pid).unwrap_or_else(|| resident_bytes(pid)))
            .sum();
        Usage { memory_bytes: weighed + shared, tasks }
    }

    /// Kills every process and reaps it, handing each status to `reaped`. False when some would
    /// not die before the deadline (a process stuck in the kernel).
    pub(super) fn kill_all(self, mut reaped: impl FnMut(WaitStatus)) -> bool {
        let deadline = Instant::now() + Duration::from_secs(8);
        loop {
            match self {
                // Signals everything in the namespace at once; a fork cannot slip through.
                Self::PidNamespace => {
                    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                }
                Self::Descendants => {
                    // Stopped first, so that none forks while the others are being killed.
                    for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
                        for pid in self.members() {
                            let _ = kill(Pid::from_raw(pid), signal);
                        }
                    }
                }
            }
            loop {
                match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::StillAlive) => break,
                    Ok(status) => reaped(status),
                    Err(Errno::EINTR) => {}
                    Err(_) => return true,
                }
            }
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}

fn numbered(directory: &str) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The fields of `/proc/<pid>/stat` after the program's name, which may hold anything.
fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(&text[end + 1..]).into_owned();
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: i32) -> Option<i32> {
    stat_fields(pid)?.get(1)?.parse().ok()
}

fn threads(pid: i32) -> u64 {
    let count = stat_fields(pid).and_then(|fields| fields.get(17)?.parse().ok());
    count.unwrap_or(1)
}

fn resident_bytes(pid: i32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * page_bytes()
}

fn page_bytes() -> u64 {
    let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// Memory weighed by the number of processes that share it; `None` when the process hides itself.
fn proportional_bytes(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// System V segments of this namespace: they stay when nobody maps them.
fn system_v_bytes() -> u64 {
    let Ok(text) = fs::read_to_string("/proc/sysvipc/shm") else {
        return 0;
    };
    let mut lines = text.lines();
    let column =
        lines.next().and_then(|header| header.split_whitespace().position(|name| name == "rss"));
    let Some(column) = column else { return 0 };
    lines.filter_map(|line| line.split_whitespace().nth(column)?.parse::<u64>().ok()).sum()
}
