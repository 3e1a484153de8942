//! Starting one command: fork, give everything up, execute.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, execve, pipe2, setsid};

use super::confine::Confinement;
use super::sys;

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A command, ready to be started.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) argv: &'a [OsString],
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) cwd: PathBuf,
    pub(super) cpu: Option<Duration>,
    /// Whether standard input is a pipe; else it is at its end at once.
    pub(super) input: bool,
}

/// A started command and our ends of its pipes.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: Pid,
    pub(super) stdin: Option<File>,
    pub(super) stdout: File,
    pub(super) stderr: File,
}

/// Starts a command; the error is for people.
pub(super) fn start(launch: &Launch<'_>, confinement: &Confinement) -> Result<Started, String> {
    let argv = strings(launch.argv.iter().map(OsString::as_os_str))?;
    let Some(program) = launch.argv.first() else {
        return Err("no program is named".to_owned());
    };
    let env: Vec<OsString> = launch
        .env
        .iter()
        .map(|(name, value)| {
            let mut pair = name.clone();
            pair.push("=");
            pair.push(value);
            pair
        })
        .collect();
    let env = strings(env.iter().map(OsString::as_os_str))?;
    let candidates = strings(candidates(program, &launch.env).iter().map(|path| path.as_os_str()))?;

    let failed = |error: Errno| format!("pipes: {error}");
    let null = File::open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    let (child_in, our_in) = if launch.input {
        let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        (read, Some(File::from(write)))
    } else {
        (OwnedFd::from(null), None)
    };
    let (our_out, child_out) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let (our_err, child_err) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let (report_in, report_out) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    let mut report_out = File::from(report_out);

    let pid = match sys::fork().map_err(|error| format!("fork: {error}"))? {
        Some(pid) => pid,
        None => {
            let streams = [&child_in, &child_out, &child_err];
            let reason = become_program(launch, confinement, streams, &candidates, &argv, &env);
            // The parent learns of a success by the pipe closing without a word.
            let _ = report_out.write_all(reason.as_bytes());
            sys::exit_now(127)
        }
    };
    drop(report_out);
    let mut reason = String::new();
    let read = File::from(report_in).take(4096).read_to_string(&mut reason);
    if read.is_err() || !reason.is_empty() {
        // Nothing else of ours is running: this takes the child that failed.
        let _ = nix::sys::wait::waitpid(pid, None);
        return Err(reason);
    }
    let (stdout, stderr) = (File::from(our_out), File::from(our_err));
    for end in our_in.iter().chain([&stdout, &stderr]) {
        non_blocking(end).map_err(failed)?;
    }
    Ok(Started { pid, stdin: our_in, stdout, stderr })
}

/// Runs in the child. Returns only when something failed, with the reason.
fn become_program(
    launch: &Launch<'_>,
    confinement: &Confinement,
    [stdin, stdout, stderr]: [&OwnedFd; 3],
    candidates: &[CString],
    argv: &[CString],
    env: &[CString],
) -> String {
    let prepare = || -> Result<(), String> {
        let failed = |what: &str, error: Errno| format!("{what}: {error}");
        setsid().map_err(|error| failed("new session", error))?;
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| failed("death signal", error))?;
        sys::default_signals();
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
            .map_err(|error| failed("signal mask", error))?;
        dup2_stdin(stdin).map_err(|error| failed("standard input", error))?;
        dup2_stdout(stdout).map_err(|error| failed("standard output", error))?;
        dup2_stderr(stderr).map_err(|error| failed("standard error", error))?;
        umask(Mode::from_bits_truncate(0o022));
        // The kernel then prefers these processes when memory runs out; a kernel that has no such
        // file has another way.
        let _ = fs::write("/proc/self/oom_score_adj", "800");
        chdir(&launch.cwd).map_err(|error| failed(&launch.cwd.display().to_string(), error))?;
        confinement.apply(launch.cpu)?;
        sys::close_on_exec_from(3);
        Ok(())
    };
    if let Err(reason) = prepare() {
        return reason;
    }
    let program = argv.first().map(|name| name.to_string_lossy().into_owned());
    let program = program.unwrap_or_default();
    let mut worst = Errno::ENOENT;
    for candidate in candidates {
        let Err(error) = execve(candidate, argv, env);
        match error {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => worst = Errno::EACCES,
            Errno::ENOEXEC => {
                // A script without an interpreter line, as the shell and `execvp` treat it.
                let shell = c"/bin/sh".to_owned();
                let mut script = vec![shell.clone(), candidate.clone()];
                script.extend(argv.iter().skip(1).cloned());
                let Err(error) = execve(&shell, &script, env);
                return format!("{program}: {}", error.desc());
            }
            error => return format!("{program}: {}", error.desc()),
        }
    }
    format!("{program}: {}", worst.desc())
}

/// Where the program may be, in the order of `PATH`.
fn candidates(program: &OsStr, env: &[(OsString, OsString)]) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    let path = env.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or_else(|| OsString::from(DEFAULT_PATH), |(_, path)| path.clone());
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(Path::new(program)))
        .collect()
}

fn strings<'a>(texts: impl Iterator<Item = &'a OsStr>) -> Result<Vec<CString>, String> {
    texts
        .map(|text| {
            CString::new(text.to_owned().into_vec())
                .map_err(|_| format!("{} contains a zero byte", text.to_string_lossy()))
        })
        .collect()
}

fn non_blocking(file: &File) -> nix::Result<()> {
    use nix::fcntl::{FcntlArg, fcntl};
    fcntl(file.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(drop)
}
