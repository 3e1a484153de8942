//! The guard: enters fresh namespaces, starts the init in them and waits.
//!
//! It is the only process outside. It ends when the init does, and kills it when the daemon's end
//! of the socket closes, so that nothing outlives either.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getegid, geteuid};

use super::confine::Confinement;
use super::processes::Tree;
use super::serve::{Places, Server, Setting};
use super::view::{self, SCRATCH, TMP};
use super::{Control, Unbuildable, mounts, store, sys};
use crate::frame;
use crate::spec::Layer;
use crate::wire::{Open, Reply};

/// Serves the namespace layer until the daemon hangs up.
pub(super) fn namespaces(open: &Open, control: &mut Control) -> Result<(), Unbuildable> {
    let mut caches = store::take(open);
    let view = view::plan(open, std::mem::take(&mut caches.caches), geteuid().is_root())?;
    let owner = fs::metadata(&open.spec.root).map_or(geteuid().as_raw(), |root| root.uid());
    owned_by(owner, geteuid().as_raw())?;
    enter_namespaces()?;
    let signals = block_child_signal()?;
    match sys::fork() {
        Ok(Some(init)) => {
            guard(control, &signals, init);
            Ok(())
        }
        Ok(None) => {
            drop(signals);
            let result = init(open, &view, caches.notes, control);
            if let Err(Unbuildable { reason, remedy }) = result {
                // Without a daemon there is nobody to tell.
                let _ = frame::write(control, &Reply::Refused { reason, remedy });
            }
            sys::exit_now(0)
        }
        Err(error) => Err(Unbuildable::new(format!("starting the init: {error}"))),
    }
}

/// What runs as process 1.
fn init(
    open: &Open,
    view: &view::View,
    mut notes: Vec<String>,
    control: &mut Control,
) -> Result<(), Unbuildable> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| Unbuildable::new(format!("{what}: {error}"));
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| failed("tying to the guard", &error))?;
    notes.extend(view.notes.iter().cloned());
    let limits = &open.spec.limits;
    notes.extend(mounts::build(view, &open.spec.root, limits)?);
    sys::loopback_up().map_err(|error| failed("bringing loopback up", &error))?;
    // The one name that every `/etc/hosts` resolves: programs look their own host up.
    nix::unistd::sethostname("localhost").map_err(|error| failed("naming the host", &error))?;
    let confinement = Confinement::namespaced(&view.writable, limits, &mut notes)?;
    super::confine::drop_capabilities()?;
    let setting = Setting {
        layer: Layer::Namespaces,
        places: Places::same(&open.spec.root, TMP.as_ref()),
        home: view.home.clone(),
        tmp: TMP.into(),
        scratch: SCRATCH.into(),
        tree: Tree::PidNamespace,
        confinement,
        limits: limits.clone(),
    };
    Server::new(setting, control)?.serve(notes);
    Ok(())
}

/// A user namespace knows one user. An overlay cannot change files of any other: its copies would
/// have to belong to somebody who does not exist in there.
fn owned_by(owner: u32, user: u32) -> Result<(), Unbuildable> {
    if owner == user {
        return Ok(());
    }
    Err(Unbuildable {
        reason: format!("the checkout belongs to user {owner}, and this is user {user}"),
        remedy: Some("run Greenlit as the owner of the checkout, or change its owner".to_owned()),
    })
}

fn enter_namespaces() -> Result<(), Unbuildable> {
    let (uid, gid) = (geteuid(), getegid());
    let flags = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(flags).map_err(|error| Unbuildable {
        reason: format!("namespaces are refused: {error}"),
        remedy: Some(namespace_remedy(error)),
    })?;
    let map = |file: &str, text: String| {
        fs::write(file, text).map_err(|error| Unbuildable {
            reason: format!("writing {file}: {error}"),
            remedy: Some(namespace_remedy(Errno::EPERM)),
        })
    };
    map("/proc/self/setgroups", "deny".to_owned())?;
    map("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
    map("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    // From here on no process of the same user may look into this one or its children.
    prctl::set_dumpable(false).map_err(|error| Unbuildable::new(format!("hiding: {error}")))
}

/// What has to be changed for namespaces to work, from the switches that systems have.
fn namespace_remedy(error: Errno) -> String {
    let setting = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    if setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
        return "sysctl kernel.unprivileged_userns_clone=1".to_owned();
    }
    if setting("/proc/sys/user/max_user_namespaces") == "0" || error == Errno::ENOSPC {
        return "sysctl user.max_user_namespaces=10000".to_owned();
    }
    if setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
        return "an AppArmor profile that grants userns to greenlit-sandbox, or sysctl \
                kernel.apparmor_restrict_unprivileged_userns=0"
            .to_owned();
    }
    "run where user namespaces are allowed (containers often forbid them by a seccomp profile)"
        .to_owned()
}

pub(super) fn block_child_signal() -> Result<SignalFd, Unbuildable> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    let failed = |error: Errno| Unbuildable::new(format!("watching children: {error}"));
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).map_err(failed)?;
    let flags =
        nix::sys::signalfd::SfdFlags::SFD_CLOEXEC | nix::sys::signalfd::SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(&mask, flags).map_err(failed)
}

/// Waits until the child ends; kills it when the daemon hangs up.
pub(super) fn guard(control: &Control, signals: &SignalFd, child: Pid) {
    loop {
        let mut polled = [
            PollFd::new(control.as_fd(), PollFlags::empty()),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            // Without a way to watch, the safe state is none at all.
            Err(_) => return end(child),
        }
        let gone = polled[0].revents().is_some_and(|events| !events.is_empty());
        // Only drains; what happened is asked below.
        let _ = signals.read_signal();
        if gone {
            return end(child);
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => {}
            _ => return,
        }
    }
}

/// Kills the child and waits; when it is an init, the kernel first ends its whole namespace.
fn end(child: Pid) {
    // It may be dead already.
    let _ = kill(child, Signal::SIGKILL);
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            _ => return,
        }
    }
}

impl From<io::Error> for Unbuildable {
    fn from(error: io::Error) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_of_another_user_is_declined_with_the_way_out() {
        assert!(owned_by(1000, 1000).is_ok());
        let declined = owned_by(1000, 0).unwrap_err();
        assert_eq!(declined.reason, "the checkout belongs to user 1000, and this is user 0");
        assert!(declined.remedy.unwrap().contains("as the owner"));
    }
}
