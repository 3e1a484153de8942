//! The loop that answers requests while it watches the running command.
//!
//! One thread, one `poll`: the socket, the children, the pipes of the running command, and a tick
//! on which limits are checked. Requests are answered one after the other; a command that runs
//! keeps the next request waiting, but never the hang-up.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;
use nix::sys::statvfs::statvfs;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::child::{self, Launch};
use super::confine::Confinement;
use super::job::{Job, children_cpu};
use super::processes::Tree;
use super::{Control, Unbuildable, files, guard};
use crate::error::SandboxError;
use crate::frame;
use crate::spec::{ExitState, Layer, Limits};
use crate::wire::{Blob, Reply, Request, WireCommand, WireLine, WireOutcome};

/// How often limits are checked.
const TICK: Duration = Duration::from_millis(50);
/// The same when a limit is near or the command has just begun.
const SHORT_TICK: Duration = Duration::from_millis(10);
/// Greatest output kept of one stream, so that a reply fits into a frame.
const MAX_OUTPUT: u64 = 96 << 20;
/// Free bytes and files below which a disk counts as full.
const FULL_BYTES: u64 = 64 << 10;
const FULL_FILES: u64 = 8;

/// Which paths the caller may name, and where they really are.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// As the person sees it, as it is in the helper's own view.
    entries: Vec<(PathBuf, PathBuf)>,
    /// Who gets the files that we create, if not the user that we are.
    pub(super) owner: Option<u32>,
}

impl Places {
    /// The checkout and the temporary directory at their own paths.
    pub(super) fn same(root: &Path, tmp: &Path) -> Self {
        let same = |path: &Path| (path.to_owned(), path.to_owned());
        Self { entries: vec![same(root), same(tmp)], owner: None }
    }

    /// The checkout and the temporary directory elsewhere; both may also be named as they are.
    pub(super) fn elsewhere(root: &Path, real_root: &Path, tmp: &Path, real_tmp: &Path) -> Self {
        let mut places = Self::same(real_root, real_tmp);
        places.entries.push((root.to_owned(), real_root.to_owned()));
        places.entries.push((tmp.to_owned(), real_tmp.to_owned()));
        places
    }

    /// The base directory and the path below it.
    pub(super) fn resolve(&self, path: &Path) -> Result<(PathBuf, PathBuf), SandboxError> {
        let outside = || SandboxError::Outside { path: path.to_owned() };
        if !path.is_absolute() || !files::is_plain(path) {
            return Err(outside());
        }
        let (base, relative) = files::under(path, &self.entries).ok_or_else(outside)?;
        Ok((base.to_owned(), relative))
    }

    fn directory(&self, path: &Path) -> Result<PathBuf, SandboxError> {
        let (base, relative) = self.resolve(path)?;
        Ok(if relative.as_os_str().is_empty() { base } else { base.join(relative) })
    }
}

/// The view as it was built.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) layer: Layer,
    pub(super) places: Places,
    pub(super) home: PathBuf,
    pub(super) tmp: PathBuf,
    pub(super) scratch: PathBuf,
    pub(super) tree: Tree,
    pub(super) confinement: Confinement,
    pub(super) limits: Limits,
}

/// Serves one sandbox.
pub(super) struct Server<'a> {
    setting: Setting,
    /// Where the checkout really is.
    root: PathBuf,
    control: &'a mut Control,
    signals: SignalFd,
    job: Option<Job>,
    next_tick: Instant,
    ticks: u32,
    /// Bytes in use where nothing but this watch bounds the disk; see [`Server::disk_full`].
    used_before: Option<u64>,
}

/// The daemon is gone: everything has to end.
struct HungUp;

impl<'a> Server<'a> {
    pub(super) fn new(setting: Setting, control: &'a mut Control) -> Result<Self, Unbuildable> {
        let signals = guard::block_child_signal()?;
        let root = setting.places.entries[0].1.clone();
        let bounded = setting.layer == Layer::Namespaces;
        let used_before = if bounded { None } else { used_bytes(&root) };
        let next_tick = Instant::now();
        Ok(Self { setting, root, control, signals, job: None, next_tick, ticks: 0, used_before })
    }

    /// Announces the view and answers until the daemon hangs up; then kills what is left.
    pub(super) fn serve(mut self, notes: Vec<String>) {
        let inside_root = self.root.clone();
        let scratch = self.setting.scratch.clone();
        if frame::write(self.control, &Reply::Opened { inside_root, scratch, notes }).is_ok() {
            while let Ok(request) = self.next_request() {
                let Ok(reply) = self.answer(request) else {
                    break;
                };
                if frame::write(self.control, &reply).is_err() {
                    break;
                }
            }
        }
        self.setting.tree.kill_all(|_| {});
    }

    fn next_request(&mut self) -> Result<Request, HungUp> {
        while !self.pump(true, None)? {
            self.enforce();
        }
        // Junk or half a frame: not our library, or not any more.
        frame::read(self.control).map_err(|_| HungUp)
    }

    fn answer(&mut self, request: Request) -> Result<Reply, HungUp> {
        let answer = match request {
            Request::Write(files) => files
                .iter()
                .try_for_each(|file| {
                    let content = file.content.as_ref().map(|blob| blob.0.as_slice());
                    files::write(&self.setting.places, &file.path, content)
                })
                .map(|()| Reply::Done),
            Request::Read { path, max_bytes } => {
                let max_bytes = max_bytes.min(frame::MAX_BODY as u64 / 2);
                files::read(&self.setting.places, &path, max_bytes)
                    .map(|content| Reply::Content(content.map(Blob)))
            }
            Request::Exec(command) => return self.exec(command),
            Request::Spawn(command) => self.spawn(command).map(|()| Reply::Done),
            Request::SendLine(line) => self.send_line(&line.0).map(|()| Reply::Done),
            Request::ReadLine { timeout } => return self.read_line(timeout),
            Request::Stop => match self.job.is_some() {
                true => Ok(Reply::Outcome(self.finish())),
                false => Err(SandboxError::NoChild),
            },
        };
        Ok(answer.unwrap_or_else(Reply::Failed))
    }

    fn exec(&mut self, command: WireCommand) -> Result<Reply, HungUp> {
        if self.job.is_some() {
            return Ok(Reply::Failed(SandboxError::Busy));
        }
        let started = Instant::now();
        match self.start(command, false) {
            Ok(()) => {}
            Err(Refused::NotStarted(reason)) => {
                return Ok(Reply::Outcome(not_started(reason, started.elapsed())));
            }
            Err(Refused::Failed(error)) => return Ok(Reply::Failed(error)),
        }
        while !self.is_over() {
            self.pump(false, None)?;
            self.enforce();
        }
        Ok(Reply::Outcome(self.finish()))
    }

    fn spawn(&mut self, command: WireCommand) -> Result<(), SandboxError> {
        if self.job.is_some() {
            return Err(SandboxError::Busy);
        }
        self.start(command, true).map_err(|refused| match refused {
            Refused::NotStarted(reason) => SandboxError::NotStarted { reason },
            Refused::Failed(error) => error,
        })
    }

    fn send_line(&mut self, line: &[u8]) -> Result<(), SandboxError> {
        let job = self.job.as_mut().ok_or(SandboxError::NoChild)?;
        if !job.queue(line) {
            return Err(SandboxError::Backlog);
        }
        job.feed();
        Ok(())
    }

    fn read_line(&mut self, timeout: Duration) -> Result<Reply, HungUp> {
        let now = Instant::now();
        let deadline = now.checked_add(timeout).unwrap_or(now + Duration::from_secs(1 << 31));
        loop {
            let Some(job) = &mut self.job else {
                return Ok(Reply::Failed(SandboxError::NoChild));
            };
            if let Some(line) = job.line() {
                return Ok(Reply::Line(WireLine::Line(Blob(line))));
            }
            job.drain();
            if let Some(line) = job.line() {
                return Ok(Reply::Line(WireLine::Line(Blob(line))));
            }
            if !job.over() && Instant::now() >= deadline {
                job.killed = Some(ExitState::TimedOut);
            }
            if job.over() {
                return Ok(Reply::Line(WireLine::Ended(self.finish())));
            }
            self.pump(false, Some(deadline))?;
            self.enforce();
        }
    }

    fn start(&mut self, wire: WireCommand, talking: bool) -> Result<(), Refused> {
        let WireCommand { mut command, stdin } = wire;
        let cwd = self.setting.places.directory(&command.cwd).map_err(Refused::Failed)?;
        let set = |name: &str, path: &Path| (OsString::from(name), path.as_os_str().to_owned());
        command.env.extend([set("HOME", &self.setting.home), set("TMPDIR", &self.setting.tmp)]);
        let launch = Launch {
            argv: &command.argv,
            env: command.env.into_iter().collect(),
            cwd,
            cpu: command.cpu,
            input: talking || !stdin.0.is_empty(),
        };
        let cpu_before = children_cpu();
        let started =
            child::start(&launch, &self.setting.confinement).map_err(Refused::NotStarted)?;
        let limit = self.setting.limits.output_bytes.min(MAX_OUTPUT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.job = Some(Job::new(started, stdin.0, talking, limit, command.wall, cpu_before));
        self.next_tick = Instant::now() + SHORT_TICK;
        self.ticks = 0;
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.job.as_ref().is_none_or(Job::over)
    }

    /// Kills everything and collects what the command said.
    fn finish(&mut self) -> WireOutcome {
        let mut job = self.job.take().expect("only called with a job");
        let all_dead = self.setting.tree.kill_all(|status| job.note_status(status));
        job.drain();
        job.disk_full |= self.disk_full();
        if !all_dead {
            tracing::warn!("a process of the sandbox does not die");
        }
        job.outcome()
    }

    /// Waits for the next event and moves bytes. True when a request is waiting.
    fn pump(&mut self, want_request: bool, until: Option<Instant>) -> Result<bool, HungUp> {
        let wake = self.job.as_ref().filter(|job| !job.over()).map(|job| {
            let tick = self.next_tick.min(job.deadline);
            until.map_or(tick, |until| until.min(tick))
        });
        let asked = if want_request { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut polled = vec![
            PollFd::new(self.control.as_fd(), asked),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(job) = &self.job {
            if let Some(stdin) = job.stdin.as_ref().filter(|_| job.has_input()) {
                polled.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
            }
            if let Some(stdout) = job.stdout.as_ref().filter(|_| job.wants_output()) {
                polled.push(PollFd::new(stdout.as_fd(), PollFlags::POLLIN));
            }
            if let Some(stderr) = &job.stderr {
                polled.push(PollFd::new(stderr.as_fd(), PollFlags::POLLIN));
            }
        }
        match poll(&mut polled, timeout(wake)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Err(HungUp),
        }
        let control = polled[0].revents().unwrap_or(PollFlags::empty());
        let signalled = polled[1].any().unwrap_or(false);
        let moved = polled[2..].iter().any(|descriptor| descriptor.any().unwrap_or(false));
        drop(polled);
        if control.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            return Err(HungUp);
        }
        if let Some(job) = self.job.as_mut().filter(|_| moved) {
            job.feed();
            job.drain();
        }
        if signalled {
            self.reap();
        }
        Ok(control.contains(PollFlags::POLLIN))
    }

    fn reap(&mut self) {
        // Only drains: one signal can stand for many children.
        while let Ok(Some(_)) = self.signals.read_signal() {}
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(status) => {
                    if let Some(job) = &mut self.job {
                        job.note_status(status);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => return,
            }
        }
    }

    /// Ends the running command when it has passed a limit.
    fn enforce(&mut self) {
        let now = Instant::now();
        if self.is_over() {
            self.end_idle_child();
            return;
        }
        let disk_full = now >= self.next_tick && self.disk_full();
        let Some(job) = &mut self.job else { return };
        job.disk_full |= disk_full;
        if now >= job.deadline {
            job.killed = Some(ExitState::TimedOut);
        } else if disk_full && self.used_before.is_some() {
            job.killed = Some(ExitState::Signaled(libc::SIGKILL));
        } else if now >= self.next_tick {
            let limits = &self.setting.limits;
            let usage = self.setting.tree.usage(limits.memory_bytes);
            if usage.memory_bytes > limits.memory_bytes {
                job.killed = Some(ExitState::OutOfMemory);
            } else if usage.tasks > limits.processes {
                job.killed = Some(ExitState::Signaled(libc::SIGKILL));
            }
            self.ticks = self.ticks.saturating_add(1);
            let near = usage.memory_bytes > limits.memory_bytes / 2
                || usage.tasks > limits.processes / 2
                || self.ticks < 5;
            self.next_tick = Instant::now() + if near { SHORT_TICK } else { TICK };
        }
        self.end_idle_child();
    }

    /// A spawned child that is over must not leave anything running until somebody asks.
    fn end_idle_child(&mut self) {
        if let Some(job) = self.job.as_mut().filter(|job| job.over() && job.exited.is_none()) {
            self.setting.tree.kill_all(|status| job.note_status(status));
        }
    }

    /// Whether the throw-away disk is full. Where it has a size of its own, the kernel bounds it and
    /// this only reports; elsewhere it is what the file system has grown by since the beginning,
    /// whoever made it grow, and the command is ended.
    fn disk_full(&self) -> bool {
        if let Some(before) = self.used_before {
            let used = used_bytes(&self.root).unwrap_or(0);
            return used.saturating_sub(before) > self.setting.limits.disk_bytes;
        }
        [&self.root, &self.setting.tmp].into_iter().any(|path| {
            statvfs(path).is_ok_and(|disk| {
                disk.blocks_free() * disk.fragment_size() < FULL_BYTES
                    || (disk.files() > 0 && disk.files_free() < FULL_FILES)
            })
        })
    }
}

fn used_bytes(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok()?;
    Some(disk.blocks().saturating_sub(disk.blocks_free()) * disk.fragment_size())
}

/// Why a command does not run.
enum Refused {
    NotStarted(String),
    Failed(SandboxError),
}

fn not_started(reason: String, wall: Duration) -> WireOutcome {
    WireOutcome {
        state: ExitState::NotStarted(reason),
        stdout: Blob::default(),
        stderr: Blob::default(),
        wall,
        cpu: Duration::ZERO,
        disk_full: false,
    }
}

fn timeout(wake: Option<Instant>) -> PollTimeout {
    let Some(wake) = wake else {
        return PollTimeout::NONE;
    };
    let left = wake.saturating_duration_since(Instant::now());
    // Rounded up, else the last fraction of a millisecond would be spent spinning.
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> Places {
        Places::elsewhere(
            Path::new("/tmp/app"),
            Path::new("/copy/checkout"),
            Path::new("/tmp"),
            Path::new("/copy/tmp"),
        )
    }

    #[test]
    fn the_longest_place_counts() {
        let real = |path: &str| {
            let (base, rest) = places().resolve(Path::new(path)).unwrap();
            base.join(rest)
        };
        assert_eq!(real("/tmp/app/src/a"), Path::new("/copy/checkout/src/a"));
        assert_eq!(real("/tmp/application"), Path::new("/copy/tmp/application"));
        assert_eq!(real("/copy/checkout/a"), Path::new("/copy/checkout/a"));
        for outside in ["/etc/passwd", "tmp/a", "/tmp/../etc", "/copy", ""] {
            assert!(places().resolve(Path::new(outside)).is_err(), "{outside}");
        }
    }

    proptest! {
        #[test]
        fn no_path_resolves_to_somewhere_else(
            parts in prop::collection::vec(prop::sample::select(
                vec!["tmp", "app", "copy", "checkout", "..", ".", "", "etc", "\0", "ä"]), 0..8),
        ) {
            let path = format!("/{}", parts.join("/"));
            if let Ok((base, rest)) = places().resolve(Path::new(&path)) {
                prop_assert!(base == Path::new("/copy/checkout") || base == Path::new("/copy/tmp"));
                prop_assert!(rest.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
