//! Frames from hostile or broken peers never panic; what one side encodes the other reads.

use bytes::BytesMut;
use greenlit_protocol::frame::{MAX_FRAME, codec, decode, encode};
use greenlit_protocol::{
    ClientFrame, DiagnosticTool, ErrorKind, Event, Hello, HelloHead, IndexAction, Notification,
    ProgressStage, RemoteError, Request, Response, SearchRequest, SeenDiagnostic, ServerFrame,
    SessionParams, TextChange, Tier, TraceAction, TraceFilter, Welcome,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

fn paths() -> impl Strategy<Value = std::path::PathBuf> {
    "/[a-zé/ .]{0,30}".prop_map(Into::into)
}

fn requests() -> impl Strategy<Value = Request> {
    let tier = prop_oneof![Just(Tier::Template), Just(Tier::Auto)];
    prop_oneof![
        (paths(), vec(".*", 0..3)).prop_map(|(root, tests)| Request::Test { root, tests }),
        (
            paths(),
            ".*",
            any::<u32>(),
            vec(".*", 0..3),
            vec(paths(), 0..3),
            option::of(any::<u64>())
        )
            .prop_map(|(root, query, k, languages, near, wait_ms)| {
                Request::Search(SearchRequest {
                    root,
                    query,
                    k,
                    languages,
                    near,
                    wait_ms,
                    ..SearchRequest::default()
                })
            }),
        paths().prop_map(|root| Request::Index { root, action: IndexAction::Rebuild }),
        (paths(), vec(".*", 0..3), vec(".*", 0..3), tier, option::of(any::<u64>())).prop_map(
            |(root, tests, visible, tier, budget_secs)| Request::Fix {
                root,
                tests,
                visible,
                tier,
                budget_secs
            }
        ),
        paths().prop_map(|root| Request::CancelBackground { root }),
        ".*".prop_map(|fix| Request::Evidence { fix }),
        Just(Request::Status),
        Just(Request::Metrics),
        (option::of(paths()), option::of(any::<i64>()), any::<u64>()).prop_map(
            |(root, since_ms, after)| {
                let filter = TraceFilter { root, since_ms, ..TraceFilter::default() };
                Request::Trace(TraceAction::Export { filter, after })
            }
        ),
        ".*".prop_map(|id| Request::Trace(TraceAction::Show { id })),
        paths().prop_map(|root| Request::Doctor { root }),
        any::<bool>().prop_map(|kill| Request::Stop { kill }),
    ]
}

fn notifications() -> impl Strategy<Value = Notification> {
    let change = (any::<usize>(), any::<usize>(), ".*").prop_map(|(start, end, text)| TextChange {
        start,
        end,
        text,
    });
    let tool = prop_oneof![Just(DiagnosticTool::Ruff), Just(DiagnosticTool::Rustc)];
    let seen = (tool, option::of(".*"), ".*", any::<usize>(), any::<usize>()).prop_map(
        |(tool, code, message, start, end)| SeenDiagnostic { tool, code, message, start, end },
    );
    prop_oneof![
        (paths(), any::<i32>(), option::of(".*")).prop_map(|(document, version, text)| {
            Notification::DocumentOpened { document, version, text }
        }),
        (paths(), any::<i32>(), vec(change, 0..4)).prop_map(|(document, version, changes)| {
            Notification::DocumentChanged { document, version, changes }
        }),
        vec(paths(), 0..3).prop_map(|roots| Notification::RootsChanged { roots }),
        option::of(".*").prop_map(|settings| Notification::SettingsChanged { settings }),
        (paths(), any::<i32>(), vec(seen, 0..3)).prop_map(|(document, version, diagnostics)| {
            Notification::DiagnosticsSeen { document, version, diagnostics }
        }),
        (".*", any::<bool>()).prop_map(|(fix, applied)| Notification::FixDecision { fix, applied }),
    ]
}

fn client_frames() -> impl Strategy<Value = ClientFrame> {
    prop_oneof![
        (any::<u64>(), requests()).prop_map(|(id, body)| ClientFrame::Request { id, body }),
        notifications().prop_map(ClientFrame::Notify),
        any::<u64>().prop_map(|id| ClientFrame::Cancel { id }),
    ]
}

fn server_frames() -> impl Strategy<Value = ServerFrame> {
    let error = (".*", option::of(".*"), option::of(".*")).prop_map(|(message, hint, details)| {
        RemoteError { kind: ErrorKind::NoReport, message, hint, details }
    });
    let result = prop_oneof![Just(Ok(Response::Done)), error.prop_map(Err)];
    let stage = prop_oneof![
        ".*".prop_map(|title| ProgressStage::Begin { title }),
        (".*", option::of(any::<u32>()))
            .prop_map(|(message, percentage)| { ProgressStage::Report { message, percentage } }),
    ];
    prop_oneof![
        (any::<u64>(), result).prop_map(|(id, result)| ServerFrame::Response { id, result }),
        (paths(), option::of(any::<u64>()), stage).prop_map(|(root, request, stage)| {
            ServerFrame::Event(Event::Progress { root, request, stage })
        }),
        ".*".prop_map(|reason| ServerFrame::Event(Event::Draining { reason })),
    ]
}

fn hellos() -> impl Strategy<Value = Hello> {
    let env = btree_map(any::<std::ffi::OsString>(), any::<std::ffi::OsString>(), 0..4);
    (".*", vec(paths(), 0..3), paths(), env, option::of(".*"), any::<bool>()).prop_map(
        |(client, roots, cwd, env, settings, background)| {
            Hello::new(SessionParams { client, roots, cwd, env, settings, background })
        },
    )
}

/// Reads the bytes as everything that a peer can send.
fn read_as_anything(bytes: &BytesMut) {
    let _any_result = (
        decode::<HelloHead>(bytes),
        decode::<Hello>(bytes),
        decode::<Welcome>(bytes),
        decode::<ClientFrame>(bytes),
        decode::<ServerFrame>(bytes),
    );
}

proptest! {
    #[test]
    fn junk_is_an_error_and_never_a_panic(junk in vec(any::<u8>(), 0..600)) {
        read_as_anything(&junk[..].into());
    }

    #[test]
    fn a_damaged_frame_never_panics(
        frame in client_frames(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&frame).unwrap().to_vec();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.truncate(length.index(bytes.len() + 1));
        read_as_anything(&bytes[..].into());
    }

    #[test]
    fn a_stream_of_junk_is_cut_into_frames_or_refused(
        chunks in vec(vec(any::<u8>(), 0..40), 0..40),
    ) {
        let mut codec = codec();
        let mut buffer = BytesMut::new();
        'stream: for chunk in chunks {
            buffer.extend_from_slice(&chunk);
            loop {
                match codec.decode(&mut buffer) {
                    Ok(Some(frame)) => {
                        prop_assert!(frame.len() <= MAX_FRAME);
                        read_as_anything(&frame);
                    }
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }

    #[test]
    fn client_frames_arrive_as_sent_however_they_are_cut(
        frames in vec(client_frames(), 1..4),
        cut in 1_usize..64,
    ) {
        let mut wire = BytesMut::new();
        for frame in &frames {
            codec().encode(encode(frame).unwrap(), &mut wire).unwrap();
        }
        let mut codec = codec();
        let mut buffer = BytesMut::new();
        let mut received = Vec::new();
        for chunk in wire.chunks(cut) {
            buffer.extend_from_slice(chunk);
            while let Some(frame) = codec.decode(&mut buffer).unwrap() {
                received.push(decode::<ClientFrame>(&frame).unwrap());
            }
        }
        prop_assert_eq!(received, frames);
    }

    #[test]
    fn server_frames_arrive_as_sent(frame in server_frames()) {
        let bytes = encode(&frame).unwrap();
        prop_assert_eq!(decode::<ServerFrame>(&bytes[..].into()).unwrap(), frame);
    }

    #[test]
    fn a_hello_arrives_as_sent_and_its_head_agrees(hello in hellos()) {
        let bytes: BytesMut = encode(&hello).unwrap()[..].into();
        let head: HelloHead = decode(&bytes).unwrap();
        prop_assert_eq!((&head.magic, head.min, head.max), (&hello.magic, hello.min, hello.max));
        prop_assert_eq!(decode::<Hello>(&bytes).unwrap(), hello);
    }
}

/// Arrays in arrays, a hundred thousand deep, as the value of a field that nobody knows.
#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    let mut bytes = vec![0x81, 0xa1, b'x'];
    bytes.resize(100_000, 0x91);
    assert!(decode::<HelloHead>(&bytes[..].into()).is_err());
    assert!(decode::<ClientFrame>(&bytes[..].into()).is_err());
    let request = encode(&ClientFrame::Request { id: 1, body: Request::Status }).unwrap();
    let mut nested = request[..request.len() - 1].to_vec();
    nested.resize(100_000, 0x91);
    assert!(decode::<ClientFrame>(&nested[..].into()).is_err());
}

/// A length that the bytes do not hold must not be believed, nor its memory be taken.
#[test]
fn an_announced_length_is_not_allocated() {
    // A map with an array of 2^32 - 1 elements, and a string of 2^32 - 1 bytes.
    for header in [0xdd, 0xdb, 0xc6, 0xdf] {
        let mut bytes = vec![0x81, 0xa5, b'm', b'a', b'g', b'i', b'c', header];
        bytes.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(decode::<HelloHead>(&bytes[..].into()).is_err());
    }
    let mut buffer = BytesMut::from(&u32::MAX.to_be_bytes()[..]);
    assert!(codec().decode(&mut buffer).is_err());
}
