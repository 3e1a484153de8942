//! The connection machinery without a process.

use std::io;
use std::sync::Mutex;

use futures::{SinkExt, StreamExt};
use greenlit_protocol::{
    ClientFrame, Event, Hello, Request, ServerFrame, SessionParams, Welcome, frame,
};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use crate::lifecycle::accept::accept_all;
use crate::lifecycle::session::{Shared, serve};
use crate::lifecycle::{Gate, Inbound};

fn shared() -> (Shared, mpsc::Receiver<Inbound>) {
    let (inbound, receiver) = mpsc::channel(16);
    let shared = Shared { inbound, gate: Gate::default(), closing: CancellationToken::new() };
    (shared, receiver)
}

async fn hello(client: DuplexStream) -> Framed<DuplexStream, LengthDelimitedCodec> {
    let mut wire = Framed::new(client, frame::codec());
    let hello = Hello::new(SessionParams { client: "test".to_owned(), ..Default::default() });
    wire.send(frame::encode(&hello).unwrap()).await.unwrap();
    let answer: Welcome = frame::decode(&wire.next().await.unwrap().unwrap()).unwrap();
    assert!(matches!(answer, Welcome::Accepted { .. }), "{answer:?}");
    wire
}

#[tokio::test]
async fn a_panicking_connection_ends_alone() {
    let streams = Mutex::new(vec![2, 1]);
    let (served, mut seen) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let accepting = accept_all(
        || {
            let next = streams.lock().unwrap().pop();
            async move {
                match next {
                    Some(stream) => io::Result::Ok(stream),
                    None => std::future::pending().await,
                }
            }
        },
        move |stream: i32, _session| {
            let served = served.clone();
            async move {
                assert_ne!(stream, 1, "the first connection panics on purpose");
                served.send(stream).await.unwrap();
            }
        },
        stop.clone(),
    );
    let check = async {
        assert_eq!(seen.recv().await, Some(2));
        stop.cancel();
    };
    tokio::join!(accepting, check);
}

#[tokio::test]
async fn frames_arrive_in_order_and_the_end_is_told_once() {
    let (shared, mut inbound) = shared();
    let (client, server) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(serve(server, 7, shared));
    let mut wire = hello(client).await;
    for id in 1..=3 {
        let request = ClientFrame::Request { id, body: Request::Status };
        wire.send(frame::encode(&request).unwrap()).await.unwrap();
    }
    drop(wire);
    serving.await.unwrap();
    assert!(matches!(inbound.recv().await, Some(Inbound::Connected { session: 7, .. })));
    for expected in 1..=3 {
        let Some(Inbound::Frame { session: 7, frame: ClientFrame::Request { id, .. } }) =
            inbound.recv().await
        else {
            panic!("a request was expected")
        };
        assert_eq!(id, expected);
    }
    assert!(matches!(inbound.recv().await, Some(Inbound::Disconnected { session: 7 })));
    assert!(inbound.recv().await.is_none());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let (shared, mut inbound) = shared();
    let (client, server) = tokio::io::duplex(1 << 10);
    let serving = tokio::spawn(serve(server, 1, shared));
    let _silent = hello(client).await;
    let Some(Inbound::Connected { out, .. }) = inbound.recv().await else { panic!() };
    let reason = "x".repeat(8 << 20);
    let event = || Event::Draining { reason: reason.clone() };
    for _ in 0..20 {
        out.send(ServerFrame::Event(event()));
    }
    serving.await.unwrap();
    assert!(matches!(inbound.recv().await, Some(Inbound::Disconnected { session: 1 })));
}

#[tokio::test]
async fn a_closed_gate_refuses_new_sessions() {
    let (shared, mut inbound) = shared();
    shared.gate.close("draining");
    let (client, server) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(serve(server, 1, shared));
    let mut wire = Framed::new(client, frame::codec());
    let hello = Hello::new(SessionParams::default());
    wire.send(frame::encode(&hello).unwrap()).await.unwrap();
    let answer: Welcome = frame::decode(&wire.next().await.unwrap().unwrap()).unwrap();
    assert_eq!(answer, Welcome::Refused { reason: "draining".to_owned() });
    serving.await.unwrap();
    assert!(inbound.recv().await.is_none());
}

#[tokio::test]
async fn a_session_that_opens_as_the_main_loop_ends_still_hears_why() {
    let (shared, inbound) = shared();
    drop(inbound);
    let closing = shared.closing.clone();
    let (client, server) = tokio::io::duplex(1 << 16);
    let serving = tokio::spawn(serve(server, 1, shared));
    let mut wire = hello(client).await;
    closing.cancel();
    let event: ServerFrame = frame::decode(&wire.next().await.unwrap().unwrap()).unwrap();
    assert!(matches!(event, ServerFrame::Event(Event::Draining { .. })), "{event:?}");
    assert!(wire.next().await.is_none());
    serving.await.unwrap();
}
