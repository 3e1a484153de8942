//! What the machine has, what the process takes, and giving memory back.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Memory that can be taken without pushing anything out, in bytes; within a control group, its rest.
pub fn free() -> u64 {
    let mut system = System::new();
    system.refresh_memory();
    let group = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    system.available_memory().min(group)
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> Option<u64> {
    let pid = Pid::from_u32(std::process::id());
    let mut system = System::new();
    let kind = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
    system.process(pid).map(sysinfo::Process::memory)
}

/// A model leaves holes, which the C library of Linux would keep for ever.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "malloc_trim has no safe wrapper")]
pub(crate) fn release() {
    // SAFETY: it may be called at any time from any thread, and frees nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn release() {}
