//! A model on this machine that says what a test wants, behind OpenAI's chat completions.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// An endpoint. It lives as long as the test's process.
pub struct Endpoint {
    /// What belongs into `endpoint` of a tier.
    pub url: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Endpoint {
    /// `says` gets the text of the last message and gives the reply.
    ///
    /// # Panics
    /// When no port is free.
    pub fn new(says: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (all, says) = (asked.clone(), Arc::new(says));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, says) = (all.clone(), says.clone());
                std::thread::spawn(move || {
                    let Some(body) = read(&stream) else { return };
                    let messages = body["messages"].as_array().cloned().unwrap_or_default();
                    let last =
                        messages.last().and_then(|m| m["content"].as_str().map(str::to_owned));
                    all.lock().expect("no test panics while it holds this").push(body);
                    answer(stream, &says(&last.unwrap_or_default()));
                });
            }
        });
        Self { url: format!("http://{address}/v1"), asked }
    }

    /// The requests so far, each with its header `authorization` beside what was sent.
    ///
    /// # Panics
    /// When the server panicked.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().expect("the server does not panic while it holds this").clone()
    }
}

fn read(stream: &TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut authorization) = (0, Value::Null);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Value::from(value.trim()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut body: Value = serde_json::from_slice(&body).ok()?;
    body["authorization"] = authorization;
    Some(body)
}

/// The reply in two pieces. Who asked may have gone.
fn answer(mut stream: TcpStream, text: &str) {
    let mut all = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n"
        .to_owned();
    let (front, back) = text.split_at(text.floor_char_boundary(text.len() / 2));
    for piece in [front, back] {
        let chunk = json!({"choices": [{"delta": {"content": piece}, "finish_reason": null}]});
        all.push_str(&format!("data: {chunk}\n\n"));
    }
    let end = json!({
        "choices": [{"delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 321, "completion_tokens": 45},
    });
    all.push_str(&format!("data: {end}\n\ndata: [DONE]\n\n"));
    let _ = stream.write_all(all.as_bytes());
}
