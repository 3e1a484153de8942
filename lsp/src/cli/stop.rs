//! `greenlit stop` and `greenlit restart`.

use std::time::Duration;

use greenlit_client::{ConnectError, HandshakeError, LockFile, Paths, connect};
use greenlit_protocol::Request;
use serde::Serialize;

use super::args::StopArgs;
use super::failure::Failure;
use super::{daemon, output};

/// How often to look whether it is gone.
const LOOK: Duration = Duration::from_millis(20);
/// When to say what is being waited for.
const SAY_AFTER: Duration = Duration::from_secs(2);
/// How long a daemon that is told not to wait may take before it is killed.
const KILL_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug, Serialize)]
struct Stopped {
    /// Whether a daemon ran and is gone now.
    stopped: bool,
    pid: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Restarted {
    stopped_pid: Option<u32>,
    pid: u32,
    build: String,
}

/// Runs `stop`.
pub(crate) async fn run(args: &StopArgs) -> Result<u8, Failure> {
    let pid = daemon::interruptible(stop(args.kill)).await?;
    if args.json {
        output::json(&Stopped { stopped: pid.is_some(), pid });
    } else {
        match pid {
            Some(pid) => output::line(format_args!("greenlitd (process {pid}) ended")),
            None => output::line("greenlitd was not running"),
        }
    }
    Ok(0)
}

/// Runs `restart`.
pub(crate) async fn restart(args: &StopArgs) -> Result<u8, Failure> {
    let stopped_pid = daemon::interruptible(stop(args.kill)).await?;
    let welcome = daemon::open("restart", Vec::new()).await?.welcome;
    let (pid, build) = (welcome.pid, welcome.build);
    if args.json {
        output::json(&Restarted { stopped_pid, pid, build });
    } else {
        output::line(format_args!("greenlitd {build} runs as process {pid}"));
    }
    Ok(0)
}

/// Ends the daemon and waits until it is gone; `None` when none ran.
async fn stop(kill: bool) -> Result<Option<u32>, Failure> {
    let options = daemon::options("stop", Vec::new()).without_spawn();
    let paths = Paths::for_user()?;
    let pid = match connect(&options).await {
        Ok(connection) => {
            connection.client.request(Request::Stop { kill }).await?;
            connection.welcome.pid
        }
        Err(ConnectError::NotRunning) => match paths.read_info() {
            // It runs, and somebody removed its socket.
            Some(info) if LockFile::is_held(&paths.daemon_lock) => {
                signal(info.pid, Signal::Terminate)?;
                info.pid
            }
            _ => return Ok(None),
        },
        // It is on its way out already, or speaks no version of ours: a signal it understands.
        Err(ConnectError::Handshake(HandshakeError::Refused { .. })) if !kill => {
            paths.read_info().map(|info| info.pid).unwrap_or_default()
        }
        Err(error @ ConnectError::Handshake(_)) => match paths.read_info() {
            Some(info) => {
                signal(info.pid, Signal::Terminate)?;
                info.pid
            }
            None => return Err(error.into()),
        },
        Err(error) => return Err(error.into()),
    };
    let start = tokio::time::Instant::now();
    let (mut said, mut killed) = (false, false);
    while LockFile::is_held(&paths.daemon_lock) {
        tokio::time::sleep(LOOK).await;
        if !said && start.elapsed() > SAY_AFTER {
            said = true;
            output::notice("waiting for running requests; `greenlit stop --kill` does not wait");
        }
        if kill && !killed && start.elapsed() > KILL_AFTER {
            killed = true;
            signal(pid, Signal::Kill)?;
        }
    }
    Ok(Some(pid))
}

#[derive(Debug, Clone, Copy)]
enum Signal {
    Terminate,
    Kill,
}

/// Signals the daemon. It holds its lock, so the process id is its own.
#[cfg(unix)]
fn signal(pid: u32, signal: Signal) -> Result<(), Failure> {
    let signal = match signal {
        Signal::Terminate => nix::sys::signal::Signal::SIGTERM,
        Signal::Kill => nix::sys::signal::Signal::SIGKILL,
    };
    let process = i32::try_from(pid).ok().filter(|pid| *pid > 0).map(nix::unistd::Pid::from_raw);
    let process =
        process.ok_or_else(|| Failure::new("internal", "the daemon's process id is unknown"))?;
    match nix::sys::signal::kill(process, signal) {
        // Gone in the meantime.
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(Failure::io(format!("cannot end process {pid}"))(error.into())),
    }
}

#[cfg(not(unix))]
fn signal(pid: u32, _signal: Signal) -> Result<(), Failure> {
    Err(Failure::new("daemon-unavailable", format!("end process {pid} in the task manager")))
}
