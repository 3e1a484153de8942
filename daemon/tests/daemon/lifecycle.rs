//! The real daemon: start, refusal, hostile frames, versions, end.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use crate::support::{User, assert_closed, framed, send, status, until, welcome, within};
use greenlit_client::{ConnectError, HandshakeError, PathsError, connect};
use greenlit_protocol::{
    Event, Hello, Notification, PROTOCOL_MAX, PROTOCOL_MIN, Request, Response, SessionParams,
    Welcome, frame,
};
use nix::sys::signal::Signal;

#[tokio::test(flavor = "multi_thread")]
async fn ten_clients_at_once_start_one_daemon() {
    let user = User::new();
    let options = user.options();
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move { connect(&options).await.unwrap() })
        })
        .collect();
    let mut connections = Vec::new();
    for task in tasks {
        connections.push(within("connect", task).await.unwrap());
    }
    let pid = connections[0].welcome.pid;
    assert!(connections.iter().all(|connection| connection.welcome.pid == pid));
    assert_eq!(user.log().matches("greenlitd is ready").count(), 1);
    assert_eq!(status(&connections[9]).await.sessions.len(), 10);
}

#[tokio::test]
async fn without_spawn_a_missing_daemon_is_an_answer() {
    let user = User::new();
    let error = connect(&user.options().without_spawn()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotRunning), "{error}");
    assert!(!user.paths.runtime_dir.exists(), "nothing is created");
}

#[tokio::test]
async fn the_real_start_up_error_reaches_the_client() {
    let user = User::new();
    fs::create_dir_all(&user.paths.log).unwrap();
    let error = connect(&user.options()).await.unwrap_err();
    let ConnectError::StartUp { message, log } = &error else { panic!("{error}") };
    assert!(message.starts_with("cannot write the log"), "{message}");
    assert!(message.contains("directory"), "{message}");
    assert_eq!(log, &user.paths.log);
}

#[tokio::test]
async fn a_program_that_ends_without_a_message_is_told_from_a_daemon() {
    let user = User::new();
    let mut options = user.options();
    let script = user.paths.runtime_dir.with_file_name("broken");
    fs::write(&script, "#!/bin/sh\necho 'no such library' >&2\nexit 3\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o700)).unwrap();
    options.daemon = Some(script);
    let error = connect(&options).await.unwrap_err();
    let ConnectError::StartUp { message, .. } = &error else { panic!("{error}") };
    assert!(message.contains("exit status: 3") && message.contains("no such library"), "{message}");
}

#[tokio::test]
async fn a_directory_that_others_can_enter_is_refused_by_both_sides() {
    let user = User::new();
    fs::create_dir(&user.paths.runtime_dir).unwrap();
    fs::set_permissions(&user.paths.runtime_dir, Permissions::from_mode(0o755)).unwrap();
    let error = connect(&user.options()).await.unwrap_err();
    let open = matches!(&error, ConnectError::Paths(PathsError::OpenToOthers { mode: 0o755, .. }));
    assert!(open, "{error}");
    let output = user.run_daemon();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("has mode 0755, and must be 0700"), "{text}");
}

#[tokio::test]
async fn the_socket_is_private_and_a_second_daemon_refuses_to_run() {
    let user = User::new();
    let connection = user.connect().await;
    let mode = fs::metadata(&user.paths.socket).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let output = user.run_daemon();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("greenlitd runs already"));
    assert_eq!(status(&connection).await.pid, connection.welcome.pid);
}

#[tokio::test]
async fn hostile_frames_end_only_their_connection() {
    let user = User::new();
    let connection = user.connect().await;
    let hello = frame::encode(&Hello::new(SessionParams::default())).unwrap();
    let greeted = || {
        let mut stream = user.raw();
        stream.write_all(&framed(&hello)).unwrap();
        assert!(matches!(welcome(&mut stream), Welcome::Accepted { .. }));
        stream
    };

    // Before a hello: junk, an enormous length, wrong magic, a hello cut short.
    let mut junk = user.raw();
    junk.write_all(&framed(b"GET / HTTP/1.1\r\n\r\n")).unwrap();
    assert_closed(&mut junk);
    let mut oversized = user.raw();
    oversized.write_all(&[0xff; 64]).unwrap();
    assert_closed(&mut oversized);
    let mut magic = user.raw();
    let mut wrong = Hello::new(SessionParams::default());
    "HTTP".clone_into(&mut wrong.magic);
    send(&mut magic, &wrong);
    assert_closed(&mut magic);
    let mut truncated = user.raw();
    truncated.write_all(&framed(&hello)[..hello.len() / 2]).unwrap();
    truncated.shutdown(std::net::Shutdown::Write).unwrap();
    assert_closed(&mut truncated);
    // Says nothing, and keeps nobody waiting.
    let _silent = user.raw();

    // In an open session: junk, an enormous length, a frame cut short.
    let mut junk = greeted();
    junk.write_all(&framed(&[0xc1; 100])).unwrap();
    assert_closed(&mut junk);
    let mut oversized = greeted();
    oversized.write_all(&u32::MAX.to_be_bytes()).unwrap();
    assert_closed(&mut oversized);
    let mut truncated = greeted();
    truncated.write_all(&[0, 0, 1, 0, 1, 2, 3]).unwrap();
    truncated.shutdown(std::net::Shutdown::Write).unwrap();
    assert_closed(&mut truncated);

    let report = status(&connection).await;
    assert_eq!(report.pid, connection.welcome.pid);
    let log = user.log();
    assert_eq!(log.matches("connection rejected").count(), 4, "{log}");
    assert!(log.contains("not a valid frame"), "{log}");
}

fn hello_of(min: u32, max: u32, replace: bool) -> Hello {
    let mut hello = Hello::new(SessionParams::default());
    (hello.min, hello.max, hello.replace) = (min, max, replace);
    hello
}

#[tokio::test]
async fn another_version_is_named_and_an_older_client_never_ends_a_newer_daemon() {
    let user = User::new();
    let connection = user.connect().await;
    for (min, max, replace) in [(0, 0, true), (90, 99, false)] {
        let mut stream = user.raw();
        send(&mut stream, &hello_of(min, max, replace));
        let answer = welcome(&mut stream);
        let Welcome::Incompatible { min, max, pid, draining, .. } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((min, max, draining), (PROTOCOL_MIN, PROTOCOL_MAX, false));
        assert_eq!(pid, connection.welcome.pid);
        assert_closed(&mut stream);
    }
    assert_eq!(status(&connection).await.pid, connection.welcome.pid);
}

#[tokio::test]
async fn a_newer_client_may_replace_an_older_daemon() {
    let user = User::new();
    let mut connection = user.connect().await;
    let mut stream = user.raw();
    send(&mut stream, &hello_of(90, 99, true));
    assert!(matches!(welcome(&mut stream), Welcome::Incompatible { draining: true, .. }));
    let event = within("draining", connection.events.recv()).await;
    assert!(matches!(event, Some(Event::Draining { .. })), "{event:?}");
    user.gone().await;
    assert!(!user.paths.info.exists(), "it exited cleanly");
}

#[tokio::test]
async fn a_client_names_both_versions_of_a_mismatch() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let user = User::new();
    user.paths.create().unwrap();
    let listener = greenlit_client::bind(&user.paths).unwrap();
    tokio::spawn(async move {
        let mut stream = greenlit_client::accept(&listener).await.unwrap();
        let mut hello = [0; 16];
        stream.read_exact(&mut hello).await.unwrap();
        let answer = Welcome::Incompatible {
            min: 7,
            max: 8,
            build: "9.0.0".to_owned(),
            pid: 1,
            draining: false,
        };
        stream.write_all(&framed(&frame::encode(&answer).unwrap())).await.unwrap();
        // Keeps the connection until the client is done with it.
        let _end = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = connect(&user.options()).await.unwrap_err();
    let hint = error.hint().unwrap();
    let ConnectError::Handshake(HandshakeError::Incompatible(mismatch)) = error else {
        panic!("{error}")
    };
    assert_eq!((mismatch.daemon, mismatch.client), ((7, 8), (PROTOCOL_MIN, PROTOCOL_MAX)));
    let text = mismatch.to_string();
    assert!(text.contains("greenlitd 9.0.0 (process 1) speaks protocol 7 to 8"), "{text}");
    assert!(hint.starts_with("update greenlit"), "{hint}");
}

#[tokio::test]
async fn a_leftover_socket_is_taken_over() {
    let user = User::new();
    let connection = user.connect().await;
    let first = connection.welcome.pid;
    user.signal(Signal::SIGKILL);
    within("the connection ends", connection.client.closed()).await;
    assert!(user.paths.socket.exists(), "a killed daemon leaves its socket");
    let connection = user.connect().await;
    assert_ne!(connection.welcome.pid, first);
    assert!(user.log().contains("removing a leftover socket"));
}

#[tokio::test]
async fn stop_drains_and_cleans_up() {
    let user = User::new();
    let mut connection = user.connect().await;
    let stop = connection.client.request(Request::Stop { kill: false });
    assert_eq!(within("stop", stop).await.unwrap(), Response::Done);
    let event = within("draining", connection.events.recv()).await;
    assert!(matches!(event, Some(Event::Draining { .. })), "{event:?}");
    user.gone().await;
    assert!(!user.paths.socket.exists() && !user.paths.info.exists());
}

#[tokio::test]
async fn a_signal_drains() {
    let user = User::new();
    let mut connection = user.connect().await;
    user.signal(Signal::SIGTERM);
    let event = within("draining", connection.events.recv()).await;
    assert!(matches!(event, Some(Event::Draining { .. })), "{event:?}");
    user.gone().await;
    assert!(!user.paths.socket.exists() && !user.paths.info.exists());
}

#[tokio::test]
async fn an_idle_daemon_exits() {
    let user = User::new();
    let mut child = user.daemon().args(["--idle-exit", "1"]).spawn().unwrap();
    let mut code = None;
    until("it exits", || {
        code = child.try_wait().unwrap();
        code.is_some()
    })
    .await;
    assert_eq!(code.unwrap().code(), Some(0));
    assert!(!user.paths.info.exists());
}

#[tokio::test]
async fn a_bad_setting_is_named() {
    let user = User::new();
    let output = user.daemon().env("GREENLIT_IDLE_EXIT", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("GREENLIT_IDLE_EXIT is \"soon\""), "{text}");
}

/// A shell that holds a lock or a pipe on some descriptor must get it back when it lets go.
#[tokio::test]
async fn a_daemon_keeps_no_file_of_its_starter() {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    let user = User::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    fcntl(&writer, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let connection = user.connect().await;
    drop(writer);
    let end = tokio::task::spawn_blocking(move || std::io::Read::read(&mut reader, &mut [0]));
    assert_eq!(within("the end of the pipe", end).await.unwrap().unwrap(), 0);
    assert_eq!(status(&connection).await.pid, connection.welcome.pid);
}

#[tokio::test]
async fn a_daemon_whose_socket_was_removed_is_named() {
    let user = User::new();
    let connection = user.connect().await;
    fs::remove_file(&user.paths.socket).unwrap();
    let error = within("connect", connect(&user.options())).await.unwrap_err();
    let ConnectError::Unreachable { pid, .. } = error else { panic!("{error}") };
    assert_eq!(pid, Some(connection.welcome.pid));
}

/// A client that is just writing when the daemon ends must still learn that it was no crash.
#[tokio::test]
async fn the_farewell_is_heard_by_a_busy_client() {
    let user = User::new();
    let mut connection = user.connect().await;
    let stop = connection.client.request(Request::Stop { kill: false });
    let settings = || Notification::SettingsChanged { settings: None };
    while connection.client.notify(settings()).is_ok() {
        tokio::task::yield_now().await;
    }
    // The answer may be lost to the noise; the farewell may not.
    drop(stop);
    let mut heard = false;
    while let Some(event) = within("the end", connection.events.recv()).await {
        heard |= matches!(event, Event::Draining { .. });
    }
    assert!(heard);
}
