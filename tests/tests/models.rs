//! `greenlit model`, and search by meaning with a real model through the real binaries.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlit_tests::{Installation, Project};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Files of all-MiniLM-L6-v2.
const FILES: [&str; 5] = [
    "model.onnx",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "config.json",
];
const QUESTION: &str = "notify somebody by email";

fn from_environment(name: &str) -> PathBuf {
    let path = std::env::var_os(name);
    path.unwrap_or_else(|| panic!("{name} is not set; `cargo xtask test` sets it")).into()
}

/// all-MiniLM-L6-v2 as `cargo xtask test` converts it, in 8-bit integers.
fn minilm() -> PathBuf {
    from_environment("GREENLIT_TEST_MODELS").join("int8")
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hub and a package registry on the loopback device.
struct Hub {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let path = first.split(' ').nth(1).unwrap().to_owned();
                let (status, body) = match files.get(&path) {
                    Some(body) => ("200 OK", &body[..]),
                    None => ("404 Not Found", &b""[..]),
                };
                log.lock().unwrap().push(path);
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}");
                // A client that has what it wants goes away.
                let _ = write!(stream, "{head}\r\n\r\n").and_then(|()| stream.write_all(body));
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// A team's catalogue with the real model and the real library, and the hub that has them.
fn hub(installation: &Installation) -> Hub {
    let mut files = BTreeMap::new();
    let mut rows = Vec::new();
    for name in FILES {
        let bytes = std::fs::read(minilm().join(name)).unwrap();
        rows.push(format!(
            "{{ path = '{name}', to = '{name}', size = {}, sha256 = '{}' }}",
            bytes.len(),
            sha256(&bytes)
        ));
        files.insert(format!("/team/minilm/resolve/0123/{name}"), bytes);
    }
    let library = std::fs::read(from_environment("GREENLIT_TEST_ONNXRUNTIME")).unwrap();
    let member = format!("onnxruntime/capi/libonnxruntime{}", std::env::consts::DLL_SUFFIX);
    let mut wheel = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    wheel.start_file(member.as_str(), stored).unwrap();
    wheel.write_all(&library).unwrap();
    let wheel = wheel.finish().unwrap().into_inner();
    let catalogue = format!(
        "[[model]]\nkind = 'embedding'\nname = 'minilm'\nabout = 'for tests'\nrepo = 'team/minilm'\n\
         revision = '0123'\nlicence = 'Apache-2.0'\ndims = 384\nmax_tokens = 256\npooling = 'mean'\n\
         query_prefix = ''\nfiles = [{}]\n\
         [[runtime]]\nversion = '1.24.4'\nos = '{}'\narch = '{}'\nlicence = 'MIT'\n\
         path = 'packages/onnxruntime.whl'\nsize = {}\nsha256 = '{}'\nmember = '{member}'\n\
         member_size = {}\nmember_sha256 = '{}'\n",
        rows.join(", "),
        std::env::consts::OS,
        std::env::consts::ARCH,
        wheel.len(),
        sha256(&wheel),
        library.len(),
        sha256(&library),
    );
    files.insert("/packages/onnxruntime.whl".to_owned(), wheel);
    let path = installation.path("catalogue.toml");
    std::fs::write(&path, catalogue).unwrap();
    configure(installation, &format!("[embedding]\ncatalogue = '{}'\n", path.display()));
    Hub::start(files)
}

fn configure(installation: &Installation, text: &str) {
    std::fs::write(installation.path("greenlit.toml"), text).unwrap();
}

fn project() -> Project {
    Project::named("shop")
        .file("README.md", "# Shop\n\nHow discounts are computed.\n")
        .file(
            "shop/prices.py",
            "def discounted_price(price, rate):\n    return price * (1 - rate)\n",
        )
        .file(
            "shop/stock.py",
            "class Warehouse:\n    def reserve(self, item):\n        self.items.remove(item)\n",
        )
        .file(
            "shop/post.py",
            "def send_mail(to, subject, body):\n    server.sendmail(SENDER, [to], body)\n",
        )
}

fn model(installation: &Installation, arguments: &[&str]) -> (Option<i32>, Value) {
    let ran = installation.greenlit([&["model"], arguments, &["--json"]].concat());
    (ran.code, ran.json())
}

fn search(installation: &Installation, project: &Project, question: &str) -> Value {
    let root = project.root().to_str().unwrap();
    let report = installation.greenlit(["search", "--json", "--root", root, question]).json();
    assert!(report.get("error").is_none(), "{report:#}");
    report
}

/// Asks until the answer is as wanted: embedding takes a moment.
fn until(mut ask: impl FnMut() -> Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let value = ask();
        if wanted(&value) {
            return value;
        }
        assert!(Instant::now() < deadline, "{value:#}");
    }
}

#[test]
fn onnxruntime_and_a_model_are_pulled_with_consent_and_meaning_is_found_without_a_restart() {
    let (installation, project) = (Installation::new(), project());
    let hub = hub(&installation);
    let (url, pull) = (hub.url.as_str(), ["pull", "--endpoint", &hub.url, "--packages", &hub.url]);
    let before = search(&installation, &project, QUESTION);
    assert!(before["degraded"].as_str().unwrap().contains("no embedding model"), "{before:#}");
    assert_eq!(
        (&before["model"], &before["offer"]["items"][0]["name"]),
        (&Value::Null, &json!("minilm"))
    );
    let daemon = installation.daemon_pid().unwrap();

    let (code, refused) = model(&installation, &pull);
    assert_eq!(code, Some(2), "{refused:#}");
    assert!(refused["error"]["hint"].as_str().unwrap().contains("--yes"), "{refused:#}");
    assert_eq!(hub.asked(), 0, "nothing is downloaded without consent");

    let (code, report) = model(&installation, &["pull", "onnxruntime", "--yes", "--packages", url]);
    assert_eq!((code, hub.asked()), (Some(0), 1), "{report:#}");
    let (code, report) = model(&installation, &[&pull[..], &["--yes"]].concat());
    assert_eq!((code, &report["in_use"]), (Some(0), &json!("minilm")), "{report:#}");
    assert_eq!(hub.asked(), 1 + FILES.len());

    let found = until(
        || search(&installation, &project, QUESTION),
        |found| {
            found["model"] == "minilm" && found["dense_pending"] == 0 && found["degraded"].is_null()
        },
    );
    assert_eq!(installation.daemon_pid(), Some(daemon), "it was not restarted");
    assert_eq!(found["hits"][0]["path"], "shop/post.py", "{found:#}");
    assert_eq!(found["offer"], Value::Null);
    let root = project.root().to_str().unwrap();
    let status = installation.greenlit(["index", "status", "--json", "--root", root]).json();
    let vectors = &status["vectors"];
    assert!(vectors["bytes"].as_u64().unwrap() > 0, "{status:#}");
    assert!(vectors["quota_bytes"].as_u64() > vectors["bytes"].as_u64(), "{status:#}");
    let code = found["hits"][0]["text"].as_str().unwrap();
    assert!(
        QUESTION.split(' ').all(|word| !code.contains(word)),
        "no word of the question is in it"
    );

    let (_, listed) = model(&installation, &["list"]);
    let of = |name: &str| {
        let models = listed["models"].as_array().unwrap();
        models.iter().find(|model| model["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (&of("minilm")["in_use"], &of("minilm")["kind"]),
        (&json!(true), &json!("embedding"))
    );
    assert_eq!(of("all-minilm-l6-v2")["installed"], false);
    let library = of("onnxruntime")["path"].as_str().unwrap().to_owned();
    assert!(Path::new(&library).starts_with(installation.path("data")), "{library}");

    // Again, there is nothing to ask for; removed, there is no meaning any more.
    let (code, _) = model(&installation, &pull);
    assert_eq!((code, hub.asked()), (Some(0), 1 + FILES.len()));
    let (code, report) = model(&installation, &["remove", "minilm"]);
    assert_eq!((code, &report["in_use"]), (Some(0), &Value::Null), "{report:#}");
    until(|| search(&installation, &project, QUESTION), |found| found["model"].is_null());
}

#[test]
fn onnxruntime_refuses_a_model_that_is_junk_and_words_are_found_on() {
    let (installation, project) = (Installation::new(), project());
    let junk = installation.path("junk");
    std::fs::create_dir_all(&junk).unwrap();
    for name in FILES {
        std::fs::copy(minilm().join(name), junk.join(name)).unwrap();
    }
    std::fs::write(junk.join("model.onnx"), [0xa5; 100_000]).unwrap();
    let library = from_environment("GREENLIT_TEST_ONNXRUNTIME");
    let library = format!("onnxruntime = '{}'\n", library.display());
    configure(&installation, &format!("[embedding]\n{library}"));
    let (code, refused) = model(&installation, &["add", junk.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{refused:#}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("failed its trial"), "{message}");
    // The real one is taken.
    let (code, report) =
        model(&installation, &["add", minilm().to_str().unwrap(), "--name", "mine"]);
    assert_eq!((code, &report["in_use"]), (Some(0), &json!("mine")), "{report:#}");

    let mut stop = installation.command(greenlit_tests::binary("greenlit"));
    assert!(stop.arg("stop").output().unwrap().status.success());
    configure(&installation, &format!("[embedding]\n{library}model = '{}'\n", junk.display()));
    let found = until(
        || search(&installation, &project, "send_mail"),
        |found| !found["degraded"].as_str().unwrap_or_default().contains("being loaded"),
    );
    let degraded = found["degraded"].as_str().unwrap();
    assert!(degraded.contains("failed its trial") && degraded.contains("model list"), "{degraded}");
    assert_eq!(found["hits"][0]["path"], "shop/post.py");
}

#[test]
fn offline_nothing_is_offered_or_asked_for() {
    let (installation, project) = (Installation::new(), project());
    let hub = Hub::start(BTreeMap::new());
    configure(&installation, "[network]\noffline = true\n");
    let found = search(&installation, &project, QUESTION);
    assert_eq!(found["offer"], Value::Null, "{found:#}");
    let pull =
        ["pull", "all-minilm-l6-v2", "--yes", "--endpoint", &hub.url, "--packages", &hub.url];
    let (code, refused) = model(&installation, &pull);
    assert_eq!(code, Some(2), "{refused:#}");
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("network.offline"),
        "{refused:#}"
    );
    assert_eq!(hub.asked(), 0);
}

#[test]
fn a_name_that_nobody_knows_is_told_with_those_that_exist() {
    let installation = Installation::new();
    let (code, refused) = model(&installation, &["pull", "gpt"]);
    assert_eq!(code, Some(2));
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("`gpt`") && message.contains("all-minilm-l6-v2"), "{message}");
    let (code, refused) = model(&installation, &["remove", "all-minilm-l6-v2"]);
    assert_eq!(code, Some(2), "{refused:#}");
}
