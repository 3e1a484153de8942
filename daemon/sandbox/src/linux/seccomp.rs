//! The system call filter: a list of what no build tool or test needs. Refused calls return an
//! error, so that programs go on.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// Which sockets may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sockets {
    /// In an empty network namespace: local, internet and (harmless there) route sockets.
    Namespaced,
    /// Without one: none at all, since a socket would reach the host's network and services.
    None,
}

/// Refused with "operation not permitted".
const FORBIDDEN: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_process_madvise,
    // The shape of the view.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_fanotify_init,
    // The kernel.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Since Linux 6.15; newer than the table of the C library's crate.
const OPEN_TREE_ATTR: c_long = 467;

/// Refused as "not implemented": programs then use the older call. `clone3` passes its flags by
/// pointer, where a filter cannot see them. Memory files are pages that no process maps, which the
/// memory watchdog could not count.
const UNKNOWN: &[c_long] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
];

const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];
/// In `clone` this bit belongs to the exit signal.
const CLONE_NEWTIME: i32 = 0x80;

/// Input into a terminal that others read. Its type differs between C libraries.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541C;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Compiles the filters; they are installed one after the other, and the strictest answer counts.
pub(super) fn filters(sockets: Sockets) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let mut forbidden: Rules = FORBIDDEN.iter().map(|&call| (call, Vec::new())).collect();
    let unshared = NAMESPACES.iter().copied().chain([CLONE_NEWTIME]);
    forbidden.insert(libc::SYS_clone, any_bit(NAMESPACES.iter().copied())?);
    forbidden.insert(libc::SYS_unshare, any_bit(unshared)?);
    let terminal = [argument_is(1, TIOCSTI)?, argument_is(1, TIOCLINUX)?];
    forbidden.insert(libc::SYS_ioctl, terminal.into_iter().collect());
    let unknown: Rules = UNKNOWN.iter().map(|&call| (call, Vec::new())).collect();
    let mut families = Rules::new();
    families.insert(
        libc::SYS_socket,
        match sockets {
            Sockets::Namespaced => namespaced_sockets()?,
            Sockets::None => Vec::new(),
        },
    );
    families
        .insert(libc::SYS_socketpair, vec![SeccompRule::new(vec![differs(0, libc::AF_UNIX)?])?]);
    let mut programs = vec![
        compile(forbidden, libc::EPERM)?,
        compile(unknown, libc::ENOSYS)?,
        compile(families, libc::EAFNOSUPPORT)?,
    ];
    programs.extend(foreign_calls());
    Ok(programs)
}

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, seccompiler::BackendError> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}

/// One rule for each bit: a filter can ask whether bits are set, not whether any of them is.
fn any_bit(bits: impl Iterator<Item = i32>) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    bits.map(|bit| {
        let bit = u64::from(bit.cast_unsigned());
        let set = SeccompCmpOp::MaskedEq(bit);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, set, bit)?;
        SeccompRule::new(vec![condition])
    })
    .collect()
}

fn argument_is(index: u8, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    // The kernel looks at 32 bits only, and so must the filter.
    let equal = SeccompCmpOp::Eq;
    SeccompRule::new(vec![SeccompCondition::new(index, SeccompCmpArgLen::Dword, equal, value)?])
}

fn differs(index: u8, value: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn namespaced_sockets() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let others = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let others: Result<Vec<_>, _> = others.into_iter().map(|family| differs(0, family)).collect();
    let netlink = u64::from(libc::AF_NETLINK.cast_unsigned());
    let is_netlink = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, netlink)?;
    Ok(vec![
        SeccompRule::new(others?)?,
        SeccompRule::new(vec![is_netlink, differs(2, libc::NETLINK_ROUTE)?])?,
    ])
}

/// On x86-64 the x32 calls share the architecture but not the numbers, so they would pass every
/// rule above. All of them are refused.
fn foreign_calls() -> Option<BpfProgram> {
    const X32: u32 = 0x4000_0000;
    let load = |k| sock_filter { code: 0x20, jt: 0, jf: 0, k };
    let at_least = |k, jt, jf| sock_filter { code: 0x35, jt, jf, k };
    let answer = |k| sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let refuse: u32 = SeccompAction::Errno(libc::ENOSYS.unsigned_abs()).into();
    let allow: u32 = SeccompAction::Allow.into();
    cfg!(target_arch = "x86_64")
        .then(|| vec![load(0), at_least(X32, 0, 1), answer(refuse), answer(allow)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_and_are_within_the_kernel_limit() {
        for sockets in [Sockets::Namespaced, Sockets::None] {
            for program in filters(sockets).unwrap() {
                assert!(!program.is_empty() && program.len() < 4096);
            }
        }
    }
}
