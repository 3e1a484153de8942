//! A link across the real daemon's deaths.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use crate::support::{User, status, within};
use greenlit_client::{Accepted, ConnectError, Link, LinkEvent, RequestError, connect};
use greenlit_protocol::{Notification, Request, Response};
use nix::sys::signal::Signal;
use tokio::sync::mpsc;

type Events = mpsc::Receiver<LinkEvent>;

/// The next event that is not the daemon's own news.
async fn next(events: &mut Events) -> LinkEvent {
    loop {
        match within("a link event", events.recv()).await.unwrap() {
            LinkEvent::Event(_) => {}
            event => return event,
        }
    }
}

async fn up(events: &mut Events, expect_first: bool) -> Accepted {
    match next(events).await {
        LinkEvent::Up { welcome, first } => {
            assert_eq!(first, expect_first);
            welcome
        }
        event => panic!("not up: {event:?}"),
    }
}

async fn down(events: &mut Events) -> String {
    match next(events).await {
        LinkEvent::Down { reason } => reason,
        event => panic!("not down: {event:?}"),
    }
}

async fn open_documents(link: &Link) -> u32 {
    match link.request(Request::Status).await.unwrap() {
        Response::Status(report) => report.sessions.iter().map(|session| session.documents).sum(),
        other => panic!("not a status: {other:?}"),
    }
}

fn opened(path: &str) -> Notification {
    Notification::DocumentOpened { document: path.into(), version: 1, text: Some(String::new()) }
}

#[tokio::test]
async fn a_killed_daemon_is_replaced_and_told_what_is_open() {
    let user = User::new();
    let replays = Arc::new(AtomicI32::new(0));
    let counter = replays.clone();
    let replay = move || {
        counter.fetch_add(1, Ordering::Relaxed);
        vec![opened("/nonexistent/a.py"), opened("/nonexistent/b.py")]
    };
    let (link, mut events) = Link::start(user.options(), replay);
    let first = up(&mut events, true).await;
    assert_eq!(open_documents(&link).await, 2);
    user.signal(Signal::SIGKILL);
    // A request sent while it is down waits for the next daemon.
    down(&mut events).await;
    assert_eq!(within("an answer", open_documents(&link)).await, 2);
    let second = up(&mut events, false).await;
    assert_ne!(first.pid, second.pid);
    assert_eq!(replays.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn three_crashes_in_a_row_end_the_restarts_and_name_the_log() {
    let user = User::new();
    let (link, mut events) = Link::start(user.options(), Vec::new);
    for crash in 0..3 {
        up(&mut events, crash == 0).await;
        user.signal(Signal::SIGKILL);
        down(&mut events).await;
    }
    match next(&mut events).await {
        LinkEvent::GaveUp { error, log } => {
            assert!(matches!(error, ConnectError::Crashing { count: 3, .. }), "{error}");
            assert_eq!(log, user.paths.log);
        }
        event => panic!("did not give up: {event:?}"),
    }
    let error = link.request(Request::Status).await.unwrap_err();
    let RequestError::Unavailable { reason } = error else { panic!("{error}") };
    assert!(reason.contains("crashed 3 times"), "{reason}");
    // A person asks for it.
    link.wake();
    up(&mut events, false).await;
}

#[tokio::test]
async fn a_deliberate_stop_is_no_crash_and_nothing_is_restarted() {
    let user = User::new();
    let (link, mut events) = Link::start(user.options(), Vec::new);
    let first = up(&mut events, true).await;
    assert_eq!(link.request(Request::Stop { kill: false }).await.unwrap(), Response::Done);
    down(&mut events).await;
    user.gone().await;
    let error = within("an answer", link.request(Request::Status)).await.unwrap_err();
    assert!(matches!(error, RequestError::Unavailable { .. }), "{error}");
    assert!(!user.paths.socket.exists(), "nobody started one");
    // Somebody starts one: the link finds it.
    let other = connect(&user.options()).await.unwrap();
    let second = up(&mut events, false).await;
    assert_eq!(second.pid, other.welcome.pid);
    assert_ne!(second.pid, first.pid);
}

#[tokio::test]
async fn a_daemon_that_cannot_start_is_tried_three_times() {
    let user = User::new();
    std::fs::create_dir_all(&user.paths.log).unwrap();
    let (_link, mut events) = Link::start(user.options(), Vec::new);
    match next(&mut events).await {
        LinkEvent::GaveUp { error: ConnectError::StartUp { message, .. }, log } => {
            assert!(message.starts_with("cannot write the log"), "{message}");
            assert_eq!(log, user.paths.log);
        }
        event => panic!("did not give up: {event:?}"),
    }
}

#[tokio::test]
async fn dropping_the_link_ends_the_session() {
    let user = User::new();
    let (link, mut events) = Link::start(user.options(), Vec::new);
    up(&mut events, true).await;
    drop(link);
    assert!(within("the end", events.recv()).await.is_none());
    let connection = user.connect().await;
    let mut sessions = usize::MAX;
    while sessions != 1 {
        sessions = within("a status", status(&connection)).await.sessions.len();
    }
}
