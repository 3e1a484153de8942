//! The process from its start to its end.

use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt;
use greenlit_client::{DaemonInfo, Listener, LockError, LockFile, Paths, ReadyMessage};
use greenlit_protocol::BUILD_ID;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::lifecycle::accept::accept_all;
use crate::lifecycle::ready::Readiness;
use crate::lifecycle::session::{Shared, serve};
use crate::lifecycle::signals::Signals;
use crate::lifecycle::{Args, Context, Gate, Inbound, logging};

/// How long to wait for a daemon that is exiting right now.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Frames that may wait for the main loop; beyond it, their connections wait.
const INBOUND: usize = 1024;
/// How long the main loop may take to finish running requests once the gate is closed. `greenlit
/// stop --kill` and a second signal do not wait for it.
const DRAIN_MAX: Duration = Duration::from_secs(600);
/// How long threads may take to end at the very end.
const THREADS_MAX: Duration = Duration::from_secs(2);
/// Exit code after a defect: clients see a crash, because the info file stays.
const CRASHED: u8 = 70;

/// Why the process does not start.
enum StartError {
    /// There is a daemon already.
    InUse,
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for StartError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// What only one daemon has at a time.
struct Started {
    context: Context,
    listener: Listener,
    lock: LockFile,
    signals: Signals,
}

/// How the process ended.
enum Ended {
    /// The main loop returned.
    Cleanly,
    /// The main loop panicked, or did not end in time.
    Badly,
}

fn is_for_want_of_room(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    kinds
        .map(io::Error::kind)
        .any(|kind| matches!(kind, FileTooLarge | QuotaExceeded | StorageFull))
}

/// Runs the daemon.
pub(crate) fn run(args: &Args) -> ExitCode {
    let started = Instant::now();
    if args.detached {
        detach();
    }
    restrict_new_files();
    let readiness = Readiness::new(args.detached);
    let fail = |readiness: Readiness, error: &anyhow::Error| {
        let remedy = if is_for_want_of_room(error) { "; make room on that disk" } else { "" };
        let message = format!("{error:#}{remedy}");
        tracing::error!(error = message, "cannot start");
        // There is nobody left to tell.
        let _said = readiness.say(&ReadyMessage::Failed { message });
        ExitCode::FAILURE
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(readiness, &error.into()),
    };
    let everything = match runtime.block_on(start(args, started)) {
        Ok(everything) => everything,
        Err(StartError::InUse) => {
            let message = match args.detached {
                true => ReadyMessage::InUse,
                false => ReadyMessage::Failed { message: "greenlitd runs already".to_owned() },
            };
            let _said = readiness.say(&message);
            return ExitCode::FAILURE;
        }
        Err(StartError::Other(error)) => return fail(readiness, &error),
    };
    if let Err(error) = readiness.say(&ReadyMessage::Ready { pid: std::process::id() }) {
        tracing::warn!(%error, "cannot let go of the starter's pipes");
    }
    tracing::info!(
        pid = std::process::id(),
        build = BUILD_ID,
        socket = %everything.context.socket.display(),
        ready_ms = started.elapsed().as_millis() as u64,
        "greenlitd is ready"
    );
    let paths = everything.context.paths.clone();
    // Held to the very end: whoever takes it next finds no socket of ours.
    let lock = everything.lock;
    let ended =
        runtime.block_on(main_loop(everything.context, everything.listener, everything.signals));
    // The info file stays when it ended badly: that is how clients tell a crash from an exit.
    let code = match ended {
        Ended::Cleanly => {
            remove(&paths.info);
            remove(&paths.crashes);
            ExitCode::SUCCESS
        }
        Ended::Badly => ExitCode::from(CRASHED),
    };
    remove(&paths.socket);
    tracing::info!("greenlitd ends");
    runtime.shutdown_timeout(THREADS_MAX);
    drop(lock);
    code
}

async fn start(args: &Args, started: Instant) -> Result<Started, StartError> {
    let idle_exit = args.idle_exit()?;
    let paths = Paths::for_user()?;
    paths.create()?;
    let deadline = tokio::time::Instant::now() + LOCK_PATIENCE;
    let lock = match LockFile::try_take(&paths.daemon_lock) {
        Err(LockError::Held { .. }) => {
            // It may be there for long, or be about to end.
            if greenlit_client::dial(&paths).await.is_ok() {
                return Err(StartError::InUse);
            }
            match LockFile::take(&paths.daemon_lock, deadline).await {
                Err(LockError::Held { .. }) => return Err(StartError::InUse),
                result => result?,
            }
        }
        result => result?,
    };
    logging::start(&paths.log, args.foreground)
        .with_context(|| format!("cannot write the log {}", paths.log.display()))?;
    let listener = bind(&paths).await?;
    let signals = Signals::new().context("cannot handle signals")?;
    let info = DaemonInfo { pid: std::process::id(), build: BUILD_ID.to_owned() };
    if let Some(previous) = paths.read_info() {
        tracing::warn!(pid = previous.pid, build = previous.build, "the last daemon crashed");
    }
    fs::write(&paths.info, info.to_text())
        .with_context(|| format!("cannot write {}", paths.info.display()))?;
    let context = Context {
        socket: paths.socket.clone(),
        log: paths.log.clone(),
        paths,
        started,
        idle_exit,
        gate: Gate::default(),
    };
    Ok(Started { context, listener, lock, signals })
}

/// Listens. The caller holds the daemon's lock, so a socket that refuses connections is a leftover.
async fn bind(paths: &Paths) -> Result<Listener, StartError> {
    let cannot = || format!("cannot listen on {}", paths.socket.display());
    match greenlit_client::bind(paths) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
        result => return Ok(result.with_context(cannot)?),
    }
    match greenlit_client::dial(paths).await {
        Ok(_) => return Err(StartError::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) => return Err(anyhow::Error::new(error).context(cannot()).into()),
    }
    tracing::info!(socket = %paths.socket.display(), "removing a leftover socket");
    fs::remove_file(&paths.socket).with_context(cannot)?;
    Ok(greenlit_client::bind(paths).with_context(cannot)?)
}

/// Runs the main loop and everything around it until it returns.
async fn main_loop(context: Context, listener: Listener, mut signals: Signals) -> Ended {
    let gate = context.gate.clone();
    let (inbound, receiver) = mpsc::channel(INBOUND);
    let closing = CancellationToken::new();
    let shared = Shared { inbound: inbound.clone(), gate: gate.clone(), closing: closing.clone() };
    let serve_one = move |stream, session| serve(stream, session, shared.clone());
    let stop = closing.clone();
    let accepting = tokio::spawn(async move {
        accept_all(|| greenlit_client::accept(&listener), serve_one, stop).await;
    });
    let watchdog = async {
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "draining");
                let reason = format!("greenlitd received {name}");
                gate.close(&reason);
                let _told = inbound.send(Inbound::Shutdown { reason }).await;
            }
            // The main loop drains for a reason of its own.
            () = gate.wait() => {}
        }
        tokio::select! {
            name = signals.next() => tracing::warn!(signal = name, "ending without draining"),
            () = tokio::time::sleep(DRAIN_MAX) => tracing::error!("draining took too long"),
        }
    };
    let state = AssertUnwindSafe(crate::state::run(receiver, context)).catch_unwind();
    let ended = tokio::select! {
        result = state => match result {
            Ok(_) => Ended::Cleanly,
            Err(_panic) => Ended::Badly,
        },
        () = watchdog => Ended::Cleanly,
    };
    if matches!(ended, Ended::Badly) {
        // Clients shall see a crash: no farewell.
        accepting.abort();
        return ended;
    }
    gate.close("greenlitd exits");
    closing.cancel();
    let _joined = accepting.await;
    ended
}

fn remove(path: &std::path::Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove a file");
    }
}

/// Its own session: a Ctrl-C in the starter's terminal, or the terminal's end, must not end it. And
/// none of the starter's files: a pipe or a lock that it passed on by accident would stay open as
/// long as the daemon lives. Runs before anything is opened.
#[cfg(unix)]
fn detach() {
    // Fails only for the leader of a process group, which has no terminal to leave.
    let _already_leader = nix::unistd::setsid();
    let Ok(entries) = fs::read_dir("/dev/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let open: Vec<std::os::fd::RawFd> = numbers.collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        // The directory's own descriptor is closed already.
        let _closed = nix::unistd::close(fd);
    }
}

#[cfg(not(unix))]
fn detach() {}

#[cfg(unix)]
fn restrict_new_files() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
}

#[cfg(not(unix))]
fn restrict_new_files() {}
