//! Fuzz targets of parsers and protocols: whatever comes from another process, a model or a file.
//!
//! A target is a function of bytes that panics when it finds a defect. `cargo xtask fuzz TARGET` lets
//! libFuzzer write the bytes; the tests here run every target on seeds and on all their beginnings.
//!
//! This crate must not know processes, sockets or files.

use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use greenlit_generate::contract;
use greenlit_protocol::engine::{FromEngine, ToEngine};
use greenlit_protocol::frame::{codec, decode, encode};
use greenlit_protocol::{ClientFrame, ErrorKind, HelloHead, RemoteError, Request, ServerFrame};
use greenlit_repair::{
    FaultContext, Generator, Localization, Method, SourceFile, Suspicious, TemplateGenerator,
    apply, reject,
};
use greenlit_serving::check::gguf_tensors;
use greenlit_serving::tiny::gguf::{Field, Numbers, file};
use greenlit_syntax::chunk::{Document, SourceKind};
use tokio_util::codec::Decoder;

/// Bytes of an input that are looked at: defects of parsers show in small ones.
pub const LONGEST: usize = 64 << 10;

/// What is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As `cargo xtask fuzz` names it.
    pub name: &'static str,
    /// Panics on a defect.
    pub run: fn(&[u8]),
    /// Inputs that get far.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: frames, seeds: messages },
    Target {
        name: "replies",
        run: replies,
        seeds: || {
            texts(&[
                "{\"version\":1,\"path\":\"a.py\",\"operation\":\"replace-function\",\"symbol\":\"f\"}\n```python\ndef f():\n    return 2\n```\n",
                "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n def f():\n-    return 1\n+    return 2\n",
                "a.py\n<<<<<<< SEARCH\n    return 1\n=======\n    return 2\n>>>>>>> REPLACE\n",
                "{\"version\":1,\"suspects\":[],\"cause\":\"é\"}",
            ])
        },
    },
    Target {
        name: "chunks",
        run: chunks,
        seeds: || {
            texts(&[
                "\u{0}fn f<T>(a: &T) -> u8 {\n    a.b()\n}\n",
                "\u{1}# One\n\ntext é\n\n## Two\n",
                "\u{2}class A:\n    '''Says.'''\n    def f(self):\n        return [x for x in self]\n",
            ])
        },
    },
    Target {
        name: "candidates",
        run: candidates,
        seeds: || {
            texts(&[
                "\u{2}def f(a, b):\n    if a < b and a:\n        return a - 1\n    return g(b, a)\n",
                "\u{0}fn f(a: u8) -> u8 {\n    if a > 3 { a + 1 } else { 0 }\n}\n",
                "\u{3}function f(a) { for (const b of a) { if (!b) { return a[0]; } } }\n",
            ])
        },
    },
    Target { name: "gguf", run: gguf, seeds: weights },
    Target {
        name: "reports",
        run: greenlit_runner::read_any_report,
        seeds: || {
            texts(&[
                "<testsuite><testcase classname=\"a\" name=\"b\"><failure message=\"c\"/></testcase></testsuite>",
                "{\"type\":\"test\",\"event\":\"started\",\"name\":\"a\"}\n{\"type\":\"test\",\"name\":\"a\",\"event\":\"ok\"}\n",
                "{\"reason\":\"compiler-message\",\"message\":{\"message\":\"x\",\"level\":\"error\",\"spans\":[]}}\n",
                "mode: set\nm/price/price.go:5.24,7.12 2 1\n",
            ])
        },
    },
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Frames as both sides send them.
fn messages() -> Vec<Vec<u8>> {
    let framed = |content: Bytes| {
        let length = u32::try_from(content.len()).expect("a small message");
        [&length.to_be_bytes()[..], &content].concat()
    };
    let request = ClientFrame::Request { id: 7, body: Request::Evidence { fix: "a".into() } };
    let result = Err(RemoteError::new(ErrorKind::Cancelled, "no"));
    let answer = ServerFrame::Response { id: 7, result };
    let engine = FromEngine::Piece { id: 1, text: "é".into() };
    [encode(&request), encode(&answer), encode(&engine)]
        .into_iter()
        .map(|frame| framed(frame.expect("plain messages can be written")))
        .collect()
}

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}

/// Whatever a file of weights says, its tensors lie in it.
fn gguf(input: &[u8]) {
    for tensor in gguf_tensors(input).into_iter().flatten() {
        assert!(tensor.bytes <= input.len() as u64, "{tensor:?}");
        // Overflows where the head was not checked.
        assert!(tensor.elements() > 0, "{tensor:?}");
    }
}

fn weights() -> Vec<Vec<u8>> {
    let fields = vec![
        ("general.alignment".to_owned(), Field::Count(32)),
        ("a".to_owned(), Field::Texts(vec!["b".to_owned(), "é".to_owned()])),
        ("c".to_owned(), Field::Numbers(vec![1, -1])),
        ("d".to_owned(), Field::Float(0.5)),
    ];
    let tensors = vec![
        ("e".to_owned(), vec![2, 32], vec![0.25; 64]),
        ("f".to_owned(), vec![8], vec![1.0; 8]),
    ];
    [Numbers::F32, Numbers::Q8].map(|numbers| file(&fields, &tensors, numbers)).to_vec()
}

/// Frames of a broken peer. What one side understands it can say again.
fn frames(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    let mut codec = codec();
    while let Ok(Some(frame)) = codec.decode(&mut buffer) {
        // The head of a hello is read whatever the rest is.
        let _ = decode::<HelloHead>(&frame);
        again::<ClientFrame>(&frame);
        again::<ServerFrame>(&frame);
        again::<ToEngine>(&frame);
        again::<FromEngine>(&frame);
    }
}

fn again<T: serde::Serialize + serde::de::DeserializeOwned>(frame: &BytesMut) {
    if let Ok(message) = decode::<T>(frame) {
        let bytes = encode(&message).expect("what was read can be written");
        decode::<T>(&BytesMut::from(&bytes[..])).expect("what was written can be read");
    }
}

const TEXT: &str = "def f():\n    return 1\n\n\ndef g(a):\n    return f() + a\n";

/// Replies of a hostile model. Whatever it writes, only files of the project change, where it fits.
fn replies(data: &[u8]) {
    let reply = String::from_utf8_lossy(data);
    let root = Path::new("/w");
    let file = root.join("a.py");
    let suspects = [SourceFile { path: file.clone(), text: TEXT.into() }];
    let text = |path: &Path| (path == file).then(|| Arc::from(TEXT));
    let scope = contract::Scope {
        root,
        text: &text,
        is_test: &|path| path.ends_with("test_a.py"),
        is_source: &|path| path == file,
        allow_tests: false,
        suspects: &suspects,
    };
    // Whether it is one is all that is asked.
    let _ = contract::plan(&reply, &scope);
    let Ok(drafts) = contract::drafts(&reply) else { return };
    let Ok(edits) = contract::edits(&drafts, &scope) else { return };
    assert!(edits.iter().all(|edit| edit.path == file), "{edits:?}");
    apply(&edits, &text).expect("admitted edits fit");
}

/// Any text as any kind of document: chunks are slices of the text, and a text that was edited can be
/// divided where a fresh one can.
fn chunks(data: &[u8]) {
    let Some((_, kind, text)) = document(data) else { return };
    let Ok(document) = Document::read(text.clone(), kind) else { return };
    let count = |text: &str| text.split_whitespace().count();
    let Ok(chunks) = document.chunks(64, &count) else { return };
    for chunk in &chunks {
        assert!(text.get(chunk.bytes.clone()).is_some(), "{:?}", chunk.bytes);
    }
    for symbol in document.symbols() {
        symbol.description(&text);
    }
    let edited: Arc<str> = format!("{text}\n").into();
    if let (Ok(again), Ok(fresh)) = (document.edited(edited.clone()), Document::read(edited, kind))
    {
        assert_eq!(again.chunks(64, &count).is_ok(), fresh.chunks(64, &count).is_ok());
    }
}

/// Template repair of any text, every line suspected: every candidate fits and is judged.
fn candidates(data: &[u8]) {
    let Some((name, SourceKind::Code(language), text)) = document(data) else { return };
    let path = Path::new("/w").join(name);
    let lines = u32::try_from(text.lines().count().min(40)).unwrap_or(0);
    let line = |line| Suspicious { path: path.clone(), line, score: 1.0 / f64::from(line) };
    let localization = Localization {
        method: Method::Trace,
        measured_by: None,
        changed: false,
        lines: (1..=lines).map(line).collect(),
    };
    let files = [SourceFile { path: path.clone(), text: text.clone() }];
    let context = FaultContext {
        files: &files,
        neighbours: &[],
        retrieved: &[],
        localization: &localization,
    };
    for candidate in TemplateGenerator.candidates(&context).iter().take(50) {
        let files = apply(&candidate.edits, &|_| Some(text.clone())).expect("candidates fit");
        for file in files {
            reject(language, &text, &file.after, &candidate.edits, &|_| false);
        }
    }
}

/// A name, what kind of document that is, and its text.
fn document(data: &[u8]) -> Option<(&'static str, SourceKind, Arc<str>)> {
    let (first, rest) = data.split_first()?;
    let text: Arc<str> = String::from_utf8_lossy(rest).into();
    let kinds =
        ["a.rs", "a.md", "a.py", "a.ts", "a.tsx", "a.js", "a.go", "a.java", "a.cpp", "a.txt"];
    let name = kinds[usize::from(*first) % kinds.len()];
    Some((name, SourceKind::from_path(Path::new(name))?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_beginning_of_a_seed_is_a_defect() {
        for target in TARGETS {
            for seed in (target.seeds)() {
                for end in 0..=seed.len() {
                    (target.run)(&seed[..end]);
                }
            }
        }
    }

    #[test]
    fn seeds_get_far() {
        let seeds = |name: &str| (target(name).unwrap().seeds)();
        let edits = |seed: &Vec<u8>| {
            let text = std::str::from_utf8(seed).unwrap();
            contract::drafts(text).is_ok_and(|drafts| !drafts.is_empty())
        };
        assert!(seeds("replies")[..3].iter().all(edits));
        for seed in seeds("candidates").iter().chain(&seeds("chunks")) {
            let (_, kind, text) = document(seed).unwrap();
            assert!(!Document::read(text, kind).unwrap().symbols().is_empty(), "{kind:?}");
        }
        let frame = |seed: &Vec<u8>| BytesMut::from(&seed[4..]);
        let frames = seeds("frames");
        assert!(decode::<ClientFrame>(&frame(&frames[0])).is_ok());
        assert!(decode::<ServerFrame>(&frame(&frames[1])).is_ok());
        assert!(decode::<FromEngine>(&frame(&frames[2])).is_ok());
    }
}
