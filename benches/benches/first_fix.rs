//! From a save to the first diagnostic and the first verified fix, against the bare test command of
//! the same project in the same run.
//!
//! Prints medians over several rounds and the ratios. `cargo xtask bench` builds the binaries first.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark reports and may abort")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use greenlit_client::{ConnectOptions, Connection, connect};
use greenlit_protocol::{Event, Notification, SessionParams};

const ROUNDS: usize = 7;

struct Case {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// The faulty file; a comment with the round's number is appended to force a new run.
    faulty: &'static str,
    comment: &'static str,
    bare: fn() -> Command,
}

fn cases() -> [Case; 2] {
    [
        Case {
            name: "python, one module",
            files: &[
                ("people.py", "def is_adult(age):\n    return age > 18\n"),
                (
                    "test_people.py",
                    "from people import is_adult\n\ndef test_adult():\n    assert is_adult(18)\n\ndef test_child():\n    assert not is_adult(17)\n",
                ),
            ],
            faulty: "people.py",
            comment: "#",
            bare: || {
                let mut command = Command::new(python());
                command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
                command
            },
        },
        Case {
            name: "rust, one crate",
            files: &[
                ("Cargo.toml", include_str!("../../xtask/demo/Cargo.toml")),
                ("src/lib.rs", include_str!("../../xtask/demo/src/lib.rs")),
                ("tests/prices.rs", include_str!("../../xtask/demo/tests/prices.rs")),
            ],
            faulty: "src/lib.rs",
            comment: "//",
            bare: || {
                let mut command = Command::new("cargo");
                command.args(["test", "--offline", "--quiet"]);
                command
            },
        },
    ]
}

fn main() {
    let dir = tempfile::Builder::new().prefix("glb").tempdir().unwrap();
    // Before any thread is started.
    for (name, place) in [("RUNTIME", "run"), ("STATE", "state"), ("CACHE", "cache")] {
        #[expect(unsafe_code, reason = "the environment is set before any thread is started")]
        // SAFETY: no other thread exists yet.
        unsafe {
            std::env::set_var(format!("GREENLIT_{name}_DIR"), dir.path().join(place));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for case in cases() {
        let root = dir.path().canonicalize().unwrap().join(case.name.replace([' ', ','], "-"));
        for (path, text) in case.files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        runtime.block_on(measure(&case, &root));
    }
    let stopped = Command::new(release("greenlit")).arg("stop").output();
    drop(stopped);
}

async fn measure(case: &Case, root: &Path) {
    let text = std::fs::read_to_string(root.join(case.faulty)).unwrap();
    let touch = |round: usize| {
        std::fs::write(root.join(case.faulty), format!("{text}{} {round}\n", case.comment))
            .unwrap();
    };
    let mut bare = Vec::new();
    for round in 0..ROUNDS {
        touch(round);
        let started = Instant::now();
        let mut command = (case.bare)();
        command.current_dir(root).stdout(Stdio::null()).stderr(Stdio::null());
        command.env("PYTHONDONTWRITEBYTECODE", "1").status().unwrap();
        bare.push(started.elapsed());
    }
    let mut env: std::collections::BTreeMap<_, _> = std::env::vars_os().collect();
    let venv = python().ancestors().nth(2).map(Path::to_owned).unwrap();
    env.insert("VIRTUAL_ENV".into(), venv.into());
    let session = SessionParams {
        client: "bench".into(),
        roots: vec![root.to_owned()],
        cwd: root.to_owned(),
        env,
        settings: Some("{\"run\": {\"debounce_ms\": 0}}".into()),
        background: true,
    };
    let mut options = ConnectOptions::new(session);
    options.daemon = Some(release("greenlitd"));
    let mut connection = connect(&options).await.unwrap();
    let document = root.join(case.faulty);
    let (mut diagnosed, mut fixed) = (Vec::new(), Vec::new());
    // The first round opens the document and warms the kept build products: it is not counted.
    for round in 0..=ROUNDS {
        touch(100 + round);
        let started = Instant::now();
        let notification = if round == 0 {
            Notification::DocumentOpened { document: document.clone(), version: 1, text: None }
        } else {
            Notification::DocumentSaved { document: document.clone() }
        };
        connection.client.notify(notification).unwrap();
        let (diagnostic, fix) = first_fix(&mut connection, started).await;
        settled(&mut connection).await;
        if round > 0 {
            diagnosed.push(diagnostic);
            fixed.push(fix);
        }
    }
    let (bare, diagnosed, fixed) = (median(bare), median(diagnosed), median(fixed));
    println!(
        "{}: bare test command {bare:?}; save to diagnostic {diagnosed:?} ({:.1} ×); save to first verified fix {fixed:?} ({:.1} ×); medians of {ROUNDS}",
        case.name,
        diagnosed.as_secs_f64() / bare.as_secs_f64(),
        fixed.as_secs_f64() / bare.as_secs_f64(),
    );
}

async fn first_fix(connection: &mut Connection, started: Instant) -> (Duration, Duration) {
    let mut diagnosed = None;
    let mut emptied = false;
    loop {
        let event = connection.events.recv().await.expect("the daemon lives");
        let Event::Findings { findings, .. } = event else { continue };
        // What the round before found is withdrawn first.
        emptied |= findings.iter().all(|finding| finding.fixes.is_empty());
        if !findings.is_empty() && emptied {
            diagnosed.get_or_insert_with(|| started.elapsed());
            if findings.iter().any(|finding| !finding.fixes.is_empty()) {
                return (diagnosed.expect("set above"), started.elapsed());
            }
        }
    }
}

async fn settled(connection: &mut Connection) {
    loop {
        let event = connection.events.recv().await.expect("the daemon lives");
        if let Event::Root { phase: greenlit_protocol::RootPhase::Settled { .. }, .. } = event {
            return;
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn python() -> PathBuf {
    let fallback = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/python");
    std::env::var_os("GREENLIT_TEST_PYTHON").map_or(fallback, PathBuf::from)
}

fn release(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release").join(name)
}
