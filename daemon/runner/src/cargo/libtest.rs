//! The JSON that test executables write (`-Z unstable-options --format json`).

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;

/// What every line of the report begins with.
const START: &str = "{ \"type\": \"";

#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    event: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    exec_time: f64,
    #[serde(default)]
    stdout: String,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    test_count: Option<u64>,
    #[serde(default)]
    passed: u64,
    #[serde(default)]
    failed: u64,
    #[serde(default)]
    ignored: u64,
    #[serde(default)]
    measured: u64,
}

/// How one test ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) duration: Duration,
    /// What the test wrote, the panic message included.
    pub(super) stdout: String,
    /// libtest's own message (`should_panic` tests).
    pub(super) message: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    Failed,
    Ignored,
}

/// One executable's report.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The suite line was seen: this is libtest.
    pub(super) suite: bool,
    /// In the order they ended.
    pub(super) ended: Vec<Ended>,
    /// Started and not ended, in order.
    pub(super) running: Vec<String>,
    /// Why the report is incomplete or contradicts itself.
    pub(super) fault: Option<String>,
    /// Whether the suite failed, once it ended.
    pub(super) failed: Option<bool>,
}

/// Reads a report. What tests print past libtest's capture stands between its lines or before
/// them in the same line, and is skipped.
pub(super) fn parse(bytes: &[u8]) -> Report {
    let mut report = Report::default();
    let mut started: BTreeSet<String> = BTreeSet::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut order = Vec::new();
    let mut planned = None;
    let mut counts = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        let Some(at) = text.find(START) else { continue };
        let Ok(line) = serde_json::from_str::<Line>(text[at..].trim_end()) else { continue };
        match (line.kind.as_str(), line.event.as_str()) {
            ("suite", "started") => {
                if report.suite {
                    report.fault = Some("the report starts twice".into());
                }
                report.suite = true;
                planned = line.test_count;
            }
            ("suite", event @ ("ok" | "failed")) => {
                if report.failed.is_some() {
                    report.fault = Some("the report ends twice".into());
                }
                report.failed = Some(event == "failed");
                counts = Some((line.passed + line.measured, line.failed, line.ignored));
            }
            ("test", "started") => {
                if !started.insert(line.name.clone()) {
                    report.fault = Some(format!("{} is reported twice", line.name));
                }
                order.push(line.name);
            }
            ("test", event @ ("ok" | "failed" | "ignored")) => {
                let status = match event {
                    "ok" => Status::Ok,
                    "failed" => Status::Failed,
                    _ => Status::Ignored,
                };
                if !done.insert(line.name.clone()) {
                    report.fault = Some(format!("{} is reported twice", line.name));
                    continue;
                }
                report.ended.push(Ended {
                    name: line.name,
                    status,
                    duration: Duration::try_from_secs_f64(line.exec_time).unwrap_or_default(),
                    stdout: line.stdout,
                    message: line.message,
                });
            }
            _ => {}
        }
    }
    report.running = order.into_iter().filter(|name| !done.contains(name)).collect();
    let count = |status| report.ended.iter().filter(|e| e.status == status).count() as u64;
    let found = (count(Status::Ok), count(Status::Failed), count(Status::Ignored));
    if report.fault.is_none() && report.failed.is_some() {
        if counts != Some(found) {
            report.fault = Some("the counts at the end of the report are wrong".into());
        } else if planned != Some(found.0 + found.1 + found.2) {
            report.fault = Some("fewer tests were reported than started".into());
        }
    }
    report
}

/// Test names of `--list --format terse`.
pub(super) fn parse_list(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPORT: &str = r#"{ "type": "suite", "event": "started", "test_count": 3 }
{ "type": "test", "event": "started", "name": "tests::a" }
{ "type": "test", "event": "started", "name": "tests::b" }
printed past the capture { "type": "test", "name": "tests::a", "event": "ok", "exec_time": 0.5 }
{ "type": "test", "event": "started", "name": "tests::c" }
{ "type": "test", "name": "tests::c", "event": "ignored" }
{ "type": "test", "name": "tests::b", "event": "failed", "exec_time": 0.1, "stdout": "\nthread 'tests::b' (7884) panicked at src/lib.rs:2:72:\nx\n" }
{ "type": "suite", "event": "failed", "passed": 1, "failed": 1, "ignored": 1, "measured": 0, "filtered_out": 0, "exec_time": 0.1 }
"#;

    #[test]
    fn a_complete_report_is_read() {
        let report = parse(REPORT.as_bytes());
        assert_eq!(report.fault, None);
        assert_eq!(report.failed, Some(true));
        let names: Vec<_> = report.ended.iter().map(|e| (e.name.as_str(), e.status)).collect();
        assert_eq!(
            names,
            [("tests::a", Status::Ok), ("tests::c", Status::Ignored), ("tests::b", Status::Failed)]
        );
    }

    #[test]
    fn a_report_cut_off_names_what_was_running() {
        let cut = REPORT.find("{ \"type\": \"test\", \"name\": \"tests::b\"").unwrap();
        let report = parse(&REPORT.as_bytes()[..cut]);
        assert_eq!(report.failed, None);
        assert_eq!(report.running, ["tests::b"]);
    }

    #[test]
    fn contradictions_are_faults() {
        for (from, to) in [
            ("\"test_count\": 3", "\"test_count\": 4"),
            ("\"passed\": 1", "\"passed\": 2"),
            (
                "\"name\": \"tests::c\", \"event\": \"ignored\"",
                "\"name\": \"tests::a\", \"event\": \"ok\"",
            ),
        ] {
            let report = parse(REPORT.replace(from, to).as_bytes());
            assert!(report.fault.is_some(), "{from} → {to}");
        }
        let forged = format!("{REPORT}{REPORT}");
        assert!(parse(forged.as_bytes()).fault.is_some());
    }

    #[test]
    fn lists_are_read() {
        assert_eq!(parse_list(b"tests::a: test\nb: benchmark\nnoise\n"), ["tests::a"]);
    }

    proptest! {
        #[test]
        fn mangled_reports_never_panic(
            at in 0..REPORT.len(), length in 0usize..60, insert in ".{0,12}"
        ) {
            let mut bytes = REPORT.as_bytes().to_vec();
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, insert.bytes());
            let _ = parse(&bytes);
        }

        #[test]
        fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse_list(&bytes);
        }
    }
}
