//! What the plugin `greenlit_pytest.py` writes: one JSON object per line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::scope::Scope;
use crate::text::{first_line, plain, tail};
use crate::types::{Diagnostic, Failure, FailureKind, Frame, Outcome, TestId, TestResult};

#[derive(Debug, Deserialize)]
#[serde(tag = "e", rename_all = "kebab-case")]
enum Event {
    Session {},
    Collected {
        tests: Vec<(String, String)>,
    },
    CollectError {
        path: String,
        #[serde(default)]
        frames: Vec<RawFrame>,
        #[serde(default)]
        message: String,
        #[serde(default)]
        text: String,
    },
    Start {
        id: String,
    },
    Phase(Box<Phase>),
    End {
        id: String,
    },
    Traced {
        by: String,
    },
    Lines {
        id: String,
        lines: BTreeMap<String, Vec<u32>>,
    },
    Inputs {
        module: String,
        inputs: Vec<String>,
    },
    Probe {
        input: usize,
        outcome: String,
        stable: bool,
    },
    Probed {},
    Finish {
        status: i32,
        #[serde(default)]
        stopped: String,
    },
    InternalError {
        text: String,
    },
}

type RawFrame = (String, u32, String);

#[derive(Debug, Deserialize)]
struct Phase {
    id: String,
    nodeid: String,
    when: String,
    outcome: String,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    frames: Vec<RawFrame>,
    #[serde(default)]
    assertion: bool,
    #[serde(default)]
    timeout: bool,
    #[serde(default)]
    message: String,
    #[serde(default)]
    text: String,
}

/// How Python can tell lines, from 3.12 on and before.
const TRACERS: [&str; 2] = ["sys.monitoring", "sys.settrace"];

/// Executed lines of one test: (path as reported, lines).
pub(crate) type RawLines = BTreeMap<String, Vec<u32>>;

/// The whole stream, digested.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// pytest got as far as its configuration.
    pub(crate) session: bool,
    /// Ids to run, in order; `None` when collection did not end.
    pub(crate) collected: Option<Vec<TestId>>,
    pub(crate) collect_errors: Vec<CollectError>,
    /// Started and not ended.
    pub(crate) running: Vec<TestId>,
    /// Ended tests in the order they started.
    pub(crate) results: Vec<TestResult>,
    /// pytest's own node id of each result.
    pub(crate) nodeids: BTreeMap<TestId, String>,
    pub(crate) lines: Vec<(TestId, RawLines)>,
    /// What the lines come from; one of [`TRACERS`].
    pub(crate) traced_by: Option<&'static str>,
    /// The module of a function whose arguments were recorded, and inputs for it.
    pub(crate) inputs: Option<(String, Vec<String>)>,
    /// Index of an input, what the function did with it, and whether it did so twice.
    pub(crate) probes: Vec<(usize, String, bool)>,
    /// Every input has its outcome.
    pub(crate) probed: bool,
    /// Exit status and the reason for stopping early, if any.
    pub(crate) finish: Option<(i32, String)>,
    pub(crate) internal_error: Option<String>,
}

/// A test module that could not be imported.
#[derive(Debug)]
pub(crate) struct CollectError {
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) text: String,
}

/// Reads the stream. A line that is cut off or is no event is left out; whether what remains is
/// complete is for the caller to judge from `finish` and `collected`.
pub(crate) fn parse(bytes: &[u8], scope: &Scope, root: &Path) -> Events {
    let mut events = Events::default();
    let mut started: Vec<TestId> = Vec::new();
    let mut ended = BTreeSet::new();
    let mut phases: BTreeMap<TestId, Vec<Phase>> = BTreeMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(line) else { continue };
        match event {
            Event::Session {} => events.session = true,
            Event::Collected { tests } => {
                events.collected = Some(tests.into_iter().map(|(id, _)| TestId(id)).collect());
            }
            Event::CollectError { path, frames, message, text } => events
                .collect_errors
                .push(collect_error(scope, root, &path, &frames, &message, &text)),
            Event::Start { id } => started.push(TestId(id)),
            Event::Phase(phase) => {
                let id = TestId(phase.id.clone());
                events.nodeids.insert(id.clone(), phase.nodeid.clone());
                phases.entry(id).or_default().push(*phase);
            }
            Event::End { id } => {
                ended.insert(TestId(id));
            }
            Event::Traced { by } => {
                events.traced_by = TRACERS.iter().copied().find(|known| **known == *by);
            }
            Event::Lines { id, lines } => events.lines.push((TestId(id), lines)),
            Event::Inputs { module, inputs } => events.inputs = Some((module, inputs)),
            Event::Probe { input, outcome, stable } => {
                events.probes.push((input, outcome, stable));
            }
            Event::Probed {} => events.probed = true,
            Event::Finish { status, stopped } => events.finish = Some((status, stopped)),
            Event::InternalError { text } => events.internal_error = Some(text),
        }
    }
    let mut seen = BTreeSet::new();
    for id in started {
        if !seen.insert(id.clone()) {
            continue;
        }
        match phases.get(&id) {
            Some(phases) if ended.contains(&id) => {
                events.results.push(result(scope, root, id, phases));
            }
            _ => events.running.push(id),
        }
    }
    events
}

fn collect_error(
    scope: &Scope,
    root: &Path,
    path: &str,
    frames: &[RawFrame],
    message: &str,
    text: &str,
) -> CollectError {
    let text = plain(text);
    // pytest marks the lines of the error itself with "E".
    let mut marked = text.lines().filter_map(|line| line.strip_prefix("E ")).map(str::trim);
    let message = match first_line(message) {
        line if !line.is_empty() => line,
        _ => marked.next_back().map_or_else(|| first_line(&text), first_line),
    };
    let mut diagnostics: Vec<Diagnostic> = trace(scope, frames)
        .into_iter()
        .rev()
        .map(|frame| Diagnostic { path: frame.path, line: frame.line, message: message.clone() })
        .collect();
    diagnostics.dedup();
    if diagnostics.is_empty() && !path.is_empty() {
        diagnostics.push(Diagnostic { path: root.join(path), line: 1, message });
    }
    CollectError { diagnostics, text: tail(&text) }
}

fn trace(scope: &Scope, frames: &[RawFrame]) -> Vec<Frame> {
    frames
        .iter()
        .filter_map(|(path, line, function)| {
            scope.frame(Path::new(path), *line, Some(function.clone()))
        })
        .collect()
}

fn result(scope: &Scope, root: &Path, id: TestId, phases: &[Phase]) -> TestResult {
    let seconds: f64 = phases.iter().map(|phase| phase.duration).sum();
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let failed = phases.iter().find(|phase| phase.outcome == "failed");
    let outcome = match failed {
        Some(phase) => Outcome::Failed(failure(scope, root, &id, phase)),
        None if phases.iter().any(|phase| phase.outcome == "skipped") => Outcome::Skipped,
        None => Outcome::Passed,
    };
    TestResult { id, outcome, duration }
}

fn failure(scope: &Scope, root: &Path, id: &TestId, phase: &Phase) -> Failure {
    let trace = trace(scope, &phase.frames);
    let test_file = root.join(id.0.split("::").next().unwrap_or_default());
    let nearest = trace.iter().rev().find(|frame| frame.path == test_file);
    let site = nearest.or(trace.last()).cloned();
    let mut message = explained(&plain(&phase.message));
    if phase.when != "call" {
        message = format!("{} failed: {message}", phase.when);
    }
    Failure {
        kind: match (phase.timeout, phase.assertion) {
            (true, _) => FailureKind::Timeout,
            (false, true) => FailureKind::Assertion,
            (false, false) => FailureKind::Error,
        },
        message,
        site,
        trace,
        details: tail(&plain(&phase.text)),
    }
}

/// The first line, with pytest's explanation of a rewritten assertion:
/// `assert False (where False = is_adult(18))`.
fn explained(text: &str) -> String {
    let message = first_line(text).replace("_TookTooLong: ", "");
    let message = message.trim_start_matches("greenlit_pytest.").to_owned();
    let second = text.trim_start().lines().nth(1).unwrap_or_default().trim();
    match second.strip_prefix("+").map(str::trim) {
        Some(clause) if clause.starts_with("where ") => format!("{message} ({clause})"),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = r#"{"e":"session","rootpath":"/w","pytest":"9"}
{"e":"collected","tests":[["t/test_a.py::t","test_a.py::t"],["t/test_a.py::u","test_a.py::u"]]}
{"e":"start","id":"t/test_a.py::t"}
{"e":"phase","id":"t/test_a.py::t","nodeid":"test_a.py::t","when":"setup","outcome":"passed","duration":0.5}
{"e":"phase","id":"t/test_a.py::t","nodeid":"test_a.py::t","when":"call","outcome":"failed","duration":0.25,"frames":[["/w/t/test_a.py",3,"t"],["/w/gcd.py",9,"gcd"],["/usr/lib/x.py",1,"x"]],"assertion":false,"message":"ValueError: bad\nmore","text":"long"}
{"e":"end","id":"t/test_a.py::t"}
{"e":"start","id":"t/test_a.py::u"}
{"e":"finish","status":1,"stopped":""}
"#;

    fn read(bytes: &[u8]) -> Events {
        parse(bytes, &Scope::identity("/w"), Path::new("/w"))
    }

    #[test]
    fn a_failure_is_located_in_the_test() {
        let events = read(STREAM.as_bytes());
        insta::assert_debug_snapshot!(events.results, @r#"
        [
            TestResult {
                id: TestId(
                    "t/test_a.py::t",
                ),
                outcome: Failed(
                    Failure {
                        kind: Error,
                        message: "ValueError: bad",
                        site: Some(
                            Frame {
                                path: "/w/t/test_a.py",
                                line: 3,
                                function: Some(
                                    "t",
                                ),
                            },
                        ),
                        trace: [
                            Frame {
                                path: "/w/t/test_a.py",
                                line: 3,
                                function: Some(
                                    "t",
                                ),
                            },
                            Frame {
                                path: "/w/gcd.py",
                                line: 9,
                                function: Some(
                                    "gcd",
                                ),
                            },
                        ],
                        details: "long",
                    },
                ),
                duration: 750ms,
            },
        ]
        "#);
        assert_eq!(events.running, [TestId("t/test_a.py::u".into())]);
    }

    proptest! {
        #[test]
        fn mangled_streams_never_panic(
            at in 0..STREAM.len(), length in 0usize..60, insert in ".{0,12}"
        ) {
            let mut bytes = STREAM.as_bytes().to_vec();
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, insert.bytes());
            let _ = read(&bytes);
        }

        #[test]
        fn junk_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }
}
