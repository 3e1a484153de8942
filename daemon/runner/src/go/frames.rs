//! The framed events of a test binary: lines that begin with a control character which the
//! `testing` package writes before its own words, and escapes in what tests log.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::text::REPORT_LIMIT;

/// Begins a frame (^V).
const MARKER: u8 = 0x16;

/// Stands before a marker that is part of a logged text.
const ESCAPE: u8 = 0x1b;

/// Bytes of one test's output that are kept.
const OUTPUT: usize = 256 << 10;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Pass,
    Fail,
    Skip,
}

/// A test with its result.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) duration: Duration,
    /// What it logged and printed, with the marks around errors that newer versions write.
    pub(super) output: String,
}

/// What one process said.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// In order of their ends: subtests before the test around them.
    pub(super) ended: Vec<Ended>,
    /// The closing word, `PASS` or `FAIL`.
    pub(super) passed: Option<bool>,
    /// Events that no honest run writes.
    pub(super) fault: Option<String>,
    /// Tests that began and have no result, with their output so far.
    open: BTreeMap<String, String>,
    /// Top-level tests that are running, with the time of their last event.
    active: BTreeMap<String, Instant>,
    seen: BTreeSet<String>,
    current: String,
    size: usize,
}

/// The test function that a test belongs to.
pub(super) fn top(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

impl Report {
    /// Takes one line of standard output. What a program printed before a frame without ending its
    /// line stands in the same line.
    pub(super) fn feed(&mut self, line: &[u8], now: Instant) {
        self.size += line.len() + 1;
        let mut start = 0;
        for at in 0..line.len() {
            if line[at] == MARKER && (at == 0 || line[at - 1] != ESCAPE) {
                if at > start {
                    self.part(&line[start..at], now);
                }
                start = at;
            }
        }
        self.part(&line[start..], now);
    }

    /// Whether more was written than is read.
    pub(super) fn is_too_long(&self) -> bool {
        self.size > REPORT_LIMIT
    }

    /// The running top-level test whose last event is the longest ago.
    pub(super) fn quietest(&self) -> Option<(&str, Instant)> {
        let quietest = self.active.iter().min_by_key(|(_, since)| **since);
        quietest.map(|(name, since)| (name.as_str(), *since))
    }

    /// Tests without a result; of a test and its subtests only the innermost.
    pub(super) fn unfinished(&self) -> Vec<&str> {
        let open = self.open.keys();
        open.filter(|name| !self.open.keys().any(|other| is_within(other, name)))
            .map(String::as_str)
            .collect()
    }

    /// The result of a test.
    pub(super) fn result(&self, name: &str) -> Option<&Ended> {
        self.ended.iter().find(|ended| ended.name == name)
    }

    /// Whether every test passed or failed as the closing word says, and none is without a result.
    pub(super) fn is_whole(&self) -> bool {
        let failed = self.ended.iter().any(|ended| ended.status == Status::Fail);
        self.fault.is_none() && self.open.is_empty() && self.passed == Some(!failed)
    }

    fn part(&mut self, part: &[u8], now: Instant) {
        let text = String::from_utf8_lossy(part);
        match text.strip_prefix(char::from(MARKER)) {
            Some(frame) if self.frame(frame.trim_end(), now) => {}
            _ => self.output(&text),
        }
    }

    fn output(&mut self, text: &str) {
        // An example tells what differed only after its result.
        let ended = self.ended.last_mut().filter(|ended| ended.name == self.current);
        let output = self.open.get_mut(&self.current).or(ended.map(|ended| &mut ended.output));
        if let Some(output) = output
            && output.len() < OUTPUT
        {
            output.push_str(text);
            output.push('\n');
        }
    }

    /// Takes a frame; false when it is none.
    fn frame(&mut self, frame: &str, now: Instant) -> bool {
        if let Some(rest) = frame.strip_prefix("=== ") {
            let (word, name) = rest.split_once(' ').unwrap_or((rest, ""));
            let name = name.trim();
            match word {
                "RUN" => self.run(name, now),
                "PAUSE" => {
                    if top(name) == name {
                        self.active.remove(name);
                    }
                    self.current = String::new();
                }
                "CONT" => {
                    self.active.insert(top(name).to_owned(), now);
                    self.current = name.to_owned();
                }
                "NAME" => self.current = name.to_owned(),
                "ATTR" | "ARTIFACTS" => {}
                _ => return false,
            }
            return true;
        }
        if let Some(rest) = frame.strip_prefix("--- ") {
            return self.end(rest, now);
        }
        let passed = match frame {
            "PASS" => true,
            "FAIL" => false,
            _ => return false,
        };
        if self.passed.replace(passed).is_some() {
            self.blame("its tests ended twice".to_owned());
        }
        true
    }

    fn run(&mut self, name: &str, now: Instant) {
        let orphan =
            name.rsplit_once('/').is_some_and(|(outer, _)| !is_open_or_above(&self.open, outer));
        if name.is_empty() || self.passed.is_some() || orphan || !self.seen.insert(name.to_owned())
        {
            self.blame(format!("{name} began out of order"));
            return;
        }
        self.open.insert(name.to_owned(), String::new());
        self.active.insert(top(name).to_owned(), now);
        self.current = name.to_owned();
    }

    fn end(&mut self, rest: &str, now: Instant) -> bool {
        let Some((word, rest)) = rest.split_once(": ") else { return false };
        let status = match word {
            "PASS" => Status::Pass,
            "FAIL" => Status::Fail,
            "SKIP" => Status::Skip,
            _ => return false,
        };
        let Some((name, time)) = rest.rsplit_once(" (") else { return false };
        let seconds = time.trim_end_matches("s)").parse().unwrap_or(0.0);
        let Some(output) = self.open.remove(name) else {
            // Two subtests that panic at once both report the test around them.
            let again = self.result(name).is_some_and(|e| e.status == Status::Fail);
            if !(again && status == Status::Fail) {
                self.blame(format!("{name} ended without having begun"));
            }
            return true;
        };
        if top(name) == name {
            self.active.remove(name);
        } else {
            self.active.insert(top(name).to_owned(), now);
        }
        self.current = name.to_owned();
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.ended.push(Ended { name: name.to_owned(), status, duration, output });
        true
    }

    fn blame(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }
}

fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a test is open by this name. A subtest's own name may hold slashes, so a shorter prefix
/// will do.
fn is_open_or_above(open: &BTreeMap<String, String>, name: &str) -> bool {
    let mut name = name;
    loop {
        if open.contains_key(name) {
            return true;
        }
        match name.rsplit_once('/') {
            Some((outer, _)) => name = outer,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\x16=== RUN   TestA\nno end\x16=== RUN   TestA/x/y\n    a_test.go:3: said\n\x16--- FAIL: TestA/x/y (0.25s)\n\x16=== NAME  TestA\nmore\n\x16--- FAIL: TestA (0.30s)\n\x16=== NAME  \n\x16=== RUN   TestB\n    b: \x1b\x16--- PASS: TestFake (0.00s)\n--- PASS: TestPrinted (0.00s)\nPASS\n\x16--- SKIP: TestB (0.00s)\n\x16=== RUN   ExampleC\n\x16--- FAIL: ExampleC (0.00s)\ngot:\n1\n\x16=== NAME  \n\x16FAIL\n";

    fn read(text: &str) -> Report {
        let mut report = Report::default();
        for line in text.split_terminator('\n') {
            report.feed(line.as_bytes(), Instant::now());
        }
        report
    }

    #[test]
    fn only_frames_are_results() {
        let report = read(TEXT);
        let ended: Vec<(&str, Status)> =
            report.ended.iter().map(|e| (e.name.as_str(), e.status)).collect();
        assert_eq!(
            ended,
            [
                ("TestA/x/y", Status::Fail),
                ("TestA", Status::Fail),
                ("TestB", Status::Skip),
                ("ExampleC", Status::Fail),
            ]
        );
        assert_eq!(report.ended[3].output, "got:\n1\n");
        assert!(report.is_whole(), "{report:?}");
        assert_eq!(report.ended[0].output, "    a_test.go:3: said\n");
        assert_eq!(report.ended[1].output, "no end\nmore\n");
        assert_eq!(report.ended[0].duration, Duration::from_millis(250));
    }

    #[test]
    fn what_is_cut_off_is_not_whole() {
        let cut = read(&TEXT[..TEXT.find("\x16--- SKIP").unwrap()]);
        assert!(!cut.is_whole());
        assert_eq!(cut.unfinished(), ["TestB"]);
        assert_eq!(cut.quietest().unwrap().0, "TestB");
        assert!(!read("").is_whole());
        assert!(!read("PASS\n").is_whole());
    }

    #[test]
    fn contradictions_are_faults() {
        for text in [
            "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.00s)\n\x16--- FAIL: TestA (0.00s)\n\x16PASS\n",
            "\x16--- PASS: TestA (0.00s)\n\x16PASS\n",
            "\x16=== RUN   TestA\n\x16--- PASS: TestA (0.00s)\n\x16=== RUN   TestA\n",
            "\x16=== RUN   TestA/sub\n",
            "\x16PASS\n\x16PASS\n",
            "\x16PASS\n\x16=== RUN   TestA\n",
        ] {
            assert!(read(text).fault.is_some(), "{text:?}");
        }
        let failed = "\x16=== RUN   TestA\n\x16--- FAIL: TestA (0.00s)\n\x16PASS\n";
        assert!(!read(failed).is_whole());
    }

    #[test]
    fn a_paused_test_is_not_running() {
        let report = read("\x16=== RUN   TestA\n\x16=== PAUSE TestA\n");
        assert!(report.quietest().is_none());
        let report = read("\x16=== RUN   TestA\n\x16=== PAUSE TestA\n\x16=== CONT  TestA\n");
        assert_eq!(report.quietest().unwrap().0, "TestA");
    }

    proptest! {
        #[test]
        fn mangled_reports_never_panic(
            at in 0..TEXT.len(), length in 0usize..60, insert in ".{0,12}"
        ) {
            let mut bytes = TEXT.as_bytes().to_vec();
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, insert.bytes());
            let _ = read(&String::from_utf8_lossy(&bytes));
        }
    }
}
