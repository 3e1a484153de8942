//! Suites that are hard on cargo's adapter: huge, slow, asynchronous, stateful, partly not built.

use std::fs;
use std::time::Duration;

use greenlit_runner::{RunState, Selection, TestId};

use crate::support::{LONG, Workspace, only, outcomes};

const MANIFEST: &str = "[package]\nname = \"hard\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[features]\nother = []\n";

#[test]
fn suites_of_5000_tests_are_run_and_selected() {
    let cases: String = (0..5000).map(|n| format!("case_with_a_long_name_{n:04} {n},")).collect();
    let suite = format!(
        "macro_rules! each {{\n    ($($name:ident $n:literal,)*) => {{\n        $(#[test] fn $name() {{ assert_eq!(hard::f($n), $n); }})*\n    }};\n}}\neach! {{ {cases} }}\n"
    );
    let workspace = Workspace::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", "pub fn f(n: u32) -> u32 {\n    if n == 500 { 0 } else { n }\n}\n"),
        ("tests/many.rs", &suite),
    ]);
    let run = workspace.run();
    assert_eq!(run.state, RunState::Completed);
    assert_eq!(run.results.len(), 5000);
    let failed = |run: &greenlit_runner::TestRun| -> Vec<String> {
        let outcomes = outcomes(run).into_iter().filter(|(_, word)| *word == "failed");
        outcomes.map(|(id, _)| id.to_owned()).collect()
    };
    assert_eq!(failed(&run), ["hard::many::case_with_a_long_name_0500"]);
    let all: Vec<TestId> = run.results.iter().map(|result| result.id.clone()).collect();
    assert!(all.iter().map(|id| id.0.len()).sum::<usize>() > 128 << 10);
    let again = workspace.run_with(&[], Selection::Only(all));
    assert_eq!(again.results.len(), 5000, "{:?}", again.state);
    assert_eq!(failed(&again), failed(&run));
}

#[test]
fn a_suite_that_takes_longer_than_its_limit_is_no_verdict() {
    // Every test ends; all of them together do not in time, on however many threads.
    let cases: String = (0..2000).map(|n| format!("slow_{n} ")).collect();
    let suite = format!(
        "macro_rules! each {{\n    ($($name:ident)*) => {{\n        $(#[test] fn $name() {{ std::thread::sleep(std::time::Duration::from_secs(2)); }})*\n    }};\n}}\neach! {{ {cases} }}\n"
    );
    let workspace =
        Workspace::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", ""), ("tests/slow.rs", &suite)]);
    let run = workspace.run_within(Duration::from_secs(5));
    assert!(matches!(run.state, RunState::Hung { .. }), "{:?}", run.state);
    assert!(run.results.len() < 2000);
}

const IO: &str = r#"use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Condvar;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[test]
fn writes() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::write(dir.join("made.txt"), "made").unwrap();
    std::fs::remove_file(dir.join("kept.txt")).unwrap();
}

#[test]
fn binds() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let answering = std::thread::spawn(move || server.accept().unwrap().0.write_all(b"hi"));
    let mut said = String::new();
    TcpStream::connect(address).unwrap().read_to_string(&mut said).unwrap();
    answering.join().unwrap().unwrap();
    assert_eq!(said, "hi");
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

#[test]
fn awaits() {
    assert_eq!(block_on(async { hard::later().await + 1 }), 3);
}

static FIRST: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

#[test]
fn state_first() {
    *FIRST.0.lock().unwrap() = true;
    FIRST.1.notify_all();
}

#[test]
fn state_second() {
    let first = FIRST.0.lock().unwrap();
    let (first, _) = FIRST.1.wait_timeout_while(first, Duration::from_secs(20), |first| !*first).unwrap();
    assert!(*first);
}
"#;

#[test]
fn tests_may_write_files_bind_ports_wait_for_futures_and_share_state() {
    let workspace = Workspace::new(&[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", "pub async fn later() -> u32 {\n    2\n}\n"),
        ("tests/io.rs", IO),
        ("kept.txt", "kept"),
    ]);
    let run = workspace.run();
    let mut found = outcomes(&run);
    found.sort_unstable();
    let names = ["awaits", "binds", "state_first", "state_second", "writes"];
    let ids = names.map(|name| format!("hard::io::{name}"));
    assert_eq!(found, ids.each_ref().map(|id| (id.as_str(), "passed")), "{run:?}");
    assert!(!workspace.path("made.txt").exists());
    assert_eq!(fs::read_to_string(workspace.path("kept.txt")).unwrap(), "kept");
    // Alone it depends on what is not there, and says so.
    let run = workspace.run_with(&[], only(&["hard::io::state_second"]));
    assert_eq!(outcomes(&run), [("hard::io::state_second", "failed")], "{run:?}");
}

#[test]
fn code_that_is_configured_away_has_no_tests_and_lends_no_lines() {
    let workspace = Workspace::new(&[
        ("Cargo.toml", MANIFEST),
        (
            "src/lib.rs",
            "#[cfg(feature = \"other\")]\npub fn f(n: u32) -> u32 {\n    n + missing()\n}\n\n#[cfg(not(feature = \"other\"))]\npub fn f(n: u32) -> u32 {\n    n + 1\n}\n\n#[cfg(feature = \"other\")]\n#[test]\nfn away() {}\n\n#[test]\nfn here() {\n    assert_eq!(f(1), 3);\n}\n",
        ),
    ]);
    let run = workspace.run();
    assert_eq!(outcomes(&run), [("hard::here", "failed")], "{run:?}");
    let project = workspace.project();
    let tests = [TestId("hard::here".into())];
    let mut sandbox = workspace.sandbox(&project);
    let spectrum = project.spectrum(&mut sandbox, &tests, LONG).unwrap().unwrap();
    let lines: Vec<u32> = spectrum.lines[&workspace.path("src/lib.rs")].keys().copied().collect();
    assert!(lines.contains(&8) && !lines.contains(&3), "{lines:?}");
    // A candidate for the code that is not built changes nothing: it is red like the original.
    let mut trials = project.trials(workspace.sandbox(&project), &tests, LONG).unwrap();
    let text = fs::read_to_string(workspace.path("src/lib.rs")).unwrap();
    for (from, to, word) in [("n + missing()", "n + 2", "failed"), ("n + 1", "n + 2", "passed")] {
        let files = workspace.writes(&[("src/lib.rs", &text.replace(from, to))]);
        let run = trials.attempt(&files, &tests, LONG).unwrap();
        assert_eq!(outcomes(&run), [("hard::here", word)], "{from}: {run:?}");
    }
}
