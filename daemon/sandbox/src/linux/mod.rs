//! The helper on Linux.
//!
//! For [`Layer::Namespaces`] there are two processes: the *guard* outside (single-threaded, it only
//! waits) and the *init* inside, which is process 1 of the sandbox, builds the view, and serves
//! requests. Both hold the socket; when the daemon's end closes, either of them ends everything.
//! The lower layers that cannot have a process namespace are served by one process.

mod bubblewrap;
mod catalogue;
mod child;
mod confine;
mod copy;
mod files;
mod guard;
mod job;
mod landlock_rules;
mod mounts;
mod processes;
mod seccomp;
mod serve;
mod store;
mod sys;
mod view;

use std::fs::File;
use std::os::fd::AsFd;
use std::process::ExitCode;

use nix::fcntl::{FcntlArg, fcntl};

use crate::frame::{self, FrameError};
use crate::spec::Layer;
use crate::wire::{Open, Reply};

/// A layer cannot be built here.
#[derive(Debug)]
pub(crate) struct Unbuildable {
    pub(crate) reason: String,
    pub(crate) remedy: Option<String>,
}

impl Unbuildable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: None }
    }
}

/// The helper's end of the socket.
pub(crate) type Control = File;

/// Entry point of the helper executable.
pub(crate) fn main() -> ExitCode {
    // A daemon that ignores it would make every child vanish unseen.
    sys::default_signal(libc::SIGCHLD);
    let mode = std::env::args_os().nth(1).unwrap_or_default();
    let Some(mut control) = take_control() else {
        return ExitCode::from(3);
    };
    if mode != "serve" && mode != "inside" {
        return ExitCode::from(2);
    }
    let open: Open = match frame::read(&mut control) {
        Ok(open) => open,
        Err(FrameError::Closed) => return ExitCode::SUCCESS,
        // Whoever sent this is not the library of this build: there is nobody to explain it to.
        Err(_) => return ExitCode::from(4),
    };
    let inside = mode == "inside";
    let result = match open.layer {
        Layer::Namespaces => guard::namespaces(&open, &mut control),
        Layer::Bubblewrap if inside => bubblewrap::inside(&open, &mut control),
        Layer::Bubblewrap => bubblewrap::outside(&open, &control),
        Layer::Copy | Layer::None => copy::serve(&open, &mut control),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Unbuildable { reason, remedy }) => {
            // The daemon may be gone; then there is nobody to tell.
            let _ = frame::write(&mut control, &Reply::Refused { reason, remedy });
            ExitCode::from(5)
        }
    }
}

/// Moves the socket away from standard input, so that no child can inherit it by accident, and
/// closes every descriptor that the daemon may have leaked.
fn take_control() -> Option<Control> {
    sys::close_from(3);
    let stdin = std::io::stdin();
    let raw = fcntl(stdin.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(10)).ok()?;
    let control = sys::own(raw);
    let null = File::options().read(true).write(true).open("/dev/null").ok()?;
    nix::unistd::dup2_stdin(&null).ok()?;
    nix::unistd::dup2_stdout(&null).ok()?;
    fcntl(std::io::stderr().as_fd(), FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).ok()?;
    Some(File::from(control))
}
