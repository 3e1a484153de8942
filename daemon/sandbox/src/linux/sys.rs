//! The system calls that no safe wrapper exists for, each behind a safe function.

use std::ffi::CString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::{ForkResult, Pid};

/// Takes ownership of a descriptor that a system call just returned.
#[expect(unsafe_code, reason = "descriptors come back as plain numbers")]
pub(super) fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: callers pass a number that the kernel just returned to them and keep no copy.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// Closes every descriptor from `first` on.
#[expect(unsafe_code, reason = "close_range has no safe wrapper")]
pub(super) fn close_from(first: u32) {
    // SAFETY: called at the start of the helper, before any Rust object owns such a descriptor.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if done == -1 {
        for_each_descriptor(first, |raw| {
            // SAFETY: as above.
            unsafe { libc::close(raw) };
        });
    }
}

/// Marks every descriptor from `first` on to be closed by `execve`.
#[expect(unsafe_code, reason = "close_range has no safe wrapper")]
pub(super) fn close_on_exec_from(first: u32) {
    const CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: takes three numbers; descriptors stay open and owned as they are.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOEXEC) };
    if done == -1 {
        for_each_descriptor(first, |raw| {
            // SAFETY: changes a flag of a descriptor, which may have been closed meanwhile.
            unsafe { libc::fcntl(raw, libc::F_SETFD, libc::FD_CLOEXEC) };
        });
    }
}

/// For kernels before 5.11, or filters that refuse `close_range`.
fn for_each_descriptor(first: u32, act: impl Fn(RawFd)) {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<RawFd> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for raw in open {
        if u32::try_from(raw).is_ok_and(|raw| raw >= first) {
            act(raw);
        }
    }
}

/// Forks. The helper has one thread, so the child may go on as if nothing had happened.
#[expect(unsafe_code, reason = "fork is unsafe in general")]
pub(super) fn fork() -> nix::Result<Option<Pid>> {
    // SAFETY: the helper never starts a thread, so no lock can be held by another one.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Ends this process without running anything else.
#[expect(unsafe_code, reason = "_exit has no safe wrapper")]
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; there is nothing after it that could be unsound.
    unsafe { libc::_exit(code) }
}

/// Makes a whole mount tree read-only, without set-user-id and without devices (Linux 5.12).
#[expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]
pub(super) fn seal_mount_tree(path: &Path) -> io::Result<()> {
    const RECURSIVE: libc::c_uint = 0x8000;
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes: [u64; 4] =
        [libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV, 0, 0, 0];
    // SAFETY: the path is a valid C string and the attributes are a `struct mount_attr` of 32 bytes.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            RECURSIVE,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Brings the loopback interface of this network namespace up.
#[expect(unsafe_code, reason = "interface flags are set by ioctl")]
pub(super) fn loopback_up() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: an all-zero `ifreq` is a valid value of that plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = byte.cast_signed() as libc::c_char;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the flags fit by definition")]
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the descriptor is open and `request` is a valid `ifreq` that outlives the call.
    let done =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The Landlock version of the running kernel; zero when it has none.
#[expect(unsafe_code, reason = "asked by a raw system call")]
pub(super) fn landlock_version() -> i64 {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no pointer and only returns a number.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    version.max(0)
}

/// Restores the default action of every signal: ignored ones are inherited, and the Rust runtime
/// ignores one of its own.
pub(super) fn default_signals() {
    for signal in 1..=64 {
        default_signal(signal);
    }
}

/// Restores the default action of one signal; numbers that cannot be changed stay as they are.
#[expect(unsafe_code, reason = "signal actions are process-wide")]
pub(super) fn default_signal(signal: i32) {
    // SAFETY: sets the default action; no handler of ours is involved.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}
