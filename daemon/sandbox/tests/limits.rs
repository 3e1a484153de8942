//! Bounds on what hostile commands use up.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{Fixture, command, open, python, sh, succeeded, text};
use greenlit_sandbox::ExitState;

const MEBIBYTE: u64 = 1 << 20;

fn host_processes() -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok()))
        .count()
}

#[test]
fn a_fork_bomb_stays_small_and_is_cleaned_up() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.processes = 400;
    let mut sandbox = open(&spec);
    let mut wanted = command(
        &fixture.root,
        &["python3", "-c", "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"],
    );
    wanted.wall = Duration::from_secs(3);
    let before = host_processes();
    let running = AtomicBool::new(true);
    let most = std::thread::scope(|scope| {
        let counting = scope.spawn(|| {
            let mut most = 0;
            while running.load(Ordering::SeqCst) {
                most = most.max(host_processes());
            }
            most
        });
        let outcome = sandbox.exec(&wanted).unwrap();
        running.store(false, Ordering::SeqCst);
        assert!(
            matches!(outcome.state, ExitState::TimedOut | ExitState::Signaled(9)),
            "{:?}",
            outcome.state
        );
        counting.join().unwrap()
    });
    // Other tests run beside this one: leave them room.
    assert!(most > before && most < before + 1000, "{before} processes became {most}");
    assert_eq!(sh(&mut sandbox, &fixture.root, "set -- /proc/[0-9]*; echo $#").stdout, b"2\n");
}

#[test]
fn few_processes_are_enforced_by_counting() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.processes = 20;
    let mut sandbox = open(&spec);
    let outcome = sh(&mut sandbox, &fixture.root, "for i in $(seq 60); do sleep 50 & done; wait");
    assert!(outcome.wall < Duration::from_secs(20), "{:?}", outcome.wall);
    assert_ne!(outcome.state, ExitState::Exited(0));
    assert_ne!(outcome.state, ExitState::TimedOut);
}

#[test]
fn a_full_disk_is_reported_and_is_not_the_hosts() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.disk_bytes = 8 * MEBIBYTE;
    let mut sandbox = open(&spec);
    succeeded(&sh(&mut sandbox, &fixture.root, "echo small > small"));
    let outcome =
        sh(&mut sandbox, &fixture.root, "for i in 1 2 3 4; do head -c 4M /dev/zero > fill$i; done");
    assert!(outcome.disk_full, "{}", text(&outcome));
    assert_ne!(outcome.state, ExitState::Exited(0));
    assert!(text(&outcome).contains("No space left"), "{}", text(&outcome));
    assert_eq!(fs::read_dir(&fixture.root).unwrap().count(), 1);
    // The temporary directory is a disk of its own.
    succeeded(&sh(&mut sandbox, &fixture.root, "head -c 1M /dev/zero > $TMPDIR/fine"));
    succeeded(&sh(&mut sandbox, &fixture.root, "rm fill*"));
    let outcome = sh(&mut sandbox, &fixture.root, "echo fine > again");
    succeeded(&outcome);
    assert!(!outcome.disk_full);
}

#[test]
fn a_full_temporary_directory_leaves_the_checkout_usable() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.disk_bytes = 8 * MEBIBYTE;
    let mut sandbox = open(&spec);
    let outcome = sh(
        &mut sandbox,
        &fixture.root,
        "for i in 1 2 3; do head -c 4M /dev/zero > $TMPDIR/fill$i; done; head -c 4M /dev/zero > fine && echo fine",
    );
    assert!(outcome.disk_full);
    assert_eq!(outcome.stdout, b"fine\n", "{}", text(&outcome));
}

#[test]
fn files_can_run_out_too() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.disk_bytes = 16 * MEBIBYTE;
    let mut sandbox = open(&spec);
    let script = "import errno\nfor where in ('', '/tmp/', '/dev/shm/'):\n  n = 0\n  try:\n    while n < 1000000: open(f'{where}f{n}', 'w').close(); n += 1\n  except OSError as e: print(errno.errorcode[e.errno], n < 100000)";
    let outcome = python(&mut sandbox, &fixture.root, script);
    assert_eq!(outcome.stdout, b"ENOSPC True\nENOSPC True\nENOSPC True\n", "{}", text(&outcome));
    assert!(outcome.disk_full);
    assert_eq!(fs::read_dir(&fixture.root).unwrap().count(), 1);
}

#[test]
fn endless_output_ends_the_command() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.output_bytes = 100_000;
    let mut sandbox = open(&spec);
    for script in ["yes", "yes >&2"] {
        let outcome = sh(&mut sandbox, &fixture.root, script);
        assert_eq!(outcome.state, ExitState::OutputLimit);
        assert_eq!(outcome.stdout.len() + outcome.stderr.len(), 100_000);
        assert!(outcome.wall < Duration::from_secs(10), "{:?}", outcome.wall);
    }
    let outcome = sh(&mut sandbox, &fixture.root, "head -c 100000 /dev/zero");
    succeeded(&outcome);
    assert_eq!(outcome.stdout.len(), 100_000);
}

#[test]
fn a_memory_hog_ends_long_before_its_time() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.memory_bytes = 256 * MEBIBYTE;
    let mut sandbox = open(&spec);
    for script in [
        "hog = []\nwhile True: hog.append(bytearray(1 << 20))",
        // Shared among many, invisible, or detached: still memory.
        "import os, time\nfor _ in range(8):\n  if os.fork() == 0:\n    hog = bytearray(os.urandom(1 << 20)) * 64\n    time.sleep(50)\ntime.sleep(50)",
        "import ctypes, time\nlibc = ctypes.CDLL(None)\nlibc.prctl(4, 0, 0, 0, 0)\nhog = [bytearray(1 << 20) for _ in range(400)]\ntime.sleep(50)",
        "import ctypes, time\nlibc = ctypes.CDLL(None)\nlibc.shmat.restype = ctypes.c_void_p\nfor _ in range(20):\n  n = libc.shmget(0, 20 << 20, 0o1600)\n  p = libc.shmat(n, None, 0)\n  ctypes.memset(p, 1, 20 << 20)\n  libc.shmdt(ctypes.c_void_p(p))\ntime.sleep(50)",
    ] {
        let outcome = python(&mut sandbox, &fixture.root, script);
        assert_eq!(outcome.state, ExitState::OutOfMemory, "{script}\n{}", text(&outcome));
        assert!(outcome.wall < Duration::from_secs(20), "{:?}", outcome.wall);
    }
    assert_eq!(sh(&mut sandbox, &fixture.root, "echo fine").stdout, b"fine\n");
}

#[test]
fn memory_that_forks_share_is_counted_once() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.memory_bytes = 256 * MEBIBYTE;
    let mut sandbox = open(&spec);
    let script = "import os, time\nkept = bytearray(100 << 20)\nfor _ in range(6):\n  if os.fork() == 0:\n    time.sleep(0.5)\n    os._exit(0)\ntime.sleep(0.5)\nprint('fine')";
    let outcome = python(&mut sandbox, &fixture.root, script);
    assert_eq!(outcome.stdout, b"fine\n", "{:?} {}", outcome.state, text(&outcome));
}
