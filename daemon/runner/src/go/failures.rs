//! Where a Go test failed: located lines in what it logged, and goroutines in a crash.

use std::path::{Path, PathBuf};

use crate::scope::Scope;
use crate::text::{first_line, plain, tail};
use crate::types::{Failure, FailureKind, Frame};

/// Frames kept of one goroutine.
const FRAMES: usize = 60;

/// Marks that newer versions put around an error's text, and before control characters in logs.
const ERROR_BEGIN: char = '\u{0f}';
const ERROR_END: char = '\u{0e}';
const ESCAPE: char = '\u{1b}';

/// A failure that the test itself reported; `None` when its output locates nothing.
pub(super) fn reported(scope: &Scope, dir: &Path, output: &str) -> Option<Failure> {
    // Errors that are marked are told from what was only logged.
    let said = output
        .split_once(ERROR_BEGIN)
        .map_or(output, |(_, error)| error.split(ERROR_END).next().unwrap_or(error));
    let lines: Vec<&str> = said.lines().collect();
    let (at, path, line, text) = lines.iter().enumerate().find_map(|(at, line)| {
        let (path, line, text) = location(line)?;
        Some((at, path, line, text))
    })?;
    let site = scope.frame(&dir.join(path), line, None);
    let message = match summary(text, &lines[at + 1..]) {
        message if message.is_empty() => "the test failed".to_owned(),
        message => message,
    };
    let kind = FailureKind::Assertion;
    let trace = site.iter().cloned().collect();
    Some(Failure { kind, message, site, trace, details: tail(&clean(output)) })
}

/// A failure of which nothing is known but the output.
pub(super) fn unlocated(output: &str) -> Failure {
    let text = clean(output);
    // An example whose output differs says so in two blocks.
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = match (lines.next(), lines.next(), lines.next(), lines.next()) {
        (Some("got:"), Some(got), Some("want:"), Some(want)) => format!("got {got}, want {want}"),
        (Some(first), ..) => first.to_owned(),
        _ => "the test failed".to_owned(),
    };
    Failure {
        kind: FailureKind::Assertion,
        message: first_line(&message),
        site: None,
        trace: Vec::new(),
        details: tail(&text),
    }
}

/// A crash of the process, from its standard error.
pub(super) fn crash(scope: &Scope, stderr: &str) -> Failure {
    let message = stderr.lines().find_map(|line| {
        let text = line.strip_prefix("panic: ");
        let fatal = line.starts_with("fatal error: ").then_some(line);
        text.map(|text| format!("panic: {}", without_notes(text))).or(fatal.map(str::to_owned))
    });
    // The goroutine that crashed is the first.
    let trace = goroutines(scope, stderr).next().map(|(_, frames)| frames).unwrap_or_default();
    let kind = FailureKind::Error;
    let message = first_line(&message.unwrap_or_else(|| "the test process crashed".to_owned()));
    Failure { kind, message, site: nearest(&trace), trace, details: first_part(stderr) }
}

/// A test function that the alarm ended.
pub(super) fn timeout(
    scope: &Scope,
    stderr: &str,
    test: &str,
    limit: std::time::Duration,
) -> Failure {
    // A test that waits for its subtest is in the list as well; the deeper stack says more.
    let trace = goroutines(scope, stderr)
        .filter(|(block, _)| runs(block, test))
        .max_by_key(|(_, frames)| frames.len())
        .map(|(_, frames)| frames)
        .unwrap_or_default();
    Failure {
        kind: FailureKind::Timeout,
        message: format!("it took longer than {:.1} s", limit.as_secs_f64()),
        site: nearest(&trace),
        trace,
        details: first_part(stderr),
    }
}

/// The frame in a test file that is the nearest to the fault, else the innermost.
fn nearest(trace: &[Frame]) -> Option<Frame> {
    let in_test = |frame: &&Frame| frame.path.to_string_lossy().ends_with("_test.go");
    trace.iter().rev().find(in_test).or(trace.last()).cloned()
}

/// `    /w/a_test.go:12: text`: an indented path, a line, and what was logged.
fn location(line: &str) -> Option<(PathBuf, u32, &str)> {
    let rest = line.strip_prefix("    ")?.trim_start();
    let (path, rest) = rest.split_once(".go:")?;
    let (number, text) = rest.split_once(':')?;
    Some((format!("{path}.go").into(), number.parse().ok()?, text.trim()))
}

/// The first line of a message; where it is empty, what an assertion library says is its error.
fn summary(text: &str, more: &[&str]) -> String {
    let text = plain(text);
    if !text.trim().is_empty() {
        return first_line(&text);
    }
    let block: Vec<&str> =
        more.iter().take_while(|line| location(line).is_none()).map(|line| line.trim()).collect();
    let error = block.iter().position(|line| line.starts_with("Error:"));
    let Some(at) = error else { return first_line(&block.join("\n")) };
    let first = block[at].trim_start_matches("Error:").trim();
    // testify: "Not equal:", then the two sides.
    let side = |name: &str| block[at..].iter().find_map(|line| line.strip_prefix(name));
    match (side("expected:"), side("actual  :")) {
        (Some(expected), Some(actual)) => {
            first_line(&format!("{first} expected {}, actual {}", expected.trim(), actual.trim()))
        }
        _ => first_line(first),
    }
}

/// Without `[recovered, repanicked]`.
fn without_notes(text: &str) -> &str {
    text.rsplit_once(" [recovered").map_or(text, |(text, _)| text)
}

/// The stacks of a crash, each with its frames in the workspace.
fn goroutines<'t>(
    scope: &'t Scope,
    stderr: &'t str,
) -> impl Iterator<Item = (&'t str, Vec<Frame>)> + 't {
    stderr
        .split("\n\n")
        .map(str::trim_start)
        .filter(|block| block.starts_with("goroutine "))
        .map(|block| (block, frames(scope, block)))
        .filter(|(_, frames)| !frames.is_empty())
}

/// Whether a stack is that of a test or of one of its subtests.
fn runs(block: &str, test: &str) -> bool {
    let function = format!(".{test}");
    block.lines().any(|line| {
        let name = line.rsplit_once('(').map_or(line, |(name, _)| name);
        name.ends_with(&function) || name.contains(&format!("{function}."))
    })
}

fn frames(scope: &Scope, block: &str) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut function: Option<&str> = None;
    for line in block.lines().skip(1) {
        match line.strip_prefix('\t') {
            Some(place) => {
                let place = place.split(" +0x").next().unwrap_or(place);
                if let Some((path, number)) = place.rsplit_once(':')
                    && let Ok(number) = number.parse()
                    && let Some(name) = function.take()
                    && let Some(frame) = scope.frame(Path::new(path), number, Some(short(name)))
                {
                    frames.push(frame);
                }
            }
            None => function = Some(line),
        }
        if frames.len() >= FRAMES {
            break;
        }
    }
    frames.reverse();
    frames
}

/// `example.com/shop/price.(*Cart).Total(0xc000)` as `Cart.Total`.
fn short(line: &str) -> String {
    let line = line.strip_prefix("created by ").unwrap_or(line);
    let line = line.split(" in goroutine ").next().unwrap_or(line);
    // Arguments end the line; a receiver does not.
    let call = line.ends_with(')').then(|| line.rsplit_once('(')).flatten();
    let name = call.map_or(line, |(name, _)| name);
    let name = name.rsplit('/').next().unwrap_or(name);
    let name = name.split_once('.').map_or(name, |(_, name)| name);
    name.replace("(*", "").replace(')', "")
}

/// Logged text as a person would see it.
fn clean(text: &str) -> String {
    let text: String = text.chars().filter(|c| ![ERROR_BEGIN, ERROR_END].contains(c)).collect();
    // What stands before an escaped mark is no colour.
    let text = text.replace("\u{1b}\u{16}", "\u{16}");
    if text.contains(ESCAPE) { plain(&text) } else { text }
}

/// A crash says what happened first, and lists other goroutines afterwards.
fn first_part(stderr: &str) -> String {
    crate::text::head(stderr.trim_end(), crate::text::DETAILS_LIMIT).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PANIC: &str = "panic: runtime error: index out of range [9] with length 3 [recovered, repanicked]\n\ngoroutine 23 [running]:\ntesting.tRunner.func1.2({0x812808, 0x31853b56030})\n\t/go/src/testing/testing.go:2125 +0x232\npanic({0x812808?, 0x31853b56030?})\n\t/go/src/runtime/panic.go:859 +0x125\nexample.com/m/gcd.(*List[...]).At(...)\n\t/w/gcd/gcd.go:11\nexample.com/m/gcd.TestSub.func1(0x31853b4ad88?)\n\t/w/gcd/gcd_test.go:19 +0x65\ntesting.tRunner(0x31853b4ad88, 0x31853b0e630)\n\t/go/src/testing/testing.go:2195 +0xea\ncreated by testing.(*T).Run in goroutine 20\n\t/go/src/testing/testing.go:2260 +0x4d4\n";

    fn scope() -> Scope {
        Scope::identity("/w")
    }

    fn places(trace: &[Frame]) -> Vec<(String, u32)> {
        trace.iter().map(|frame| (frame.path.display().to_string(), frame.line)).collect()
    }

    #[test]
    fn a_panic_has_a_way_from_the_test_to_its_place() {
        let failure = crash(&scope(), PANIC);
        assert_eq!(failure.message, "panic: runtime error: index out of range [9] with length 3");
        assert_eq!(
            places(&failure.trace),
            [("/w/gcd/gcd_test.go".into(), 19), ("/w/gcd/gcd.go".into(), 11)]
        );
        assert_eq!(failure.site.unwrap().line, 19);
        let functions: Vec<_> =
            failure.trace.iter().filter_map(|frame| frame.function.as_deref()).collect();
        assert_eq!(functions, ["TestSub.func1", "List[...].At"]);
    }

    #[test]
    fn a_goroutine_of_the_code_leads_back_to_who_started_it() {
        let text = "panic: boo\n\ngoroutine 8 [running]:\nm/a.work(...)\n\t/w/a.go:5\ncreated by m/a.Start in goroutine 7\n\t/w/a.go:9 +0x1d\n";
        assert_eq!(
            places(&crash(&scope(), text).trace),
            [("/w/a.go".into(), 9), ("/w/a.go".into(), 5)]
        );
    }

    #[test]
    fn errors_are_told_from_logs_where_they_are_marked() {
        let marked =
            "    /w/a_test.go:3: only a log\n\u{f}    /w/a_test.go:5: got 3\n        want 2\u{e}\n";
        let failure = reported(&scope(), Path::new("/w"), marked).unwrap();
        assert_eq!((failure.message.as_str(), failure.site.unwrap().line), ("got 3", 5));
        assert!(!failure.details.contains('\u{f}'));
        let plain = "    a_test.go:7: got 3\n";
        let failure = reported(&scope(), Path::new("/w/in"), plain).unwrap();
        assert_eq!(failure.site.unwrap().path, Path::new("/w/in/a_test.go"));
        assert!(reported(&scope(), Path::new("/w"), "nothing here\n").is_none());
    }

    #[test]
    fn assertion_libraries_and_examples_have_messages() {
        let testify = "    /w/a_test.go:5: \n        \tError Trace:\t/w/a_test.go:5\n        \tError:      \tNot equal: \n        \t            \texpected: 2\n        \t            \tactual  : 3\n        \tTest:       \tTestA\n";
        let failure = reported(&scope(), Path::new("/w"), testify).unwrap();
        assert_eq!(failure.message, "Not equal: expected 2, actual 3");
        assert_eq!(unlocated("got:\n3\nwant:\n2\n").message, "got 3, want 2");
        assert_eq!(unlocated("").message, "the test failed");
    }

    proptest! {
        #[test]
        fn mangled_text_never_panics(
            at in 0..PANIC.len(), length in 0usize..60, insert in "\\PC{0,12}"
        ) {
            let mut text = PANIC.as_bytes().to_vec();
            let end = (at + length).min(text.len());
            text.splice(at..end, insert.bytes());
            let text = String::from_utf8_lossy(&text);
            let _ = crash(&scope(), &text);
            let _ = timeout(&scope(), &text, "TestSub", std::time::Duration::from_secs(1));
            let _ = reported(&scope(), Path::new("/w"), &text);
        }
    }
}
