//! An endpoint on this machine, as good or as bad as a test wants it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

type Answers = dyn Fn(usize, &Asked, &mut TcpStream) + Send + Sync;

/// A server that lives as long as the test's process.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answers` gets the number of the request, from 0, and writes the reply, head and all.
    pub(crate) fn new(
        answers: impl Fn(usize, &Asked, &mut TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let answers: Arc<Answers> = Arc::new(answers);
        let all = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let (all, answers) = (all.clone(), answers.clone());
                std::thread::spawn(move || {
                    let Some(asked) = read(&stream) else { return };
                    let index = {
                        let mut all = all.lock().unwrap();
                        all.push(asked.clone());
                        all.len() - 1
                    };
                    answers(index, &asked, &mut stream);
                });
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { path, authorization, body: serde_json::from_slice(&body).ok()? })
}

/// A head without a length: the connection's end is the body's.
pub(crate) fn head(stream: &mut TcpStream, status: &str, headers: &[&str]) {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    // Who asked may have gone.
    let _ = stream.write_all(text.as_bytes());
}

pub(crate) const STREAM: &str = "Content-Type: text/event-stream; charset=utf-8";

/// One event of a stream.
pub(crate) fn event(stream: &mut TcpStream, data: &Value) -> bool {
    stream.write_all(format!("data: {data}\n\n").as_bytes()).is_ok()
}

/// A piece of a reply.
pub(crate) fn piece(text: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

/// A whole, honest reply.
pub(crate) fn reply(stream: &mut TcpStream, pieces: &[&str]) {
    head(stream, "200 OK", &[STREAM]);
    event(stream, &json!({"choices": [{"delta": {"role": "assistant"}}]}));
    for text in pieces {
        event(stream, &piece(text));
    }
    event(stream, &json!({"choices": [{"delta": {}, "finish_reason": "stop"}]}));
    event(stream, &json!({"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 5}}));
    let _ = stream.write_all(b"data: [DONE]\n\n");
}
