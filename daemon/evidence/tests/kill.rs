//! The end of the process at any moment.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use greenlit_evidence::{Attempt, Decision, Options, Store};
use greenlit_protocol::{TraceFilter, TraceMessage};

const CHILD: &str = "GREENLIT_EVIDENCE_CHILD";
const ROUNDS: u64 = 25;

/// Writes and says what is certainly written, until somebody kills it.
fn write_for_ever(path: &Path) {
    let store = Store::open(Options::new(path.to_owned()));
    let mut output = std::io::stdout();
    loop {
        let mut last = 0;
        for _ in 0..20 {
            last = store.next_attempt();
            let prompt =
                TraceMessage { role: "user".into(), content: format!("text {last} ").repeat(500) };
            store.attempt(Attempt {
                id: last,
                search: 1,
                root: "/w".into(),
                tier: "small".into(),
                verdict: "verified".into(),
                fix: Some(format!("fix{last}")),
                offered: true,
                prompt: Some(Arc::from([prompt])),
                ..Attempt::default()
            });
            store.decided(&format!("fix{last}"), Decision::Applied);
        }
        if store.settle() {
            // Nobody listens any more: then it is about to be killed.
            let _ = writeln!(output, "settled {last}").and_then(|()| output.flush());
        }
    }
}

#[test]
fn killed_at_any_moment_it_opens_again_with_everything_that_was_written() {
    if let Some(path) = std::env::var_os(CHILD) {
        write_for_ever(Path::new(&path));
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("evidence.db");
    let mut certain = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "killed_at_any_moment_it_opens_again_with_everything_that_was_written",
            ])
            .arg("--nocapture")
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = lines.map_while(Result::ok).filter_map(|line| {
            line.split_once("settled ").and_then(|(_, number)| number.parse::<u64>().ok())
        });
        // Another moment each time: after so many answers, and some more work.
        certain = numbers.take(1 + round as usize % 4).last().unwrap();
        for _ in 0..fastrand::u32(0..20_000) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(Options::new(path.clone()));
        let list = store.list(&TraceFilter { limit: 10_000, ..TraceFilter::default() }).unwrap();
        let last = list[0].id;
        assert!(last >= certain, "{last} of {certain}");
        let gaps = list.windows(2).filter(|pair| pair[0].id != pair[1].id + 1).count();
        assert!(gaps as u64 <= round, "only the end of a round may be missing: {gaps}");
        assert!(store.next_attempt() > last);
        let status = store.status();
        assert_eq!((status.state.as_str(), status.notices.len()), ("kept", 0), "{status:?}");
        assert_eq!(status.totals.attempts, list.len() as u64);
        let report = store.show(&certain.to_string()).unwrap();
        assert!(report.prompt.unwrap()[0].content.starts_with(&format!("text {certain} ")));
        store.close();
    }
    assert!(certain > 0);
}
