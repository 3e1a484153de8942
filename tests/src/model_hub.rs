//! A model hub on this machine that has one repository.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub. It lives as long as the test's process.
pub struct ModelHub {
    /// What belongs into `--endpoint`.
    pub url: String,
    shelf: Arc<Shelf>,
}

struct Shelf {
    repo: String,
    files: BTreeMap<String, Vec<u8>>,
    asked: Mutex<Vec<String>>,
    /// Whether the next answer with weights breaks off in the middle.
    breaks: AtomicBool,
    corrupt: AtomicBool,
}

impl ModelHub {
    /// Serves the files of a directory. The first time, it breaks off in the middle of the weights.
    ///
    /// # Panics
    /// When the directory cannot be read, or no port is free.
    pub fn start(repo: &str, directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(directory).expect("the directory of a model").flatten() {
            let bytes = std::fs::read(entry.path()).expect("a model has plain files");
            files.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let shelf = Arc::new(Shelf {
            repo: repo.to_owned(),
            files,
            asked: Mutex::default(),
            breaks: AtomicBool::new(true),
            corrupt: AtomicBool::new(false),
        });
        let known = shelf.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let known = known.clone();
                // Who asked may have gone.
                std::thread::spawn(move || known.answer(stream));
            }
        });
        Self { url, shelf }
    }

    /// The requests so far, with the range that each asked for.
    ///
    /// # Panics
    /// When the hub panicked.
    pub fn asked(&self) -> Vec<String> {
        self.shelf.asked.lock().expect("the hub does not panic while it holds this").clone()
    }

    /// Weights come with other bytes than the hub says from now on.
    pub fn corrupt(&self) {
        self.shelf.corrupt.store(true, Ordering::SeqCst);
    }
}

impl Shelf {
    fn answer(&self, stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
        let first = lines.next()?.ok()?;
        let path = first.split(' ').nth(1)?.to_owned();
        let mut from = None;
        for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
            if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse::<usize>().ok();
            }
        }
        let range = from.map(|from| format!(" bytes={from}-")).unwrap_or_default();
        self.asked.lock().expect("no test panics while it holds this").push(path.clone() + &range);
        let listing = format!("/api/models/{}/revision/main?blobs=true", self.repo);
        let prefix = format!("/{}/resolve/{COMMIT}/", self.repo);
        let name = path.strip_prefix(&prefix).unwrap_or_default();
        let body = match self.files.get(name) {
            _ if path == listing => self.listing().to_string().into_bytes(),
            Some(bytes) => bytes.clone(),
            None => return say(stream, "404 Not Found", 0, b""),
        };
        self.send(stream, name, body, from)
    }

    fn send(
        &self,
        stream: TcpStream,
        name: &str,
        mut body: Vec<u8>,
        from: Option<usize>,
    ) -> Option<()> {
        let weights = name.ends_with(".safetensors");
        if weights
            && self.corrupt.load(Ordering::SeqCst)
            && let Some(last) = body.last_mut()
        {
            *last = !*last;
        }
        if weights && self.breaks.swap(false, Ordering::SeqCst) {
            let length = body.len();
            return say(stream, "200 OK", length, &body[..length / 2]);
        }
        match from.filter(|from| *from < body.len()) {
            Some(from) => {
                let all = body.len();
                let status =
                    format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{all}", all - 1);
                say(stream, &status, all - from, &body[from..])
            }
            None => say(stream, "200 OK", body.len(), &body),
        }
    }

    fn listing(&self) -> Value {
        let sibling = |(name, bytes): (&String, &Vec<u8>)| {
            let digest: String =
                Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let large = json!({ "sha256": digest, "size": bytes.len(), "pointerSize": 130 });
            let lfs = if name.ends_with(".safetensors") { large } else { Value::Null };
            json!({ "rfilename": name, "size": bytes.len(), "lfs": lfs })
        };
        json!({
            "id": self.repo,
            "sha": COMMIT,
            "cardData": { "license": "mit" },
            "config": { "architectures": ["Qwen2ForCausalLM"] },
            "siblings": self.files.iter().map(sibling).collect::<Vec<_>>(),
        })
    }
}

fn say(mut stream: TcpStream, status: &str, length: usize, body: &[u8]) -> Option<()> {
    let head =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()
}
