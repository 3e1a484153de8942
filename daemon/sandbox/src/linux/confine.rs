//! What a process gives up between fork and exec.

use std::path::PathBuf;
use std::time::Duration;

use caps::CapSet;
use landlock::{RulesetCreated, RulesetStatus};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use seccompiler::BpfProgram;

use super::Unbuildable;
use super::landlock_rules;
use super::seccomp::{self, Sockets};
use super::sys;
use crate::spec::Limits;

/// Open files that one process may have; some programs loop over all possible ones.
const OPEN_FILES: u64 = 4096;

/// Everything that is put on a process before it runs a hostile program.
#[derive(Debug)]
pub(super) struct Confinement {
    landlock: Option<RulesetCreated>,
    filters: Vec<BpfProgram>,
    processes: u64,
    file_bytes: u64,
    /// The user to become, where the one outside is root and no mount restrains it.
    identity: Option<u32>,
    /// Without it a set-user-ID program could regain rights; off only without isolation.
    no_new_privileges: bool,
}

impl Confinement {
    /// For a view of our own: everything in it may be read.
    pub(super) fn namespaced(
        writable: &[PathBuf],
        limits: &Limits,
        notes: &mut Vec<String>,
    ) -> Result<Self, Unbuildable> {
        let landlock = match sys::landlock_version() {
            0 => {
                notes.push("this kernel has no Landlock: mounts alone bound the files".to_owned());
                None
            }
            _ => Some(file_rules(&[PathBuf::from("/")], writable)?),
        };
        Self::new(landlock, Sockets::Namespaced, limits)
    }

    /// For the host's own view: Landlock is the only wall, so there is no going without.
    pub(super) fn on_host(
        readable: &[PathBuf],
        writable: &[PathBuf],
        limits: &Limits,
        identity: Option<u32>,
        notes: &mut Vec<String>,
    ) -> Result<Self, Unbuildable> {
        match sys::landlock_version() {
            0 => {
                return Err(Unbuildable {
                    reason: "this kernel has no Landlock".to_owned(),
                    remedy: Some("Linux 5.13 or newer with Landlock among its LSMs".to_owned()),
                });
            }
            1..6 => notes.push(
                "this kernel's Landlock is older than 6.12: signals to other processes of the \
                 same user are not stopped"
                    .to_owned(),
            ),
            _ => {}
        }
        let rules = file_rules(readable, writable)?;
        Ok(Self { identity, ..Self::new(Some(rules), Sockets::None, limits)? })
    }

    /// Limits only.
    pub(super) fn none(limits: &Limits) -> Self {
        Self {
            landlock: None,
            filters: Vec::new(),
            processes: u64::MAX,
            file_bytes: limits.disk_bytes,
            identity: None,
            no_new_privileges: false,
        }
    }

    fn new(
        landlock: Option<RulesetCreated>,
        sockets: Sockets,
        limits: &Limits,
    ) -> Result<Self, Unbuildable> {
        let filters = seccomp::filters(sockets)
            .map_err(|error| Unbuildable::new(format!("the system call filter: {error}")))?;
        // Outside a namespace of our own the limit would count everything else the user runs.
        let processes = match sockets {
            Sockets::Namespaced => limits.processes,
            Sockets::None => u64::MAX,
        };
        Ok(Self {
            landlock,
            filters,
            processes,
            file_bytes: limits.disk_bytes,
            identity: None,
            no_new_privileges: true,
        })
    }

    /// Confines this process for good.
    pub(super) fn apply(&self, cpu: Option<Duration>) -> Result<(), String> {
        let failed = |what: &str, error: &dyn std::fmt::Display| format!("{what}: {error}");
        limit(Resource::RLIMIT_CORE, 0).map_err(|error| failed("core limit", &error))?;
        limit(Resource::RLIMIT_NOFILE, OPEN_FILES).map_err(|error| failed("file limit", &error))?;
        limit(Resource::RLIMIT_FSIZE, self.file_bytes)
            .map_err(|error| failed("file size limit", &error))?;
        if self.processes != u64::MAX {
            limit(Resource::RLIMIT_NPROC, self.processes)
                .map_err(|error| failed("process limit", &error))?;
        }
        if let Some(cpu) = cpu {
            let seconds = cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0);
            limit(Resource::RLIMIT_CPU, seconds.max(1))
                .map_err(|error| failed("CPU limit", &error))?;
        }
        if let Some(identity) = self.identity {
            become_user(identity).map_err(|error| failed("changing the user", &error))?;
        }
        if self.no_new_privileges {
            prctl::set_no_new_privs().map_err(|error| failed("no new privileges", &error))?;
        }
        if let Some(rules) = &self.landlock {
            let rules = rules.try_clone().map_err(|error| failed("Landlock", &error))?;
            let status = rules.restrict_self().map_err(|error| failed("Landlock", &error))?;
            if status.ruleset == RulesetStatus::NotEnforced {
                return Err("Landlock was not enforced".to_owned());
            }
        }
        for filter in &self.filters {
            seccompiler::apply_filter(filter).map_err(|error| failed("seccomp", &error))?;
        }
        Ok(())
    }
}

fn file_rules(readable: &[PathBuf], writable: &[PathBuf]) -> Result<RulesetCreated, Unbuildable> {
    landlock_rules::rules(readable, writable)
        .map_err(|error| Unbuildable::new(format!("the Landlock rules: {error}")))
}

/// Becomes an ordinary user for good; with root's number go root's rights.
fn become_user(id: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    // The change of user has cleared it.
    prctl::set_pdeathsig(Signal::SIGKILL)
}

/// Lowers a limit for good; never above what this process may have.
fn limit(resource: Resource, value: u64) -> nix::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let value = value.min(hard);
    setrlimit(resource, value, value)
}

/// Gives up every capability in this process and for all that it will start.
pub(super) fn drop_capabilities() -> Result<(), Unbuildable> {
    let failed =
        |error: caps::errors::CapsError| Unbuildable::new(format!("dropping rights: {error}"));
    for capability in caps::all() {
        // Newer kernels have fewer or more than this list; the check below is what counts.
        let _ = caps::drop(None, CapSet::Bounding, capability);
    }
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(failed)?;
    }
    let left = caps::read(None, CapSet::Bounding).map_err(failed)?;
    if left.is_empty() {
        return Ok(());
    }
    Err(Unbuildable::new(format!("rights could not be dropped: {left:?}")))
}
