//! What the reporter and the preloaded module write: one JSON object per line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::scope::{Scope, normalize, relative};
use crate::text::{first_line, head, plain, tail};
use crate::types::{
    Diagnostic, Failure, FailureKind, Frame, Outcome, RunState, TestId, TestResult,
};

/// Frames kept of one stack.
const FRAMES: usize = 50;

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    file: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    nesting: usize,
    #[serde(default)]
    line: Option<u32>,
    #[serde(default)]
    skip: bool,
    #[serde(default)]
    todo: bool,
    #[serde(default)]
    suite: bool,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    error: Option<RawError>,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawError {
    name: Option<String>,
    code: Option<String>,
    message: Option<String>,
    stack: Option<String>,
    failure_type: Option<String>,
    exit_code: Option<String>,
    signal: Option<String>,
    cause: Option<Box<RawError>>,
}

#[derive(Debug, Deserialize)]
struct Started {
    file: String,
    #[serde(default)]
    names: Option<String>,
    #[serde(default)]
    natural: Option<bool>,
}

/// A test file whose process failed as a whole.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) file: String,
    pub(super) message: String,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// What it wrote to standard error; empty when it wrote nothing.
    pub(super) details: String,
}

/// The streams, digested.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) results: Vec<TestResult>,
    pub(super) broken: Vec<Broken>,
    /// Files that ended by `process.exit` or worse before they had reported their tests.
    pub(super) cut_off: Vec<String>,
    /// Tests that began and have no result.
    pub(super) unfinished: Vec<TestId>,
    /// The last test that each unfinished file began.
    pub(super) running: Vec<TestId>,
    /// The runner came to its end.
    pub(super) ended: bool,
}

/// Reads both streams. Lines that are cut off or no events are left out.
pub(super) fn parse(
    report: &[u8],
    starts: &[u8],
    scope: &Scope,
    root: &Path,
    dir: &Path,
) -> Events {
    let mut events = Events::default();
    // The runner reports one test file after the other, so the tests around one are the last begun.
    let mut stack: Vec<(String, String)> = Vec::new();
    let mut stderr: BTreeMap<String, String> = BTreeMap::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: Vec<(String, TestId)> = Vec::new();
    let mut starts = Starts::parse(starts, scope, root);
    for line in report.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(line) else { continue };
        if event.kind == "end" {
            events.ended = true;
        }
        let Some(raw) = event.file.as_deref() else { continue };
        // Some versions name some files relative to the working directory.
        let Some(file) = id_file(scope, root, &scope.inside(dir).join(raw)) else { continue };
        if event.kind == "test:stderr" {
            let text = stderr.entry(file).or_default();
            if text.len() < 1 << 20 {
                text.push_str(&event.message);
            }
            continue;
        }
        let of_file = event.nesting == 0 && is_file_itself(scope, dir, &event.name, raw);
        match event.kind.as_str() {
            "test:start" if !of_file => {
                stack.truncate(event.nesting);
                stack.push((file, event.name));
                let (file, names) = full_name(&stack);
                let file = starts.owner(&file, &names).to_owned();
                let id = TestId(format!("{file}::{names}"));
                open.push((file, id));
            }
            // No tests were reported. That is fine for a helper, and not for a process that was
            // ended before it came to its tests.
            "test:pass" if of_file && starts.natural.get(&file) != Some(&true) => {
                events.cut_off.push(file);
            }
            "test:pass" if of_file => {}
            "test:fail" if of_file => events.broken.push(broken(
                scope,
                file.clone(),
                &event.error.unwrap_or_default(),
                stderr.get(&file).map(String::as_str).unwrap_or_default(),
            )),
            "test:pass" | "test:fail" => {
                stack.truncate(event.nesting);
                stack.push((file, event.name.clone()));
                let (file, names) = full_name(&stack);
                let file = starts.owner(&file, &names).to_owned();
                if !event.skip && !event.suite {
                    starts.ended(&names);
                }
                let plain_id = format!("{file}::{names}");
                if let Some(at) = open.iter().rposition(|(_, id)| id.0 == plain_id) {
                    open.remove(at);
                }
                if let Some(result) = result(scope, root, &file, plain_id, event, &mut seen) {
                    events.results.push(result);
                }
            }
            _ => {}
        }
    }
    let reported: BTreeSet<&TestId> = events.results.iter().map(|result| &result.id).collect();
    events.running = starts.last.into_values().filter(|id| !reported.contains(id)).collect();
    events.unfinished = open.into_iter().map(|(_, id)| id).collect();
    events
}

/// The file of the outermost test, and the nested names.
fn full_name(stack: &[(String, String)]) -> (String, String) {
    let file = stack.first().map(|(file, _)| file.clone()).unwrap_or_default();
    let names: Vec<&str> = stack.iter().map(|(_, name)| name.as_str()).collect();
    (file, names.join(" > "))
}

/// What the preloaded module wrote.
#[derive(Default)]
struct Starts {
    last: BTreeMap<String, TestId>,
    natural: BTreeMap<String, bool>,
    /// The files that were run.
    files: BTreeSet<String>,
    /// For each full name the files that began such a test, in the order they are reported in.
    begun: BTreeMap<String, VecDeque<String>>,
}

impl Starts {
    fn parse(bytes: &[u8], scope: &Scope, root: &Path) -> Self {
        let mut starts = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(started) = serde_json::from_slice::<Started>(line) else { continue };
            let Some(file) = id_file(scope, root, Path::new(&started.file)) else { continue };
            starts.files.insert(file.clone());
            if let Some(names) = started.names {
                starts.last.insert(file.clone(), TestId(format!("{file}::{names}")));
                starts.begun.entry(names).or_default().push_back(file.clone());
            }
            if let Some(natural) = started.natural {
                starts.natural.insert(file, natural);
            }
        }
        for files in starts.begun.values_mut() {
            // They are reported in the order of their paths, whatever order they ran in.
            files.make_contiguous().sort();
        }
        starts
    }

    /// The test file that a test belongs to. node reports the file that holds the call of `test()`,
    /// which may be a helper that several test files share.
    fn owner<'s>(&'s self, reported: &'s str, names: &str) -> &'s str {
        if self.files.contains(reported) {
            return reported;
        }
        self.begun.get(names).and_then(|files| files.front()).map_or(reported, String::as_str)
    }

    fn ended(&mut self, names: &str) {
        if let Some(files) = self.begun.get_mut(names) {
            files.pop_front();
        }
    }
}

fn id_file(scope: &Scope, root: &Path, reported: &Path) -> Option<String> {
    relative(root, &scope.person(reported)?)
}

/// node reports each test file as a test that is named by its path.
fn is_file_itself(scope: &Scope, dir: &Path, name: &str, file: &str) -> bool {
    normalize(&scope.inside(dir).join(name)) == normalize(&scope.inside(dir).join(file))
}

fn result(
    scope: &Scope,
    root: &Path,
    file: &str,
    plain_id: String,
    event: Event,
    seen: &mut BTreeMap<String, usize>,
) -> Option<TestResult> {
    let error = event.error.unwrap_or_default();
    let subtests = error.failure_type.as_deref() == Some("subtestsFailed");
    // A suite is no test, but one whose own callback or hook fails is a failure of its own.
    if event.suite && (event.kind == "test:pass" || subtests) {
        return None;
    }
    let count = seen.entry(plain_id.clone()).or_insert(0);
    *count += 1;
    // Equal names in one file are told apart by their order.
    let id = if *count == 1 { plain_id } else { format!("{plain_id} #{count}") };
    let outcome = if event.skip || event.todo {
        Outcome::Skipped
    } else if event.kind == "test:pass" {
        Outcome::Passed
    } else {
        Outcome::Failed(failure(scope, root, file, event.line, &error))
    };
    let duration = Duration::try_from_secs_f64(event.duration / 1000.0).unwrap_or_default();
    Some(TestResult { id: TestId(id), outcome, duration })
}

/// The innermost error of a chain that says anything.
fn innermost(error: &RawError) -> &RawError {
    let mut current = error;
    while let Some(cause) = current.cause.as_deref()
        && cause.message.is_some()
    {
        current = cause;
    }
    current
}

fn failure(
    scope: &Scope,
    root: &Path,
    file: &str,
    declared: Option<u32>,
    error: &RawError,
) -> Failure {
    let inner = innermost(error);
    let mut trace = frames(scope, inner.stack.as_deref().unwrap_or_default());
    if trace.is_empty() {
        trace = frames(scope, error.stack.as_deref().unwrap_or_default());
    }
    let test_file = root.join(file);
    let nearest = trace.iter().rev().find(|frame| frame.path == test_file);
    let site = nearest
        .or(trace.last())
        .cloned()
        .or_else(|| declared.map(|line| Frame { path: test_file.clone(), line, function: None }));
    let assertion = inner.code.as_deref() == Some("ERR_ASSERTION")
        || inner.name.as_deref() == Some("AssertionError");
    let text = plain(inner.message.as_deref().unwrap_or("the test failed"));
    let stack = inner.stack.as_deref().or(error.stack.as_deref()).unwrap_or(&text);
    Failure {
        kind: if assertion { FailureKind::Assertion } else { FailureKind::Error },
        message: summary(&text),
        site,
        details: tail(&plain(head(stack, 64 << 10))),
        trace,
    }
}

/// The first line, and the next one where the first only announces it.
fn summary(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    match lines.next() {
        Some(second) if first.ends_with(':') => first_line(&format!("{first} {second}")),
        _ => first_line(first),
    }
}

/// Frames of a V8 stack in the workspace, outermost first.
fn frames(scope: &Scope, stack: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = stack
        .lines()
        .filter_map(|line| {
            let rest = line.trim_start().strip_prefix("at ")?;
            let (function, place) = match rest.strip_suffix(')').and_then(|r| r.rsplit_once(" (")) {
                Some((function, place)) => (Some(function.to_owned()), place),
                None => (None, rest.trim_start_matches("async ")),
            };
            let (path, line) = position(place)?;
            scope.frame(&path, line, function)
        })
        .take(FRAMES)
        .collect();
    frames.reverse();
    frames
}

/// `path:line:column` or `file:///path:line:column`.
fn position(place: &str) -> Option<(PathBuf, u32)> {
    let (rest, _column) = place.rsplit_once(':')?;
    let (path, line) = rest.rsplit_once(':')?;
    let path = path.strip_prefix("file://").unwrap_or(path);
    path.starts_with('/').then_some(())?;
    Some((path.into(), line.parse().ok()?))
}

/// A test file that could not be loaded, from the text of the error.
pub(super) fn not_loaded(scope: &Scope, file: String, error: &str) -> RunState {
    let Broken { diagnostics, details, .. } = broken(scope, file, &RawError::default(), error);
    RunState::BuildFailed { diagnostics, details }
}

fn broken(scope: &Scope, file: String, error: &RawError, stderr: &str) -> Broken {
    let stderr = plain(stderr);
    let mut diagnostics = Vec::new();
    // A thrown error reads `TypeError: text`, possibly with a code in brackets.
    let message = stderr
        .lines()
        .find(|line| {
            let name = line.split([':', ' ']).next().unwrap_or_default();
            name.ends_with("Error")
        })
        .map_or_else(|| first_line(&stderr), first_line);
    // The position of a syntax error stands alone in a line: `/path/file.js:3`.
    for line in stderr.lines() {
        let path = line.strip_prefix("file://").unwrap_or(line);
        if let Some((path, number)) = path.rsplit_once(':')
            && path.starts_with('/')
            && let (Some(path), Ok(line)) = (scope.person(Path::new(path)), number.parse())
        {
            diagnostics.push(Diagnostic { path, line, message: message.clone() });
        }
    }
    for frame in frames(scope, &stderr).into_iter().rev() {
        let Frame { path, line, .. } = frame;
        diagnostics.push(Diagnostic { path, line, message: message.clone() });
    }
    diagnostics.dedup();
    let how = match (&error.exit_code, &error.signal) {
        (_, Some(signal)) => format!("killed by {signal}"),
        (Some(code), None) => format!("exit code {code}"),
        (None, None) => first_line(error.message.as_deref().unwrap_or("failed")),
    };
    Broken { file, message: how, diagnostics, details: tail(&stderr) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPORT: &str = r#"{"type":"test:start","file":"/w/a.test.js","name":"s","nesting":0,"line":1}
{"type":"test:start","file":"/w/a.test.js","name":"in > x","nesting":1,"line":2}
{"type":"test:fail","file":"/w/a.test.js","name":"in > x","nesting":1,"line":2,"duration":1.5,"error":{"message":"outer","failureType":"testCodeFailure","cause":{"name":"AssertionError","code":"ERR_ASSERTION","message":"Expected values to be strictly equal:\n\n3 !== 2\n","stack":"AssertionError: x\n    at gcd (/w/gcd.js:2:26)\n    at TestContext.<anonymous> (file:///w/a.test.js:5:46)\n    at Test.run (node:internal/test_runner/test:796:25)"}}}
{"type":"test:fail","file":"/w/a.test.js","name":"s","nesting":0,"suite":true,"error":{"failureType":"subtestsFailed"}}
{"type":"test:start","file":"/w/a.test.js","name":"same","nesting":0}
{"type":"test:pass","file":"/w/a.test.js","name":"same","nesting":0}
{"type":"test:start","file":"/w/a.test.js","name":"same","nesting":0}
{"type":"test:pass","file":"/w/a.test.js","name":"same","nesting":0,"todo":true}
{"type":"end"}
"#;

    fn read(report: &[u8]) -> Events {
        let root = Path::new("/w");
        parse(report, b"", &Scope::identity("/w"), root, root)
    }

    #[test]
    fn nested_names_and_causes_are_read() {
        let events = read(REPORT.as_bytes());
        let ids: Vec<&str> = events.results.iter().map(|result| result.id.0.as_str()).collect();
        assert_eq!(ids, ["a.test.js::s > in > x", "a.test.js::same", "a.test.js::same #2"]);
        let Outcome::Failed(failure) = &events.results[0].outcome else { panic!() };
        assert_eq!(failure.kind, FailureKind::Assertion);
        assert_eq!(failure.message, "Expected values to be strictly equal: 3 !== 2");
        let lines: Vec<u32> = failure.trace.iter().map(|frame| frame.line).collect();
        assert_eq!(lines, [5, 2]);
        assert_eq!(failure.site.as_ref().unwrap().line, 5);
        assert_eq!(events.results[2].outcome, Outcome::Skipped);
        assert!(events.ended && events.unfinished.is_empty());
    }

    #[test]
    fn a_test_without_a_result_is_unfinished() {
        let cut = REPORT.replace(r#""type":"test:fail","file":"/w/a.test.js","name":"in"#, "");
        assert_eq!(read(cut.as_bytes()).unfinished, [TestId("a.test.js::s > in > x".into())]);
    }

    proptest! {
        #[test]
        fn mangled_reports_never_panic(
            at in 0..REPORT.len(), length in 0usize..60, insert in ".{0,12}"
        ) {
            let mut bytes = REPORT.as_bytes().to_vec();
            let end = (at + length).min(bytes.len());
            bytes.splice(at..end, insert.bytes());
            let _ = read(&bytes);
        }

        #[test]
        fn junk_never_panics(text in "\\PC{0,200}") {
            let _ = read(text.as_bytes());
            let _ = frames(&Scope::identity("/w"), &text);
            let _ = broken(&Scope::identity("/w"), String::new(), &RawError::default(), &text);
        }
    }
}
