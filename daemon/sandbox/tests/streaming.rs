//! One long-lived child, asked line by line.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;

use std::time::Duration;

use common::{Fixture, command, open, sh};
use greenlit_sandbox::{ExitState, FileWrite, LineOutcome, Sandbox, SandboxError};

const LONG: Duration = Duration::from_secs(20);

#[track_caller]
fn line(sandbox: &mut Sandbox) -> String {
    match sandbox.read_line(LONG).unwrap() {
        LineOutcome::Line(line) => String::from_utf8(line).unwrap(),
        LineOutcome::Ended(outcome) => panic!("{outcome:?}"),
    }
}

#[track_caller]
fn ended(sandbox: &mut Sandbox, timeout: Duration) -> greenlit_sandbox::ExecOutcome {
    match sandbox.read_line(timeout).unwrap() {
        LineOutcome::Line(line) => panic!("{line:?}"),
        LineOutcome::Ended(outcome) => outcome,
    }
}

#[test]
fn a_server_sees_the_files_that_are_replaced_while_it_lives() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let server = "while read name; do cat \"$name\"; echo; done; echo 'bye' >&2; exit 3";
    sandbox.spawn(&command(&fixture.root, &["/bin/sh", "-c", server])).unwrap();
    for content in ["first", "second"] {
        let path = fixture.root.join("input");
        let file = FileWrite { path: path.clone(), content: Some(content.into()) };
        sandbox.write(&[file]).unwrap();
        sandbox.send_line(b"input").unwrap();
        sandbox.send_line(b"kept.txt").unwrap();
        assert_eq!(sandbox.read(&path, 100).unwrap().unwrap(), content.as_bytes());
        assert_eq!(line(&mut sandbox), content);
        assert_eq!(line(&mut sandbox), "kept");
        assert_eq!(line(&mut sandbox), "");
    }
    let other = command(&fixture.root, &["true"]);
    assert_eq!(sandbox.exec(&other).unwrap_err(), SandboxError::Busy);
    assert_eq!(sandbox.spawn(&other).unwrap_err(), SandboxError::Busy);
    assert_eq!(sandbox.stop().unwrap().state, ExitState::Signaled(9));
    assert_eq!(sandbox.stop().unwrap_err(), SandboxError::NoChild);
    assert_eq!(sandbox.send_line(b"x").unwrap_err(), SandboxError::NoChild);
    assert_eq!(sandbox.read_line(LONG).unwrap_err(), SandboxError::NoChild);
    assert_eq!(sh(&mut sandbox, &fixture.root, "echo again").stdout, b"again\n");
}

#[test]
fn a_server_that_overruns_is_killed_with_everything_it_started() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let server = "while read x; do (setsid sleep 77 &); sleep 88; done";
    sandbox.spawn(&command(&fixture.root, &["/bin/sh", "-c", server])).unwrap();
    sandbox.send_line(b"go").unwrap();
    let outcome = ended(&mut sandbox, Duration::from_millis(300));
    assert_eq!(outcome.state, ExitState::TimedOut);
    assert!(outcome.wall < Duration::from_secs(5));
    assert_eq!(sh(&mut sandbox, &fixture.root, "set -- /proc/[0-9]*; echo $#").stdout, b"2\n");
}

#[test]
fn a_server_that_ends_says_how() {
    let fixture = Fixture::new();
    let mut sandbox = fixture.open();
    let server = "read x; echo one; printf half; echo trouble >&2; exit 5";
    sandbox.spawn(&command(&fixture.root, &["/bin/sh", "-c", server])).unwrap();
    sandbox.send_line(b"go\n").unwrap();
    assert_eq!(line(&mut sandbox), "one");
    let outcome = ended(&mut sandbox, LONG);
    assert_eq!(outcome.state, ExitState::Exited(5));
    assert_eq!((outcome.stdout, outcome.stderr), (b"half".to_vec(), b"trouble\n".to_vec()));
    let missing = sandbox.spawn(&command(&fixture.root, &["no-such-program"])).unwrap_err();
    assert!(matches!(missing, SandboxError::NotStarted { .. }));
}

#[test]
fn a_servers_output_is_bounded() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.output_bytes = 100_000;
    let mut sandbox = open(&spec);
    let endless = command(&fixture.root, &["/bin/sh", "-c", "tr '\\0' x < /dev/zero"]);
    sandbox.spawn(&endless).unwrap();
    assert_eq!(ended(&mut sandbox, LONG).state, ExitState::OutputLimit);
    // Many short lines are merely held back until somebody reads them.
    sandbox
        .spawn(&command(&fixture.root, &["/bin/sh", "-c", "yes >&2 & seq 200000; wait"]))
        .unwrap();
    for expected in 1..200_u32 {
        assert_eq!(line(&mut sandbox), expected.to_string());
    }
    sandbox.stop().unwrap();
    // One that does not read is not sent without end.
    sandbox.spawn(&command(&fixture.root, &["sleep", "60"])).unwrap();
    let big = vec![b'x'; 10 << 20];
    let refused = (0..8).find_map(|_| sandbox.send_line(&big).err());
    assert_eq!(refused, Some(SandboxError::Backlog));
}

#[test]
fn a_servers_memory_and_life_are_watched_while_nobody_asks() {
    let fixture = Fixture::new();
    let mut spec = fixture.spec();
    spec.limits.memory_bytes = 200 << 20;
    let mut sandbox = open(&spec);
    let hog = "print('ready', flush=True)\nhog = []\nwhile True: hog.append(bytearray(1 << 20))";
    sandbox.spawn(&command(&fixture.root, &["python3", "-c", hog])).unwrap();
    assert_eq!(line(&mut sandbox), "ready");
    assert_eq!(ended(&mut sandbox, LONG).state, ExitState::OutOfMemory);
    let mut brief = command(&fixture.root, &["sleep", "60"]);
    brief.wall = Duration::from_millis(200);
    sandbox.spawn(&brief).unwrap();
    assert_eq!(ended(&mut sandbox, LONG).state, ExitState::TimedOut);
}
