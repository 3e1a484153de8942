//! What hostile commands must not do to other processes and to the kernel.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{self, Stdio};
use std::time::{Duration, Instant};

use common::{Fixture, command, eventually, open, python, sh, succeeded, text};
use greenlit_sandbox::{ExitState, SandboxError};

/// Host processes whose command line contains `marker`.
fn alive(marker: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            entry.file_name().to_str()?.parse::<u32>().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&line).contains(marker).then_some(())
        })
        .count()
}

/// A `sleep` that nobody else runs.
fn marker(id: u32) -> String {
    format!("9{:07}.{id:03}", process::id())
}

#[test]
fn a_double_fork_does_not_outlive_its_command() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let nap = marker(1);
    let script = format!(
        "(setsid sh -c 'trap \"\" TERM HUP INT; sleep {nap}' &) ; nohup sleep {nap} & \
         while [ $(grep -alF {nap} /proc/[0-9]*/cmdline | wc -l) -lt 3 ]; do :; done; echo started"
    );
    let outcome = sh(&mut sandbox, &fixture.root, &script);
    assert_eq!(outcome.stdout, b"started\n", "{}", text(&outcome));
    assert_eq!(alive(&nap), 0);
    assert_eq!(sh(&mut sandbox, &fixture.root, "set -- /proc/[0-9]*; echo $#").stdout, b"2\n");
}

#[test]
fn ignored_signals_do_not_prolong_a_command() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let nap = marker(2);
    let mut wanted = command(
        &fixture.root,
        &[
            "/bin/sh",
            "-c",
            &format!("trap '' TERM INT HUP QUIT ALRM XCPU; sleep {nap}; sleep {nap}"),
        ],
    );
    wanted.wall = Duration::from_millis(300);
    let outcome = sandbox.exec(&wanted).unwrap();
    assert_eq!(outcome.state, ExitState::TimedOut);
    assert!(outcome.wall < Duration::from_secs(5), "{:?}", outcome.wall);
    assert_eq!(alive(&nap), 0);
}

#[test]
fn process_one_and_the_parent_cannot_be_killed() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let script = "import os, signal\nfor s in range(1, 65):\n  for p in (1, os.getppid()):\n    try: os.kill(p, s)\n    except (OSError, ValueError): pass\nprint('done')";
    assert_eq!(python(&mut sandbox, &fixture.root, script).stdout, b"done\n");
    sh(&mut sandbox, &fixture.root, "sleep 50 & kill -9 -1; kill -9 1 $PPID");
    assert_eq!(sh(&mut sandbox, &fixture.root, "echo alive").stdout, b"alive\n");
}

#[test]
fn the_daemon_cannot_be_seen_signalled_or_traced() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let daemon = process::id();
    let script = format!(
        "import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
daemon = {daemon}
print('seen', os.path.exists(f'/proc/{{daemon}}'))
for pid in (daemon, 1, os.getppid()):
  attached = libc.ptrace(16, pid, 0, 0)
  buffer = ctypes.create_string_buffer(64)
  iovec = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)
  read = libc.process_vm_readv(pid, iovec, 1, iovec, 1, 0)
  print(attached, read)
try: os.kill(daemon, 9); print('killed')
except OSError as error: print('no such process')
"
    );
    let outcome = python(&mut sandbox, &fixture.root, &script);
    assert_eq!(
        String::from_utf8_lossy(&outcome.stdout),
        "seen False\n-1 -1\n-1 -1\n-1 -1\nno such process\n",
        "{}",
        text(&outcome)
    );
    let status = fs::read_to_string("/proc/self/status").unwrap();
    assert!(status.contains("TracerPid:\t0\n"));
}

#[test]
fn dangerous_system_calls_fail_and_the_program_goes_on() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    // Numbers of x86-64 and, where they differ, of the generic table.
    let script = "
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == 'x86_64'
calls = {
  'mount': (165 if x86 else 40, 0, 0, 0, 0, 0), 'unshare-user': (272 if x86 else 97, 0x10000000),
  'unshare-net': (272 if x86 else 97, 0x40000000), 'clone-user': (56 if x86 else 220, 0x10000000 | 17, 0, 0, 0, 0),
  'setns': (308 if x86 else 268, 0, 0), 'keyctl': (250 if x86 else 219, 0, -3, 1),
  'bpf': (321 if x86 else 280, 0, 0, 0), 'perf': (298 if x86 else 241, 0, 0, -1, -1, 0),
  'userfaultfd': (323 if x86 else 282, 1), 'io_uring': (425, 8, 0), 'clone3': (435, 0, 0),
  'by-handle': (304 if x86 else 265, -100, 0, 0), 'open_tree': (428, -100, b'/', 1),
  'fsopen': (430, b'tmpfs', 0), 'pidfd_getfd': (438, 0, 0, 0), 'memfd': (319 if x86 else 279, b'x', 0),
  'vsock': (41 if x86 else 198, 40, 1, 0), 'packet': (41 if x86 else 198, 17, 3, 0),
  'audit': (41 if x86 else 198, 16, 3, 9), 'alg': (41 if x86 else 198, 38, 5, 0),
}
if x86: calls['x32-getpid'] = (0x40000000 + 39,)
for name, (number, *arguments) in calls.items():
  result = libc.syscall(ctypes.c_long(number), *[ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments])
  error = errno.errorcode.get(ctypes.get_errno())
  if result != -1 or error not in ('EPERM', 'ENOSYS', 'EAFNOSUPPORT'): print('allowed', name, result, error)
print('survived')
";
    let outcome = python(&mut sandbox, &fixture.root, script);
    assert_eq!(String::from_utf8_lossy(&outcome.stdout), "survived\n", "{}", text(&outcome));
}

#[test]
fn nested_namespaces_are_refused() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let outcome = sh(
        &mut sandbox,
        &fixture.root,
        "unshare -Urm true && echo nested; unshare -n true && echo nested; true",
    );
    assert_eq!(outcome.stdout, b"", "{}", text(&outcome));
}

#[test]
fn set_user_id_gives_nothing() {
    let fixture = Fixture::new();
    let program = fixture.root.join("cat");
    fs::copy("/bin/cat", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let mut sandbox = fixture.open();
    let outcome = sh(
        &mut sandbox,
        &fixture.root,
        "./cat /proc/self/status; chmod 6755 cat; ./cat /etc/shadow",
    );
    let said = text(&outcome);
    for line in
        ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"]
    {
        assert!(said.contains(line), "{said}");
    }
    assert!(!String::from_utf8_lossy(&outcome.stdout).contains("root:"));
    let outcome = sh(
        &mut sandbox,
        &fixture.root,
        "grep NSpid /proc/self/status; su -c 'cat /etc/shadow' < /dev/null",
    );
    assert!(!String::from_utf8_lossy(&outcome.stdout).contains("root:"));
}

#[test]
fn input_cannot_be_pushed_into_a_terminal() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let script = "
import fcntl, os, pty
master, slave = pty.openpty()
for command in (0x5412, 0x5412 | 1 << 32):
  try:
    fcntl.ioctl(slave, command & 0xffffffff, b'x'); print('pushed')
  except PermissionError: print('refused')
try: print(os.open('/dev/tty', os.O_RDWR))
except OSError: print('no terminal')
";
    let outcome = python(&mut sandbox, &fixture.root, script);
    assert_eq!(outcome.stdout, b"refused\nrefused\nno terminal\n", "{}", text(&outcome));
}

#[test]
fn everything_dies_with_the_daemon() {
    const ROLE: &str = "GREENLIT_TEST_DAEMON_MARKER";
    if let Ok(nap) = std::env::var(ROLE) {
        let fixture = Fixture::new();
        let mut sandbox = fixture.open();
        println!("holding");
        sh(&mut sandbox, &fixture.root, &format!("(setsid sleep {nap} &); sleep {nap}"));
        unreachable!("killed while the command runs");
    }
    let nap = marker(3);
    let mut daemon = process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "everything_dies_with_the_daemon", "--nocapture"])
        .env(ROLE, &nap)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("holding")));
    eventually("the command runs", || alive(&nap) >= 3);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    eventually("everything is gone", || alive(&nap) == 0);
}

#[test]
fn everything_dies_with_the_guard() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let nap = marker(4);
    let wanted =
        command(&fixture.root, &["/bin/sh", "-c", &format!("(setsid sleep {nap} &); sleep {nap}")]);
    let children = format!("/proc/self/task/{}/children", nix::unistd::gettid());
    let guard: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| sandbox.exec(&wanted));
        eventually("the command runs", || alive(&nap) >= 3);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(guard), nix::sys::signal::SIGKILL)
            .unwrap();
        assert!(matches!(running.join().unwrap(), Err(SandboxError::Died { .. })));
    });
    eventually("everything is gone", || alive(&nap) == 0);
}

#[test]
fn dropping_the_sandbox_ends_a_spawned_child() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let nap = marker(5);
    sandbox
        .spawn(&command(
            &fixture.root,
            &["/bin/sh", "-c", &format!("(setsid sleep {nap} &); sleep {nap}")],
        ))
        .unwrap();
    eventually("the child runs", || alive(&nap) >= 3);
    drop(sandbox);
    assert_eq!(alive(&nap), 0);
}

#[test]
fn cancelling_from_another_thread_ends_the_command_at_once() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let nap = marker(6);
    let wanted = command(&fixture.root, &["sleep", &nap]);
    let canceller = sandbox.canceller();
    let cancelled = std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let result = sandbox.exec(&wanted);
            (result, Instant::now())
        });
        eventually("the command runs", || alive(&nap) == 1);
        let before = Instant::now();
        canceller.cancel();
        let (result, after) = running.join().unwrap();
        assert_eq!(result.unwrap_err(), SandboxError::Cancelled);
        after - before
    });
    assert!(cancelled < Duration::from_secs(1), "{cancelled:?}");
    assert_eq!(alive(&nap), 0);
    assert_eq!(
        sandbox.read(&fixture.root.join("kept.txt"), 9).unwrap_err(),
        SandboxError::Cancelled
    );
    assert_eq!(sandbox.exec(&wanted).unwrap_err(), SandboxError::Cancelled);
    drop(sandbox);
    canceller.cancel();
}

#[test]
fn a_program_that_cannot_start_says_why() {
    let fixture = Fixture::new();
    fs::write(fixture.root.join("plain"), "echo no interpreter line\n").unwrap();
    fs::set_permissions(fixture.root.join("plain"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut sandbox = fixture.open();
    for argv in [vec!["no-such-program-at-all"], vec!["./kept.txt"], vec!["nul\0byte"], vec![]] {
        let outcome = sandbox.exec(&command(&fixture.root, &argv)).unwrap();
        assert!(
            matches!(outcome.state, ExitState::NotStarted(ref why) if !why.is_empty()),
            "{argv:?}"
        );
    }
    let outcome = sandbox.exec(&command(&fixture.root, &["./plain"])).unwrap();
    assert_eq!(outcome.stdout, b"no interpreter line\n");
    let mut elsewhere = command(&fixture.root, &["true"]);
    elsewhere.cwd = "/usr".into();
    assert!(matches!(sandbox.exec(&elsewhere), Err(SandboxError::Outside { .. })));
    elsewhere.cwd = fixture.root.join("missing");
    assert!(matches!(sandbox.exec(&elsewhere).unwrap().state, ExitState::NotStarted(_)));
}

#[test]
fn exit_codes_signals_input_and_processor_time_are_reported() {
    let fixture = Fixture::new();
    let mut sandbox = open(&fixture.spec());
    assert_eq!(sh(&mut sandbox, &fixture.root, "exit 42").state, ExitState::Exited(42));
    assert_eq!(sh(&mut sandbox, &fixture.root, "kill -SEGV $$").state, ExitState::Signaled(11));
    let mut wanted = command(&fixture.root, &["cat"]);
    wanted.stdin = vec![b'x'; 3_000_000];
    let outcome = sandbox.exec(&wanted).unwrap();
    succeeded(&outcome);
    assert_eq!(outcome.stdout, wanted.stdin);
    // The time of a child that nobody waits for counts, too.
    let busy = "(while :; do :; done) & read -t 1 x < /dev/ptmx; sleep 0.4";
    let outcome = sh(&mut sandbox, &fixture.root, busy);
    assert!(outcome.cpu > Duration::from_millis(100), "{:?}", outcome.cpu);
    let mut wanted = command(&fixture.root, &["/bin/sh", "-c", "while :; do :; done"]);
    wanted.cpu = Some(Duration::from_secs(1));
    let outcome = sandbox.exec(&wanted).unwrap();
    assert!(matches!(outcome.state, ExitState::Signaled(9 | 24)), "{:?}", outcome.state);
}
