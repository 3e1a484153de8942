//! A web server for one file, as good or as bad as a test wants it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a client asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The first byte of an open range
    pub(crate) from: Option<usize>,
    pub(crate) if_range: Option<String>,
}

/// What the server sends, byte for byte.
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: &str, headers: &[&str], body: &[u8]) -> Self {
        let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        Self { head, body: body.to_vec() }
    }

    /// An honest server's answer: ranges, entity tags, sizes.
    pub(crate) fn honest(asked: &Asked, file: &[u8], etag: &str) -> Self {
        let same = asked.if_range.as_ref().is_none_or(|tag| tag == etag);
        let tag = format!("ETag: {etag}");
        match asked.from.filter(|_| same) {
            Some(from) if from >= file.len() => {
                let range = format!("Content-Range: bytes */{}", file.len());
                Self::new("416 Range Not Satisfiable", &["Content-Length: 0", &range], b"")
            }
            Some(from) => {
                let (last, all) = (file.len() - 1, file.len());
                let range = format!("Content-Range: bytes {from}-{last}/{all}");
                let length = format!("Content-Length: {}", all - from);
                Self::new("206 Partial Content", &[&range, &length, &tag], &file[from..])
            }
            None => {
                let length = format!("Content-Length: {}", file.len());
                Self::new("200 OK", &[&length, &tag], file)
            }
        }
    }

    /// The connection breaks after this many bytes of the body.
    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.body.truncate(after);
        self
    }
}

/// A server on the loopback device; ends with the test.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` gets the number of the request, from 0, and the request.
    pub(crate) fn start(answer: impl Fn(usize, &Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                serve(stream.unwrap(), |request| {
                    log.lock().unwrap().push(request.clone());
                    answer(number, request)
                });
            }
        });
        Self { url, asked }
    }

    /// An honest server.
    pub(crate) fn honest(file: &'static [u8]) -> Self {
        Self::start(|_, asked| Reply::honest(asked, file, "\"a\""))
    }

    /// All requests until now.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: impl FnOnce(&Asked) -> Reply) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(mut asked) = read(&mut lines) else { return };
    if let Some(host) = asked.path.strip_suffix(":80") {
        // A proxy is asked to connect, then talked to as if it were the host.
        let host = host.to_owned();
        write!(stream, "HTTP/1.1 200 Connected\r\n\r\n").unwrap();
        let Some(through) = read(&mut lines) else { return };
        asked = through;
        asked.path.insert_str(0, &host);
    }
    let reply = answer(&asked);
    // A client that has what it wants, or refuses it, goes away.
    let _ = write!(stream, "{}\r\n", reply.head);
    let _ = stream.write_all(&reply.body);
}

fn read(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Option<Asked> {
    let path = lines.next()?.ok()?.split(' ').nth(1).unwrap().to_owned();
    let mut asked = Asked { path, ..Asked::default() };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else { return Some(asked) };
        match name.to_lowercase().as_str() {
            "range" => {
                let range = value.strip_prefix("bytes=").and_then(|r| r.strip_suffix('-'));
                asked.from = Some(range.unwrap().parse().unwrap());
            }
            "if-range" => asked.if_range = Some(value.to_owned()),
            "accept-encoding" => assert_eq!(value, "identity"),
            _ => {}
        }
    }
    None
}
